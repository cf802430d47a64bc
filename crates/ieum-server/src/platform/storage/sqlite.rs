//! The log in one file of SQLite, or in memory: nothing has to be installed, and one process owns it.

use std::sync::Arc;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use ieum_base::{Clock, EngineUrl};
use ieum_sql::sqlite::topics::{self, Topics as SqliteTopics};
use ieum_sql::sqlite::{Config as SqliteConfig, Database, Location, Log};

use super::{Keeper, Storage, Topics, data_dir};
use crate::config::Config;
use crate::platform::StartError;

/// Opens the file at `url`, or the one in the data folder, which is made if it is not there.
pub(super) fn open(
    config: &Config,
    url: Option<&EngineUrl>,
    clock: Clock,
) -> Result<Storage, StartError> {
    let location = location(config, url)?;
    let place = match &location {
        Location::File(path) => path.display().to_string(),
        Location::Memory => "memory (gone at the stop)".to_owned(),
    };
    let settings = SqliteConfig {
        clock,
        ..SqliteConfig::default()
    };
    let log = Log::open(location, settings).map_err(|error| {
        StartError::new("the log cannot be opened")
            .caused_by(error)
            .help("`log.url` and `platform.data-dir` say where the log is")
    })?;
    let topics = SqliteTopics::new(log.clone(), topics::Config::default());
    Ok(Storage {
        events: Arc::new(log.clone()),
        checkpoints: Arc::new(log.clone()),
        fences: Arc::new(log.clone()),
        leases: Arc::new(log.clone()),
        topics: Topics::of(topics),
        place,
        is_shared: false,
        keeper: Arc::new(File(log.database().clone())),
    })
}

/// Where the log is.
fn location(config: &Config, url: Option<&EngineUrl>) -> Result<Location, StartError> {
    let Some(url) = url else {
        data_dir(config)?;
        return Ok(Location::File(config.data_file()));
    };
    match Location::try_from(url) {
        Ok(Location::File(path)) => Ok(Location::File(config.resolve(&path))),
        Ok(memory) => Ok(memory),
        Err(error) => Err(StartError::new("`log.url`").caused_by(error)),
    }
}

struct File(Database);

impl Keeper for File {
    fn probe(&self) -> BoxFuture<'static, Result<(), String>> {
        let database = self.0.clone();
        async move { database.probe().await.map_err(|error| error.to_string()) }.boxed()
    }

    fn close(&self) -> BoxFuture<'static, Result<(), String>> {
        let database = self.0.clone();
        async move { database.close().await.map_err(|error| error.to_string()) }.boxed()
    }
}
