//! Answers that are kept: a strict subset of RFC 9111 for shared caches.
//!
//! What is left out only makes it keep less: no answer is given stale, so none is revalidated at the
//! upstream; no part of an answer is kept; `no-cache` and `private` with field names count as without;
//! lifetimes are never guessed. (http-cache-semantics covers more; it holds clocks and headers in types
//! of its own that would have to travel to other processes, for rules that we leave out.)
//!
//! An answer is kept under a digest of scheme, authority, target and identity, and of the *generation*
//! of its target: a random number that a write to the target makes everybody forget. So a write
//! forgets the answers to all callers and of all variants at once, and an answer that began before
//! the write and ends after it is kept where nobody looks any more.

mod control;
mod entry;
mod freshness;
mod keys;
mod recorder;

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::HeaderMap;
use ieum_base::Rng;
use ieum_resilience::cache::{Aside, Cache};

pub(crate) use control::Directives;
pub(crate) use entry::Entry;
pub(crate) use freshness::{Asked, is_modified};
pub(crate) use keys::{Place, Target};
pub(crate) use recorder::Recorder;

use entry::Kept;

/// The kept answers of a gateway.
pub(crate) struct Caching {
    cache: Arc<dyn Cache>,
    generations: Aside,
    rng: Rng,
}

impl Caching {
    pub(crate) fn new(cache: Arc<dyn Cache>, rng: Rng) -> Self {
        Self {
            generations: Aside::new(Arc::clone(&cache), LONGEST),
            cache,
            rng,
        }
    }

    /// Where the answers to this target are at present.
    pub(crate) async fn place(&self, target: &Target, identity: &str) -> Place {
        let fresh = async {
            let number = format!("{:016x}{:016x}", self.rng.bits(), self.rng.bits());
            Ok::<_, Infallible>(Some(Bytes::from(number)))
        };
        let generation = match self.generations.read(&target.key(), fresh).await {
            Ok(generation) => generation.unwrap_or_default(),
            Err(never) => match never {},
        };
        Place::new(target, &generation, identity)
    }

    /// The answer that is kept there for a request with these headers.
    pub(crate) async fn find(&self, place: &Place, headers: &HeaderMap) -> Option<Entry> {
        match self.get(&place.key()).await? {
            Kept::Answer(entry) => Some(entry),
            Kept::Varies(names) => match self.get(&place.variant(&names, headers)).await? {
                Kept::Answer(entry) => Some(entry),
                Kept::Varies(_) => None,
            },
        }
    }

    /// Keeps an answer for requests that agree with `headers` in what it varies by.
    pub(crate) async fn keep(&self, place: &Place, headers: &HeaderMap, entry: Entry) -> bool {
        let left = Duration::from_secs(entry.freshness.left(entry.freshness.at));
        let mut key = place.key();
        if !entry.varies_by.is_empty() {
            let names = Kept::Varies(entry.varies_by.clone()).to_bytes();
            if self.cache.set(&key, names, left).await.is_err() {
                return false;
            }
            key = place.variant(&entry.varies_by, headers);
        }
        let kept = self.cache.set(&key, Kept::Answer(entry).to_bytes(), left);
        kept.await.is_ok()
    }

    /// Forgets what is kept of a target, for everybody.
    pub(crate) async fn forget(&self, target: &Target) {
        self.generations.forget(&target.key()).await;
    }

    async fn get(&self, key: &str) -> Option<Kept> {
        let found = self.cache.get(key).await;
        let bytes = found
            .inspect_err(|error| tracing::debug!(%error, "going past the cache"))
            .ok()??;
        Kept::parse(&bytes)
    }
}

impl std::fmt::Debug for Caching {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Caching").finish_non_exhaustive()
    }
}

/// No answer is kept for longer, and no generation needs to be known for longer.
pub(crate) const LONGEST: Duration = Duration::from_secs(24 * 3600);
