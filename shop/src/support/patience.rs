//! Waiting at the start for an engine that does not answer yet: it may be starting, as we are.

use std::fmt::Display;
use std::time::Duration;

use ieum::base::{Clock, Deadline};

/// How long a start waits, and how long between two tries.
const PATIENCE: Duration = Duration::from_secs(30);
const PAUSE: Duration = Duration::from_millis(500);

/// Opens `what` until that succeeds, or for 30 seconds; not again if `may_come` says of the error that
/// another try would not help.
pub(super) async fn wait<T, E, F>(
    what: &'static str,
    clock: &Clock,
    open: impl Fn() -> F,
    may_come: impl Fn(&E) -> bool,
) -> Result<T, E>
where
    E: Display,
    F: Future<Output = Result<T, E>>,
{
    let deadline = Deadline::after(PATIENCE);
    loop {
        let opened = open().await;
        let Err(error) = &opened else { return opened };
        if !may_come(error) || deadline.left() <= PAUSE {
            return opened;
        }
        tracing::warn!(%error, what, "not there yet; trying again");
        clock.sleep(PAUSE).await;
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    /// Opens something that fails `failures` times; answers how often it was tried.
    async fn tries(failures: u32, may_come: bool) -> (Result<(), String>, u32) {
        let tries = Cell::new(0);
        let open = || {
            tries.set(tries.get() + 1);
            let opened = (tries.get() > failures).then_some(());
            async move { opened.ok_or_else(|| "not there".to_owned()) }
        };
        let opened = wait("it", &Clock::system(), open, |_| may_come).await;
        (opened, tries.get())
    }

    #[tokio::test(start_paused = true)]
    async fn what_comes_late_is_waited_for_and_what_refuses_is_not() {
        assert_eq!(tries(3, true).await, (Ok(()), 4));
        assert_eq!(tries(3, false).await, (Err("not there".to_owned()), 1));
        let (opened, tries) = tries(u32::MAX, true).await;
        assert!(opened.is_err());
        assert!((30..=61).contains(&tries), "{tries}");
    }
}
