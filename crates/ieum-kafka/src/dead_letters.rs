//! Reading a group's dead letters.

use std::time::Duration;

use ieum_base::{EngineUrl, Timestamp};
use ieum_messaging::{DeadLetter, DeadLetterReason, Result};
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::KafkaError;
use rdkafka::{Message as _, Offset, TopicPartitionList};

use crate::binding;
use crate::config::{Config, client};
use crate::error::{ended, failed};
use crate::places::Places;

/// The dead letters of `group` on `topic`, at most `limit`, in order per key. They stay where they
/// are. `position` is the offset in the topic of dead letters.
pub async fn dead_letters(
    url: &EngineUrl,
    topic: &str,
    group: &str,
    limit: usize,
) -> Result<Vec<DeadLetter>> {
    let places = Places::of(topic, group)?;
    let config = Config::default();
    let mut client = client(url, &config)?;
    client
        .set("group.id", "ieum-dead-letters")
        .set("enable.auto.commit", "false");
    let made = client.create();
    let consumer: BaseConsumer = made.map_err(|error| failed("reading dead letters", error))?;
    let (topic, group) = (topic.to_owned(), group.to_owned());
    let reading = tokio::task::spawn_blocking(move || {
        let mut letters = Vec::new();
        let found = read(
            &consumer,
            &places.dead,
            config.answer_timeout,
            limit,
            |letter| {
                letters.push(DeadLetter {
                    topic: topic.clone(),
                    group: group.clone(),
                    ..letter
                });
            },
        );
        found.map(|()| letters)
    });
    let read = reading.await.map_err(ended)?;
    read.map_err(|error| failed("reading dead letters", error))
}

fn read(
    consumer: &BaseConsumer,
    topic: &str,
    limit: Duration,
    most: usize,
    mut found: impl FnMut(DeadLetter),
) -> Result<(), KafkaError> {
    let metadata = consumer.fetch_metadata(Some(topic), limit)?;
    let partitions = metadata
        .topics()
        .iter()
        .flat_map(|topic| topic.partitions());
    let (mut list, mut left) = (TopicPartitionList::new(), 0);
    for partition in partitions {
        let (low, high) = consumer.fetch_watermarks(topic, partition.id(), limit)?;
        list.add_partition_offset(topic, partition.id(), Offset::Offset(low))?;
        left += usize::try_from(high - low).unwrap_or(0);
    }
    let mut left = left.min(most);
    consumer.assign(&list)?;
    while left > 0 {
        let Some(record) = consumer.poll(limit) else {
            return Ok(());
        };
        let record = record?;
        left -= 1;
        let Ok(message) = binding::read(&record) else {
            continue;
        };
        let at = binding::header(&record, binding::RECORDED_AT);
        found(DeadLetter {
            topic: String::new(),
            group: String::new(),
            position: u64::try_from(record.offset()).unwrap_or(0),
            key: message.ordering_key().to_owned(),
            reason: DeadLetterReason::GaveUp(
                binding::header(&record, binding::REASON).unwrap_or_default(),
            ),
            recorded_at: at
                .and_then(|at| at.parse().ok())
                .unwrap_or(Timestamp::from_micros(0)),
            message,
        });
    }
    Ok(())
}
