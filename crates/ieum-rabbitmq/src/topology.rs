//! Exchanges and queues, declared before they are used.

use lapin::options::{ExchangeDeclareOptions, QueueBindOptions, QueueDeclareOptions};
use lapin::types::{AMQPValue, FieldTable, ShortString};
use lapin::{Channel, ExchangeKind};

use crate::config::Queues;
use crate::connection::Link;
use crate::error::{failed, is_inequivalent};
use crate::places::{Places, TURNS};
use ieum_messaging::Result;

/// Makes what a group needs, unless it is there: from then on it gets what is published. Idempotent.
pub(crate) async fn declare_group(link: &Link, places: &Places) -> Result<()> {
    let parked = i64::from(link.config().parked);
    let bound = [
        ("x-max-length", AMQPValue::LongLongInt(parked)),
        ("x-overflow", AMQPValue::LongString("reject-publish".into())),
    ];
    declare_queue(link, &places.dead, &bound).await?;
    // One consumer at a time: the order per key, and one member at work.
    let single = [("x-single-active-consumer", AMQPValue::Boolean(true))];
    declare_queue(link, &places.queue, &single).await?;
    let (channel, _connection) = link.channel().await?;
    let bound = bind(&channel, places).await;
    bound.map_err(|error| failed("declaring a group", error))
}

async fn bind(channel: &Channel, places: &Places) -> lapin::Result<()> {
    declare_topic(channel, &places.exchange).await?;
    let (queue, exchange) = (places.queue.clone(), places.exchange.clone());
    let (key, options) = (ShortString::default(), QueueBindOptions::default());
    channel
        .queue_bind(queue, exchange, key, options, FieldTable::default())
        .await
}

/// Declares a topic's exchange.
pub(crate) async fn declare_topic(channel: &Channel, exchange: &ShortString) -> lapin::Result<()> {
    let kind = ExchangeKind::Fanout;
    channel
        .exchange_declare(exchange.clone(), kind, durable(), FieldTable::default())
        .await
}

/// Declares the exchange by which members tell each other to step down.
pub(crate) async fn declare_turns(channel: &Channel) -> lapin::Result<()> {
    let kind = ExchangeKind::Direct;
    channel
        .exchange_declare(TURNS.into(), kind, durable(), FieldTable::default())
        .await
}

fn durable() -> ExchangeDeclareOptions {
    ExchangeDeclareOptions {
        durable: true,
        ..ExchangeDeclareOptions::default()
    }
}

/// Declares a queue that never deletes a message because it was delivered often (H30).
///
/// Of quorum queues RabbitMQ 4 deletes after twenty deliveries by default. The limit is not switched
/// off by -1, as RabbitMQ 4 has it, because 3.10 takes that as "delete at once", but set where
/// nothing comes. A queue that was declared otherwise stays as it is.
async fn declare_queue(
    link: &Link,
    queue: &ShortString,
    more: &[(&'static str, AMQPValue)],
) -> Result<()> {
    let mut arguments = FieldTable::default();
    let kind = match link.config().queues {
        Queues::Classic => "classic",
        Queues::Quorum => {
            arguments.insert("x-delivery-limit".into(), AMQPValue::LongLongInt(NEVER));
            "quorum"
        }
    };
    arguments.insert("x-queue-type".into(), AMQPValue::LongString(kind.into()));
    for (name, value) in more {
        arguments.insert((*name).into(), value.clone());
    }
    let passive = QueueDeclareOptions {
        passive: true,
        ..QueueDeclareOptions::default()
    };
    let durable = QueueDeclareOptions {
        durable: true,
        ..QueueDeclareOptions::default()
    };
    let ways = [(durable, arguments), (passive, FieldTable::default())];
    let mut refused = None;
    for (options, arguments) in ways {
        // A refused declaration ends its channel.
        let (channel, connection) = link.channel().await?;
        let declaring = channel.queue_declare(queue.clone(), options, arguments);
        match tokio::time::timeout(link.config().answer_timeout, declaring).await {
            Ok(Ok(_)) => return Ok(()),
            Ok(Err(error)) if is_inequivalent(&error) => refused = Some(error),
            Ok(Err(error)) => return Err(failed("declaring a queue", error)),
            Err(_) => {
                link.give_up(&connection).await;
                return Err(crate::error::too_late("declaring a queue"));
            }
        }
    }
    refused.map_or(Ok(()), |error| Err(failed("declaring a queue", error)))
}

/// More deliveries of one message than there will be.
const NEVER: i64 = 2_000_000_000;
