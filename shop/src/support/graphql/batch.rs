//! Many questions of one kind, asked at once.
//!
//! Fields of one level are resolved side by side in one task: each puts its key into the line, the
//! first of them lets the others come, and then asks for all. That is Facebook's DataLoader, without
//! a timer and without a task of its own.

use std::collections::BTreeMap;
use std::future::Future;
use std::sync::{Mutex, PoisonError};

use tokio::sync::oneshot;

use crate::support::failure::{Failure, Reply};

/// The line of those who ask for a `V` by its `K`, within one request.
#[derive(Debug)]
pub(crate) struct Batch<K, V>(Mutex<Line<K, V>>);

/// Takes what one of them asked for.
type Answer<V> = oneshot::Sender<Reply<Option<V>>>;

#[derive(Debug)]
struct Line<K, V> {
    waiting: BTreeMap<K, Vec<Answer<V>>>,
    /// How often it was asked.
    asked: usize,
}

impl<K, V> Default for Batch<K, V> {
    fn default() -> Self {
        Self(Mutex::new(Line {
            waiting: BTreeMap::new(),
            asked: 0,
        }))
    }
}

impl<K: Ord + Clone, V: Clone> Batch<K, V> {
    /// What there is for `key`. `ask` is called by one of those who ask at the same time, with the
    /// keys of all; the others' is dropped, so it has to be the same for all.
    ///
    /// # Errors
    /// The one that `ask` answered, for all who asked.
    pub(crate) async fn load<F, A>(&self, key: K, ask: F) -> Reply<Option<V>>
    where
        F: FnOnce(Vec<K>) -> A,
        A: Future<Output = Reply<BTreeMap<K, V>>>,
    {
        let (told, answer) = oneshot::channel();
        if self.enter(key, told) {
            let mut lead = Lead {
                batch: self,
                waits: true,
            };
            // Whoever is resolved at the same level is polled before this is polled again.
            tokio::task::yield_now().await;
            let waiting = lead.everybody();
            let answers = ask(waiting.keys().cloned().collect()).await;
            for (key, line) in waiting {
                let answer = match &answers {
                    Ok(known) => Ok(known.get(&key).cloned()),
                    Err(failure) => Err(failure.clone()),
                };
                for told in line {
                    // Somebody may have gone meanwhile.
                    let _ = told.send(answer.clone());
                }
            }
        }
        let answer = answer.await;
        answer.unwrap_or_else(|_| Err(Failure::internal("nobody asked for those in line")))
    }

    /// How often `ask` was called.
    #[cfg(test)]
    pub(crate) fn asked(&self) -> usize {
        self.line().asked
    }

    /// Gets into the line; true for the first.
    fn enter(&self, key: K, told: Answer<V>) -> bool {
        let mut line = self.line();
        let first = line.waiting.is_empty();
        line.waiting.entry(key).or_default().push(told);
        first
    }
}

impl<K, V> Batch<K, V> {
    fn line(&self) -> std::sync::MutexGuard<'_, Line<K, V>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The first in the line. Dropped before it asked, it sends everybody away: nobody waits for ever.
struct Lead<'a, K, V> {
    batch: &'a Batch<K, V>,
    waits: bool,
}

impl<K, V> Lead<'_, K, V> {
    fn everybody(&mut self) -> BTreeMap<K, Vec<Answer<V>>> {
        self.waits = false;
        let mut line = self.batch.line();
        line.asked += 1;
        std::mem::take(&mut line.waiting)
    }
}

impl<K, V> Drop for Lead<'_, K, V> {
    fn drop(&mut self) {
        if self.waits {
            self.batch.line().waiting.clear();
        }
    }
}
