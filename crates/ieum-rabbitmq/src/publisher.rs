//! Publishing to a topic's exchange, with publisher confirms.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use ieum_messaging::{Error, ErrorKind, Message, Result};
use lapin::options::{BasicPublishOptions, ConfirmSelectOptions};
use lapin::types::ShortString;
use lapin::{BasicProperties, Channel, Confirmation, Connection, PublisherConfirm};
use tokio::sync::{Mutex, MutexGuard};
use tokio::time::{Instant, timeout};

use crate::connection::Link;
use crate::error::{failed, too_late};
use crate::topology::declare_topic;
use crate::{binding, places};

/// Publishes to exchanges, each of which is declared at its first use. Clones and calls at once share
/// one channel.
///
/// An answer means that every queue that is bound has the message on disk. A batch is validated
/// before the first message leaves; if the broker fails in its midst, a part may be there, and
/// publishing it again adds that part again.
#[derive(Debug)]
pub struct Publisher {
    link: Arc<Link>,
    current: Mutex<Option<Open>>,
}

/// A channel in confirm mode.
#[derive(Clone, Debug)]
struct Open {
    channel: Channel,
    connection: Arc<Connection>,
    declared: Arc<Mutex<HashSet<ShortString>>>,
}

impl Publisher {
    pub(crate) fn new(link: Arc<Link>) -> Self {
        Self {
            link,
            current: Mutex::new(None),
        }
    }

    async fn open(&self) -> Result<Open> {
        let mut current = self.turn(&self.current).await?;
        if let Some(open) = current.as_ref().filter(|o| o.channel.status().connected()) {
            return Ok(open.clone());
        }
        *current = None;
        let (channel, connection) = self.link.channel().await?;
        let confirming = channel.confirm_select(ConfirmSelectOptions::default());
        answered(&self.link, &connection, "asking for confirms", confirming).await?;
        let open = Open {
            channel,
            connection,
            declared: Arc::default(),
        };
        Ok(current.insert(open).clone())
    }

    /// Waits no longer behind others than an answer may take: a broker that stands still lets them go
    /// one after the other.
    async fn turn<'m, T>(&self, shared: &'m Mutex<T>) -> Result<MutexGuard<'m, T>> {
        let locked = timeout(self.link.config().answer_timeout, shared.lock()).await;
        locked.map_err(|_| too_late("waiting for others who publish"))
    }

    async fn declare(&self, open: &Open, exchange: &ShortString) -> Result<()> {
        let mut declared = self.turn(&open.declared).await?;
        if declared.contains(exchange) {
            return Ok(());
        }
        let declaring = declare_topic(&open.channel, exchange);
        answered(&self.link, &open.connection, "declaring a topic", declaring).await?;
        if declared.len() < self.link.config().topics {
            declared.insert(exchange.clone());
        }
        Ok(())
    }
}

#[async_trait]
impl ieum_messaging::Publisher for Publisher {
    async fn publish(&self, topic: &str, messages: &[Message]) -> Result<()> {
        let exchange = places::exchange(topic)?;
        let limits = &self.link.config().limits;
        let written: Vec<_> = messages
            .iter()
            .map(|message| {
                message.validate(limits)?;
                binding::write(message)
            })
            .collect::<Result<_>>()?;
        if written.is_empty() {
            return Ok(());
        }
        self.deliver(&Place::Topic(exchange), written).await
    }
}

/// Where messages go.
#[derive(Clone, Debug)]
pub(crate) enum Place {
    /// To every queue of the exchange, which is made if it is missing.
    Topic(ShortString),
    /// To the queue, which must exist.
    Queue(ShortString),
}

impl Publisher {
    /// Hands messages over in order, and waits until all are confirmed.
    pub(crate) async fn deliver(
        &self,
        place: &Place,
        written: Vec<(BasicProperties, Vec<u8>)>,
    ) -> Result<()> {
        let open = self.open().await?;
        let delivered = self.deliver_over(&open, place, written).await;
        if matches!(&delivered, Err(error) if error.kind() == ErrorKind::Unavailable) {
            // Unanswered or lost: what is on its way must not pile up behind it.
            self.let_go(&open).await;
        }
        delivered
    }

    async fn deliver_over(
        &self,
        open: &Open,
        place: &Place,
        written: Vec<(BasicProperties, Vec<u8>)>,
    ) -> Result<()> {
        refuse_if_blocked(&open.connection)?;
        if let Place::Topic(exchange) = place {
            self.declare(open, exchange).await?;
        }
        let mut confirms = Vec::with_capacity(written.len());
        for (properties, body) in written {
            confirms.push(send(&open.channel, place, properties, &body).await?);
        }
        let limit = self.link.config().answer_timeout;
        confirmed(&open.connection, confirms, limit).await
    }

    /// Publishes no more over this channel, nor over its connection. Another one that somebody has
    /// opened since stays.
    async fn let_go(&self, open: &Open) {
        // Whoever holds it for long is opening another one.
        if let Ok(mut current) = self.turn(&self.current).await {
            current.take_if(|now| Arc::ptr_eq(&now.connection, &open.connection));
        }
        self.link.give_up(&open.connection).await;
    }
}

/// Hands one message over; its confirm is awaited by [`confirmed`].
async fn send(
    channel: &Channel,
    place: &Place,
    properties: BasicProperties,
    body: &[u8],
) -> Result<PublisherConfirm> {
    let (exchange, routing_key) = match place {
        Place::Topic(exchange) => (exchange.clone(), ShortString::default()),
        Place::Queue(queue) => (ShortString::default(), queue.clone()),
    };
    let options = BasicPublishOptions {
        // A topic may have no group yet; a queue that is missing is an error.
        mandatory: matches!(place, Place::Queue(_)),
        ..BasicPublishOptions::default()
    };
    let sent = channel.basic_publish(exchange, routing_key, options, body, properties);
    sent.await.map_err(|error| failed("publishing", error))
}

/// Waits until the broker has confirmed all of it. `Full` if it refused one, or takes nothing because
/// it has no memory or disk left; `Unavailable` if it does not answer within `limit`.
async fn confirmed(
    connection: &Connection,
    confirms: Vec<PublisherConfirm>,
    limit: Duration,
) -> Result<()> {
    let end = Instant::now() + limit;
    let mut refused = false;
    for mut confirm in confirms {
        let answer = loop {
            if let Ok(answer) = timeout(BLOCKED_CHECK, &mut confirm).await {
                break answer;
            }
            refuse_if_blocked(connection)?;
            if Instant::now() >= end {
                return Err(too_late("publishing"));
            }
        };
        let answer = answer.map_err(|error| failed("publishing", error))?;
        refused |= matches!(answer, Confirmation::Nack(_));
        if answer.take_message().is_some() {
            let doing = "publishing to a queue that somebody deleted";
            return Err(Error::new(ErrorKind::Unavailable, doing));
        }
    }
    if refused {
        return Err(Error::new(ErrorKind::Full, "publishing to a full queue"));
    }
    Ok(())
}

/// Refuses if the broker takes nothing at present: a memory or disk alarm.
fn refuse_if_blocked(connection: &Connection) -> Result<()> {
    if connection.status().blocked() {
        let doing = "RabbitMQ takes no messages until it has memory and disk again";
        return Err(Error::new(ErrorKind::Full, doing));
    }
    Ok(())
}

/// Awaits an answer of the broker within the limit; one that does not come ends the connection.
pub(crate) async fn answered<T>(
    link: &Link,
    connection: &Arc<Connection>,
    doing: &str,
    asked: impl Future<Output = lapin::Result<T>>,
) -> Result<T> {
    match timeout(link.config().answer_timeout, asked).await {
        Ok(answer) => answer.map_err(|error| failed(doing, error)),
        Err(_) => {
            link.give_up(connection).await;
            Err(too_late(doing))
        }
    }
}

/// How often a publish that waits looks whether the broker takes anything at all.
const BLOCKED_CHECK: Duration = Duration::from_millis(200);
