//! Waiting for an engine that does not answer: it may be starting, as we are, or be back in a moment.

use std::fmt::Display;
use std::time::Duration;

use ieum::base::{Backoff, Clock, Deadline, Rng};

/// How long it is waited, and how long between two tries.
const PATIENCE: Duration = Duration::from_secs(60);
const BACKOFF: Backoff = Backoff::new(Duration::from_millis(100), Duration::from_secs(1));

/// Tries to `reach` what is called `what` until that succeeds, or for a minute; not again if `may_come`
/// says of the error that another try would not help.
pub(crate) async fn wait<T, E, F>(
    what: &'static str,
    clock: &Clock,
    reach: impl Fn() -> F,
    may_come: impl Fn(&E) -> bool,
) -> Result<T, E>
where
    E: Display,
    F: Future<Output = Result<T, E>>,
{
    let (deadline, rng) = (Deadline::after(PATIENCE), Rng::system());
    let mut attempts = 0;
    loop {
        let reached = reach().await;
        let Err(error) = &reached else { return reached };
        attempts += 1;
        let pause = BACKOFF.delay(attempts, &rng);
        if !may_come(error) || deadline.left() <= pause {
            return reached;
        }
        tracing::warn!(
            error = format!("{error:#}"),
            what,
            "not there; trying again"
        );
        clock.sleep(pause).await;
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    /// Reaches for something that fails `failures` times; answers how often it was tried.
    async fn tries(failures: u32, may_come: bool) -> (Result<(), String>, u32) {
        let tries = Cell::new(0);
        let reach = || {
            tries.set(tries.get() + 1);
            let reached = (tries.get() > failures).then_some(());
            async move { reached.ok_or_else(|| "not there".to_owned()) }
        };
        let reached = wait("it", &Clock::system(), reach, |_| may_come).await;
        (reached, tries.get())
    }

    #[tokio::test(start_paused = true)]
    async fn what_comes_late_is_waited_for_and_what_refuses_is_not() {
        assert_eq!(tries(3, true).await, (Ok(()), 4));
        assert_eq!(tries(3, false).await, (Err("not there".to_owned()), 1));
        let (reached, tries) = tries(u32::MAX, true).await;
        assert!(reached.is_err());
        assert!(tries > 30, "{tries}");
    }
}
