//! The member as a long-running component: it makes the calls that the rules ask for.

use std::collections::HashMap;
use std::sync::Arc;

use ieum_base::{Clock, Stop};
use tokio::sync::{Notify, mpsc, watch};
use tokio::time::{Instant, timeout_at};

use super::keeper::{Keeper, Plan};
use super::{Config, Handle, Parts, Tenure, View};
use crate::{Error, ErrorKind, Fence, Leases, Result};

/// One member of a scope. [`run`](Self::run) is its life.
#[derive(Debug)]
pub struct Service {
    config: Config,
    leases: Shared,
    prefix: String,
    keeper: Keeper,
    tenures: HashMap<String, Tenure>,
    /// By when the work of what is given back is to have ended.
    ending: HashMap<String, Instant>,
    won: mpsc::Sender<Tenure>,
    hint: Arc<Notify>,
    view: watch::Sender<View>,
    left: Stop,
    clock: Clock,
}

/// A member of a scope, its handle, and the tenures that it wins. Whoever drops the receiver wants
/// none: what is won then is given back.
pub fn new(config: Config, parts: Parts) -> Result<(Service, Handle, mpsc::Receiver<Tenure>)> {
    parts.check(&config)?;
    let keeper = Keeper::new(config.lease.0, &parts);
    let (won, tenures) = mpsc::channel(parts.items.len());
    let (view, seen) = watch::channel(View::default());
    let left = Stop::new();
    let handle = Handle {
        view: seen,
        left: left.clone(),
    };
    let service = Service {
        config,
        prefix: Parts::lease_of(&parts.scope, ""),
        leases: Shared(parts.leases),
        keeper,
        tenures: HashMap::new(),
        ending: HashMap::new(),
        won,
        hint: Arc::default(),
        view,
        left,
        clock: parts.clock,
    };
    Ok((service, handle, tenures))
}

impl Service {
    /// Keeps its share until `stop`, then asks for the work to end, and gives everything back when
    /// it has, or after the drain time. What cannot be given back is taken over after a lease length.
    ///
    /// Dropping the future is like dying, and ends the tenures here too.
    pub async fn run(mut self, stop: Stop) {
        let mut leave_by = None;
        loop {
            let calm = self.turn(leave_by.is_some()).await;
            let finished = self.tenures.values().all(Tenure::has_finished);
            if leave_by.is_some_and(|by| finished || Instant::now() >= by) {
                break;
            }
            tokio::select! {
                () = self.pause(calm) => {}
                () = stop.requested(), if leave_by.is_none() => {
                    leave_by = Some(Instant::now() + self.config.drain.0);
                    self.give_back(self.keeper.held());
                }
            }
        }
        self.leave().await;
    }

    /// Until it is time to renew or a lease ends; sooner if a call failed or a tenure says something.
    async fn pause(&self, calm: bool) {
        let length = self.config.lease.0;
        let wait = if calm { length / 3 } else { length / 10 };
        let end = self.keeper.next_end();
        let left = end.map_or(wait, |end| end.saturating_duration_since(Instant::now()));
        tokio::select! {
            () = self.clock.sleep(left.min(wait)) => {}
            () = async {
                self.hint.notified().await;
                // Several hints come at once, and a hint never makes this a busy loop.
                self.clock.sleep(length / 100).await;
            } => {}
        }
    }

    /// One round: renew, look, take and give back. False if a call failed.
    async fn turn(&mut self, leaving: bool) -> bool {
        let calm = self.calls(leaving).await;
        if let Err(error) = &calm {
            tracing::warn!(%error, scope = self.prefix, "leases cannot be looked after; again");
        }
        let late = self.keeper.expire(Instant::now());
        self.end(late, "it could not be renewed in time");
        let view = self.keeper.view(Instant::now());
        self.view.send_if_modified(|now| {
            let changed = *now != view;
            if changed {
                *now = view;
            }
            changed
        });
        calm.is_ok()
    }

    async fn calls(&mut self, leaving: bool) -> Result<()> {
        let late = self.keeper.expire(Instant::now());
        self.end(late, "it could not be renewed in time");
        self.drop_refused();
        self.renew().await?;
        self.release_finished().await?;
        self.look().await?;
        if leaving {
            return Ok(());
        }
        let plan = self.keeper.plan(Instant::now());
        self.give_back(plan.give_back.clone());
        self.take(plan).await
    }

    /// What the log refused is not ours any more, whatever was last seen.
    fn drop_refused(&mut self) {
        let is_refused = |(name, tenure): &(&String, &Tenure)| {
            tenure.is_lost() && !tenure.has_finished() && !self.ending.contains_key(*name)
        };
        let refused = self.tenures.iter().filter(is_refused);
        let refused: Vec<String> = refused.map(|(name, _)| name.clone()).collect();
        self.end(refused, "the log refused its epoch");
    }

    async fn renew(&mut self) -> Result<()> {
        let fences = self.keeper.fences();
        if fences.is_empty() {
            return Ok(());
        }
        let started = Instant::now();
        let renewed = self.in_time(self.leases.0.renew(&fences)).await?;
        let lost = self.keeper.renewed(started, &fences, &renewed);
        self.end(lost, "somebody else took it");
        for (name, tenure) in &self.tenures {
            if let Some(end) = self.keeper.end_of(name) {
                tenure.hold_until(end);
            }
        }
        Ok(())
    }

    async fn look(&mut self) -> Result<()> {
        let leases = self.in_time(self.leases.0.observe(&self.prefix)).await?;
        let lost = self.keeper.observed(Instant::now(), leases);
        self.end(lost, "somebody else took it");
        Ok(())
    }

    async fn take(&mut self, plan: Plan) -> Result<()> {
        let Plan { mut take, bury, .. } = plan;
        let wanted = take.len();
        take.extend(bury);
        if take.is_empty() {
            return Ok(());
        }
        let started = Instant::now();
        let taken = self
            .in_time(self.leases.0.take(self.keeper.holder(), &take))
            .await?;
        let is_wanted = |fence: &Fence| take[..wanted].iter().any(|lease| lease.name == fence.name);
        let (own, buried): (Vec<_>, Vec<_>) = taken.into_iter().partition(is_wanted);
        self.keeper.taken(started, &own);
        for fence in own {
            self.begin(fence);
        }
        if !buried.is_empty() {
            self.in_time(self.leases.0.release(&buried)).await?;
        }
        Ok(())
    }

    /// Hands a tenure out. A seat has none.
    fn begin(&mut self, fence: Fence) {
        let Some(item) = self.keeper.item_of(&fence.name) else {
            return;
        };
        tracing::info!(
            item,
            epoch = fence.epoch,
            scope = self.prefix,
            "a lease was taken"
        );
        let name = fence.name.clone();
        let tenure = Tenure::new(
            item.to_owned(),
            fence,
            self.keeper.end_of(&name),
            Arc::clone(&self.hint),
        );
        if self.won.try_send(tenure.clone()).is_err() {
            tenure.finished();
            self.keeper.leave(&name);
        }
        if let Some(before) = self.tenures.insert(name, tenure) {
            before.lost().request();
        }
    }

    fn give_back(&mut self, names: Vec<String>) {
        for name in names {
            self.keeper.leave(&name);
            if let Some(tenure) = self.tenures.get(&name) {
                tracing::info!(
                    item = tenure.item(),
                    scope = self.prefix,
                    "a lease is given back"
                );
                tenure.stop().request();
                let by = Instant::now() + self.config.drain.0;
                self.ending.entry(name).or_insert(by);
            }
        }
    }

    /// Releases what has ended, and what was to have ended by now.
    async fn release_finished(&mut self) -> Result<()> {
        let now = Instant::now();
        let late = |name: &String| self.ending.get(name).is_some_and(|by| *by <= now);
        let tenures = self.tenures.iter();
        let done = tenures.filter(|(name, tenure)| tenure.has_finished() || late(name));
        let done: Vec<Tenure> = done.map(|(_, tenure)| tenure.clone()).collect();
        if done.is_empty() {
            return Ok(());
        }
        done.iter().for_each(|tenure| tenure.lost().request());
        let fences: Vec<Fence> = done.iter().map(|tenure| tenure.fence().clone()).collect();
        self.in_time(self.leases.0.release(&fences)).await?;
        for fence in fences {
            self.forget(&fence.name);
        }
        Ok(())
    }

    fn forget(&mut self, name: &str) -> Option<Tenure> {
        self.keeper.forget(name);
        self.ending.remove(name);
        self.tenures.remove(name)
    }

    /// Ends tenures that are over.
    fn end(&mut self, names: Vec<String>, why: &str) {
        for name in names {
            if let Some(tenure) = self.forget(&name) {
                tracing::warn!(
                    item = tenure.item(),
                    epoch = tenure.fence().epoch,
                    scope = self.prefix,
                    "a lease was lost: {why}"
                );
                tenure.lost().request();
            }
        }
    }

    /// Gives everything back that is still held, the seat too.
    async fn leave(mut self) {
        let fences = self.keeper.fences();
        for tenure in self.tenures.values() {
            tenure.lost().request();
        }
        if !fences.is_empty() {
            if let Err(error) = self.in_time(self.leases.0.release(&fences)).await {
                tracing::warn!(%error, scope = self.prefix, "leases could not be given back");
            }
            fences
                .iter()
                .for_each(|fence| self.keeper.forget(&fence.name));
        }
        self.left.request();
    }

    /// A call may take no longer than until the next lease ends, so that it ends on time.
    async fn in_time<T>(&self, call: impl Future<Output = Result<T>>) -> Result<T> {
        let most = Instant::now() + self.config.lease.0;
        let until = self.keeper.next_end().map_or(most, |end| end.min(most));
        timeout_at(until, call).await.unwrap_or_else(|_| {
            let why = "looking after leases: no answer in time";
            Err(Error::new(ErrorKind::Unavailable, why))
        })
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        for tenure in self.tenures.values() {
            tenure.lost().request();
        }
        self.left.request();
    }
}

struct Shared(Arc<dyn Leases>);

impl std::fmt::Debug for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Leases")
    }
}
