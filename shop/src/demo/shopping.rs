//! A run of the demo: customers shop, and with `--chaos` processes die meanwhile.

use std::collections::BTreeSet;
use std::time::Duration;

use anyhow::Result;
use ieum::base::Tasks;
use indicatif::{ProgressBar, ProgressStyle};
use tokio::sync::mpsc;

use super::chaos::{Chaos, Field, Toll};
use super::gateway::Gateway;
use super::house::House;
use super::pace::Pace;
use super::progress::Progress;
use super::report::Kills;
use super::site::Site;
use super::store::{Plan, Planned};
use super::{drive, say};
use crate::cli::DemoArgs;

/// How long no order may change its state until those that are open count as stuck.
const STALL: Duration = Duration::from_secs(30);

/// Where a run takes place.
pub(super) struct Scene<'a> {
    pub(super) args: &'a DemoArgs,
    pub(super) site: &'a Site,
    pub(super) plan: &'a Plan,
    pub(super) gateway: &'a Gateway,
    pub(super) house: &'a House,
    pub(super) tasks: &'a Tasks,
}

/// What came of a run.
#[derive(Debug, Default)]
pub(super) struct Came {
    /// How long each order took.
    pub(super) latencies: Vec<Duration>,
    /// What went wrong.
    pub(super) troubles: Vec<String>,
    /// The processes that were killed.
    pub(super) kills: Kills,
    /// Sagas that were open when the platform was killed.
    pub(super) interrupted: BTreeSet<String>,
}

impl Scene<'_> {
    /// Lets the customers shop until all orders have ended, or none goes on.
    pub(super) async fn shop(&self, orders: Vec<Planned>) -> Came {
        let bar = progress(self.args, orders.len() as u64);
        let customers = Tasks::new(self.tasks.stop().child());
        let progress = Progress::default();
        let count = u32::try_from(orders.len()).unwrap_or(u32::MAX);
        let pace = match self.args.chaos {
            true => Pace::halted(),
            false => Pace::free(),
        };
        let seen = drive::start(
            self.plan.clone(),
            self.gateway.clone(),
            orders,
            self.args.concurrency,
            &pace,
            &progress,
            &customers,
        );
        let mut toll = Toll::default();
        let mut came = {
            let chaos = self.chaos(count, &pace, &progress, &mut toll);
            let gathered = gather(seen, &progress, &bar);
            tokio::pin!(chaos, gathered);
            tokio::select! {
                // Only if none goes on: the last orders begin when the chaos is over.
                came = &mut gathered => came,
                done = &mut chaos => {
                    let mut came = gathered.await;
                    came.troubles.extend(done.err().map(|error| format!("{error:#}")));
                    came
                }
            }
        };
        bar.finish_and_clear();
        // Those who still wait for a stuck order.
        let _ended = customers.shut_down(Duration::ZERO).await;
        (came.kills, came.interrupted) = (toll.kills, toll.interrupted);
        came
    }

    /// Kills processes and restarts them, if that was asked for.
    async fn chaos(
        &self,
        orders: u32,
        pace: &Pace,
        progress: &Progress,
        toll: &mut Toll,
    ) -> Result<()> {
        let House::Many(processes) = self.house else {
            return Ok(());
        };
        if !self.args.chaos {
            return Ok(());
        }
        let chaos = Chaos::new(self.args, orders);
        say(self.args, &format!("chaos: --seed {}\n", chaos.seed));
        let field = Field {
            children: &processes.children,
            pace,
            progress,
            site: self.site,
            tell: &|text| say(self.args, text),
        };
        chaos.run(&field, toll).await
    }
}

/// Gathers what became of the orders, until all have ended or none goes on.
async fn gather(
    mut seen: mpsc::Receiver<drive::Seen>,
    progress: &Progress,
    bar: &ProgressBar,
) -> Came {
    let mut came = Came::default();
    loop {
        let order = tokio::select! {
            order = seen.recv() => order,
            () = progress.stalled(STALL) => {
                came.troubles.push(format!(
                    "no order has changed its state for {STALL:?}; `ieum sagas --state parked` \
                     lists what waits for an operator"
                ));
                break;
            }
        };
        match order {
            Some(Ok(latency)) => came.latencies.push(latency),
            Some(Err(error)) => came.troubles.push(format!("{error:#}")),
            None => break,
        }
        bar.inc(1);
    }
    came
}

fn progress(args: &DemoArgs, orders: u64) -> ProgressBar {
    if args.json {
        return ProgressBar::hidden();
    }
    let style = ProgressStyle::with_template("{bar:40} {pos}/{len} orders, {elapsed}, {per_sec}");
    ProgressBar::new(orders).with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
}

#[cfg(test)]
mod tests {
    use ieum::base::testing::pass;
    use tokio::time::Instant;

    use super::*;

    const SHORT: Duration = Duration::from_millis(250);

    #[tokio::test(start_paused = true)]
    async fn an_order_that_is_stuck_is_not_waited_for_without_end() {
        let (done, seen) = mpsc::channel(8);
        let begun = Instant::now();
        let progress = Progress::default();
        let customer = async {
            for _ in 0..3 {
                pass(STALL - SHORT).await;
                progress.made();
            }
            done.send(Ok(Duration::ZERO)).await.expect("gathered");
            std::future::pending::<()>().await;
        };
        let bar = ProgressBar::hidden();
        let came = tokio::select! {
            came = gather(seen, &progress, &bar) => came,
            () = customer => unreachable!("it waits for ever"),
        };
        assert_eq!(begun.elapsed().as_secs(), (4 * STALL - 3 * SHORT).as_secs());
        assert_eq!(
            (came.latencies.len(), came.troubles.len()),
            (1, 1),
            "{came:?}"
        );
    }
}
