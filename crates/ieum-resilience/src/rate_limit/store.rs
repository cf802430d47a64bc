//! A limit that several processes share, and what they do without it.

use std::fmt;
use std::hash::Hash;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use async_trait::async_trait;
use ieum_base::{Fault, Retry};
use quick_cache::sync::Cache;
use tokio::time::Instant;

use super::limiter::nanos_since;
use super::{Allowed, KeyedLimiter, Limited, Quota};

/// What a limit says of a request.
pub type Verdict = Result<Allowed, Limited>;

/// Keeps the cells of limits for several processes, by a clock of its own: the processes' clocks
/// differ.
#[async_trait]
pub trait Store: Send + Sync + 'static {
    /// Admits or refuses one request of `key` now. Not idempotent: an admitted request is counted.
    /// A key that is not seen until its burst is whole again may be forgotten. Keys may have any
    /// length. Answers within a time that the engine bounds; dropping the future leaves it unknown
    /// whether the request was counted.
    async fn admit(&self, key: &str, quota: Quota) -> Result<Verdict, StoreError>;
}

/// The store does not answer, or not in time. Whether the request was counted is unknown.
#[derive(Debug)]
pub struct StoreError {
    context: String,
    source: Option<Box<dyn std::error::Error + Send + Sync>>,
}

impl StoreError {
    /// An error with a context in lower case: what was being done.
    pub fn new(context: impl Into<String>) -> Self {
        Self {
            context: context.into(),
            source: None,
        }
    }

    /// The same error with its cause.
    #[must_use]
    pub fn caused_by(
        mut self,
        source: impl Into<Box<dyn std::error::Error + Send + Sync>>,
    ) -> Self {
        self.source = Some(source.into());
        self
    }

    /// The store's.
    pub const fn fault(&self) -> Fault {
        Fault::Upstream
    }

    /// At any time.
    pub const fn retry(&self) -> Retry {
        Retry::SOON
    }
}

impl fmt::Display for StoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.context)
    }
}

impl std::error::Error for StoreError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        let source = self.source.as_deref();
        source.map(|source| source as &(dyn std::error::Error + 'static))
    }
}

/// A rate limit per key that is counted in a [`Store`] and, while that does not answer, here with the
/// same quota: `n` processes then admit at most `n` times as much. What the store admits is counted
/// here too, so that a store that goes away gives nobody a fresh burst in each process. Clones share it.
#[derive(Clone)]
pub struct SharedLimiter<K>(Arc<Shared<K>>);

struct Shared<K> {
    name: String,
    quota: Quota,
    store: Arc<dyn Store>,
    local: KeyedLimiter<K>,
    alone: AtomicU64,
}

impl<K: Eq + Hash + Clone> SharedLimiter<K> {
    /// The limit `name` in `store`; all processes that use the name share it. About `capacity` keys
    /// are remembered here.
    pub fn new(
        name: impl Into<String>,
        quota: Quota,
        store: Arc<dyn Store>,
        capacity: usize,
    ) -> Self {
        Self(Arc::new(Shared {
            name: name.into(),
            quota,
            store,
            local: KeyedLimiter::new(quota, capacity),
            alone: AtomicU64::new(0),
        }))
    }

    /// Admits or refuses one request of `key`, which the store knows as `text`.
    pub async fn check(&self, key: &K, text: &str) -> Verdict {
        let shared = &self.0;
        let cell = format!("{}\0{text}", shared.name);
        match shared.store.admit(&cell, shared.quota).await {
            Ok(verdict) => {
                if verdict.is_ok() {
                    // The store decides; this is for the time without it.
                    let _ = shared.local.check(key);
                }
                verdict
            }
            Err(error) => {
                shared.alone.fetch_add(1, Ordering::Relaxed);
                tracing::debug!(%error, limit = shared.name, "limiting alone");
                shared.local.check(key)
            }
        }
    }

    /// How many requests were judged without the store.
    pub fn alone(&self) -> u64 {
        self.0.alone.load(Ordering::Relaxed)
    }
}

impl<K> fmt::Debug for SharedLimiter<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SharedLimiter")
            .field("name", &self.0.name)
            .field("quota", &self.0.quota)
            .finish_non_exhaustive()
    }
}

/// A store in this process: for tests of what stores promise. About `capacity` keys are remembered.
pub struct MemoryStore {
    origin: Instant,
    cells: Cache<String, Arc<AtomicU64>>,
}

impl MemoryStore {
    /// An empty store.
    pub fn new(capacity: usize) -> Self {
        Self {
            origin: Instant::now(),
            cells: Cache::new(capacity.max(1)),
        }
    }
}

#[async_trait]
impl Store for MemoryStore {
    async fn admit(&self, key: &str, quota: Quota) -> Result<Verdict, StoreError> {
        let fresh = || Ok::<_, std::convert::Infallible>(Arc::default());
        let cell = self.cells.get_or_insert_with(key, fresh);
        let now = nanos_since(self.origin, Instant::now());
        Ok(quota.check(&cell.unwrap_or_default(), now))
    }
}

impl fmt::Debug for MemoryStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryStore")
            .field("keys", &self.cells.len())
            .finish_non_exhaustive()
    }
}
