//! The one writer: many callers, one fsync.
//!
//! A thread owns the one write connection. It takes what waits in its queue, runs each closure in a
//! savepoint of its own inside one transaction, commits, and only then answers, with `Ok` and `Err`
//! alike: an error that was decided by another caller's unsynced write must not be told either. If
//! the commit fails, everybody is told that.
//!
//! The idea is group commit (DeWitt et al., 1984); what it brings here is in `measurements.md`.

use std::any::Any;
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex, PoisonError};

use rusqlite::Connection;
use tokio::sync::{mpsc, oneshot};

use super::checkpointer::Checkpointer;
use super::config::Config;
use super::health::Health;
use super::lock::LockFile;
use super::tx::Tx;
use crate::error::is_sync_failure;
use crate::{Error, ErrorKind};

/// What the writer is asked to do.
pub(super) enum Job {
    /// Run a closure in the transaction.
    Write(Box<dyn Write>),
    /// Read on the write connection, between transactions: how a database in memory is read.
    Read(Read),
}

/// A read whose types the writer need not know.
pub(super) type Read = Box<dyn FnOnce(&Connection) + Send>;

/// A closure whose types the writer need not know.
pub(super) trait Write: Send {
    /// Runs it once. False: its changes are to be forgotten.
    fn run(&mut self, tx: &Tx<'_>) -> bool;
    /// If it ran and answered an error: `Full` if that is what it said, else `Busy`.
    fn failure(&self) -> Option<ErrorKind>;
    /// Answers the caller: with the outcome, or with the failure of the whole transaction.
    fn answer(self: Box<Self>, verdict: Result<(), Error>);
}

/// Runs on the write connection after each commit. It reads, and wakes whoever waits.
pub(super) type AfterCommit = Box<dyn FnMut(&Connection) + Send>;

/// Hooks that handles add while the writer runs.
pub(super) type Hooks = Arc<Mutex<Vec<AfterCommit>>>;

/// The thread's state. Fields are dropped in this order: the lock goes last.
pub(super) struct Writer {
    pub(super) connection: Connection,
    pub(super) checkpointer: Option<Checkpointer>,
    pub(super) jobs: mpsc::Receiver<Job>,
    pub(super) hooks: Hooks,
    pub(super) health: Arc<Health>,
    /// The size of the write-ahead log at which it is next tried to let it start over.
    pub(super) restart_at: u32,
    pub(super) config: Config,
    pub(super) _lock: Option<LockFile>,
}

impl Writer {
    /// Works until every handle is gone and the queue is empty.
    pub(super) fn run(mut self) {
        let mut batch = Vec::with_capacity(self.config.max_batch);
        while let Some(job) = self.jobs.blocking_recv() {
            let read = self.collect(job, &mut batch);
            while !batch.is_empty() {
                self.commit(&mut batch);
            }
            if let Some(read) = read {
                read(&self.connection);
            }
        }
        drop(self.checkpointer.take());
    }

    /// Takes what waits, up to the bound, or up to a read.
    fn collect(&mut self, first: Job, batch: &mut Vec<Box<dyn Write>>) -> Option<Read> {
        let mut next = Some(first);
        while let Some(job) = next {
            match job {
                Job::Write(write) => batch.push(write),
                Job::Read(read) => return Some(read),
            }
            next = if batch.len() < self.config.max_batch {
                self.jobs.try_recv().ok()
            } else {
                None
            };
        }
        None
    }

    /// Runs and answers a batch, or as much of its front as one transaction carries.
    fn commit(&mut self, batch: &mut Vec<Box<dyn Write>>) {
        if let Err(error) = self.begin() {
            answer_all(batch.drain(..), &Err(error));
            return;
        }
        let ran = self.run_batch(batch);
        if self.connection.is_autocommit() {
            return self.answer_rolled_back(batch.drain(..ran).collect());
        }
        let verdict = self.end();
        if verdict.is_ok() {
            self.after_commit();
        }
        answer_all(batch.drain(..ran), &verdict);
    }

    /// SQLite gave the transaction up, as it may when the disk is full. The closure that met it has
    /// the cause in its own answer; those before it lost their changes.
    fn answer_rolled_back(&self, mut ran: Vec<Box<dyn Write>>) {
        let met = ran.pop_if(|last| last.failure().is_some());
        let kind = met.as_ref().and_then(|last| last.failure());
        let verdict = Err(rolled_back(&self.health, kind.unwrap_or(ErrorKind::Busy)));
        if let Some(met) = met {
            met.answer(Ok(()));
        }
        answer_all(ran.into_iter(), &verdict);
    }

    fn begin(&mut self) -> Result<(), Error> {
        if let Some(error) = self.health.poison() {
            return Err(error.clone());
        }
        self.bound_wal()?;
        self.run_sql("BEGIN IMMEDIATE")
            .map_err(|error| self.name(error))
    }

    /// Lets the write-ahead log start over when it is long; `Full` if it cannot and is too long.
    fn bound_wal(&mut self) -> Result<(), Error> {
        let pages = self.health.wal_pages();
        let is_beyond = pages > self.config.max_wal_pages;
        let Some(checkpointer) = &self.checkpointer else {
            return Ok(());
        };
        if pages < self.restart_at && !is_beyond {
            return Ok(());
        }
        checkpointer.restart();
        if self.health.wal_pages() < pages {
            self.restart_at = self.config.restart_pages;
            return Ok(());
        }
        // A reader is in the way. It is not waited for again before the log has grown further.
        self.restart_at = pages.saturating_add(self.config.restart_pages / 4 + 1);
        if !is_beyond {
            return Ok(());
        }
        let context = format!(
            "{}: the write-ahead log has reached its bound because a reader holds on to an old \
             snapshot: end that reader",
            self.health.name()
        );
        Err(Error::new(ErrorKind::Full, context))
    }

    /// Runs the closures in order; stops early if SQLite gave the transaction up. Answers how many
    /// ran.
    fn run_batch(&self, batch: &mut [Box<dyn Write>]) -> usize {
        let tx = Tx::new(&self.connection, &self.config.clock);
        for (index, write) in batch.iter_mut().enumerate() {
            let done = self.run_sql("SAVEPOINT ieum_write").and_then(|()| {
                let keep = write.run(&tx);
                if self.connection.is_autocommit() {
                    return Ok(());
                }
                if !keep {
                    self.run_sql("ROLLBACK TO ieum_write")?;
                }
                self.run_sql("RELEASE ieum_write")
            });
            if let Err(error) = done {
                tracing::error!(file = self.health.name(), %error, "a savepoint failed");
                let _ = self.run_sql("ROLLBACK");
            }
            if self.connection.is_autocommit() {
                return index + 1;
            }
        }
        batch.len()
    }

    fn end(&self) -> Result<(), Error> {
        let Err(error) = self.run_sql("COMMIT") else {
            return Ok(());
        };
        if !self.connection.is_autocommit() {
            let _ = self.run_sql("ROLLBACK");
        }
        Err(if is_sync_failure(&error) {
            self.health.poison_with(&error)
        } else {
            self.name(error)
        })
    }

    fn after_commit(&self) {
        if let Some(checkpointer) = &self.checkpointer
            && self.health.wal_pages() >= self.config.checkpoint_pages
        {
            checkpointer.ring();
        }
        let mut hooks = self.hooks.lock().unwrap_or_else(PoisonError::into_inner);
        for hook in hooks.iter_mut() {
            let woken = std::panic::catch_unwind(AssertUnwindSafe(|| hook(&self.connection)));
            if woken.is_err() {
                tracing::error!(file = self.health.name(), "a hook after a commit panicked");
            }
        }
    }

    fn run_sql(&self, sql: &str) -> rusqlite::Result<()> {
        let mut statement = self.connection.prepare_cached(sql)?;
        statement.execute([]).map(drop)
    }

    fn name(&self, error: rusqlite::Error) -> Error {
        let plain = Error::from(error);
        let context = format!("{}: {plain}; nothing was written", self.health.name());
        Error::with_source(plain.kind(), context, plain)
    }
}

fn answer_all(batch: impl Iterator<Item = Box<dyn Write>>, verdict: &Result<(), Error>) {
    for write in batch {
        write.answer(verdict.clone());
    }
}

fn rolled_back(health: &Health, kind: ErrorKind) -> Error {
    let why = match kind {
        ErrorKind::Full => "the disk or the file's limit is full",
        _ => "SQLite gave the transaction up",
    };
    Error::new(
        kind,
        format!("{}: {why}; nothing was written", health.name()),
    )
}

/// True if the closure's error says that there is no room.
fn is_full(error: &dyn Any) -> bool {
    let plain = error.downcast_ref::<Error>();
    let log = error.downcast_ref::<ieum_eventstore::Error>();
    let messaging = error.downcast_ref::<ieum_messaging::Error>();
    plain.is_some_and(|error| error.kind() == ErrorKind::Full)
        || log.is_some_and(|error| *error.kind() == ieum_eventstore::ErrorKind::Full)
        || messaging.is_some_and(|error| error.kind() == ieum_messaging::ErrorKind::Full)
}

/// A closure on its way through the writer.
pub(super) struct Call<F, T, E> {
    work: Option<F>,
    outcome: Option<Result<T, E>>,
    reply: oneshot::Sender<Result<T, E>>,
}

impl<F, T, E> Call<F, T, E> {
    pub(super) const fn new(work: F, reply: oneshot::Sender<Result<T, E>>) -> Self {
        Self {
            work: Some(work),
            outcome: None,
            reply,
        }
    }
}

impl<F, T, E> Write for Call<F, T, E>
where
    F: FnOnce(&Tx<'_>) -> Result<T, E> + Send,
    T: Send,
    E: From<Error> + Send + 'static,
{
    fn run(&mut self, tx: &Tx<'_>) -> bool {
        let Some(work) = self.work.take() else {
            return false;
        };
        let outcome =
            std::panic::catch_unwind(AssertUnwindSafe(|| work(tx))).unwrap_or_else(|_| {
                let context = "the closure of a write panicked; it changed nothing";
                Err(Error::new(ErrorKind::Internal, context).into())
            });
        self.outcome.insert(outcome).is_ok()
    }

    fn failure(&self) -> Option<ErrorKind> {
        match &self.outcome {
            Some(Err(error)) if is_full(error) => Some(ErrorKind::Full),
            Some(Err(_)) => Some(ErrorKind::Busy),
            _ => None,
        }
    }

    fn answer(self: Box<Self>, verdict: Result<(), Error>) {
        let answer = match (verdict, self.outcome) {
            (Ok(()), Some(outcome)) => outcome,
            (Err(error), _) => Err(error.into()),
            (Ok(()), None) => {
                let context = "the writer skipped a write";
                Err(Error::new(ErrorKind::Internal, context).into())
            }
        };
        // The caller may have gone; what was written stays written.
        let _gone = self.reply.send(answer);
    }
}
