//! Those who wait for keys or sessions to change.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

use super::State;
use super::state::Touched;

/// What somebody waits for.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Watched {
    /// One key.
    Key(String),
    /// All keys that begin so.
    Tree(String),
    /// The beginning and end of sessions.
    Sessions,
}

impl Watched {
    /// The index of its last change.
    pub fn index(&self, state: &State) -> u64 {
        match self {
            Self::Key(key) => state.index_of(key),
            Self::Tree(prefix) => state.index_of_tree(prefix),
            Self::Sessions => state.sessions_index(),
        }
    }

    fn is_in(&self, touched: &Touched) -> bool {
        match self {
            Self::Key(key) => touched.keys.contains(key),
            Self::Tree(prefix) => touched.keys.iter().any(|key| key.starts_with(prefix)),
            Self::Sessions => touched.sessions,
        }
    }
}

/// One waker for everything that somebody waits for.
#[derive(Debug, Default)]
pub(super) struct Waiters(Mutex<HashMap<Watched, Arc<Notify>>>);

impl Waiters {
    pub(super) fn wake(&self, touched: &Touched) {
        for (watched, waker) in self.lock().iter() {
            if watched.is_in(touched) {
                waker.notify_waiters();
            }
        }
    }

    /// Waits for as long as the answer lives; the last one to go takes the waker along.
    pub(super) fn on<'a>(&'a self, watched: &'a Watched) -> Waiting<'a> {
        let waker = Arc::clone(self.lock().entry(watched.clone()).or_default());
        Waiting {
            all: self,
            watched,
            waker,
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Watched, Arc<Notify>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Somebody waits.
pub(super) struct Waiting<'a> {
    all: &'a Waiters,
    watched: &'a Watched,
    pub(super) waker: Arc<Notify>,
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        let mut all = self.all.lock();
        // One reference is the map's and one is ours.
        if Arc::strong_count(&self.waker) == 2 {
            all.remove(self.watched);
        }
    }
}
