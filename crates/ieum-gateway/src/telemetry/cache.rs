//! What the cache phase counts.

use std::sync::Arc;

use prometheus_client::encoding::EncodeLabelSet;

/// What became of a request or an answer in the cache.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum CacheOutcome {
    /// The answer was kept, and given.
    Hit,
    /// None was kept, or none that is fresh.
    Miss,
    /// The request is for the upstream alone.
    Bypass,
    /// An upstream's answer was kept.
    Kept,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct Cached {
    path: Arc<str>,
    outcome: &'static str,
}

impl Cached {
    pub(super) fn new(path: &Arc<str>, outcome: CacheOutcome) -> Self {
        Self {
            path: Arc::clone(path),
            outcome: match outcome {
                CacheOutcome::Hit => "hit",
                CacheOutcome::Miss => "miss",
                CacheOutcome::Bypass => "bypass",
                CacheOutcome::Kept => "kept",
            },
        }
    }
}
