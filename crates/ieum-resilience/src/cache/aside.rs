//! Reading through a cache and writing around it, without ever failing because of it.

use std::collections::HashMap;
use std::fmt;
use std::future::Future;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;

use super::{Cache, Lookup, Result};

/// A cache beside a store (cache-aside). Clones are the same.
///
/// The store is always right. A reader that finds nothing, or no cache, asks the store. A writer
/// changes the store first, then forgets the key, then answers: who reads after that answer finds
/// the new value. If forgetting fails because the cache is gone, this process remembers the key and
/// reads past the cache until it could be forgotten. Another process that still reaches the cache may
/// then answer the old value until its time to live is over; so may everybody if a writer dies
/// between its change and its forgetting, before it answered.
#[derive(Clone)]
pub struct Aside(Arc<Shared>);

struct Shared {
    cache: Arc<dyn Cache>,
    ttl: Duration,
    doubts: Mutex<Doubts>,
    hits: AtomicU64,
    misses: AtomicU64,
    failures: AtomicU64,
}

/// What the cache may still hold although it was forgotten. Each doubt has a number: who forgot a key
/// successfully must not end a doubt that somebody else has had since.
#[derive(Default)]
struct Doubts {
    keys: HashMap<Box<str>, u64>,
    everything: Option<u64>,
    last: u64,
}

/// What a cache was good for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Figures {
    /// Reads that it answered.
    pub hits: u64,
    /// Reads that it had nothing for.
    pub misses: u64,
    /// Reads and writes that went past it, because it did not answer.
    pub failures: u64,
}

impl Aside {
    /// Values live for `ttl` in `cache`.
    pub fn new(cache: Arc<dyn Cache>, ttl: Duration) -> Self {
        Self(Arc::new(Shared {
            cache,
            ttl,
            doubts: Mutex::default(),
            hits: AtomicU64::new(0),
            misses: AtomicU64::new(0),
            failures: AtomicU64::new(0),
        }))
    }

    /// The value of `key`: from the cache, or as `load` finds it in the store. What `load` does not
    /// find is not remembered. Cancel safe if `load` is.
    ///
    /// # Errors
    /// Only those of `load`.
    pub async fn read<E, F>(&self, key: &str, load: F) -> Result<Option<Bytes>, E>
    where
        F: Future<Output = Result<Option<Bytes>, E>>,
    {
        let ticket = match self.find(key).await {
            Ok(Lookup::Found(value)) => {
                self.0.hits.fetch_add(1, Ordering::Relaxed);
                return Ok(Some(value));
            }
            Ok(Lookup::Missing(ticket)) => {
                self.0.misses.fetch_add(1, Ordering::Relaxed);
                Some(ticket)
            }
            Err(error) => {
                self.went_past(&error);
                None
            }
        };
        let loaded = load.await?;
        if let (Some(ticket), Some(value)) = (ticket, &loaded) {
            let filled = self.0.cache.fill(key, ticket, value.clone(), self.0.ttl);
            if let Err(error) = filled.await {
                self.went_past(&error);
            }
        }
        Ok(loaded)
    }

    /// Forgets `key`. To be called after the store was changed and before that is answered, also if
    /// it is not known whether the store was changed.
    pub async fn forget(&self, key: &str) {
        // Doubted first: a future that is dropped half-way leaves a doubt, not a stale value.
        self.doubts().add(key);
        if let Err(error) = self.settle().await {
            self.went_past(&error);
        }
    }

    /// Forgets everything; otherwise as [`forget`](Self::forget).
    pub async fn forget_all(&self) {
        self.doubts().add_everything();
        if let Err(error) = self.settle().await {
            self.went_past(&error);
        }
    }

    /// What it was good for until now.
    pub fn figures(&self) -> Figures {
        let shared = &self.0;
        Figures {
            hits: shared.hits.load(Ordering::Relaxed),
            misses: shared.misses.load(Ordering::Relaxed),
            failures: shared.failures.load(Ordering::Relaxed),
        }
    }

    async fn find(&self, key: &str) -> Result<Lookup> {
        self.settle().await?;
        self.0.cache.look_up(key).await
    }

    /// Forgets in the cache what is in doubt.
    async fn settle(&self) -> Result<()> {
        let (keys, everything) = {
            let doubts = self.doubts();
            if doubts.keys.is_empty() && doubts.everything.is_none() {
                return Ok(());
            }
            (doubts.keys.clone(), doubts.everything)
        };
        if let Some(number) = everything {
            self.0.cache.clear().await?;
            self.doubts().settled_until(number);
            return Ok(());
        }
        for (key, number) in keys {
            self.0.cache.delete(&key).await?;
            let keys = &mut self.doubts().keys;
            if keys.get(&key) == Some(&number) {
                keys.remove(&key);
            }
        }
        Ok(())
    }

    fn doubts(&self) -> MutexGuard<'_, Doubts> {
        let doubts = &self.0.doubts;
        doubts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn went_past(&self, error: &super::Error) {
        self.0.failures.fetch_add(1, Ordering::Relaxed);
        tracing::debug!(%error, "going past the cache");
    }
}

impl Doubts {
    fn add(&mut self, key: &str) {
        self.last += 1;
        self.keys.insert(key.into(), self.last);
        if self.keys.len() > MOST_DOUBTS {
            self.add_everything();
        }
    }

    fn add_everything(&mut self) {
        self.last += 1;
        self.keys.clear();
        self.everything = Some(self.last);
    }

    /// Everything was forgotten, and with it every doubt up to `number`.
    fn settled_until(&mut self, number: u64) {
        self.keys.retain(|_, doubt| *doubt > number);
        self.everything = self.everything.filter(|doubt| *doubt > number);
    }
}

impl fmt::Debug for Aside {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Aside")
            .field("ttl", &self.0.ttl)
            .field("figures", &self.figures())
            .finish_non_exhaustive()
    }
}

/// More keys than this in doubt, and everything is.
const MOST_DOUBTS: usize = 1_000;
