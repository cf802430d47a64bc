//! Connections to one database: bounded, tested before they are handed out, opened again by
//! themselves after the server was away.
//!
//! Every new connection is looked at before its first use, not only the first of all: after a
//! failover the same URL may lead to another server.

use std::fmt;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use deadpool_postgres::{
    Hook, HookError, Manager, ManagerConfig, PoolError, RecyclingMethod, Runtime, TimeoutType,
};
use futures_util::stream::{Stream, poll_fn};
use ieum_base::{Backoff, Clock, EngineUrl, Rng};
use tokio::time::Instant;
use tokio_postgres::tls::MakeTlsConnect;
use tokio_postgres::types::ToSql;
use tokio_postgres::{AsyncMessage, NoTls, Row, Socket};
use tokio_postgres_rustls::MakeRustlsConnect;

use super::config::{Config, Server};
use super::{error, session, tls};
use crate::{Error, ErrorKind, Result};

/// A connection of a [`Pool`]; dropping it gives it back. It caches prepared statements.
pub use deadpool_postgres::Client;

/// A bounded pool of connections to one database. Clones are the same pool.
#[derive(Clone)]
pub struct Pool(Arc<Inner>);

struct Inner {
    url: EngineUrl,
    config: Config,
    server: Server,
    tls: Option<MakeRustlsConnect>,
    pool: deadpool_postgres::Pool,
    refusal: Refusal,
    rng: Rng,
}

/// Why the last new connection was refused by us: the pool's own error has no room for it.
type Refusal = Arc<Mutex<Option<Error>>>;

/// A connection beside the pool, with what the server sends unasked.
pub(super) struct Dedicated {
    pub(super) client: tokio_postgres::Client,
    /// Drives the connection: nothing happens on it unless somebody polls this.
    pub(super) messages: Messages,
}

/// What the server sends unasked.
pub(super) type Messages =
    Pin<Box<dyn Stream<Item = Result<AsyncMessage, tokio_postgres::Error>> + Send>>;

impl Pool {
    /// A pool for `url`; nothing is opened yet. [`connect`](super::connect) is what services call.
    pub(super) fn new(url: &EngineUrl, config: Config) -> Result<Self> {
        let config = config.with_parameters(url)?;
        let server = Server::parse(url, &config)?;
        let tls = tls::connector(url, &server.tls)?;
        let refusal = Refusal::default();
        let pool = deadpool(url, &server, tls.clone(), &config, &refusal)?;
        Ok(Self(Arc::new(Inner {
            url: url.clone(),
            config,
            server,
            tls,
            pool,
            refusal,
            rng: Rng::system(),
        })))
    }

    /// A connection that answers. While the server is away it is tried again, with backoff, until
    /// [`Config::acquire_timeout`]. Cancel safe.
    ///
    /// # Errors
    /// `Unreachable`, `Denied`, `Missing`, `Unsupported`: the text names the URL and the way out;
    /// `Busy` if all connections stayed in use; `Closed`.
    pub async fn get(&self) -> Result<Client> {
        let give_up = Instant::now() + self.0.config.acquire_timeout;
        let mut attempt = 0;
        loop {
            let error = match self.0.pool.get().await {
                Ok(client) => return Ok(client),
                Err(error) => self.explain(error),
            };
            attempt += 1;
            let delay = Backoff::default().delay(attempt, &self.0.rng);
            // Busy: the server has no connection left, as for a moment after it was restarted.
            let hopeless = !matches!(
                error.kind(),
                ErrorKind::Unreachable | ErrorKind::Io | ErrorKind::Busy
            );
            if hopeless || Instant::now() + delay >= give_up {
                return Err(error);
            }
            self.clock().sleep(delay).await;
        }
    }

    /// Runs one statement that may be run again: when the connection is lost it is, until
    /// [`Config::acquire_timeout`] is over. Cancel safe, if the statement is.
    pub async fn query(&self, sql: &str, parameters: &[&(dyn ToSql + Sync)]) -> Result<Vec<Row>> {
        let (rows, _) = self.query_telling(sql, parameters).await?;
        Ok(rows)
    }

    /// The same; true if an earlier run may have happened and its answer was lost.
    pub(super) async fn query_telling(
        &self,
        sql: &str,
        parameters: &[&(dyn ToSql + Sync)],
    ) -> Result<(Vec<Row>, bool)> {
        let give_up = Instant::now() + self.0.config.acquire_timeout;
        let mut repeated = false;
        loop {
            let error = match self.query_once(sql, parameters).await {
                Ok(rows) => return Ok((rows, repeated)),
                Err(error) => error,
            };
            if error.kind() != ErrorKind::Io || Instant::now() >= give_up {
                return Err(error);
            }
            repeated = true;
            let pause = Backoff::default().delay(1, &self.0.rng);
            self.clock().sleep(pause).await;
        }
    }

    /// Runs one statement, once. `Io`: whether it happened is unknown.
    pub(super) async fn query_once(
        &self,
        sql: &str,
        parameters: &[&(dyn ToSql + Sync)],
    ) -> Result<Vec<Row>> {
        let client = self.get().await?;
        let answer = async {
            let statement = client.prepare_cached(sql).await?;
            client.query(&statement, parameters).await
        };
        let limit = self.0.config.statement_timeout;
        match tokio::time::timeout(limit, answer).await {
            Ok(answer) => Ok(answer?),
            Err(_elapsed) => {
                // It may still answer: nobody else may be given that answer.
                drop(Client::take(client));
                let context = format!("{} did not answer within {limit:?}", self.0.url);
                Err(Error::new(ErrorKind::Io, context))
            }
        }
    }

    /// The URL that it was opened with; it displays without its password.
    pub fn url(&self) -> &EngineUrl {
        &self.0.url
    }

    /// The time that rows are stamped with.
    pub fn clock(&self) -> &Clock {
        &self.0.config.clock
    }

    /// The settings.
    pub fn config(&self) -> &Config {
        &self.0.config
    }

    /// Closes what is idle and hands out nothing any more; what is in use is closed when it comes
    /// back. Idempotent.
    pub fn close(&self) {
        self.0.pool.close();
    }

    /// Opens a connection beside the pool: for listening, or for looking at the server.
    pub(super) async fn dedicated(&self) -> Result<Dedicated> {
        let connecting = async {
            match &self.0.tls {
                Some(tls) => open(&self.0.server, tls.clone()).await,
                None => open(&self.0.server, NoTls).await,
            }
        };
        let limit = self.0.server.patience(&self.0.config);
        match tokio::time::timeout(limit, connecting).await {
            Ok(opened) => opened.map_err(|error| error::connecting(self.url(), error)),
            Err(_elapsed) => Err(self.silent(limit)),
        }
    }

    fn explain(&self, error: PoolError) -> Error {
        let patience = self.0.server.patience(&self.0.config);
        let limits = (self.0.config.acquire_timeout, patience);
        match error {
            PoolError::Backend(error) => error::connecting(self.url(), error),
            PoolError::PostCreateHook(HookError::Backend(error)) => {
                error::connecting(self.url(), error)
            }
            PoolError::PostCreateHook(HookError::Message(why)) => {
                let mut refusal = self
                    .0
                    .refusal
                    .lock()
                    .unwrap_or_else(PoisonError::into_inner);
                refusal.take().unwrap_or_else(|| {
                    let context = format!("{} was refused: {why}", self.url());
                    Error::new(ErrorKind::Unreachable, context)
                })
            }
            PoolError::Timeout(TimeoutType::Wait) => Error::new(
                ErrorKind::Busy,
                format!(
                    "all {} connections to {} stayed in use for {:?}",
                    self.0.config.max_connections, self.0.url, limits.0
                ),
            ),
            PoolError::Timeout(_) => self.silent(limits.1),
            PoolError::Closed => Error::new(
                ErrorKind::Closed,
                format!("the pool of {} was closed", self.0.url),
            ),
            PoolError::NoRuntimeSpecified => {
                Error::new(ErrorKind::Internal, "the pool has no runtime")
            }
        }
    }

    fn silent(&self, limit: Duration) -> Error {
        let context = format!(
            "no PostgreSQL answers at {} within {limit:?}: check the host and the port, and that \
             the server runs",
            self.0.url
        );
        Error::new(ErrorKind::Unreachable, context)
    }
}

impl fmt::Debug for Pool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Pool").field(&self.0.url).finish()
    }
}

fn deadpool(
    url: &EngineUrl,
    server: &Server,
    tls: Option<MakeRustlsConnect>,
    config: &Config,
    refusal: &Refusal,
) -> Result<deadpool_postgres::Pool> {
    let fast = ManagerConfig {
        recycling_method: RecyclingMethod::Fast,
    };
    let manager = match tls {
        Some(tls) => Manager::from_config(server.client.clone(), tls, fast),
        None => Manager::from_config(server.client.clone(), NoTls, fast),
    };
    let (opened_at, settings, refusal) = (url.clone(), config.clone(), Arc::clone(refusal));
    let prepare = Hook::async_fn(move |client: &mut deadpool_postgres::ClientWrapper, _| {
        let (url, config, refusal) = (opened_at.clone(), settings.clone(), Arc::clone(&refusal));
        Box::pin(async move {
            let refused = match session::begin(client, &url, &config).await {
                Ok(()) => return Ok(()),
                Err(refused) => refused,
            };
            *refusal.lock().unwrap_or_else(PoisonError::into_inner) = Some(refused);
            Err(HookError::message("the server does not do"))
        })
    });
    // What was used just now lives; what lay for a while may have died unnoticed.
    let test = Hook::async_fn(|client: &mut deadpool_postgres::ClientWrapper, metrics| {
        let lay = metrics.last_used();
        Box::pin(async move {
            if lay > TEST_AFTER {
                client.simple_query("").await.map_err(HookError::Backend)?;
            }
            Ok(())
        })
    });
    deadpool_postgres::Pool::builder(manager)
        .max_size(config.max_connections.max(1))
        .wait_timeout(Some(config.acquire_timeout))
        .create_timeout(Some(server.patience(config)))
        .recycle_timeout(Some(RECYCLE_TIMEOUT))
        .post_create(prepare)
        .pre_recycle(test)
        .runtime(Runtime::Tokio1)
        .build()
        .map_err(|error| Error::with_source(ErrorKind::Internal, "the pool cannot be built", error))
}

async fn open<T>(server: &Server, tls: T) -> Result<Dedicated, tokio_postgres::Error>
where
    T: MakeTlsConnect<Socket>,
    T::Stream: Send + 'static,
{
    let (client, mut connection) = server.client.connect(tls).await?;
    let messages = Box::pin(poll_fn(move |context| connection.poll_message(context)));
    Ok(Dedicated { client, messages })
}

/// A connection that lay idle for longer is tested before it is handed out.
const TEST_AFTER: Duration = Duration::from_millis(500);

/// The longest wait for the answer of that test.
const RECYCLE_TIMEOUT: Duration = Duration::from_secs(2);
