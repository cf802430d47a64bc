//! The common SQL on PostgreSQL.
//!
//! A closure runs on a blocking thread, over one connection of the pool, and waits there for each
//! statement. Statements are sent with the kinds of their parameters and are not prepared: one round
//! trip each, nothing cached, so that a pooler in between and a schema that changes do no harm.

use std::cell::{Cell, RefCell};
use std::error::Error as _;
use std::panic::AssertUnwindSafe;
use std::sync::OnceLock;
use std::time::Duration;

use ieum_base::{Clock, EngineUrl};
use tokio::runtime::Handle;
use tokio_postgres::types::{ToSql, Type};
use tokio_postgres::{IsolationLevel, Transaction};

use super::params::Parameter;
use super::reader::Engine;
use super::row::{Row, Source};
use super::types::Bound;
use super::value::Kind;
use super::{Reader, Tx};
use crate::postgres::{self, Client, Log, Pool, log, outbox};
use crate::{Error, ErrorKind, Result};

/// A service's database on a server.
#[derive(Debug)]
pub(super) struct Server {
    pub(super) pool: Pool,
    pub(super) outbox: outbox::Store,
    log: OnceLock<Log>,
}

impl Server {
    /// Connects, and brings the schema up to date.
    pub(super) async fn open(
        url: &EngineUrl,
        migrations: &[postgres::Migration],
        clock: Clock,
    ) -> Result<Self> {
        let config = postgres::Config {
            clock,
            idle_in_transaction_timeout: IDLE,
            ..postgres::Config::default()
        };
        let pool = postgres::connect(url, migrations, config).await?;
        Ok(Self {
            outbox: outbox::Store::new(pool.clone(), &outbox::Config::default()),
            log: OnceLock::new(),
            pool,
        })
    }

    /// The streams as a log; begun when it is first asked for.
    pub(super) fn log(&self) -> &Log {
        let begin = || Log::over(self.pool.clone(), log::Config::default());
        self.log.get_or_init(begin)
    }

    /// Finishes the log's work, and closes what is idle.
    pub(super) async fn close(&self) {
        if let Some(log) = self.log.get() {
            for abandoned in log.close(DRAIN).await {
                tracing::warn!(?abandoned, "a log was closed before it had finished");
            }
        }
        self.pool.close();
    }

    /// See [`Database::write`](super::Database::write).
    pub(super) async fn write<T, E, F>(&self, work: F) -> Result<T, E>
    where
        F: FnOnce(&Tx<'_>) -> Result<T, E> + Send + 'static,
        T: Send + 'static,
        E: From<Error> + Send + 'static,
    {
        let outbox = self.outbox.clone();
        let (clock, runtime) = (self.pool.clock().clone(), Handle::current());
        let mut client = self.pool.get().await?;
        on_its_thread(move || {
            let begun = runtime.block_on(client.transaction());
            let transaction = begun.map_err(|error| uncommitted(error.into()))?;
            let session = Session::new(&transaction, &runtime);
            let tx = Tx::new(Engine::Postgres(&session), &clock);
            let outcome = caught(|| session.effect(|| work(&tx)));
            let has_published = session.has_published.get();
            let value = match outcome {
                Ok(value) => value,
                Err(error) => {
                    // Where this fails the connection is gone, and the transaction with it.
                    let _gone = runtime.block_on(transaction.rollback());
                    return Err(error);
                }
            };
            let committed = runtime.block_on(transaction.commit());
            committed.map_err(|error| in_doubt(error.into()))?;
            if has_published {
                outbox.wake();
            }
            Ok(value)
        })
        .await
    }

    /// See [`Database::read`](super::Database::read).
    pub(super) async fn read<T, E, F>(&self, work: F) -> Result<T, E>
    where
        F: FnOnce(&Reader<'_>) -> Result<T, E> + Send + 'static,
        T: Send + 'static,
        E: From<Error> + Send + 'static,
    {
        let (clock, runtime) = (self.pool.clock().clone(), Handle::current());
        let mut client: Client = self.pool.get().await?;
        on_its_thread(move || {
            let snapshot = client
                .build_transaction()
                .isolation_level(IsolationLevel::RepeatableRead)
                .read_only(true);
            let begun = runtime.block_on(snapshot.start());
            let transaction = begun.map_err(|error| uncommitted(error.into()))?;
            let session = Session::new(&transaction, &runtime);
            let outcome = caught(|| work(&Reader::new(Engine::Postgres(&session), &clock)));
            // There is nothing to lose: the rollback is sent and not waited for.
            drop(transaction);
            outcome
        })
        .await
    }

    /// A read works, and the server takes writes.
    pub(super) async fn probe(&self) -> Result<()> {
        let client = self.pool.get().await?;
        let sql = "SELECT pg_is_in_recovery() OR current_setting('transaction_read_only')::boolean";
        let row = client
            .query_typed_one(sql, &[])
            .await
            .map_err(Error::from)?;
        if row.try_get::<_, bool>(0).map_err(Error::from)? {
            let context = format!("{} takes no writes at the moment", self.pool.url());
            return Err(Error::new(ErrorKind::ReadOnly, context));
        }
        Ok(())
    }
}

/// A transaction in which a closure waits for each statement.
pub(crate) struct Session<'a> {
    pub(super) transaction: &'a Transaction<'a>,
    runtime: &'a Handle,
    /// The first statement's error since the transaction, or the savepoint, began.
    failed: RefCell<Option<Error>>,
    pub(super) has_published: Cell<bool>,
}

impl<'a> Session<'a> {
    fn new(transaction: &'a Transaction<'a>, runtime: &'a Handle) -> Self {
        Self {
            transaction,
            runtime,
            failed: RefCell::new(None),
            has_published: Cell::new(false),
        }
    }

    pub(super) fn query(
        &self,
        sql: &str,
        parameters: &[Parameter<'_>],
        mut each: impl FnMut(&Row<'_>) -> Result<()>,
    ) -> Result<()> {
        let bound: Vec<_> = parameters.iter().map(Bound::of).collect();
        let rows = self.wait(async {
            let typed = typed(parameters, &bound);
            Ok(self.transaction.query_typed(sql, &typed).await?)
        })?;
        rows.iter()
            .try_for_each(|row| each(&Row(Source::Postgres(row))))
    }

    pub(super) fn execute(&self, sql: &str, parameters: &[Parameter<'_>]) -> Result<u64> {
        let bound: Vec<_> = parameters.iter().map(Bound::of).collect();
        self.wait(async {
            let typed = typed(parameters, &bound);
            Ok(self.transaction.execute_typed(sql, &typed).await?)
        })
    }

    /// Runs `work` in a savepoint. After a statement failed, PostgreSQL does nothing more for the
    /// transaction until it goes back to one.
    pub(super) fn nested<T, E: From<Error>>(
        &self,
        work: impl FnOnce() -> Result<T, E>,
    ) -> Result<T, E> {
        self.run("SAVEPOINT ieum_nested")?;
        match self.effect(work) {
            Ok(value) => {
                self.run("RELEASE ieum_nested")?;
                Ok(value)
            }
            Err(error) => {
                self.run("ROLLBACK TO ieum_nested; RELEASE ieum_nested")?;
                self.recovered();
                Err(error)
            }
        }
    }

    /// Runs an effect between its halves. One that ignored the error of a statement has failed.
    pub(super) fn effect<T, E: From<Error>>(
        &self,
        effect: impl FnOnce() -> Result<T, E>,
    ) -> Result<T, E> {
        effect().and_then(|value| self.settle().map(|()| value).map_err(E::from))
    }

    /// Waits for something that PostgreSQL does in the transaction. An error is remembered.
    pub(super) fn wait<T>(&self, work: impl Future<Output = Result<T>>) -> Result<T> {
        self.wait_for(work).map_err(uncommitted)
    }

    /// The same with errors of another kind.
    pub(super) fn wait_for<T, E: std::error::Error + 'static>(
        &self,
        work: impl Future<Output = Result<T, E>>,
    ) -> Result<T, E> {
        let outcome = self.runtime.block_on(work);
        if let Err(error) = &outcome
            && let Some(cause) = statement_error(error)
        {
            self.failed
                .borrow_mut()
                .get_or_insert_with(|| uncommitted(cause.clone()));
        }
        outcome
    }

    /// What failed was undone: the transaction goes on.
    pub(super) fn recovered(&self) {
        *self.failed.borrow_mut() = None;
    }

    /// Refuses to go on as if all had been well: a `COMMIT` after a failed statement is a rollback
    /// that looks like a commit.
    fn settle(&self) -> Result<()> {
        self.failed.borrow().clone().map_or(Ok(()), Err)
    }

    fn run(&self, sql: &str) -> Result<()> {
        self.wait(async { Ok(self.transaction.batch_execute(sql).await?) })
    }
}

impl std::fmt::Debug for Session<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Session").finish_non_exhaustive()
    }
}

fn typed<'a>(
    parameters: &[Parameter<'_>],
    bound: &'a [Bound<'_>],
) -> Vec<(&'a (dyn ToSql + Sync), Type)> {
    let kinds = parameters.iter().map(|parameter| match parameter.kind {
        Kind::Bool => Type::BOOL,
        Kind::Integer => Type::INT8,
        Kind::Real => Type::FLOAT8,
        Kind::Text => Type::TEXT,
        Kind::Blob => Type::BYTEA,
    });
    let values = bound.iter().map(|bound| bound as &(dyn ToSql + Sync));
    values.zip(kinds).collect()
}

/// The error of a statement among the causes of `error`.
fn statement_error<'a>(error: &'a (dyn std::error::Error + 'static)) -> Option<&'a Error> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(ours) = error.downcast_ref::<Error>()
            && ours
                .source()
                .is_some_and(|cause| cause.is::<tokio_postgres::Error>())
        {
            return Some(ours);
        }
        next = error.source();
    }
    None
}

/// Before the commit was sent, a connection that is lost takes its transaction with it.
fn uncommitted(error: Error) -> Error {
    if error.kind() != ErrorKind::Io {
        return error;
    }
    let context = format!("{error} before the commit; nothing was written");
    Error::with_source(ErrorKind::Unreachable, context, error)
}

fn in_doubt(error: Error) -> Error {
    if error.kind() != ErrorKind::Io {
        return error;
    }
    let context = format!("{error} during the commit; whether it was written is unknown");
    Error::with_source(ErrorKind::Io, context, error)
}

fn caught<T, E: From<Error>>(work: impl FnOnce() -> Result<T, E>) -> Result<T, E> {
    std::panic::catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|_| {
        let context = "the closure of a transaction panicked; it changed nothing";
        Err(Error::new(ErrorKind::Internal, context).into())
    })
}

async fn on_its_thread<T, E>(work: impl FnOnce() -> Result<T, E> + Send + 'static) -> Result<T, E>
where
    T: Send + 'static,
    E: From<Error> + Send + 'static,
{
    tokio::task::spawn_blocking(work)
        .await
        .unwrap_or_else(|_going_down| {
            let context = "a transaction was given up: the runtime is going down";
            Err(Error::new(ErrorKind::Internal, context).into())
        })
}

/// How long a transaction may stand idle, unless the URL says otherwise. A closure waits for nothing
/// but the database: who does nothing for so long is frozen, and others wait for its locks.
const IDLE: Duration = Duration::from_secs(10);

/// How long a log that is closed may finish its work.
const DRAIN: Duration = Duration::from_secs(5);
