//! The cache that a service reads through, chosen by its URL's scheme.

use std::sync::Arc;

use anyhow::{Result, bail};
use ieum::base::{EngineUrl, Tasks};
use ieum::resilience::cache::{Aside, Config, Memory};

/// The environment variable with the URL of a cache.
pub(crate) const CACHE: &str = "SHOP_CACHE_URL";

/// The cache of the service `name` at `url`, or in memory. A server that does not answer is done
/// without until it does.
///
/// # Errors
/// If it is no cache, is not built in, or refuses us; the text names the URL without its password.
pub(crate) async fn open(url: Option<&EngineUrl>, name: &str, tasks: &Tasks) -> Result<Aside> {
    let config = Config::default();
    let cache = match url {
        None => Arc::new(Memory::new(&config)),
        Some(url) => match url.scheme() {
            "redis" | "rediss" => engine::open(url, name, tasks).await?,
            other => {
                bail!("`{url}`: there is no cache `{other}`; the scheme is `redis` or `rediss`")
            }
        },
    };
    Ok(Aside::new(cache, config.ttl.0))
}

#[cfg(feature = "redis")]
mod engine {
    use std::sync::Arc;

    use anyhow::Result;
    use ieum::base::{Clock, EngineUrl, Tasks};
    use ieum::redis::{Cache, Connection};

    pub(super) async fn open(
        url: &EngineUrl,
        name: &str,
        tasks: &Tasks,
    ) -> Result<Arc<dyn ieum::resilience::Cache>> {
        let connection = Connection::open_when_there(url, &Clock::system(), tasks).await?;
        Ok(Arc::new(Cache::new(connection, name)))
    }
}

#[cfg(not(feature = "redis"))]
mod engine {
    use std::sync::Arc;

    use anyhow::{Result, bail};
    use ieum::base::{EngineUrl, Tasks};

    pub(super) async fn open(
        url: &EngineUrl,
        _: &str,
        _: &Tasks,
    ) -> Result<Arc<dyn ieum::resilience::Cache>> {
        bail!(
            "`{url}`: Redis is not built into this program; build it with `cargo build --release -p \
             shop --features redis`"
        )
    }
}
