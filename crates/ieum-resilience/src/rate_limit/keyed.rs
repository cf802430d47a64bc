//! One limit for each key.

use std::convert::Infallible;
use std::fmt;
use std::hash::Hash;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use quick_cache::sync::Cache;
use tokio::time::Instant;

use super::limiter::nanos_since;
use super::{Allowed, Limited, Quota};

/// A rate limit per key (an address, a user), bounded in the number of keys. Clones share it.
#[derive(Clone)]
pub struct KeyedLimiter<K>(Arc<Shared<K>>);

struct Shared<K> {
    quota: Quota,
    origin: Instant,
    cells: Cache<K, Arc<AtomicU64>>,
}

impl<K: Eq + Hash + Clone> KeyedLimiter<K> {
    /// A limiter that remembers about `capacity` keys at once.
    pub fn new(quota: Quota, capacity: usize) -> Self {
        Self(Arc::new(Shared {
            quota,
            origin: Instant::now(),
            cells: Cache::new(capacity.max(1)),
        }))
    }

    /// Admits or refuses one request of `key`.
    pub fn check(&self, key: &K) -> Result<Allowed, Limited> {
        self.check_at(key, Instant::now())
    }

    /// The same, for callers who have read the clock already.
    pub fn check_at(&self, key: &K, now: Instant) -> Result<Allowed, Limited> {
        let shared = &self.0;
        let cell = match shared.cells.get(key) {
            Some(cell) => cell,
            // Two first requests at once must meet in one cell, hence no get-then-insert.
            None => {
                let made = shared.cells.get_or_insert_with(key, fresh);
                made.unwrap_or_default()
            }
        };
        shared.quota.check(&cell, nanos_since(shared.origin, now))
    }

    /// How many keys are remembered.
    pub fn len(&self) -> usize {
        self.0.cells.len()
    }

    /// True if no key is remembered.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// A cell whose burst is whole; making one cannot fail.
fn fresh() -> Result<Arc<AtomicU64>, Infallible> {
    Ok(Arc::default())
}

impl<K> fmt::Debug for KeyedLimiter<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("KeyedLimiter").field(&self.0.quota).finish()
    }
}
