//! How fast customers may order: kills need orders to hit, so the orders are spread over them.

use std::sync::Arc;

use tokio::sync::{Semaphore, watch};

/// How many orders may begin, and how many have. Clones are the same.
#[derive(Clone, Debug)]
pub(super) struct Pace(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    allowed: Semaphore,
    begun: watch::Sender<u32>,
}

impl Pace {
    /// Nothing may begin yet.
    pub(super) fn halted() -> Self {
        Self(Arc::new(Inner {
            allowed: Semaphore::new(0),
            begun: watch::Sender::new(0),
        }))
    }

    /// Everything may begin at once.
    pub(super) fn free() -> Self {
        let pace = Self::halted();
        pace.release();
        pace
    }

    /// Lets `count` more orders begin.
    pub(super) fn allow(&self, count: u32) {
        self.0.allowed.add_permits(count as usize);
    }

    /// Lets all others begin.
    pub(super) fn release(&self) {
        self.0.allowed.close();
    }

    /// Waits until one more order may begin, and counts it.
    pub(super) async fn begin(&self) {
        // An error says that all may begin.
        if let Ok(permit) = self.0.allowed.acquire().await {
            permit.forget();
        }
        self.0.begun.send_modify(|begun| *begun += 1);
    }

    /// Waits until `count` orders have begun.
    pub(super) async fn begun(&self, count: u32) {
        let mut begun = self.0.begun.subscribe();
        // The sender lives as long as this does.
        let _ = begun.wait_for(|begun| *begun >= count).await;
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    #[tokio::test]
    async fn no_more_orders_begin_than_are_allowed() {
        let pace = Pace::halted();
        pace.allow(2);
        pace.begin().await;
        pace.begin().await;
        assert!(pace.begin().now_or_never().is_none());
        pace.begun(2).await;
        assert!(pace.begun(3).now_or_never().is_none());
        pace.release();
        pace.begin().await;
        pace.begun(3).await;
    }
}
