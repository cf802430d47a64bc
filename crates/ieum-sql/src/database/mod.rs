//! A service's own database, on the engine that a URL names.
//!
//! A service writes its rows, its streams, its outbox and its inbox in one transaction, as a plain
//! closure: [`Database::write`]. It runs on SQLite and on PostgreSQL alike, where its SQL is what both
//! have in common. What is different, and how to write for both: `docs/reference/service-database.md`.
//!
//! For a service that wants all of one engine there are [`sqlite`](crate::sqlite), with `rusqlite`,
//! and `postgres`, with `tokio-postgres`.

pub mod barrier;
pub mod idempotency;
pub mod inbox;
mod migration;
pub mod outbox;
mod params;
#[cfg(feature = "postgres")]
mod postgres;
mod reader;
mod row;
mod sqlite;
pub mod streams;
mod tx;
#[cfg(feature = "postgres")]
mod types;
mod value;
pub mod view;

use std::fmt;
use std::sync::{Arc, OnceLock};

use ieum_base::{Clock, EngineUrl};
use ieum_eventstore::EventStore;

pub use migration::Migration;
pub use params::{Parameter, Params};
pub use reader::Reader;
pub use row::{Column, Row};
pub use tx::Tx;
pub use value::{FromValue, Kind, List, ToValue, Value};

use crate::sqlite as sqlite_engine;
use crate::{Error, ErrorKind, Result};

/// The database of a service. Clones are the same database.
#[derive(Clone)]
pub struct Database(Arc<Inner>);

struct Inner {
    kept: Kept,
    outbox: OnceLock<Arc<outbox::Store>>,
    log: OnceLock<Arc<dyn EventStore>>,
}

/// Where it is kept.
enum Kept {
    Sqlite(sqlite_engine::Database),
    #[cfg(feature = "postgres")]
    Postgres(postgres::Server),
}

impl Database {
    /// Opens or creates the database that `url` names, with the schema of `migrations`:
    /// `sqlite://FILE`, or `memory:` (gone with the last handle).
    ///
    /// Errors name the URL, without its password, and say what to do.
    pub async fn open(url: &EngineUrl, migrations: &[Migration], clock: Clock) -> Result<Self> {
        match url.scheme() {
            "memory" | sqlite_engine::SCHEME => Self::open_sqlite(url, migrations, clock).await,
            #[cfg(feature = "postgres")]
            scheme if crate::postgres::SCHEMES.contains(&scheme) => {
                let migrations = migration::for_postgres(migrations);
                let opened = postgres::Server::open(url, &migrations, clock).await?;
                Ok(Self::over(Kept::Postgres(opened)))
            }
            _ => Err(unknown(url)),
        }
    }

    async fn open_sqlite(url: &EngineUrl, migrations: &[Migration], clock: Clock) -> Result<Self> {
        let location = sqlite_engine::Location::try_from(url)?;
        let migrations = migration::for_sqlite(migrations);
        let config = sqlite_engine::Config {
            clock,
            ..sqlite_engine::Config::default()
        };
        let open = move || sqlite_engine::Database::open_with(location, &migrations, config);
        let opened = tokio::task::spawn_blocking(open).await;
        let opened = opened.map_err(|error| {
            Error::with_source(ErrorKind::Internal, "opening a database panicked", error)
        })?;
        Ok(Self::over(Kept::Sqlite(opened?)))
    }

    fn over(kept: Kept) -> Self {
        Self(Arc::new(Inner {
            kept,
            outbox: OnceLock::new(),
            log: OnceLock::new(),
        }))
    }

    /// Runs `work` in a transaction and answers after it was committed, durably.
    ///
    /// `Err` and a panic undo what `work` did. `work` runs once; it must be quick and wait for nothing
    /// but the database. Dropping the future leaves it unknown whether `work` runs. An error whose
    /// [`retry`](Error::retry) is worthwhile may be tried again; after `Io` it may have happened: ids
    /// and keys (inbox, barrier, idempotency, event ids) make the repetition harmless.
    pub async fn write<T, E, F>(&self, work: F) -> Result<T, E>
    where
        F: FnOnce(&Tx<'_>) -> Result<T, E> + Send + 'static,
        T: Send + 'static,
        E: From<Error> + Send + 'static,
    {
        match &self.0.kept {
            Kept::Sqlite(database) => {
                let work = move |tx: &sqlite_engine::Tx<'_>| {
                    work(&Tx::new(reader::Engine::Sqlite(tx), tx.clock()))
                };
                database.write(work).await
            }
            #[cfg(feature = "postgres")]
            Kept::Postgres(server) => server.write(work).await,
        }
    }

    /// Runs `work` in one snapshot; it changes nothing.
    pub async fn read<T, E, F>(&self, work: F) -> Result<T, E>
    where
        F: FnOnce(&Reader<'_>) -> Result<T, E> + Send + 'static,
        T: Send + 'static,
        E: From<Error> + Send + 'static,
    {
        match &self.0.kept {
            Kept::Sqlite(database) => {
                let clock = database.clock().clone();
                let work = move |connection: &rusqlite::Connection| {
                    work(&Reader::new(reader::Engine::Sqlite(connection), &clock))
                };
                database.read(work).await
            }
            #[cfg(feature = "postgres")]
            Kept::Postgres(server) => server.read(work).await,
        }
    }

    /// For a health check: a read works, and writes are not refused.
    pub async fn probe(&self) -> Result<()> {
        match &self.0.kept {
            Kept::Sqlite(database) => database.probe().await,
            #[cfg(feature = "postgres")]
            Kept::Postgres(server) => server.probe().await,
        }
    }

    /// Finishes what is under way, and closes the database. Later calls, by any handle, answer
    /// `Closed`.
    pub async fn close(&self) -> Result<()> {
        match &self.0.kept {
            Kept::Sqlite(database) => database.close().await,
            #[cfg(feature = "postgres")]
            Kept::Postgres(server) => {
                server.close().await;
                Ok(())
            }
        }
    }

    /// The clock that rows are stamped with.
    pub fn clock(&self) -> &Clock {
        match &self.0.kept {
            Kept::Sqlite(database) => database.clock(),
            #[cfg(feature = "postgres")]
            Kept::Postgres(server) => server.pool.clock(),
        }
    }

    /// The outbox, for a relay. The database was opened with [`outbox::MIGRATIONS`] among others.
    pub fn outbox(&self) -> Arc<outbox::Store> {
        let make = || match &self.0.kept {
            Kept::Sqlite(database) => Arc::new(outbox::Store::sqlite(database)),
            #[cfg(feature = "postgres")]
            Kept::Postgres(server) => Arc::new(outbox::Store::postgres(&server.outbox)),
        };
        Arc::clone(self.0.outbox.get_or_init(make))
    }

    /// The service's own streams as a log. The database was opened with [`streams::MIGRATIONS`] among
    /// others.
    pub fn log(&self) -> Arc<dyn EventStore> {
        let make = || -> Arc<dyn EventStore> {
            match &self.0.kept {
                Kept::Sqlite(database) => Arc::new(sqlite_engine::Log::over(database.clone())),
                #[cfg(feature = "postgres")]
                Kept::Postgres(server) => Arc::new(server.log().clone()),
            }
        };
        Arc::clone(self.0.log.get_or_init(make))
    }
}

impl fmt::Debug for Database {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0.kept {
            Kept::Sqlite(database) => database.fmt(f),
            #[cfg(feature = "postgres")]
            Kept::Postgres(server) => server.pool.fmt(f),
        }
    }
}

fn unknown(url: &EngineUrl) -> Error {
    let known = if cfg!(feature = "postgres") {
        "`sqlite://path/to/file.db` or `postgres://USER:PASSWORD@HOST:5432/DATABASE`"
    } else {
        "`sqlite://path/to/file.db` (this build has no PostgreSQL: its feature is `postgres`)"
    };
    let context = format!("`{url}` is not a database that is known here: write {known}");
    Error::new(ErrorKind::Invalid, context)
}
