//! Topics in a database of their own.

use std::ops::Deref;

use ieum_base::EngineUrl;
use ieum_sql::postgres::topics::{self, Config};
use ieum_sql::postgres::{self, Log, Topics, log};

use super::server::database;

/// Topics, and where they are.
pub(crate) struct Room {
    topics: Topics,
    config: Config,
    url: EngineUrl,
}

/// Topics in a new database of the shared server.
pub(crate) async fn topics(config: Config) -> Room {
    let (url, _) = database();
    Room {
        topics: open(&url, config).await,
        config,
        url,
    }
}

impl Room {
    /// The same topics as another process sees them: with connections and a memory of its own.
    pub(crate) async fn again(&self) -> Topics {
        open(&self.url, self.config).await
    }
}

impl Deref for Room {
    type Target = Topics;

    fn deref(&self) -> &Topics {
        &self.topics
    }
}

async fn open(url: &EngineUrl, config: Config) -> Topics {
    let pool = postgres::Config::default();
    let log = Log::open(url, topics::MIGRATIONS, pool, log::Config::default()).await;
    Topics::new(log.expect("a log"), config)
}
