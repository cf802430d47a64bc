//! What the cases of the suite are made of: an engine, names of their own, members.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use super::super::kit::{Failure, Verdict, message, unique};
use super::{BrokerUnderTest, Connection, Running};
use crate::{Capabilities, Delivery, Message, Subscription};

/// A case, and what an engine must be able to do for it.
pub(super) struct Case {
    pub(super) name: &'static str,
    pub(super) need: Need,
    pub(super) run: fn(Room) -> Running,
}

/// What a case asks of an engine beyond the floor of the ports.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Need {
    Nothing,
    Deduplicates,
    RetainsHistory,
    ParksKeys,
    LooksAhead,
    Outage,
}

macro_rules! broker_cases {
    ($($need:ident: $name:ident),+ $(,)?) => {
        pub(super) const CASES: &[super::room::Case] = &[$(super::room::Case {
            name: stringify!($name),
            need: super::room::Need::$need,
            run: |room| Box::pin($name(room)),
        }),+];
    };
}

pub(super) use broker_cases;

/// An engine, and names that no other case uses.
pub(super) struct Room {
    pub(super) engine: Arc<BrokerUnderTest>,
    pub(super) capabilities: Capabilities,
    pub(super) topic: String,
    pub(super) source: String,
    /// The process that publishes.
    pub(super) publisher: Connection,
}

/// A member of a group: a process with a connection of its own.
pub(super) struct Member {
    pub(super) subscription: Box<dyn Subscription>,
    pub(super) _connection: Connection,
}

pub(super) const GROUP: &str = "readers";
pub(super) const ONE: &str = "reader-1";
pub(super) const TWO: &str = "reader-2";

/// How long a case waits for messages that are there.
const PATIENCE: Duration = Duration::from_secs(60);
/// Between two looks at what has come so far.
const PAUSE: Duration = Duration::from_millis(10);

impl Room {
    pub(super) async fn new(engine: Arc<BrokerUnderTest>, capabilities: Capabilities) -> Self {
        let publisher = (engine.connect)().await;
        Self {
            engine,
            capabilities,
            topic: unique("things."),
            source: unique("/things/"),
            publisher,
        }
    }

    /// Publishes one message per key, numbered from `first`.
    pub(super) async fn publish(&self, first: u32, keys: &[&str]) -> Verdict {
        let numbered = (first..).zip(keys);
        let messages = numbered.map(|(n, key)| message(&self.source, n, key));
        self.publish_all(&messages.collect::<Result<Vec<_>, _>>()?)
            .await
    }

    pub(super) async fn publish_all(&self, messages: &[Message]) -> Verdict {
        let publisher = &self.publisher.broker.publisher;
        Ok(publisher.publish(&self.topic, messages).await?)
    }

    /// A new process that is subscribed as `member` of the group.
    pub(super) async fn member(&self, member: &str) -> Result<Member, Failure> {
        self.member_of(&self.topic, GROUP, member).await
    }

    pub(super) async fn member_of(
        &self,
        topic: &str,
        group: &str,
        member: &str,
    ) -> Result<Member, Failure> {
        let connection = (self.engine.connect)().await;
        let subscriber = &connection.broker.subscriber;
        let subscription = subscriber.subscribe(topic, group, member).await?;
        Ok(Member {
            subscription,
            _connection: connection,
        })
    }

    /// The dead letters of the group: id of the message, and the reason.
    pub(super) async fn dead_letters(&self) -> Vec<(String, String)> {
        (self.engine.dead_letters)(self.topic.clone(), GROUP.to_owned()).await
    }

    /// Breaks all connections.
    pub(super) async fn outage(&self) -> Verdict {
        let outage = self.engine.outage.as_ref();
        let outage = outage.ok_or_else(|| Failure("there is no outage".to_owned()))?;
        outage().await;
        Ok(())
    }
}

impl Member {
    /// The first `count` messages that are not acknowledged, when that many have come.
    pub(super) async fn read(&mut self, count: usize) -> Result<Vec<Delivery>, Failure> {
        let mut found = Vec::new();
        let reading = async {
            loop {
                found = self.subscription.next(count).await?;
                if found.len() >= count {
                    return Ok(());
                }
                turn().await;
            }
        };
        let read: Option<Verdict> = tokio::time::timeout(PATIENCE, reading).await.ok();
        let Some(read) = read else {
            let why = format!("not {count} within {PATIENCE:?}, but {:?}", ids(&found));
            return Err(Failure(why));
        };
        read.map(|()| found)
    }

    /// The ids of the first `count` messages that are not acknowledged, by key.
    pub(super) async fn read_by_key(&mut self, count: usize) -> Result<ByKey, Failure> {
        Ok(by_key(&self.read(count).await?))
    }

    /// All ids up to the message `last`, acknowledged page by page.
    pub(super) async fn read_to(&mut self, last: &str) -> Result<Vec<String>, Failure> {
        let mut seen = Vec::new();
        while seen.last().is_none_or(|id| id != last) {
            // At least one, and what else is there.
            self.read(1).await?;
            let page = self.subscription.next(64).await?;
            let end = page.iter().position(|d| d.message.id == last);
            let page = &page[..end.map_or(page.len(), |end| end + 1)];
            self.ack(page, page.len().saturating_sub(1)).await?;
            seen.extend(ids(page));
        }
        Ok(seen)
    }

    /// Acknowledges the delivery at `index`, and all before it.
    pub(super) async fn ack(&mut self, deliveries: &[Delivery], index: usize) -> Verdict {
        Ok(self.subscription.ack(at(deliveries, index)?).await?)
    }

    /// Gives up on the delivery at `index`.
    pub(super) async fn give_up(&mut self, deliveries: &[Delivery], index: usize) -> Verdict {
        let delivery = at(deliveries, index)?;
        Ok(self.subscription.dead_letter(delivery, REASON).await?)
    }

    /// Fails the case if a message comes within `wait`. A standby may be told that it is one.
    pub(super) async fn gets_nothing(&mut self, wait: Duration) -> Verdict {
        let next = tokio::time::timeout(wait, self.subscription.next(10)).await;
        match next {
            Err(_) => Ok(()),
            Ok(Err(error)) if error.kind() == crate::ErrorKind::Busy => Ok(()),
            Ok(Ok(none)) if none.is_empty() => Ok(()),
            Ok(Ok(some)) => Err(Failure(format!("it got {:?}", ids(&some)))),
            Ok(Err(error)) => Err(error.into()),
        }
    }
}

/// Lets a moment pass before the engine is asked again whether a condition holds.
pub(super) async fn turn() {
    let next = tokio::time::Instant::now() + PAUSE;
    tokio::time::interval_at(next, PAUSE).tick().await;
}

/// Why the cases give up on a message. It has letters that a header cannot carry as they are.
pub(super) const REASON: &str = "no such order: \u{201c}이음\u{201d}\nsecond line";

/// Ids by key, each in their order.
pub(super) type ByKey = BTreeMap<String, Vec<String>>;

pub(super) fn by_key(deliveries: &[Delivery]) -> ByKey {
    let mut found = ByKey::new();
    for delivery in deliveries {
        let key = delivery.message.ordering_key().to_owned();
        let ids = found.entry(key).or_default();
        ids.push(delivery.message.id.clone());
    }
    found
}

/// What is wanted of each key.
pub(super) fn keyed<const N: usize>(wanted: [(&str, &[u32]); N]) -> ByKey {
    let wanted = wanted.into_iter();
    wanted
        .map(|(key, ids)| (key.to_owned(), numbers(ids.iter().copied())))
        .collect()
}

pub(super) fn ids(deliveries: &[Delivery]) -> Vec<String> {
    deliveries.iter().map(|d| d.message.id.clone()).collect()
}

pub(super) fn numbers(wanted: impl IntoIterator<Item = u32>) -> Vec<String> {
    wanted.into_iter().map(|n| n.to_string()).collect()
}

pub(super) fn at(deliveries: &[Delivery], index: usize) -> Result<&Delivery, Failure> {
    let missing = || Failure(format!("no delivery at {index} of {}", deliveries.len()));
    deliveries.get(index).ok_or_else(missing)
}
