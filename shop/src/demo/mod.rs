//! The demo: the platform and the shop, in one process or in many, real customers, and an audit of the
//! books.

mod catalogue;
mod chaos;
mod children;
mod config;
mod contracts;
mod disk;
mod drive;
mod foundation;
mod gateway;
mod guide;
mod house;
mod pace;
mod plan;
mod polyglot;
mod ports;
mod process;
mod processes;
mod progress;
mod registered;
pub(crate) mod report;
mod shopping;
mod site;
mod store;

use std::time::Duration;

use anyhow::Result;
use ieum::base::{Stop, Tasks};
use ieum_server::console;
use tokio::time::Instant;

pub(crate) use self::site::Site;

use self::chaos::Chaos;
use self::gateway::Gateway;
use self::house::House;
use self::plan::{Outcome, Shares};
use self::report::Summary;
use self::shopping::Scene;
use self::store::{Plan, Planned};
use crate::audit::Books;
use crate::cli::DemoArgs;
use crate::services::users::STAFF;
use crate::support::sabotage::Sabotage;

/// How long the audit waits for what is still on its way.
const SETTLE: Duration = Duration::from_secs(60);
/// How long nothing may change until what was found counts as found.
const STILL: Duration = Duration::from_secs(4);
/// The pause between two audits.
const PAUSE: Duration = Duration::from_millis(250);
/// The share of orders whose money goes back where nothing was said, and a defect needs it.
const REFUNDS: u8 = 10;

/// Runs the demo at `site`. True if the books balance.
pub(crate) async fn run(args: &DemoArgs, site: &Site, stop: &Stop) -> Result<bool> {
    let shares = shares(args).validated()?;
    Chaos::validate(args)?;
    for line in foundation::lay(site).await? {
        say(args, &format!("{line}\n"));
    }
    let before = site.open().await?;
    let plan = Plan::open(&site.plan()?).await?;
    let house = House::start(args, site).await?;
    let places = house.places();
    let tasks = Tasks::new(Stop::new());
    let gateway = Gateway::new(places.gateways(), tasks.clone());
    say(args, &guide::places(places));
    if !args.exit {
        say(args, &guide::walk(places));
    }
    let done = async {
        catalogue::put_up(&gateway, STAFF, &places.password).await?;
        let begun = Instant::now();
        let orders = planned(args, shares, &plan).await?;
        let scene = Scene {
            args,
            site,
            plan: &plan,
            gateway: &gateway,
            house: &house,
            tasks: &tasks,
        };
        let mut came = scene.shop(orders).await;
        let books = settled(site).await?;
        came.interrupted.extend(before.sagas);
        let after = site.open().await?;
        let recovered = came.interrupted.difference(&after.sagas).count() as u64;
        let summary = Summary::of(&books)
            .timed(begun.elapsed(), came.latencies)
            .killed(came.kills)
            .recovered(recovered);
        conclude(args, &books, &summary, &came.troubles)?;
        anyhow::Ok(books.balance() && came.troubles.is_empty())
    };
    let outcome = tokio::select! {
        outcome = done => outcome,
        () = stop.requested() => Err(anyhow::anyhow!(
            "stopped before everything was done; with the same --data or --database, the next start goes on"
        )),
        how = house.failed() => Err(anyhow::anyhow!("{how}")),
    };
    if !matches!(outcome, Ok(true))
        && let Some(trouble) = disk::trouble(site.data()).await
    {
        say(args, &format!("{trouble}\n"));
    }
    if outcome.is_ok() && !args.exit {
        say(args, "Serving. Ctrl-C stops.\n");
        tokio::select! {
            () = stop.requested() => {}
            how = house.failed() => say(args, &format!("{how}\n")),
        }
    }
    let _ended = tasks.shut_down(Duration::from_secs(1)).await;
    let ended = house.end().await;
    let closed = plan.close().await;
    outcome.and_then(|balanced| ended.and(closed).map(|()| balanced))
}

/// The shares of orders that must fail. A forgotten refund shows only where one is due.
fn shares(args: &DemoArgs) -> Shares {
    let mut shares = Shares {
        decline: args.decline,
        out_of_stock: args.out_of_stock,
        undeliverable: args.undeliverable,
    };
    if args.sabotage == Some(Sabotage::ForgetUndo) && args.undeliverable == 0 {
        let one = 100_u32.div_ceil(args.orders.max(1));
        shares.undeliverable = u8::try_from(one).unwrap_or(100).max(REFUNDS);
        let text = "forget-undo needs refunds: some of the orders are undeliverable, \
                    as with --undeliverable";
        say(args, &format!("{text} {}\n", shares.undeliverable));
    }
    shares
}

/// What is to be ordered: what an earlier demo left unfinished, or a new run.
async fn planned(args: &DemoArgs, shares: Shares, plan: &Plan) -> Result<Vec<Planned>> {
    let open = plan.open_orders().await?;
    if !open.is_empty() {
        say(
            args,
            &format!("finishing {} orders of an earlier demo\n", open.len()),
        );
        return Ok(open);
    }
    let run = u64::try_from(plan.next_run().await?).unwrap_or(0);
    let outcomes: Vec<Outcome> = plan::outcomes(args.orders, shares, run);
    let customers = args.concurrency.max(args.orders / 10);
    plan.add_run(outcomes, customers, args.flow.as_str())
        .await?;
    plan.open_orders().await
}

/// Audits until the books balance, or until nothing changes any more: events are still on their way
/// when the last order has ended.
async fn settled(site: &Site) -> Result<Books> {
    let begun = Instant::now();
    let mut since = begun;
    let mut last: Option<Books> = None;
    loop {
        let books = site.audit().await?;
        if last.as_ref() != Some(&books) {
            since = Instant::now();
        }
        if books.balance() || since.elapsed() >= STILL || begun.elapsed() >= SETTLE {
            return Ok(books);
        }
        last = Some(books);
        tokio::time::sleep(PAUSE).await;
    }
}

/// Says what came of it.
fn conclude(args: &DemoArgs, books: &Books, summary: &Summary, troubles: &[String]) -> Result<()> {
    say(args, &format!("{}\n", summary.table()));
    for trouble in troubles.iter().take(10) {
        say(args, &format!("  - {trouble}\n"));
    }
    match books.balance() && troubles.is_empty() {
        true => say(args, "The books balance.\n"),
        false => say(
            args,
            &format!("The books do not balance:\n{}", report::findings(books)),
        ),
    }
    if args.json {
        console::print(&summary.json()?)?;
    }
    Ok(())
}

/// For people: on stdout, or on stderr if a program reads stdout.
fn say(args: &DemoArgs, text: &str) {
    if args.json {
        console::remark(&text);
    } else {
        // What people cannot read any more need not be said; the audit and its status count.
        let _ = console::print(&text);
    }
}
