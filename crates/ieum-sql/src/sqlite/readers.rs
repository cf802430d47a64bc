//! Reading, beside the writer and never behind it.
//!
//! A bounded pool of read-only connections, used on blocking threads. Each read is one transaction:
//! all its statements see one snapshot (H07), and a reader never waits for the writer.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use rusqlite::Connection;
use tokio::sync::Semaphore;

use super::config::Config;
use super::open;
use crate::{Error, ErrorKind, Result};

/// The read connections of a file.
#[derive(Debug)]
pub(super) struct Readers {
    file: PathBuf,
    config: Config,
    permits: Arc<Semaphore>,
    idle: Mutex<Vec<Connection>>,
}

impl Readers {
    pub(super) fn new(file: PathBuf, config: Config) -> Self {
        Self {
            file,
            permits: Arc::new(Semaphore::new(config.readers.max(1))),
            idle: Mutex::new(Vec::new()),
            config,
        }
    }

    /// Runs `work` in one snapshot, on a blocking thread.
    pub(super) async fn read<T, E, F>(self: &Arc<Self>, work: F) -> Result<T, E>
    where
        F: FnOnce(&Connection) -> Result<T, E> + Send + 'static,
        T: Send + 'static,
        E: From<Error> + Send + 'static,
    {
        let permit = Arc::clone(&self.permits).acquire_owned().await;
        let permit = permit.map_err(|_closed| closed())?;
        let readers = Arc::clone(self);
        let task = tokio::task::spawn_blocking(move || {
            let _permit = permit;
            readers.run(work)
        });
        task.await.unwrap_or_else(|_panicked| {
            let context = "the closure of a read panicked, or the runtime is going down";
            Err(Error::new(ErrorKind::Internal, context).into())
        })
    }

    /// Waits until nobody reads, and closes the connections. Later reads answer `Closed`.
    pub(super) async fn close(&self) {
        let all = u32::try_from(self.config.readers.max(1)).unwrap_or(u32::MAX);
        if let Ok(everybody) = self.permits.acquire_many(all).await {
            self.permits.close();
            drop(everybody);
        }
        self.idle().clear();
    }

    fn run<T, E: From<Error>>(
        &self,
        work: impl FnOnce(&Connection) -> Result<T, E>,
    ) -> Result<T, E> {
        let connection = match self.idle().pop() {
            Some(connection) => connection,
            None => open::reader(&self.file, &self.config)?,
        };
        let named = |error| open::name(&self.file, error);
        run_sql(&connection, "BEGIN").map_err(named)?;
        let outcome = work(&connection);
        run_sql(&connection, "COMMIT").map_err(named)?;
        self.idle().push(connection);
        outcome
    }

    fn idle(&self) -> std::sync::MutexGuard<'_, Vec<Connection>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

pub(super) fn closed() -> Error {
    Error::new(ErrorKind::Closed, "the database was closed")
}

fn run_sql(connection: &Connection, sql: &str) -> rusqlite::Result<()> {
    connection.prepare_cached(sql)?.execute([]).map(drop)
}
