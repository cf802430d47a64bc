//! The demo: the platform and the shop in one process, real customers, and an audit of the books.

mod catalogue;
mod config;
mod disk;
mod drive;
mod gateway;
mod guide;
mod plan;
mod process;
mod progress;
pub(crate) mod report;
mod store;

use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result};
use ieum::base::{Stop, Tasks};
use ieum_server::console;
use indicatif::{ProgressBar, ProgressStyle};
use tokio::sync::mpsc;
use tokio::time::Instant;

use self::gateway::Gateway;
use self::plan::{Outcome, Shares};
use self::process::Process;
use self::progress::Progress;
use self::report::Summary;
use self::store::{Plan, Planned};
use crate::audit::{self, Books};
use crate::cli::DemoArgs;
use crate::support::sabotage::Sabotage;

/// How long no order may change its state until those that are open count as stuck.
const STALL: Duration = Duration::from_secs(30);
/// How long the audit waits for what is still on its way.
const SETTLE: Duration = Duration::from_secs(60);
/// How long nothing may change until what was found counts as found.
const STILL: Duration = Duration::from_secs(4);
/// The pause between two audits.
const PAUSE: Duration = Duration::from_millis(250);
/// The share of orders whose money goes back where nothing was said, and a defect needs it.
const REFUNDS: u8 = 10;

/// Runs the demo on the data in `data`. True if the books balance.
pub(crate) async fn run(args: &DemoArgs, data: &Path, stop: &Stop) -> Result<bool> {
    let shares = shares(args).validated()?;
    let open_before = audit_sagas(data).await?;
    let plan = Plan::open(data)?;
    let process = Process::start(data, args.sabotage).await?;
    let tasks = Tasks::new(process.stop().child());
    let gateway = Gateway::new(format!("http://{}", process.gateway), tasks.clone());
    say(args, &guide::places(&process));
    if !args.exit {
        say(args, &guide::walk(&process));
    }
    let done = async {
        catalogue::put_up(&gateway, process::STAFF, &process.password).await?;
        let begun = Instant::now();
        let orders = planned(args, shares, &plan).await?;
        let (latencies, troubles) = drive(args, &plan, &gateway, orders, &tasks).await;
        let books = settled(data).await?;
        let open_after = audit_sagas(data).await?;
        let recovered = open_before.difference(&open_after).count() as u64;
        let summary = Summary::of(&books)
            .timed(begun.elapsed(), latencies)
            .recovered(recovered);
        conclude(args, &books, &summary, &troubles)?;
        anyhow::Ok(books.balance() && troubles.is_empty())
    };
    let failed = process.stop().clone();
    let outcome = tokio::select! {
        outcome = done => outcome,
        () = stop.requested() => Err(anyhow::anyhow!(
            "stopped before everything was done; with --data, the next start goes on"
        )),
        () = failed.requested() => Err(anyhow::anyhow!("a part of the shop ended; see the log")),
    };
    if !matches!(outcome, Ok(true))
        && let Some(trouble) = disk::trouble(data).await
    {
        say(args, &format!("{trouble}\n"));
    }
    if outcome.is_ok() && !args.exit {
        say(args, "Serving. Ctrl-C stops.\n");
        tokio::select! {
            () = stop.requested() => {}
            () = failed.requested() => say(args, "A part of the shop ended; see the log.\n"),
        }
    }
    let _ended = tasks.shut_down(Duration::from_secs(1)).await;
    let ended = process.end().await;
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

/// Lets the customers shop; answers how long each order took, and what went wrong.
async fn drive(
    args: &DemoArgs,
    plan: &Plan,
    gateway: &Gateway,
    orders: Vec<Planned>,
    tasks: &Tasks,
) -> (Vec<Duration>, Vec<String>) {
    let bar = progress(args, orders.len() as u64);
    let customers = Tasks::new(tasks.stop().child());
    let progress = Progress::default();
    let seen = drive::start(
        plan.clone(),
        gateway.clone(),
        orders,
        args.concurrency,
        &progress,
        &customers,
    );
    let came = gather(seen, &progress, &bar).await;
    bar.finish_and_clear();
    // Those who still wait for a stuck order.
    let _ended = customers.shut_down(Duration::ZERO).await;
    came
}

/// Gathers what became of the orders, until all have ended or none goes on.
async fn gather(
    mut seen: mpsc::Receiver<drive::Seen>,
    progress: &Progress,
    bar: &ProgressBar,
) -> (Vec<Duration>, Vec<String>) {
    let (mut latencies, mut troubles) = (Vec::new(), Vec::new());
    loop {
        let order = tokio::select! {
            order = seen.recv() => order,
            () = progress.stalled(STALL) => {
                troubles.push(format!(
                    "no order has changed its state for {STALL:?}; `ieum sagas --state parked` \
                     lists what waits for an operator"
                ));
                break;
            }
        };
        match order {
            Some(Ok(latency)) => latencies.push(latency),
            Some(Err(error)) => troubles.push(format!("{error:#}")),
            None => break,
        }
        bar.inc(1);
    }
    (latencies, troubles)
}

fn progress(args: &DemoArgs, orders: u64) -> ProgressBar {
    if args.json {
        return ProgressBar::hidden();
    }
    let style = ProgressStyle::with_template("{bar:40} {pos}/{len} orders, {elapsed}, {per_sec}");
    ProgressBar::new(orders).with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
}

/// Audits until the books balance, or until nothing changes any more: events are still on their way
/// when the last order has ended.
async fn settled(data: &Path) -> Result<Books> {
    let begun = Instant::now();
    let mut since = begun;
    let mut last: Option<Books> = None;
    loop {
        let folder = data.to_owned();
        let books = tokio::task::spawn_blocking(move || audit::audit(&folder)).await??;
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

async fn audit_sagas(data: &Path) -> Result<BTreeSet<String>> {
    let folder = data.to_owned();
    tokio::task::spawn_blocking(move || audit::open_sagas(&folder))
        .await?
        .context("the sagas of an earlier demo cannot be read")
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

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn an_order_that_is_stuck_is_not_waited_for_without_end() {
        let (done, seen) = mpsc::channel(8);
        let begun = Instant::now();
        let progress = Progress::default();
        let customer = async {
            for _ in 0..3 {
                tokio::time::sleep(STALL - PAUSE).await;
                progress.made();
            }
            done.send(Ok(Duration::ZERO)).await.expect("gathered");
            std::future::pending::<()>().await;
        };
        let bar = ProgressBar::hidden();
        let (latencies, troubles) = tokio::select! {
            came = gather(seen, &progress, &bar) => came,
            () = customer => unreachable!("it waits for ever"),
        };
        assert_eq!(begun.elapsed().as_secs(), (4 * STALL - 3 * PAUSE).as_secs());
        assert_eq!((latencies.len(), troubles.len()), (1, 1), "{troubles:?}");
    }
}
