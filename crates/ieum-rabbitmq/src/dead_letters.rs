//! Dead letters and what waits behind them: a bounded queue beside each group's queue.
//!
//! The queue is the truth: the keys that wait are those that are in it, so a group knows them again
//! after a restart, and an operator who removes messages from it (by the management page or a shovel)
//! lets their keys go on when the group's member starts again.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use futures_util::StreamExt;
use ieum_base::{Clock, EngineUrl, Timestamp, Uuid};
use ieum_messaging::{DeadLetter, DeadLetterReason, Message, Result};
use lapin::options::{
    BasicConsumeOptions, BasicQosOptions, QueueDeclareOptions, QueueDeleteOptions,
};
use lapin::types::{AMQPValue, FieldTable, ShortString};
use lapin::{BasicProperties, Channel, Connection};
use tokio::time::{Instant, timeout};

use crate::connection::Link;
use crate::error::{failed, is_missing, too_late};
use crate::places::Places;
use crate::{Config, binding};

/// What a group has set aside, as its member knows it.
#[derive(Debug, Default)]
pub(crate) struct Parked {
    /// The keys that wait, each with the position that it waits behind, if that was in this session.
    keys: HashMap<String, u64>,
    /// The messages that are in the queue: none is set aside twice.
    ids: HashSet<Uuid>,
}

impl Parked {
    /// Reads what is in the queue of dead letters.
    pub(crate) async fn read(link: &Link, dead: &ShortString) -> Result<Self> {
        let mut parked = Self::default();
        for (properties, body) in browse(link, dead, usize::MAX).await? {
            // What somebody else put there and is no message has no key.
            if let Ok(message) = binding::read(&properties, body) {
                parked.add(&message, 0);
            }
        }
        Ok(parked)
    }

    /// Notes that a message is in the queue, and that its key waits from now on.
    pub(crate) fn add(&mut self, message: &Message, position: u64) {
        let key = message.ordering_key();
        if !self.keys.contains_key(key) {
            self.keys.insert(key.to_owned(), position);
        }
        self.ids.insert(message.event_id());
    }

    /// The position that the message's key waits behind, if it waits.
    pub(crate) fn behind(&self, message: &Message) -> Option<u64> {
        self.keys.get(message.ordering_key()).copied()
    }

    /// True if the message is in the queue.
    pub(crate) fn holds(&self, message: &Message) -> bool {
        self.ids.contains(&message.event_id())
    }
}

/// A message with the reason why it is set aside, as it goes into the queue.
pub(crate) fn letter(
    (properties, body): (BasicProperties, Vec<u8>),
    reason: &DeadLetterReason,
    clock: &Clock,
) -> (BasicProperties, Vec<u8>) {
    let mut headers = properties.headers().clone().unwrap_or_default();
    let (why, behind) = match reason {
        DeadLetterReason::GaveUp(why) => (shortened(why), None),
        DeadLetterReason::Behind(position) => {
            ("waits behind a dead letter".to_owned(), Some(*position))
        }
    };
    headers.insert(binding::REASON.into(), AMQPValue::LongString(why.into()));
    let now = clock.now().to_string();
    headers.insert(
        binding::RECORDED_AT.into(),
        AMQPValue::LongString(now.into()),
    );
    if let Some(behind) = behind {
        let position = i64::try_from(behind).unwrap_or(i64::MAX);
        headers.insert(binding::BEHIND.into(), AMQPValue::LongLongInt(position));
    }
    (properties.with_headers(headers), body)
}

/// The dead letters of `group` on `topic` and what waits behind them, in order, at most `limit`. They
/// stay where they are. Positions are those that the member that gave up knew, 0 if they are not
/// known.
pub async fn dead_letters(
    url: &EngineUrl,
    clock: &Clock,
    topic: &str,
    group: &str,
    limit: usize,
) -> Result<Vec<DeadLetter>> {
    let places = Places::of(topic, group)?;
    let link = Link::new(
        url.clone(),
        "dead letters",
        Config::default(),
        clock.clone(),
    );
    let mut letters = Vec::new();
    let mut seen = HashSet::new();
    for (properties, body) in browse(&link, &places.dead, limit).await? {
        let Ok(message) = binding::read(&properties, body) else {
            continue;
        };
        // Set aside again after a crash in between.
        if !seen.insert(message.event_id()) {
            continue;
        }
        let why = binding::header(&properties, binding::REASON).unwrap_or_default();
        let at = binding::header(&properties, binding::RECORDED_AT);
        let behind = binding::number(&properties, binding::BEHIND);
        letters.push(DeadLetter {
            topic: topic.to_owned(),
            group: group.to_owned(),
            position: 0,
            key: message.ordering_key().to_owned(),
            reason: behind.map_or(DeadLetterReason::GaveUp(why), DeadLetterReason::Behind),
            recorded_at: at
                .and_then(|at| at.parse().ok())
                .unwrap_or(Timestamp::from_micros(0)),
            message,
        });
    }
    Ok(letters)
}

/// The first messages of a queue, which keeps them. One at a time may look: what somebody holds to
/// look at it, others do not see.
async fn browse(
    link: &Link,
    queue: &ShortString,
    limit: usize,
) -> Result<Vec<(BasicProperties, Vec<u8>)>> {
    let turn: ShortString = format!("{queue}/look").into();
    let limit_of_all = Instant::now() + link.config().answer_timeout;
    loop {
        let (channel, connection) = link.channel().await?;
        let exclusive = QueueDeclareOptions {
            exclusive: true,
            auto_delete: true,
            ..QueueDeclareOptions::default()
        };
        let taking = channel.queue_declare(turn.clone(), exclusive, FieldTable::default());
        let taken = timeout(link.config().answer_timeout, taking).await;
        if matches!(taken, Ok(Ok(_))) {
            let looking = look(link.clock(), (&connection, &channel), queue, limit);
            let looked = timeout(link.config().answer_timeout, looking).await;
            let freed = channel.queue_delete(turn, QueueDeleteOptions::default());
            let freed = timeout(link.config().answer_timeout, freed).await;
            let looked = looked.map_err(|_| too_late("reading dead letters"))?;
            drop(freed);
            return match looked {
                Err(error) if is_missing(&error) => Ok(Vec::new()),
                looked => looked.map_err(|error| failed("reading dead letters", error)),
            };
        }
        if Instant::now() >= limit_of_all {
            return Err(too_late("waiting for another who reads the dead letters"));
        }
        link.clock().sleep(PAUSE).await;
    }
}

async fn look(
    clock: &Clock,
    (connection, counting): (&Connection, &Channel),
    queue: &ShortString,
    limit: usize,
) -> lapin::Result<Vec<(BasicProperties, Vec<u8>)>> {
    let there = count(counting, queue).await?;
    let wanted = limit.min(there as usize).min(usize::from(u16::MAX));
    if wanted == 0 {
        return Ok(Vec::new());
    }
    // What this channel was given and did not acknowledge is in front again when it is closed.
    let channel = connection.create_channel().await?;
    let found = take(&channel, queue, wanted).await;
    channel.close(REPLY_SUCCESS, "done".into()).await?;
    // The next one who looks must see all of them.
    while count(counting, queue).await? < there {
        clock.sleep(PAUSE).await;
    }
    found
}

/// The first `wanted` messages, which the channel holds until it is closed.
async fn take(
    channel: &Channel,
    queue: &ShortString,
    wanted: usize,
) -> lapin::Result<Vec<(BasicProperties, Vec<u8>)>> {
    let prefetch = u16::try_from(wanted).unwrap_or(u16::MAX);
    channel
        .basic_qos(prefetch, BasicQosOptions::default())
        .await?;
    let (tag, options) = (ShortString::default(), BasicConsumeOptions::default());
    let arguments = FieldTable::default();
    let consuming = channel.basic_consume(queue.clone(), tag, options, arguments);
    let mut consumer = consuming.await?;
    let mut found = Vec::with_capacity(wanted);
    while found.len() < wanted
        && let Some(delivery) = consumer.next().await
    {
        let delivery = delivery?;
        found.push((delivery.properties, delivery.data));
    }
    Ok(found)
}

async fn count(channel: &Channel, queue: &ShortString) -> lapin::Result<u32> {
    let passive = QueueDeclareOptions {
        passive: true,
        ..QueueDeclareOptions::default()
    };
    let asked = channel.queue_declare(queue.clone(), passive, FieldTable::default());
    Ok(asked.await?.message_count())
}

/// A reason as a header can carry it.
fn shortened(why: &str) -> String {
    let mut end = why.len().min(MOST_REASON_BYTES);
    while !why.is_char_boundary(end) {
        end -= 1;
    }
    why[..end].to_owned()
}

/// The longest reason: headers travel in one frame.
const MOST_REASON_BYTES: usize = 8 << 10;
/// AMQP's word for a close in good order.
const REPLY_SUCCESS: u16 = 200;
/// Between two looks at whether others have finished.
const PAUSE: Duration = Duration::from_millis(10);

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_letter_says_why_and_when() {
        let message = Message::new("/s", "1", "t", &json!(1)).expect("a message");
        let long = format!("no \u{201c}이음\u{201d}: {}", "가".repeat(4_000));
        let reason = DeadLetterReason::GaveUp(long.clone());
        let written = binding::write(&message).expect("written");
        let (properties, body) = letter(written, &reason, &Clock::system());
        let why = binding::header(&properties, binding::REASON).expect("a reason");
        assert!(long.starts_with(&why) && why.len() > 8_000, "{}", why.len());
        let at = binding::header(&properties, binding::RECORDED_AT).expect("a time");
        assert!(at.parse::<Timestamp>().is_ok(), "{at}");
        let back = binding::read(&properties, body).expect("a message");
        assert_eq!(back.id, "1");
        let mut parked = Parked::default();
        parked.add(&back, 7);
        parked.add(&back, 9);
        assert_eq!((parked.behind(&back), parked.holds(&back)), (Some(7), true));
    }
}
