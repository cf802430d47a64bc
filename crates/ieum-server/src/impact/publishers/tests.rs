//! Publishers as the messages of a log in memory tell them.

use ieum_messaging::{Message, Publisher};
use ieum_sql::sqlite::{Config, Location, Log, topics};

use super::*;

struct Case {
    topics: topics::Topics,
    publishers: Publishers,
}

impl Case {
    fn new(most: u64) -> Self {
        let log = Log::open(Location::Memory, Config::default()).expect("in memory");
        let topics = topics::Topics::new(log.clone(), topics::Config::default());
        let inspect = Arc::new(topics.clone());
        Self {
            topics,
            publishers: Publishers::new(Arc::new(log), inspect, most),
        }
    }

    async fn publish(&self, topic: &str, kind: &str, source: &str) {
        let id = ieum_base::Clock::system().new_id().to_string();
        let message = Message::new(source, id, kind, &()).expect("a message");
        let published = self.topics.publish(topic, &[message]).await;
        published.expect("published");
    }

    /// Type and source of everything that is known, and whether that is all.
    async fn look(&self) -> (Vec<(String, String)>, Seen) {
        let look = self
            .publishers
            .look()
            .await
            .unwrap_or_else(|_| panic!("a look"));
        let told = look.told.into_iter().map(|told| (told.kind, told.source));
        (told.collect(), look.seen)
    }
}

fn pair(kind: &str, source: &str) -> (String, String) {
    (kind.to_owned(), source.to_owned())
}

#[tokio::test]
async fn what_was_published_since_the_last_look_is_learned() {
    let case = Case::new(1_000);
    let (told, seen) = case.look().await;
    assert!(told.is_empty() && seen.complete);
    case.publish("order.events", "order.placed", "/orders")
        .await;
    let (told, seen) = case.look().await;
    assert_eq!(told, [pair("order.placed", "/orders")]);
    assert!(seen.complete);
    case.publish("user.events", "user.created", "/users").await;
    let (told, after) = case.look().await;
    assert_eq!(told.len(), 2);
    assert!(after.complete && after.up_to > seen.up_to);
}

#[tokio::test]
async fn a_partial_look_says_where_it_began() {
    let case = Case::new(3);
    case.publish("order.events", "order.placed", "/orders")
        .await;
    for _ in 0..5 {
        case.publish("user.events", "user.created", "/users").await;
    }
    let (told, seen) = case.look().await;
    assert_eq!(told, [pair("user.created", "/users")]);
    assert!(!seen.complete);
    assert_eq!(seen.up_to.0 - seen.after.0, 3);
}
