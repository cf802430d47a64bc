//! The log in PostgreSQL: several platforms may share it.

use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use ieum_base::{Clock, EngineUrl, Stop};
use ieum_sql::ErrorKind;
use ieum_sql::postgres::topics::{self, Topics as PostgresTopics};
use ieum_sql::postgres::{self, Log, log};

use super::{Keeper, Storage, Topics};
use crate::config::Config;
use crate::platform::{StartError, patience};

/// Opens the log in the database at `url`; it is made if the database has none.
pub(super) async fn open(
    config: &Config,
    url: &EngineUrl,
    clock: Clock,
    stop: &Stop,
) -> Result<Storage, StartError> {
    let settings = postgres::Config {
        clock: clock.clone(),
        max_connections: CONNECTIONS,
        ..postgres::Config::default()
    };
    let opening = || {
        let settings = settings.clone();
        Log::open(url, topics::MIGRATIONS, settings, log::Config::default())
    };
    let is_away = |error: &ieum_sql::Error| {
        matches!(
            error.kind(),
            ErrorKind::Unreachable | ErrorKind::Io | ErrorKind::Busy
        )
    };
    let opened = patience::wait(config.log.wait.0, &clock, stop, opening, is_away).await;
    let log = opened.map_err(|given_up| {
        given_up
            .into_error("the log cannot be opened")
            .help("`log.url` says where the log is; `ieum doctor` looks at it")
    })?;
    let topics = PostgresTopics::new(log.clone(), topics::Config::default());
    Ok(Storage {
        events: Arc::new(log.clone()),
        checkpoints: Arc::new(log.clone()),
        fences: Arc::new(log.clone()),
        leases: Arc::new(log.clone()),
        topics: Topics::of(topics),
        place: url.to_string(),
        is_shared: true,
        keeper: Arc::new(Server(log)),
    })
}

struct Server(Log);

impl Keeper for Server {
    fn probe(&self) -> BoxFuture<'static, Result<(), String>> {
        let pool = self.0.pool().clone();
        async move {
            let url = pool.url().clone();
            let asked = async {
                let client = pool.get().await?;
                client.simple_query("SELECT 1").await?;
                Ok::<_, ieum_sql::Error>(())
            };
            match tokio::time::timeout(PROBE, asked).await {
                Ok(answered) => answered.map_err(|error| error.to_string()),
                Err(_) => Err(format!("{url} does not answer")),
            }
        }
        .boxed()
    }

    fn close(&self) -> BoxFuture<'static, Result<(), String>> {
        let log = self.0.clone();
        async move {
            match log.close(CLOSE).await.is_empty() {
                true => Ok(()),
                false => Err("appends were waiting for an answer; nobody knows of them".to_owned()),
            }
        }
        .boxed()
    }
}

/// The connections of one platform: appends take two, and one listens.
const CONNECTIONS: usize = 16;
/// A check of health that takes longer has failed: shorter than the health's own limit, so that it says
/// which engine is away.
const PROBE: Duration = Duration::from_millis(1_500);
/// How long the close waits for appends.
const CLOSE: Duration = Duration::from_secs(5);
