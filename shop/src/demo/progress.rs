//! Whether orders still go on: what waits for them waits no longer than that.

use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;

/// When an order last went on. Clones are the same.
#[derive(Clone, Debug)]
pub(super) struct Progress(watch::Sender<Instant>);

impl Default for Progress {
    fn default() -> Self {
        Self(watch::Sender::new(Instant::now()))
    }
}

impl Progress {
    /// Notes that an order went on.
    pub(super) fn made(&self) {
        self.0.send_replace(Instant::now());
    }

    /// Resolves once none has gone on for `limit`. Can be dropped and asked again.
    pub(super) async fn stalled(&self, limit: Duration) {
        loop {
            let last = *self.0.borrow();
            if last.elapsed() >= limit {
                return;
            }
            tokio::time::sleep_until(last + limit).await;
        }
    }
}
