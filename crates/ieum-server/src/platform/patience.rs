//! Waiting for an engine that does not answer yet: processes start in any order.
//!
//! One that refuses us is not waited for, because waiting does not help: a wrong password, a missing
//! database, too old a version.

use std::fmt;
use std::time::Duration;

use ieum_base::{Backoff, Clock, Rng, Stop};
use tokio::time::Instant;

use super::StartError;

/// Why it was given up.
#[derive(Debug)]
pub(super) enum GivenUp<E> {
    /// The engine refused us, or did not answer in all that time.
    Failed(E),
    /// The process is stopping.
    Stopped,
}

impl<E: std::error::Error + Send + Sync + 'static> GivenUp<E> {
    pub(super) fn into_error(self, what: &str) -> StartError {
        match self {
            Self::Failed(error) => StartError::new(what).caused_by(error),
            Self::Stopped => StartError::new(format!("{what}: stopped while waiting for it")),
        }
    }
}

/// The first success of `open`, which is tried again for at most `patience` while `is_away` says that
/// the engine does not answer.
pub(super) async fn wait<T, E, F>(
    patience: Duration,
    clock: &Clock,
    stop: &Stop,
    open: impl Fn() -> F,
    is_away: impl Fn(&E) -> bool,
) -> Result<T, GivenUp<E>>
where
    E: fmt::Display,
    F: Future<Output = Result<T, E>>,
{
    let (deadline, rng) = (Instant::now() + patience, Rng::system());
    for attempt in 1.. {
        let error = match stop.unless_requested(open()).await {
            None => return Err(GivenUp::Stopped),
            Some(Ok(opened)) => return Ok(opened),
            Some(Err(error)) => error,
        };
        let delay = BACKOFF.delay(attempt, &rng).max(LEAST);
        if !is_away(&error) || Instant::now() + delay > deadline {
            return Err(GivenUp::Failed(error));
        }
        tracing::warn!(%error, "an engine does not answer yet; trying again");
        let pause = stop.unless_requested(clock.sleep(delay));
        if pause.await.is_none() {
            break;
        }
    }
    Err(GivenUp::Stopped)
}

const BACKOFF: Backoff = Backoff::new(Duration::from_millis(250), Duration::from_secs(5));
/// The least pause between two attempts.
const LEAST: Duration = Duration::from_millis(100);

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;

    /// Tries with an engine that fails `times` times; answers the outcome and the attempts.
    async fn tried(times: u32, is_away: bool) -> (Result<(), GivenUp<String>>, u32) {
        let attempts = AtomicU32::new(0);
        let open = || async {
            match attempts.fetch_add(1, Ordering::SeqCst) < times {
                true => Err("away".to_owned()),
                false => Ok(()),
            }
        };
        let minute = Duration::from_secs(60);
        let outcome = wait(
            minute,
            &Clock::system(),
            &Stop::new(),
            open,
            |_: &String| is_away,
        )
        .await;
        (outcome, attempts.load(Ordering::SeqCst))
    }

    #[tokio::test(start_paused = true)]
    async fn an_engine_that_comes_is_waited_for() {
        let (outcome, attempts) = tried(5, true).await;
        assert!(outcome.is_ok());
        assert_eq!(attempts, 6);
    }

    #[tokio::test(start_paused = true)]
    async fn an_engine_that_never_comes_or_refuses_is_given_up() {
        let begun = Instant::now();
        let (outcome, attempts) = tried(u32::MAX, true).await;
        assert!(matches!(outcome, Err(GivenUp::Failed(_))));
        assert!(begun.elapsed() <= Duration::from_secs(60) && attempts > 5);
        let (outcome, attempts) = tried(1, false).await;
        assert!(matches!(outcome, Err(GivenUp::Failed(_))));
        assert_eq!(attempts, 1);
    }

    #[tokio::test(start_paused = true)]
    async fn a_stop_ends_the_wait() {
        let stop = Stop::new();
        stop.request();
        let never = || std::future::pending::<Result<(), String>>();
        let outcome = wait(
            Duration::from_secs(60),
            &Clock::system(),
            &stop,
            never,
            |_| true,
        )
        .await;
        assert!(matches!(outcome, Err(GivenUp::Stopped)));
    }
}
