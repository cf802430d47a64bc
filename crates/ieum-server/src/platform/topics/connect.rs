//! Connecting to the broker that `topics.url` names.

use ieum_base::{Clock, EngineUrl, Stop, Tasks};
use ieum_messaging::Broker;

use super::OnBroker;
use crate::config::Config;
use crate::config::engines::{BROKERS, Engine};
use crate::platform::{StartError, patience};

/// Connects to the broker that `config` names; `None` if topics are in the log. Waits for one that does
/// not answer yet, as long as it is told to and `stop` allows.
pub(in crate::platform) async fn connect(
    config: &Config,
    clock: &Clock,
    tasks: &Tasks,
    stop: &Stop,
) -> Result<Option<OnBroker>, StartError> {
    let Some(url) = config.topics_url()? else {
        return Ok(None);
    };
    Engine::of(BROKERS, &url).map_err(|problem| StartError::of(*problem, "topics.url"))?;
    let opening = || open(&url, clock, tasks);
    let broker = patience::wait(config.topics.wait.0, clock, stop, opening, |error| {
        error.kind() == ieum_messaging::ErrorKind::Unavailable
    });
    let broker = broker.await.map_err(|given_up| {
        given_up
            .into_error("the broker of the topics cannot be used")
            .help("`topics.url` names it; `ieum doctor` looks at it")
    })?;
    let on_broker = OnBroker::new(broker, &url);
    for caveat in on_broker.caveats() {
        tracing::warn!(
            broker = on_broker.place(),
            caveat,
            "topics promise less here"
        );
    }
    Ok(Some(on_broker))
}

async fn open(url: &EngineUrl, clock: &Clock, tasks: &Tasks) -> ieum_messaging::Result<Broker> {
    match url.scheme() {
        #[cfg(feature = "rabbitmq")]
        "amqp" | "amqps" => ieum_rabbitmq::connect(url, clock, tasks).await,
        #[cfg(feature = "nats")]
        "nats" => ieum_nats::connect(url, clock, tasks).await,
        #[cfg(feature = "redis")]
        "redis" | "rediss" => ieum_redis::connect(url, clock, tasks).await,
        #[cfg(feature = "kafka")]
        "kafka" => ieum_kafka::connect(url, clock, tasks).await,
        #[cfg(feature = "aws")]
        ieum_aws::SCHEME => ieum_aws::connect(url, clock, tasks).await,
        // The schemes were looked at above; what is left is an engine whose adapter is not here.
        _ => {
            let _ = (clock, tasks);
            let why = format!("this program has no adapter for {url}");
            Err(ieum_messaging::Error::new(
                ieum_messaging::ErrorKind::Invalid,
                why,
            ))
        }
    }
}
