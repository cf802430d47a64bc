//! The log of the platform: which file, opened or refused.

use std::path::PathBuf;

use ieum_base::{Clock, EngineUrl};
use ieum_sql::sqlite::topics::{self, Topics};
use ieum_sql::sqlite::{Config as SqliteConfig, Location, Log};

use super::StartError;
use crate::config::Config;

/// The log and the topics on it.
pub(super) struct Storage {
    pub(super) log: Log,
    pub(super) topics: Topics,
    /// Where it is, for people.
    pub(super) place: String,
}

/// The log's file in the data folder.
const FILE: &str = "log.db";

/// Opens the log that `config` names; makes the data folder if it is not there.
pub(super) fn open(config: &Config, clock: Clock) -> Result<Storage, StartError> {
    let location = location(config)?;
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
    let topics = Topics::new(log.clone(), topics::Config::default());
    Ok(Storage { log, topics, place })
}

fn location(config: &Config) -> Result<Location, StartError> {
    match config.log.url.as_deref().map(str::parse::<EngineUrl>) {
        None => Ok(Location::File(data_dir(config)?.join(FILE))),
        Some(Ok(url)) => match Location::try_from(&url) {
            Ok(Location::File(path)) => Ok(Location::File(config.resolve(&path))),
            Ok(memory) => Ok(memory),
            Err(error) => Err(StartError::new("`log.url`").caused_by(error)),
        },
        Some(Err(error)) => Err(StartError::new("`log.url`").caused_by(error)),
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
