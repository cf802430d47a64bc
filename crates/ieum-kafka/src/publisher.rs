//! Publishing: an idempotent producer that waits for all replicas in sync.

use async_trait::async_trait;
use futures_util::future::join_all;
use ieum_base::EngineUrl;
use ieum_messaging::{Error, ErrorKind, Message, Result};
use rdkafka::producer::{FutureProducer, FutureRecord};

use crate::binding::{self, Record};
use crate::config::{Config, client, millis};
use crate::error::failed;
use crate::places;

/// Publishes to Kafka's topics. Calls at once share one producer.
///
/// An answer means that every replica in sync has the message. A batch is validated before the first
/// message leaves; if the brokers fail in its midst, a part may be there, and publishing it again
/// adds that part again. No transactions: they can tear (H32), and inboxes drop what comes twice.
pub struct Publisher {
    producer: FutureProducer,
    config: Config,
}

impl std::fmt::Debug for Publisher {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Publisher").finish_non_exhaustive()
    }
}

impl Publisher {
    pub(crate) fn new(url: &EngineUrl, config: Config) -> Result<Self> {
        let producer = client(url, &config)?
            .set("enable.idempotence", "true")
            .set("acks", "all")
            .set("linger.ms", "2")
            .set("message.timeout.ms", millis(config.answer_timeout))
            .create();
        let producer = producer.map_err(|error| failed("making a producer", error))?;
        Ok(Self { producer, config })
    }

    pub(crate) const fn producer(&self) -> &FutureProducer {
        &self.producer
    }

    /// Hands records over in order, and waits until all are confirmed.
    pub(crate) async fn deliver(&self, topic: &str, records: &[Record]) -> Result<()> {
        let mut confirms = Vec::with_capacity(records.len());
        let mut refused = None;
        for record in records {
            let sent = FutureRecord::to(topic)
                .key(&record.key)
                .headers(record.headers.clone())
                .payload(&record.body);
            match self.producer.send_result(sent) {
                Ok(confirm) => confirms.push(confirm),
                Err((error, _)) => {
                    refused = Some(failed("publishing", error));
                    break;
                }
            }
        }
        for confirm in join_all(confirms).await {
            let gone = |_| Error::new(ErrorKind::Internal, "the producer ended");
            let confirmed = confirm.map_err(gone)?;
            confirmed.map_err(|(error, _)| failed("publishing", error))?;
        }
        refused.map_or(Ok(()), Err)
    }
}

#[async_trait]
impl ieum_messaging::Publisher for Publisher {
    async fn publish(&self, topic: &str, messages: &[Message]) -> Result<()> {
        let topic = places::topic(topic)?;
        let records = messages.iter().map(|message| {
            message.validate(&self.config.limits)?;
            binding::write(message)
        });
        let records: Vec<Record> = records.collect::<Result<_>>()?;
        self.deliver(&topic, &records).await
    }
}
