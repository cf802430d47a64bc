//! Random histories of a group, on Redis and on the broker in memory: each answer must be the same.

use std::collections::HashMap;
use std::time::Duration;

use ieum_base::Rng;
use ieum_messaging::{Delivery, Epoch, ErrorKind, Groups as _, Message, Publisher as _, memory};
use ieum_redis::{Groups, Publisher};
use serde_json::json;

use super::server::{calm, connect};

const TOPIC: &str = "things";
const GROUP: &str = "readers";

/// Both engines, and where each has its messages.
struct Pair {
    redis: (Publisher, Groups),
    memory: memory::Broker,
    /// By message id: its position on Redis, and in memory.
    places: HashMap<String, (u64, u64)>,
    epochs: (Epoch, Epoch),
    topic: String,
    source: String,
    published: u32,
}

/// What an engine answered, in words that both use.
type Said = Result<Vec<String>, ErrorKind>;

fn said(answer: &ieum_messaging::Result<Vec<Delivery>>) -> Said {
    match answer {
        Ok(found) => Ok(found.iter().map(|d| d.message.id.clone()).collect()),
        Err(error) => Err(error.kind()),
    }
}

fn done(answer: &ieum_messaging::Result<()>) -> Result<(), ErrorKind> {
    answer
        .as_ref()
        .copied()
        .map_err(ieum_messaging::Error::kind)
}

impl Pair {
    async fn publish(&mut self, rng: &Rng) {
        let count = 1 + rng.below(3);
        let mut batch = Vec::new();
        for _ in 0..count {
            // One in five is published again.
            let again = self.published > 0 && rng.below(5) == 0;
            let n = match again {
                true => u32::try_from(rng.below(self.published as usize)).expect("small"),
                false => {
                    self.published += 1;
                    self.published - 1
                }
            };
            let message = Message::new(&*self.source, n.to_string(), "it", &json!(n));
            batch.push(message.expect("a message").with_key(format!("k{}", n % 4)));
        }
        let redis = self.redis.0.publish(&self.topic, &batch).await;
        let memory = self.memory.publish(TOPIC, &batch).await;
        assert_eq!(done(&redis), done(&memory));
    }

    async fn pull(&mut self, after: (u64, u64), max: usize) -> Said {
        let (a, b) = self.epochs;
        let (zero, (redis, memory)) = (Duration::ZERO, after);
        let redis = self
            .redis
            .1
            .pull_after(&self.topic, GROUP, a, redis, max, zero);
        let memory = self.memory.pull_after(TOPIC, GROUP, b, memory, max, zero);
        let (redis, memory) = (redis.await, memory.await);
        assert_eq!(said(&redis), said(&memory));
        let found = said(&redis);
        for (a, b) in redis
            .into_iter()
            .flatten()
            .zip(memory.into_iter().flatten())
        {
            self.places.insert(a.message.id, (a.position, b.position));
        }
        found
    }

    async fn settle(&mut self, id: &str, gives_up: bool) {
        let ((a, b), (at, place)) = (self.epochs, self.places[id]);
        let (groups, topic) = (&self.redis.1, &*self.topic);
        let answers = match gives_up {
            true => (
                groups.dead_letter(topic, GROUP, a, at, "no").await,
                self.memory.dead_letter(TOPIC, GROUP, b, place, "no").await,
            ),
            false => (
                groups.ack(topic, GROUP, a, at).await,
                self.memory.ack(TOPIC, GROUP, b, place).await,
            ),
        };
        assert_eq!(
            done(&answers.0),
            done(&answers.1),
            "{id}, gives up: {gives_up}"
        );
    }

    async fn join(&mut self) {
        let redis = self.redis.1.join(&self.topic, GROUP, "one").await;
        let memory = self.memory.join(TOPIC, GROUP, "one").await;
        self.epochs = (redis.expect("joined"), memory.expect("joined"));
    }

    async fn step(&mut self, rng: &Rng, before: (Epoch, Epoch)) {
        let mut ids: Vec<String> = self.places.keys().cloned().collect();
        ids.sort_by_key(|id| self.places[id]);
        let any = (!ids.is_empty()).then(|| ids[rng.below(ids.len())].clone());
        match (rng.below(10), any) {
            (0..=2, _) | (_, None) => {
                self.publish(rng).await;
                let _ = self.pull((0, 0), 1 + rng.below(5)).await;
            }
            (3..=4, _) => drop(self.pull((0, 0), 1 + rng.below(6)).await),
            (5, Some(id)) => {
                let after = self.places[&id];
                let _ = self.pull(after, 1 + rng.below(6)).await;
            }
            (6..=7, Some(id)) => self.settle(&id, false).await,
            (8, Some(id)) => self.settle(&id, true).await,
            (_, Some(id)) => {
                // A zombie: whatever it says is refused, and changes nothing.
                let now = std::mem::replace(&mut self.epochs, before);
                if now != before {
                    assert_eq!(self.pull((0, 0), 3).await, Err(ErrorKind::Superseded));
                    self.settle(&id, rng.below(2) == 0).await;
                }
                self.epochs = now;
                self.join().await;
            }
        }
    }
}

#[tokio::test]
async fn random_histories_are_answered_as_in_memory() {
    let (connection, tasks) = connect(&calm()).await;
    for seed in 0..25 {
        let rng = Rng::seeded(seed);
        let mut pair = Pair {
            redis: (
                Publisher::new(connection.clone()),
                Groups::new(connection.clone()),
            ),
            memory: memory::Broker::default(),
            places: HashMap::new(),
            epochs: (Epoch(0), Epoch(0)),
            topic: format!("differential.{seed}"),
            source: format!("/differential/{seed}"),
            published: 0,
        };
        pair.join().await;
        let before = pair.epochs;
        for _ in 0..120 {
            pair.step(&rng, before).await;
        }
        // To the end: nothing is left over on one side alone.
        while let Ok(page) = pair.pull((0, 0), 50).await
            && let Some(last) = page.last()
        {
            pair.settle(last, false).await;
        }
    }
    tasks.stop().request();
}
