//! Chaos: processes die while customers order, and come back on the same ports and data.
//!
//! The orders are dealt in as many batches as there are kills, and one more for the end. A batch may
//! begin once the process killed during the one before is back; somewhere in the batch the next
//! process dies. What the summary says of the kills is read from the books: of a kill counts as
//! "while open" what was open before it and is still open when the process is gone.

use std::collections::BTreeSet;
use std::time::Duration;

use anyhow::{Result, bail, ensure};
use ieum::base::{Clock, HumanDuration, Rng};
use tokio::time::Instant;

use super::children::Children;
use super::pace::Pace;
use super::processes::PLATFORMS;
use super::progress::Progress;
use super::report::Kills;
use super::site::Site;
use crate::audit::Open;
use crate::cli::{DemoArgs, FlowArg};
use crate::services::portal;

/// Of this many kills one is the platform's, or of several platforms' the next.
const EVERY: u32 = 4;
/// Which part of a batch has begun, at least and at most, when the kill comes.
const BEGUN: (f64, f64) = (0.2, 0.8);
/// The longest time that a killed process stays down.
const DOWN: Duration = Duration::from_millis(500);
/// The pause between two looks for something open.
const LOOK: Duration = Duration::from_millis(10);
/// How long nothing more may become open until what is open will do, or one more order may begin.
const IDLE: Duration = Duration::from_millis(500);
/// How often a kill that hit nothing open is repeated.
const REPEATS: u32 = 5;

/// What is going to happen.
#[derive(Clone, Debug)]
pub(super) struct Chaos {
    /// How many kills.
    pub(super) kills: u32,
    /// Decides who dies and when.
    pub(super) seed: u64,
    /// How many orders there are.
    pub(super) orders: u32,
    /// True if sagas drive them: then the platform dies under a saga and not only under an order.
    pub(super) by_sagas: bool,
}

impl Chaos {
    /// Refuses more kills than there are orders to hit.
    pub(super) fn validate(args: &DemoArgs) -> Result<()> {
        let DemoArgs { kills, orders, .. } = args;
        ensure!(
            !args.chaos || orders > kills,
            "{kills} kills need more than {orders} orders: see --kills and --orders"
        );
        Ok(())
    }

    /// What `args` ask for, over `orders` orders: fewer than asked for if an earlier demo left few.
    pub(super) fn new(args: &DemoArgs, orders: u32) -> Self {
        Self {
            kills: args.kills.min(orders.saturating_sub(1)),
            seed: args.seed.unwrap_or_else(|| Rng::system().bits()),
            orders,
            by_sagas: args.flow == FlowArg::Orchestrated,
        }
    }
}

/// What has happened.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Toll {
    /// The kills.
    pub(super) kills: Kills,
    /// Sagas that were open when the platform was dead.
    pub(super) interrupted: BTreeSet<String>,
}

/// What is killed, and where the books are.
pub(super) struct Field<'a> {
    pub(super) children: &'a Children,
    pub(super) pace: &'a Pace,
    pub(super) progress: &'a Progress,
    pub(super) site: &'a Site,
    /// Tells people what happens.
    pub(super) tell: &'a (dyn Fn(&str) + Sync),
}

impl Chaos {
    /// Kills and restarts, as planned; at the end the remaining orders may begin.
    pub(super) async fn run(&self, field: &Field<'_>, toll: &mut Toll) -> Result<()> {
        let done = self.kill_all(field, toll).await;
        field.pace.release();
        done
    }

    async fn kill_all(&self, field: &Field<'_>, toll: &mut Toll) -> Result<()> {
        let rng = Rng::seeded(self.seed);
        let mut allowed = 0;
        for kill in 1..=self.kills {
            let batch = self.until(kill) - self.until(kill - 1);
            allow(field, &mut allowed, batch);
            let share = BEGUN.0 + rng.fraction() * (BEGUN.1 - BEGUN.0);
            let mark = self.until(kill - 1) + (f64::from(batch) * share).ceil() as u32;
            field.pace.begun(mark.min(allowed)).await;
            let victim = self.victim(kill, field.children, &rng);
            let mut repeats = 0;
            while !self.strike(victim, field, toll, &mut allowed, &rng).await? {
                repeats += 1;
                if repeats > REPEATS {
                    bail!("{REPEATS} kills hit nothing open: more orders are needed");
                }
            }
        }
        Ok(())
    }

    /// How many orders may have begun by the end of the batch of this kill.
    fn until(&self, kill: u32) -> u32 {
        let part = u64::from(self.orders) * u64::from(kill) / u64::from(self.kills + 1);
        u32::try_from(part).unwrap_or(u32::MAX)
    }

    fn victim(&self, kill: u32, children: &Children, rng: &Rng) -> &'static str {
        if kill.is_multiple_of(EVERY) {
            let mut platforms = children.names();
            platforms.retain(|name| PLATFORMS.contains(name));
            return platforms[(kill / EVERY) as usize % platforms.len()];
        }
        let mut names = children.names();
        // No order passes through the portal.
        names.retain(|name| !PLATFORMS.contains(name) && *name != portal::NAME);
        names[rng.below(names.len())]
    }

    /// Kills once something is open, and starts again. True if that was open until the end.
    async fn strike(
        &self,
        victim: &'static str,
        field: &Field<'_>,
        toll: &mut Toll,
        allowed: &mut u32,
        rng: &Rng,
    ) -> Result<bool> {
        let before = self.something_open(victim, field, allowed).await?;
        field.children.kill(victim).await?;
        let died = Instant::now();
        let after = field.site.open().await?;
        let hit = before.meets(&after);
        toll.kills.all += 1;
        toll.kills.while_open += u64::from(hit);
        if PLATFORMS.contains(&victim) {
            toll.kills.platform += 1;
            toll.interrupted.extend(after.sagas.iter().cloned());
        }
        Clock::system().sleep(DOWN.mul_f64(rng.fraction())).await;
        field.children.start(victim).await?;
        field.progress.made();
        let (orders, sagas) = (after.orders.len(), after.sagas.len());
        let down = HumanDuration(Duration::from_millis(died.elapsed().as_millis() as u64));
        let text = format!(
            "killed {victim} ({orders} orders and {sagas} sagas open), back after {down}\n"
        );
        (field.tell)(&text);
        Ok(hit)
    }

    /// Waits until something has become open just now, so that it is open for a while; takes what is
    /// open if nothing more comes, and lets orders begin, one by one, if nothing is. A platform whose
    /// sagas drive the orders is to die under a saga: an open order has one soon.
    async fn something_open(
        &self,
        victim: &str,
        field: &Field<'_>,
        allowed: &mut u32,
    ) -> Result<Open> {
        let only_sagas = self.by_sagas && PLATFORMS.contains(&victim);
        let mut since = Instant::now();
        let mut before: Option<Open> = None;
        loop {
            let all = field.site.open().await?;
            let is_idle = all.is_empty();
            let now = if only_sagas {
                all.without_orders()
            } else {
                all
            };
            if before.is_some_and(|before| now.has_more_than(&before)) {
                return Ok(now);
            }
            if since.elapsed() > IDLE {
                if !now.is_empty() {
                    return Ok(now);
                }
                if *allowed < self.orders {
                    allow(field, allowed, 1);
                } else if is_idle {
                    bail!("no order is left to kill a process under: more orders are needed");
                }
                since = Instant::now();
            }
            before = Some(now);
            Clock::system().sleep(LOOK).await;
        }
    }
}

fn allow(field: &Field<'_>, allowed: &mut u32, count: u32) {
    field.pace.allow(count);
    *allowed += count;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kill_has_orders_and_some_remain() {
        for (orders, kills) in [(500, 12), (60, 4), (13, 12), (1_000_000, 10_000)] {
            let chaos = Chaos {
                kills,
                seed: 1,
                orders,
                by_sagas: true,
            };
            let batches = (1..=kills).map(|kill| chaos.until(kill) - chaos.until(kill - 1));
            assert!(batches.min() > Some(0), "{orders} orders, {kills} kills");
            assert!(chaos.until(kills) < orders);
        }
    }
}
