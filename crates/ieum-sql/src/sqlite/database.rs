//! A handle to one SQLite database: write, read, probe, close.

use std::fmt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{JoinHandle, ThreadId};

use rusqlite::Connection;
use tokio::sync::{mpsc, oneshot};

use super::checkpointer::Checkpointer;
use super::config::{Config, Location};
use super::doubt;
use super::health::Health;
use super::lock::LockFile;
use super::migration::Migration;
use super::open;
use super::readers::{Readers, closed};
use super::tx::Tx;
use super::writer::{AfterCommit, Call, Hooks, Job, Writer};
use crate::{Error, ErrorKind, Result};

/// One SQLite database, owned by this process alone. Clones are the same database.
///
/// The last handle that goes waits for the writer to finish what is queued; [`Database::close`] does
/// so without blocking a runtime's thread.
#[derive(Clone)]
pub struct Database(Arc<Inner>);

struct Inner {
    jobs: Mutex<Option<mpsc::Sender<Job>>>,
    hooks: Hooks,
    health: Arc<Health>,
    config: Config,
    file: Option<OpenFile>,
    thread: Mutex<Option<JoinHandle<()>>>,
    writer: ThreadId,
}

struct OpenFile {
    path: PathBuf,
    identity: (u64, u64),
    readers: Arc<Readers>,
}

impl Database {
    /// Opens or creates a database with the schema of `migrations`, with the default settings.
    ///
    /// Blocks for the time that opening takes. In every error the file is as it was, and the text
    /// names it and says what to do: see [`ErrorKind`].
    pub fn open(location: impl Into<Location>, migrations: &[Migration]) -> Result<Self> {
        Self::open_with(location, migrations, Config::default())
    }

    /// [`Database::open`] with settings.
    pub fn open_with(
        location: impl Into<Location>,
        migrations: &[Migration],
        config: Config,
    ) -> Result<Self> {
        match location.into() {
            Location::File(path) => Self::open_file(path, migrations, config),
            Location::Memory => {
                let connection = open::memory(&config, migrations)?;
                Self::start(connection, config, None, None)
            }
        }
    }

    /// A database in this process's memory, with the default settings.
    pub fn in_memory(migrations: &[Migration]) -> Result<Self> {
        Self::open(Location::Memory, migrations)
    }

    fn open_file(path: PathBuf, migrations: &[Migration], config: Config) -> Result<Self> {
        open::check_place(&path)?;
        let lock = LockFile::acquire(&path)?;
        doubt::settle(&path)?;
        let connection = open::file(&path, &config, migrations)?;
        let identity = identity(&path)?;
        let readers = Arc::new(Readers::new(path.clone(), config.clone()));
        let file = OpenFile {
            path,
            identity,
            readers,
        };
        Self::start(connection, config, Some(file), Some(lock))
    }

    fn start(
        mut connection: Connection,
        config: Config,
        file: Option<OpenFile>,
        lock: Option<LockFile>,
    ) -> Result<Self> {
        let health = Arc::new(Health::of(file.as_ref().map(|file| &file.path)));
        count_wal_pages(&mut connection, Arc::clone(&health))?;
        let checkpointer = match &file {
            Some(file) => {
                let connection = open::checkpointer(&file.path, &config)?;
                let health = Arc::clone(&health);
                Some(Checkpointer::start(connection, health)?)
            }
            None => None,
        };
        let config = Config {
            max_batch: config.max_batch.clamp(1, 4_096),
            ..config
        };
        let (jobs, queue) = mpsc::channel(config.queue.max(1));
        let hooks = Hooks::default();
        let writer = Writer {
            connection,
            checkpointer,
            jobs: queue,
            hooks: Arc::clone(&hooks),
            health: Arc::clone(&health),
            restart_at: config.restart_pages,
            config: config.clone(),
            _lock: lock,
        };
        let thread = std::thread::Builder::new()
            .name("ieum-writer".into())
            .spawn(move || writer.run())
            .map_err(|error| {
                Error::with_source(ErrorKind::Internal, "no thread can be started", error)
            })?;
        Ok(Self(Arc::new(Inner {
            jobs: Mutex::new(Some(jobs)),
            hooks,
            health,
            config,
            file,
            writer: thread.thread().id(),
            thread: Mutex::new(Some(thread)),
        })))
    }

    /// Runs `work` in a transaction and answers after it was committed and synced to disk.
    ///
    /// `Err` and a panic undo what `work` did, and nothing else. `work` runs once, on the writer's
    /// thread: it must be quick and must not wait for anything. Dropping the future leaves it
    /// unknown whether `work` runs. `Full` says that nothing was written and that it may be tried
    /// again; after `Poisoned` every write is refused until the database is opened again, which
    /// copies the file to a new, synced one.
    ///
    /// In a test with paused time a timeout around it fires at once: tokio does not see the writer's
    /// thread work.
    pub async fn write<T, E, F>(&self, work: F) -> Result<T, E>
    where
        F: FnOnce(&Tx<'_>) -> Result<T, E> + Send + 'static,
        T: Send + 'static,
        E: From<Error> + Send + 'static,
    {
        let (reply, answer) = oneshot::channel();
        self.submit(Job::Write(Box::new(Call::new(work, reply))))
            .await?;
        answer.await.unwrap_or_else(|_| Err(closed().into()))
    }

    /// Runs `work` on a read-only connection, in one snapshot, beside the writer.
    pub async fn read<T, E, F>(&self, work: F) -> Result<T, E>
    where
        F: FnOnce(&Connection) -> Result<T, E> + Send + 'static,
        T: Send + 'static,
        E: From<Error> + Send + 'static,
    {
        if let Some(file) = &self.0.file {
            return file.readers.read(work).await;
        }
        let (reply, answer) = oneshot::channel();
        let read = move |connection: &Connection| {
            let outcome =
                std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| work(connection)));
            let _gone = reply.send(outcome.unwrap_or_else(|_| {
                let context = "the closure of a read panicked";
                Err(Error::new(ErrorKind::Internal, context).into())
            }));
        };
        self.submit(Job::Read(Box::new(read))).await?;
        answer.await.unwrap_or_else(|_| Err(closed().into()))
    }

    /// Calls `hook` on the writer's thread after each commit, before the callers are answered. It
    /// may read and must be quick: it is how somebody who waits for rows is woken.
    pub fn after_commit(&self, hook: impl FnMut(&Connection) + Send + 'static) {
        let hook: AfterCommit = Box::new(hook);
        let mut hooks = self.0.hooks.lock().unwrap_or_else(PoisonError::into_inner);
        hooks.push(hook);
    }

    /// For a health check: the file is still there *and is the one that was opened*, a read works,
    /// and writes are not refused.
    pub async fn probe(&self) -> Result<()> {
        if let Some(error) = self.0.health.poison() {
            return Err(error.clone());
        }
        if let Some(file) = &self.0.file
            && identity(&file.path)? != file.identity
        {
            let context = format!(
                "{} was replaced while it was in use: start again to use the new file",
                file.path.display()
            );
            return Err(Error::new(ErrorKind::Missing, context));
        }
        self.read(|connection| {
            connection.query_row("SELECT count(*) FROM sqlite_schema", [], |_| Ok(()))?;
            Ok(())
        })
        .await
    }

    /// Finishes what is queued, and closes the file. Later calls, by any handle, answer `Closed`.
    pub async fn close(&self) -> Result<()> {
        if let Some(file) = &self.0.file {
            file.readers.close().await;
        }
        drop(self.0.take_jobs());
        let Some(thread) = self.0.take_thread() else {
            return Ok(());
        };
        let joined = tokio::task::spawn_blocking(move || thread.join()).await;
        match joined {
            Ok(Ok(())) => self.0.health.poison().cloned().map_or(Ok(()), Err),
            _ => Err(Error::new(
                ErrorKind::Internal,
                "the writer's thread panicked",
            )),
        }
    }

    /// The file, or `None` for a database in memory.
    pub fn path(&self) -> Option<&Path> {
        self.0.file.as_ref().map(|file| &*file.path)
    }

    /// The clock that rows are stamped with.
    pub fn clock(&self) -> &ieum_base::Clock {
        &self.0.config.clock
    }

    async fn submit(&self, job: Job) -> Result<()> {
        let jobs = self
            .0
            .jobs
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone();
        let jobs = jobs.ok_or_else(closed)?;
        jobs.send(job).await.map_err(|_| closed())
    }
}

impl Inner {
    fn take_jobs(&self) -> Option<mpsc::Sender<Job>> {
        self.jobs
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take()
    }

    fn take_thread(&self) -> Option<JoinHandle<()>> {
        self.thread
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take()
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        drop(self.take_jobs());
        // A closure may own the last handle; its thread cannot wait for itself.
        if std::thread::current().id() != self.writer
            && let Some(thread) = self.take_thread()
        {
            let _panicked = thread.join();
        }
    }
}

impl fmt::Debug for Database {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Database")
            .field(&self.0.health.name())
            .finish()
    }
}

/// Counts the pages of the write-ahead log after each commit.
fn count_wal_pages(connection: &mut Connection, health: Arc<Health>) -> Result<()> {
    connection.wal_hook(Some(move |_: &mut rusqlite::hooks::Wal, pages| {
        health.set_wal_pages(u32::try_from(pages).unwrap_or(0));
        Ok(())
    }))?;
    Ok(())
}

fn identity(path: &Path) -> Result<(u64, u64)> {
    let file = std::fs::metadata(path).map_err(|error| {
        let context = format!("{} is gone: {error}", path.display());
        Error::with_source(ErrorKind::Missing, context, error)
    })?;
    Ok((file.dev(), file.ino()))
}

#[cfg(test)]
mod tests {
    use rusqlite::ffi;

    use super::*;

    /// As SQLite reports it when the disk did not take what was written.
    fn failed_sync() -> rusqlite::Error {
        rusqlite::Error::SqliteFailure(ffi::Error::new(ffi::SQLITE_IOERR_FSYNC), None)
    }

    #[tokio::test]
    async fn h28_after_a_failed_sync_writes_are_refused_until_it_was_copied() {
        let folder = ieum_testkit::TempFolder::new().expect("a folder");
        let path = folder.path().join("notes.db");
        let database = Database::open(&path, &[]).expect("opens");
        let write = || database.write(|tx| Ok::<_, Error>(tx.execute_batch("CREATE TABLE t (x)")?));
        database.0.health.poison_with(&failed_sync());
        let probe = database.probe().await;
        for refused in [write().await, write().await, probe] {
            let error = refused.expect_err("refused");
            assert_eq!(error.kind(), ErrorKind::Poisoned);
            assert!(error.to_string().contains("notes.db"), "{error}");
            assert!(error.to_string().contains("start again"), "{error}");
            assert!(!error.retry().is_worthwhile());
        }
        let read = database.read(|c| Ok::<_, Error>(c.execute_batch("SELECT 1")?));
        read.await.expect("reads go on");
        drop(database);
        let before = identity(&path).expect("there");
        let database = Database::open(&path, &[]).expect("opens again");
        assert_ne!(identity(&path).expect("there"), before, "a new file");
        let write = database.write(|tx| Ok::<_, Error>(tx.execute_batch("CREATE TABLE t (x)")?));
        write.await.expect("writes again");
    }
}
