//! What `ieum doctor` finds out about a Kafka cluster.

use ieum_base::{EngineUrl, Finding};
use ieum_messaging::{ErrorKind, Result};
use rdkafka::consumer::{BaseConsumer, Consumer};

use crate::config::{Config, client};
use crate::error::{ended, failed};

/// Looks at the cluster at `url`: whether it is reached, and how many brokers it has.
pub async fn examine(url: &EngineUrl) -> Vec<Finding> {
    match brokers(url, &Config::default()).await {
        Ok(brokers) => {
            let what = format!("`{url}` answers, {brokers} brokers");
            vec![
                Finding::fine(what),
                if brokers < 3 {
                    Finding::weak(
                        "fewer than three brokers",
                        "a lost disk is the loss of its messages: have three, topics with three \
                         replicas, and `min.insync.replicas=2`",
                    )
                } else {
                    Finding::weak(
                        "replicas are a setting of each topic",
                        "an answered publish is on as many brokers as `min.insync.replicas` says, \
                         in their memory unless `flush.messages=1`: have it at 2 or more",
                    )
                },
            ]
        }
        Err(error) => {
            let advice = match error.kind() {
                ErrorKind::Invalid => "correct the URL, as it says",
                _ => "start the brokers, or correct host, port, user and password in the URL",
            };
            vec![Finding::broken(format!("{url}: {error}"), advice)]
        }
    }
}

/// Asks how many brokers there are.
pub(crate) async fn brokers(url: &EngineUrl, config: &Config) -> Result<usize> {
    let made = client(url, config)?.create();
    let consumer: BaseConsumer = made.map_err(|error| failed("making a client", error))?;
    let limit = config.answer_timeout;
    let asking = tokio::task::spawn_blocking(move || {
        let metadata = consumer.fetch_metadata(None, limit)?;
        Ok(metadata.brokers().len())
    });
    let asked = asking.await.map_err(ended)?;
    asked.map_err(|error| failed("asking for the brokers", error))
}
