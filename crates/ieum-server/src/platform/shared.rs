//! What the gateway shares with others: the store of its limits, the cache of its answers.

use std::sync::Arc;

use ieum_base::{Clock, Tasks};
use ieum_resilience::Cache;
use ieum_resilience::cache::Memory;
use ieum_resilience::rate_limit::Store;

use super::StartError;
use crate::config::Config;

/// What the gateway is given of it.
pub(super) struct Shared {
    /// Where limits are counted; `None` for this process alone.
    pub(super) limits: Option<Arc<dyn Store>>,
    /// Where answers are kept.
    pub(super) cache: Arc<dyn Cache>,
}

/// Connects to what is configured, as tasks of `tasks`. An engine that does not answer is done
/// without until it does; one that refuses us is an error.
pub(super) async fn open(
    config: &Config,
    clock: &Clock,
    tasks: &Tasks,
) -> Result<Shared, StartError> {
    let limits = match config.limits_url()? {
        Some(url) => Some(engine::limits(&url, clock, tasks).await?),
        None => None,
    };
    let cache = match config.cache_url()? {
        Some(url) => engine::cache(&url, clock, tasks).await?,
        None => Arc::new(Memory::new(&config.cache.bounds())),
    };
    Ok(Shared { limits, cache })
}

#[cfg(feature = "redis")]
mod engine {
    use std::sync::Arc;

    use ieum_base::{Clock, EngineUrl, Tasks};
    use ieum_redis::{Connection, Limits};
    use ieum_resilience::Cache;
    use ieum_resilience::rate_limit::Store;

    use super::StartError;

    pub(super) async fn limits(
        url: &EngineUrl,
        clock: &Clock,
        tasks: &Tasks,
    ) -> Result<Arc<dyn Store>, StartError> {
        let connection = connect(url, clock, tasks, "limits").await?;
        Ok(Arc::new(Limits::new(connection)))
    }

    pub(super) async fn cache(
        url: &EngineUrl,
        clock: &Clock,
        tasks: &Tasks,
    ) -> Result<Arc<dyn Cache>, StartError> {
        let connection = connect(url, clock, tasks, "cache").await?;
        Ok(Arc::new(ieum_redis::Cache::new(connection, NAME)))
    }

    async fn connect(
        url: &EngineUrl,
        clock: &Clock,
        tasks: &Tasks,
        section: &str,
    ) -> Result<Connection, StartError> {
        let opened = Connection::open_when_there(url, clock, tasks).await;
        opened.map_err(|error| StartError::new(format!("`[{section}]`: {error}")))
    }

    /// What keeps answers of gateways apart from other caches on one server.
    const NAME: &str = "gateway";
}

#[cfg(not(feature = "redis"))]
mod engine {
    use std::sync::Arc;

    use ieum_base::{Clock, EngineUrl, Tasks};
    use ieum_resilience::Cache;
    use ieum_resilience::rate_limit::Store;

    use super::StartError;
    use crate::config::engines::Engine;
    use crate::config::shared::SHARED;

    pub(super) async fn limits(
        url: &EngineUrl,
        _: &Clock,
        _: &Tasks,
    ) -> Result<Arc<dyn Store>, StartError> {
        Err(left_out(url, "limits.url"))
    }

    pub(super) async fn cache(
        url: &EngineUrl,
        _: &Clock,
        _: &Tasks,
    ) -> Result<Arc<dyn Cache>, StartError> {
        Err(left_out(url, "cache.url"))
    }

    /// The configuration's rules say the same before; no engine comes this far.
    fn left_out(url: &EngineUrl, key: &str) -> StartError {
        match Engine::of(SHARED, url) {
            Err(problem) => StartError::of(*problem, key),
            Ok(engine) => StartError::new(format!("{} is not built in", engine.name)),
        }
    }
}
