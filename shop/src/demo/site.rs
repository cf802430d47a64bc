//! Where a demo keeps its things: a folder, and the engines that were named.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use ieum::base::{Clock, EngineUrl};

use super::config;
use crate::audit::{self, Books, Open, Source};
use crate::support::engines::Engines;
use crate::support::patience;

/// The name of the plan's database.
const PLAN: &str = "plan";
/// The name of the database with the platform's log.
const PLATFORM: &str = "platform";

/// A folder and engines.
#[derive(Clone, Debug)]
pub(crate) struct Site {
    data: PathBuf,
    engines: Engines,
}

impl Site {
    /// The folder `data`, which is there, and `engines`, which are valid.
    pub(crate) fn new(data: &Path, engines: Engines) -> Self {
        let data = data.to_owned();
        Self { data, engines }
    }

    /// The folder: the configuration, keys, what processes print, and the databases unless an engine
    /// has them.
    pub(super) fn data(&self) -> &Path {
        &self.data
    }

    /// The engines that were named.
    pub(super) const fn engines(&self) -> &Engines {
        &self.engines
    }

    /// The database of a service.
    pub(super) fn database_of(&self, service: &str) -> Result<EngineUrl> {
        self.engines.database_of(service, &self.data)
    }

    /// The database of the plan.
    pub(super) fn plan(&self) -> Result<EngineUrl> {
        self.database_of(PLAN)
    }

    /// The database of the platform's log; `None` if the platform chooses the file.
    pub(super) fn log(&self) -> Result<Option<EngineUrl>> {
        let named = self.engines.database.is_some();
        named.then(|| self.database_of(PLATFORM)).transpose()
    }

    /// True if there was a demo in this folder before.
    pub(super) fn has_begun(&self) -> bool {
        let there = |file: &str| self.data.join(file).is_file();
        there("orders.db") || there(config::LOG_URL)
    }

    /// Reads the books.
    pub(super) async fn audit(&self) -> Result<Books> {
        self.read(audit::audit).await
    }

    /// What has begun and not ended.
    pub(super) async fn open(&self) -> Result<Open> {
        let open = self.read(audit::open).await;
        open.context("the books of an earlier demo cannot be read")
    }

    /// Reads what an engine on the network keeps again until it answers: it may have crashed, and a
    /// demo goes on when it is back.
    async fn read<T: Send + 'static>(&self, read: fn(&Source) -> Result<T>) -> Result<T> {
        let source = Source::new(Some(&self.data), self.engines.database.as_ref());
        let read = || {
            let source = source.clone();
            async { tokio::task::spawn_blocking(move || read(&source)).await? }
        };
        let may_come = |_: &_| self.engines.database.is_some();
        patience::wait("the books", &Clock::system(), read, may_come).await
    }
}
