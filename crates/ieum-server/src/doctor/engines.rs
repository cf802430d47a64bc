//! Which engine's own examination goes with a URL.

use ieum_base::{EngineUrl, Finding};
use ieum_discovery::consul;
use ieum_remote::{SCHEME, SCHEME_TLS};
use ieum_sql::sqlite::Location;
use ieum_sql::sqlite::doctor as sqlite;

use super::registry;
use crate::config::Config;
use crate::config::engines::{BROKERS, Engine, LOGS};

/// The name of the engine at `url`.
pub(super) fn name(url: Option<&EngineUrl>) -> String {
    let scheme = url.map_or("sqlite", EngineUrl::scheme);
    let known = LOGS.iter().chain(BROKERS);
    let known = known
        .clone()
        .find(|engine| engine.schemes.contains(&scheme));
    let name = match scheme {
        SCHEME | SCHEME_TLS => "ieum",
        consul::SCHEME => "Consul",
        other => known.map_or(other, |engine| engine.name),
    };
    name.to_owned()
}

/// What the engine at `url` finds out; without one it is the file in the data folder.
pub(super) async fn examine(config: &Config, url: Option<&EngineUrl>) -> Vec<Finding> {
    let Some(url) = url else {
        return sqlite::examine_file(&config.data_file());
    };
    match url.scheme() {
        "sqlite" => match Location::try_from(url) {
            Ok(Location::File(file)) => sqlite::examine_file(&config.resolve(&file)),
            _ => sqlite::examine(url),
        },
        "memory" => sqlite::examine(url),
        SCHEME | SCHEME_TLS => registry::examine_platform(url).await,
        consul::SCHEME => registry::examine_consul(url).await,
        #[cfg(feature = "postgres")]
        "postgres" | "postgresql" => ieum_sql::postgres::examine(url).await,
        #[cfg(feature = "rabbitmq")]
        "amqp" | "amqps" => ieum_rabbitmq::examine(url).await,
        #[cfg(feature = "kafka")]
        ieum_kafka::SCHEME => ieum_kafka::examine(url).await,
        #[cfg(feature = "nats")]
        "nats" => ieum_nats::examine(url).await,
        #[cfg(feature = "redis")]
        "redis" | "rediss" => ieum_redis::examine(url).await,
        #[cfg(feature = "aws")]
        ieum_aws::SCHEME => ieum_aws::examine(url).await,
        _ => not_built_in(url),
    }
}

/// The configuration's own rules have refused it before; an engine that is left out has none to ask.
fn not_built_in(url: &EngineUrl) -> Vec<Finding> {
    let known = Engine::of(LOGS, url).or_else(|_| Engine::of(BROKERS, url));
    vec![match known {
        Ok(engine) => Finding::weak(
            format!("{} was not examined", engine.name),
            "this version has no examination of it",
        ),
        Err(problem) => Finding::broken(problem.message, problem.help.unwrap_or_default()),
    }]
}
