//! The life of one check: ask, tell the registry, wait, for as long as it is registered.

use std::time::Duration;

use tokio::time::Instant;

use super::checker::{Shared, Wanted};
use super::probe::Finding;
use crate::{CheckKind, ErrorKind, Status};

/// One check that is being run.
pub(super) struct Life<'a> {
    shared: &'a Shared,
    wanted: &'a Wanted,
    /// Since when it is critical, on our own monotonic clock.
    critical_since: Option<Instant>,
}

/// The check is not registered any more.
struct Gone;

impl<'a> Life<'a> {
    pub(super) const fn new(shared: &'a Shared, wanted: &'a Wanted) -> Self {
        Self {
            shared,
            wanted,
            critical_since: None,
        }
    }

    /// Runs until the check is gone. Cancel safe: the caller drops it at the stop.
    pub(super) async fn run(mut self) {
        let pace = match &self.wanted.kind {
            CheckKind::Http { interval, .. } | CheckKind::Tcp { interval, .. } => *interval,
            CheckKind::Ttl { ttl } => *ttl,
            CheckKind::Told | CheckKind::Elsewhere => return,
        };
        let live = self.shared.registry.live();
        let mut registrations = live.registrations();
        loop {
            registrations.mark_unchanged();
            let next = match &self.wanted.kind {
                CheckKind::Ttl { ttl } => self.expire(*ttl).await,
                _ => self.ask().await.map(|()| self.jittered(pace)),
            };
            let Ok(next) = next else {
                return;
            };
            let Ok(due) = self.remove_if_due().await else {
                return;
            };
            let heard = live.heard(&self.wanted.id);
            let again = async {
                // The instance was started again: it is not to wait for its callers until its turn.
                while registrations.changed().await.is_ok() {
                    if live.heard(&self.wanted.id) != heard {
                        return;
                    }
                }
                std::future::pending().await
            };
            let rest = due.map_or(next, |due| due.min(next));
            let soonest = self.shared.config.least_interval.0.min(rest);
            tokio::time::sleep(soonest).await;
            // No error: either way it is time to look again.
            let _sooner = tokio::time::timeout(rest.saturating_sub(soonest), again).await;
        }
    }

    async fn ask(&self) -> Result<(), Gone> {
        // The semaphore is never closed, so there always is a permit to wait for.
        let asking = self.shared.asking.acquire().await;
        // Boxed: a check waits most of its life, and then needs no room for a question.
        let finding = Box::pin(self.shared.prober.ask(&self.wanted.kind)).await;
        drop(asking);
        match finding {
            Some(Finding { status, output }) => {
                let registry = &self.shared.registry;
                self.settle(registry.report(&self.wanted.id, status, &output).await)
            }
            None => Ok(()),
        }
    }

    /// Makes the check critical if it was silent for `ttl`; answers when to look again.
    async fn expire(&self, ttl: Duration) -> Result<Duration, Gone> {
        let registry = &self.shared.registry;
        let Some(heard) = registry.live().heard(&self.wanted.id) else {
            return Err(Gone);
        };
        let left = ttl.saturating_sub(heard.elapsed());
        if !left.is_zero() {
            return Ok(left);
        }
        let output = format!("TTL expired (no report for {ttl:?})");
        self.settle(registry.expire(&self.wanted.id, heard, &output).await)?;
        // A report that was found out about meanwhile counts from when it was made. Any other starts
        // the TTL anew; to look again after a whole one is never too late for it.
        let later = registry.live().heard(&self.wanted.id);
        let later = later.filter(|later| *later > heard);
        Ok(later.map_or(ttl, |later| ttl.saturating_sub(later.elapsed())))
    }

    /// Removes the instance when the check was critical for long enough; answers the time until then.
    async fn remove_if_due(&mut self) -> Result<Option<Duration>, Gone> {
        let Some(after) = self.wanted.deregister_after else {
            return Ok(None);
        };
        let registry = &self.shared.registry;
        let status = registry
            .live()
            .look(|catalog| Some(catalog.check(&self.wanted.id)?.1.status))
            .ok_or(Gone)?;
        if status != Status::Critical {
            self.critical_since = None;
            return Ok(None);
        }
        let since = *self.critical_since.get_or_insert_with(Instant::now);
        let left = after.saturating_sub(since.elapsed());
        if !left.is_zero() {
            return Ok(Some(left));
        }
        tracing::warn!(
            instance = %self.wanted.instance, check = %self.wanted.id, ?after,
            "removing an instance that was critical for too long"
        );
        self.settle(registry.deregister(&self.wanted.instance).await)?;
        Ok(Some(after))
    }

    /// A registry that cannot write is told again at the next run.
    fn settle(&self, told: crate::Result<()>) -> Result<(), Gone> {
        match told {
            Ok(()) => Ok(()),
            Err(error) if error.kind() == ErrorKind::NotFound => Err(Gone),
            Err(error) => {
                tracing::warn!(check = %self.wanted.id, %error, "a check's result was not recorded");
                Ok(())
            }
        }
    }

    fn jittered(&self, interval: Duration) -> Duration {
        let config = &self.shared.config;
        let fraction = self.shared.rng.fraction();
        sooner(interval, config.jitter, fraction).max(config.least_interval.0)
    }
}

/// At most `jitter` of the interval sooner, and never later: a dead instance is found out within the
/// interval that was registered.
fn sooner(interval: Duration, jitter: f64, fraction: f64) -> Duration {
    interval.mul_f64(1.0 - jitter.clamp(0.0, 1.0) * fraction)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_check_is_never_run_later_than_its_interval() {
        let interval = Duration::from_secs(10);
        assert_eq!(sooner(interval, 0.1, 0.0), interval);
        assert_eq!(sooner(interval, 0.1, 1.0), Duration::from_secs(9));
        assert_eq!(sooner(interval, 7.0, 0.5), Duration::from_secs(5));
    }
}
