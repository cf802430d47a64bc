//! A session that reads one database of PostgreSQL.
//!
//! It waits on the thread of the audit, and its connection lives only while it is waited for: there is
//! nothing that an audit leaves behind.

use std::cell::RefCell;
use std::pin::Pin;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use ieum::base::EngineUrl;
use tokio::runtime::Handle;
use tokio_postgres::error::SqlState;
use tokio_postgres::{Client, Config, NoTls};

use super::row::Row;

/// A session. Everything after [`begin`](Self::begin) reads one moment.
pub(super) struct Session {
    place: String,
    client: Client,
    connection: RefCell<Connection>,
}

/// What moves the bytes of a session while it is polled.
type Connection = Pin<Box<dyn Future<Output = Result<(), tokio_postgres::Error>>>>;

impl Session {
    /// Connects to the database of `url`; `None` if it is not there, or has no table yet.
    pub(super) fn open(url: &EngineUrl) -> Result<Option<Self>> {
        let place = url.to_string();
        let context = || format!("cannot open {place} to audit it");
        let config = config(url).with_context(context)?;
        let connected = Handle::current().block_on(async {
            let connected = tokio::time::timeout(PATIENCE, config.connect(NoTls));
            connected.await.context("no answer in time")
        });
        let (client, connection) = match connected.with_context(context)? {
            Err(error) if error.code() == Some(&SqlState::UNDEFINED_DATABASE) => return Ok(None),
            connected => connected.with_context(context)?,
        };
        let session = Self {
            client,
            connection: RefCell::new(Box::pin(connection)),
            place: place.clone(),
        };
        let tables = session.select(TABLES, |row| row.get::<String>(0))?;
        Ok((!tables.is_empty()).then_some(session))
    }

    /// The URL without its password.
    pub(super) fn place(&self) -> &str {
        &self.place
    }

    /// From here on everything is read as it is now.
    pub(super) fn begin(&self) -> Result<()> {
        self.wait(self.client.batch_execute(SNAPSHOT))
    }

    /// Every row that `sql` selects.
    pub(super) fn select<T>(
        &self,
        sql: &str,
        mut read: impl FnMut(&Row<'_>) -> Result<T>,
    ) -> Result<Vec<T>> {
        let rows = self.wait(self.client.query(sql, &[]))?;
        rows.iter().map(|row| read(&Row::Postgres(row))).collect()
    }

    /// Waits for `answer`, and drives the connection meanwhile.
    fn wait<T>(&self, answer: impl Future<Output = Result<T, tokio_postgres::Error>>) -> Result<T> {
        let mut connection = self.connection.borrow_mut();
        let both = async {
            tokio::select! {
                answer = answer => Ok(answer?),
                ended = connection.as_mut() => match ended {
                    Ok(()) => bail!("the connection was closed"),
                    Err(error) => Err(error.into()),
                },
            }
        };
        Handle::current().block_on(async {
            let answer = tokio::time::timeout(PATIENCE, both);
            answer.await.context("no answer in time")?
        })
    }
}

fn config(url: &EngineUrl) -> Result<Config> {
    let mut config = Config::new();
    for host in url.authority().split(',') {
        let (host, port) = match host.rsplit_once(':') {
            Some((host, port)) => (host, port.parse().context("the port is no number")?),
            None => (host, 5432),
        };
        config.host(host.trim_matches(['[', ']'])).port(port);
    }
    config.dbname(url.path()).application_name("shop audit");
    if let Some(user) = url.user() {
        config.user(user);
    }
    if let Some(password) = url.password() {
        config.password(password.expose());
    }
    Ok(config)
}

const SNAPSHOT: &str = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY";
const TABLES: &str = "SELECT CAST(tablename AS TEXT) FROM pg_catalog.pg_tables
    WHERE schemaname = current_schema() LIMIT 1";
/// How long one answer may take.
const PATIENCE: Duration = Duration::from_secs(30);
