//! The task tree: every task has a kind, a name and an end.
//!
//! Structured concurrency in the small. A component gets a [`Stop`] and spawns only through
//! [`Tasks`]; the kind says what its failure means, so that nothing dies in silence.

use std::collections::BTreeMap;
use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// A request to stop. Clones hear the same request; a child also hears its parent's.
#[derive(Clone, Debug, Default)]
pub struct Stop(CancellationToken);

impl Stop {
    /// A signal that nobody has given yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Asks everybody who holds a clone or a child to stop. Idempotent.
    pub fn request(&self) {
        self.0.cancel();
    }

    /// True once a stop was requested.
    pub fn is_requested(&self) -> bool {
        self.0.is_cancelled()
    }

    /// Resolves when a stop is requested. Cancel safe.
    pub async fn requested(&self) {
        self.0.cancelled().await;
    }

    /// A signal of its own that is also given when this one is.
    #[must_use]
    pub fn child(&self) -> Self {
        Self(self.0.child_token())
    }

    /// Runs `work` until it ends or a stop is requested; `None` means stopped, `work` was dropped.
    pub async fn unless_requested<T>(&self, work: impl Future<Output = T>) -> Option<T> {
        self.0.run_until_cancelled(work).await
    }
}

/// What the end of a task means to its tree.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum TaskKind {
    /// The process cannot work without it: if it panics or ends before the stop, the tree stops.
    Essential,
    /// One of many (a connection, a request): its panic is logged and ends only itself.
    Request,
    /// Work that helps and may fail (an exporter, a refresh): its panic is logged.
    Background,
}

/// A task that was still running when the drain deadline passed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Abandoned {
    /// The task's name.
    pub name: &'static str,
    /// How many tasks of that name were still running.
    pub count: usize,
}

/// A tree of tasks. Clones are the same tree.
#[derive(Clone, Debug)]
pub struct Tasks {
    stop: Stop,
    tracker: TaskTracker,
    running: Arc<Mutex<BTreeMap<&'static str, usize>>>,
}

impl Tasks {
    /// An empty tree that stops when `stop` is requested.
    pub fn new(stop: Stop) -> Self {
        Self {
            stop,
            tracker: TaskTracker::new(),
            running: Arc::default(),
        }
    }

    /// The signal that this tree obeys and, on an essential failure, gives.
    pub const fn stop(&self) -> &Stop {
        &self.stop
    }

    /// Spawns `work` on the current tokio runtime.
    pub fn spawn<F>(&self, kind: TaskKind, name: &'static str, work: F)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let guard = Running::enter(Arc::clone(&self.running), name);
        let stop = self.stop.clone();
        self.tracker.spawn(async move {
            let _guard = guard;
            let outcome = CatchUnwind(Box::pin(work)).await;
            match (kind, outcome) {
                (TaskKind::Essential, outcome) if !stop.is_requested() => {
                    let how = if outcome.is_err() {
                        "panicked"
                    } else {
                        "ended"
                    };
                    tracing::error!(task = name, "an essential task {how}; stopping");
                    stop.request();
                }
                (_, Err(())) => tracing::error!(task = name, "a task panicked"),
                (_, Ok(())) => {}
            }
        });
    }

    /// Requests the stop, waits at most `deadline` for the tasks, and says which it gave up on.
    pub async fn shut_down(&self, deadline: Duration) -> Vec<Abandoned> {
        self.stop.request();
        self.tracker.close();
        if tokio::time::timeout(deadline, self.tracker.wait())
            .await
            .is_ok()
        {
            return Vec::new();
        }
        let running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        running
            .iter()
            .map(|(&name, &count)| Abandoned { name, count })
            .collect()
    }

    /// How many tasks are running.
    pub fn len(&self) -> usize {
        self.tracker.len()
    }

    /// True when no task is running.
    pub fn is_empty(&self) -> bool {
        self.tracker.is_empty()
    }
}

/// Counts a running task by name, also when it is dropped by a dying runtime.
struct Running {
    counts: Arc<Mutex<BTreeMap<&'static str, usize>>>,
    name: &'static str,
}

impl Running {
    fn enter(counts: Arc<Mutex<BTreeMap<&'static str, usize>>>, name: &'static str) -> Self {
        *counts
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .entry(name)
            .or_default() += 1;
        Self { counts, name }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = counts.get_mut(self.name) {
            *count -= 1;
            if *count == 0 {
                counts.remove(self.name);
            }
        }
    }
}

/// Turns a panic of the inner future into `Err(())`; the panic hook has already reported it.
struct CatchUnwind<F>(std::pin::Pin<Box<F>>);

impl<F: Future<Output = ()>> Future for CatchUnwind<F> {
    type Output = Result<(), ()>;

    fn poll(
        mut self: std::pin::Pin<&mut Self>,
        cx: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Self::Output> {
        let inner = self.0.as_mut();
        match std::panic::catch_unwind(AssertUnwindSafe(|| inner.poll(cx))) {
            Ok(poll) => poll.map(Ok),
            Err(_) => std::task::Poll::Ready(Err(())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::pass;

    #[tokio::test(start_paused = true)]
    async fn shutting_down_waits_for_the_tasks() {
        let tasks = Tasks::new(Stop::new());
        let stop = tasks.stop().clone();
        tasks.spawn(TaskKind::Background, "tidy-up", async move {
            stop.requested().await;
            pass(Duration::from_secs(1)).await;
        });
        assert_eq!(tasks.shut_down(Duration::from_secs(5)).await, []);
        assert!(tasks.is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn what_outlives_the_deadline_is_named() {
        let tasks = Tasks::new(Stop::new());
        for _ in 0..2 {
            tasks.spawn(TaskKind::Request, "connection", std::future::pending());
        }
        let abandoned = tasks.shut_down(Duration::from_secs(1)).await;
        assert_eq!(
            abandoned,
            [Abandoned {
                name: "connection",
                count: 2
            }]
        );
    }

    #[tokio::test]
    async fn an_essential_task_that_ends_stops_the_tree() {
        let tasks = Tasks::new(Stop::new());
        tasks.spawn(TaskKind::Essential, "writer", async {});
        tasks.stop().requested().await;
    }

    #[tokio::test]
    async fn a_request_that_panics_ends_only_itself() {
        let tasks = Tasks::new(Stop::new());
        tasks.spawn(TaskKind::Request, "request", async {
            panic!("a planted defect")
        });
        while !tasks.is_empty() {
            tokio::task::yield_now().await;
        }
        assert!(!tasks.stop().is_requested());
    }

    #[tokio::test]
    async fn a_child_hears_its_parent_but_not_the_reverse() {
        let parent = Stop::new();
        let child = parent.child();
        child.request();
        assert!(!parent.is_requested());
        let other = parent.child();
        parent.request();
        assert_eq!(
            other.unless_requested(std::future::pending::<()>()).await,
            None
        );
    }
}
