//! Spans that were seen lately: to join those of one call, and to know one that comes again.
//!
//! Two generations. What is used moves into the younger; when that is full or a window old, the
//! older is forgotten as a whole, which costs nothing per span.

use std::collections::HashMap;
use std::sync::Arc;

use ieum_base::trace::SpanKind;

use super::window::{Call, WINDOW};

/// What is known about one span.
#[derive(Default)]
pub(super) struct Entry {
    /// The span; `None` if only its children came.
    pub(super) seen: Option<Seen>,
    /// Its children that came before it.
    pub(super) waiting: Vec<Waiting>,
}

/// A span that was seen.
#[derive(Clone)]
pub(super) struct Seen {
    pub(super) service: Arc<str>,
    pub(super) kind: SpanKind,
    /// True if it says itself whom it calls.
    pub(super) names_peer: bool,
    pub(super) call: Call,
}

/// A span whose parent was not seen.
pub(super) struct Waiting {
    pub(super) service: Arc<str>,
    pub(super) call: Call,
}

/// The spans.
#[derive(Default)]
pub(super) struct Recent {
    young: HashMap<u64, Entry>,
    old: HashMap<u64, Entry>,
    began: u64,
}

impl Entry {
    /// Keeps a child until its parent comes; more than some are not kept.
    pub(super) fn wait(&mut self, child: Waiting) {
        if self.waiting.len() < MOST_CHILDREN {
            self.waiting.push(child);
        }
    }
}

impl Recent {
    /// What is known about the span with this key.
    pub(super) fn entry(&mut self, key: u64) -> &mut Entry {
        let old = &mut self.old;
        let known = || old.remove(&key).unwrap_or_default();
        self.young.entry(key).or_insert_with(known)
    }

    /// How many spans are known.
    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.young.len() + self.old.len()
    }

    /// Begins the next generation, if it is time.
    pub(super) fn turn(&mut self, second: u64, most: usize) {
        if self.young.len() >= most || second.saturating_sub(self.began) >= WINDOW {
            self.old = std::mem::take(&mut self.young);
            self.began = second;
        }
    }
}

/// The most children that wait for one parent.
const MOST_CHILDREN: usize = 32;
