//! The bulkhead itself: a counter of places and a bounded queue.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::{Config, Full};

/// A bulkhead. Clones are the same bulkhead.
#[derive(Clone, Debug)]
pub struct Bulkhead(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    config: Config,
    places: Arc<Semaphore>,
    waiting: AtomicU32,
}

/// A place in the bulkhead; dropping it gives it back.
#[must_use = "the place is given back when the permit is dropped"]
#[derive(Debug)]
pub struct Permit(#[expect(dead_code, reason = "held for its drop")] OwnedSemaphorePermit);

impl Bulkhead {
    /// An empty bulkhead.
    pub fn new(config: Config) -> Self {
        let places = Arc::new(Semaphore::new(config.in_flight as usize));
        Self(Arc::new(Shared {
            config,
            places,
            waiting: AtomicU32::new(0),
        }))
    }

    /// Takes a free place, or none.
    pub fn try_acquire(&self) -> Option<Permit> {
        Arc::clone(&self.0.places)
            .try_acquire_owned()
            .ok()
            .map(Permit)
    }

    /// Takes a place, waiting in the bounded queue if there is none. First come, first served.
    /// Cancel safe.
    pub async fn acquire(&self) -> Result<Permit, Full> {
        if let Some(permit) = self.try_acquire() {
            return Ok(permit);
        }
        let _waiting = Waiting::enter(&self.0)?;
        let place = Arc::clone(&self.0.places).acquire_owned();
        match tokio::time::timeout(self.0.config.wait.0, place).await {
            Ok(Ok(permit)) => Ok(Permit(permit)),
            // The semaphore is never closed; an expired wait is the only other way out.
            Ok(Err(_)) | Err(_) => Err(Full::Wait),
        }
    }

    /// Calls in flight.
    pub fn in_flight(&self) -> u32 {
        let free = u32::try_from(self.0.places.available_permits()).unwrap_or(u32::MAX);
        self.0.config.in_flight.saturating_sub(free)
    }

    /// Calls that wait for a place.
    pub fn waiting(&self) -> u32 {
        self.0.waiting.load(Ordering::Relaxed)
    }
}

/// Counts a waiting call, also when it is dropped while it waits.
struct Waiting<'a>(&'a AtomicU32);

impl<'a> Waiting<'a> {
    fn enter(shared: &'a Shared) -> Result<Self, Full> {
        let admit = |waiting: u32| (waiting < shared.config.queue).then_some(waiting + 1);
        let entered = shared
            .waiting
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, admit);
        entered
            .map(|_| Self(&shared.waiting))
            .map_err(|_| Full::Queue)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}
