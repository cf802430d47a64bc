//! The log of the platform and the topics on it, whichever engine keeps them.
//!
//! The rest of the platform sees ports. An engine that refuses us ends the start with one sentence; one
//! that does not answer yet is waited for, because processes start in any order.

#[cfg(feature = "postgres")]
mod postgres;
mod sqlite;

use std::path::PathBuf;
use std::sync::Arc;

use futures_util::future::BoxFuture;
use ieum_base::{Clock, Stop};
use ieum_eventstore::{Checkpoints, EventStore, Fences, Leases};
use ieum_messaging::{Groups, Inspect, Operate, Publisher};

use super::StartError;
use crate::config::Config;
use crate::config::engines::{Engine, LOGS};

/// The log and the topics on it.
pub(super) struct Storage {
    /// The log.
    pub(super) events: Arc<dyn EventStore>,
    /// Its checkpoints.
    pub(super) checkpoints: Arc<dyn Checkpoints>,
    /// Its fences.
    pub(super) fences: Arc<dyn Fences>,
    /// Its leases.
    pub(super) leases: Arc<dyn Leases>,
    /// The topics on it.
    pub(super) topics: Topics,
    /// Where it is, for people.
    pub(super) place: String,
    /// True if other processes may work on it too.
    pub(super) is_shared: bool,
    keeper: Arc<dyn Keeper>,
}

/// The topics on a log.
#[derive(Clone)]
pub(super) struct Topics {
    /// Where messages are published.
    pub(super) publisher: Arc<dyn Publisher>,
    /// The consumer groups.
    pub(super) groups: Arc<dyn Groups>,
    /// For lists.
    pub(super) inspect: Arc<dyn Inspect>,
    /// For what an operator does.
    pub(super) operate: Arc<dyn Operate>,
}

/// What an engine is asked beside its ports.
trait Keeper: Send + Sync {
    /// Whether the engine answers; an error says what is wrong.
    fn probe(&self) -> BoxFuture<'static, Result<(), String>>;

    /// Closes it; what was acknowledged is durable anyway.
    fn close(&self) -> BoxFuture<'static, Result<(), String>>;
}

impl Topics {
    /// The topics that one value offers by all ports.
    fn of<T>(topics: T) -> Self
    where
        T: Publisher + Groups + Inspect + Operate + Clone,
    {
        Self {
            publisher: Arc::new(topics.clone()),
            groups: Arc::new(topics.clone()),
            inspect: Arc::new(topics.clone()),
            operate: Arc::new(topics),
        }
    }
}

impl Storage {
    /// Whether the engine answers.
    pub(super) fn probe(&self) -> impl Fn() -> BoxFuture<'static, Result<(), String>> + use<> {
        let keeper = Arc::clone(&self.keeper);
        move || keeper.probe()
    }

    /// Closes it.
    pub(super) async fn close(&self) {
        if let Err(error) = self.keeper.close().await {
            tracing::error!(error, "the log was not closed cleanly");
        }
    }
}

/// Opens the log that `config` names; waits for an engine that does not answer yet, as long as it is
/// told to and `stop` allows.
pub(super) async fn open(
    config: &Config,
    clock: Clock,
    stop: &Stop,
) -> Result<Storage, StartError> {
    let url = config.log_url().map_err(StartError::from)?;
    if let Some(url) = &url {
        Engine::of(LOGS, url).map_err(|problem| StartError::of(*problem, "log.url"))?;
    }
    match url {
        #[cfg(feature = "postgres")]
        Some(url) if url.scheme().starts_with("postgres") => {
            postgres::open(config, &url, clock, stop).await
        }
        url => {
            // A file is there or not: nothing is waited for.
            let _ = stop;
            sqlite::open(config, url.as_ref(), clock)
        }
    }
}

/// The data folder, which is made if it is not there.
pub(super) fn data_dir(config: &Config) -> Result<PathBuf, StartError> {
    let folder = config.resolve(&config.platform.data_dir);
    std::fs::create_dir_all(&folder).map_err(|error| {
        let what = format!("the data folder `{}` cannot be made", folder.display());
        StartError::new(what)
            .caused_by(error)
            .help("name another one with `platform.data-dir`")
    })?;
    Ok(folder)
}
