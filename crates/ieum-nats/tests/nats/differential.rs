//! Random work for a group, on JetStream and in memory: what one answers, the other does.
//!
//! The broker in memory is the oracle. Both have the same places, because what is published again takes
//! none. A seed replays a run.

use std::sync::Arc;
use std::time::Duration;

use ieum_base::Rng;
use ieum_messaging::{
    DeadLetterFilter, Delivery, Epoch, Groups, Inspect, Publisher, Result, memory,
};

use crate::server::{engine, message, shared};

const GROUP: &str = "readers";
const SEEDS: u64 = 40;
const STEPS: usize = 60;

/// One of the two engines.
struct Side {
    publisher: Arc<dyn Publisher>,
    groups: Arc<dyn Groups>,
    inspect: Arc<dyn Inspect>,
    topic: String,
    /// The terms that were begun, in order.
    terms: Vec<Epoch>,
}

/// What is done on both sides.
#[derive(Clone, Debug)]
enum Step {
    Publish(Vec<(u32, usize)>),
    Join,
    JoinAsAnother,
    Pull {
        after: Option<u64>,
        max: usize,
        term: usize,
    },
    Ack {
        up_to: u64,
        term: usize,
    },
    GiveUp {
        position: u64,
        term: usize,
    },
    Letters,
}

#[tokio::test(flavor = "multi_thread")]
async fn random_work_is_answered_as_in_memory() {
    let nats = engine(shared(), "/random").await;
    for seed in 0..SEEDS {
        let rng = Rng::seeded(seed);
        let topic = format!("things{seed}");
        let broker = Arc::new(memory::Broker::default());
        let mut oracle = Side {
            publisher: Arc::clone(&broker) as _,
            groups: Arc::clone(&broker) as _,
            inspect: broker,
            topic: topic.clone(),
            terms: Vec::new(),
        };
        let mut ours = Side {
            publisher: Arc::new(nats.publisher()),
            groups: Arc::new(nats.groups()),
            inspect: Arc::new(nats.inspect()),
            topic,
            terms: Vec::new(),
        };
        let mut history = Vec::new();
        for at in 0..STEPS {
            let step = draw(&rng, at, oracle.terms.len());
            history.push(step.clone());
            let wanted = oracle.run(&step).await;
            let found = ours.run(&step).await;
            assert_eq!(found, wanted, "seed {seed}, after {history:#?}");
        }
    }
}

fn draw(rng: &Rng, at: usize, terms: usize) -> Step {
    let highest = 40;
    // Mostly the present term, sometimes one that is over.
    let term = if rng.below(8) == 0 {
        rng.below(terms.max(1))
    } else {
        terms.saturating_sub(1)
    };
    let position = rng.below(highest) as u64;
    match rng.below(20) {
        0..=4 => {
            let batch = (0..1 + rng.below(4)).map(|_| (rng.below(60) as u32, 0));
            // The key belongs to the id: what is published again is the same message.
            Step::Publish(batch.map(|(id, _)| (id, id as usize % 4)).collect())
        }
        5..=6 => Step::Join,
        _ if at < 3 => Step::Join,
        7 => Step::JoinAsAnother,
        8..=12 => Step::Pull {
            after: (rng.below(3) == 0).then_some(position),
            max: 1 + rng.below(9),
            term,
        },
        13..=15 => Step::Ack {
            up_to: position,
            term,
        },
        16..=17 => Step::GiveUp {
            position: position.max(1),
            term,
        },
        _ => Step::Letters,
    }
}

impl Side {
    /// Does it, and tells what was answered.
    async fn run(&mut self, step: &Step) -> String {
        let topic = self.topic.clone();
        match step {
            Step::Publish(batch) => {
                let batch = batch
                    .iter()
                    .map(|(id, key)| message(&id.to_string(), &key.to_string()));
                let batch: Vec<_> = batch.collect();
                shown(self.publisher.publish(&topic, &batch).await)
            }
            Step::Join => {
                let joined = self.groups.join(&topic, GROUP, "one").await;
                shown(joined.map(|term| self.terms.push(term)))
            }
            Step::JoinAsAnother => shown(
                self.groups
                    .join(&topic, GROUP, "two")
                    .await
                    .map(|term| self.terms.push(term)),
            ),
            Step::Pull { after, max, term } => {
                let (term, now) = (self.term(*term), Duration::ZERO);
                let pulled = match after {
                    Some(after) => {
                        self.groups
                            .pull_after(&topic, GROUP, term, *after, *max, now)
                            .await
                    }
                    None => self.groups.pull(&topic, GROUP, term, *max, now).await,
                };
                shown(pulled.map(|pulled| places(&pulled)))
            }
            Step::Ack { up_to, term } => shown(
                self.groups
                    .ack(&topic, GROUP, self.term(*term), *up_to)
                    .await,
            ),
            Step::GiveUp { position, term } => {
                let term = self.term(*term);
                shown(
                    self.groups
                        .dead_letter(&topic, GROUP, term, *position, "no")
                        .await,
                )
            }
            Step::Letters => self.letters().await,
        }
    }

    fn term(&self, at: usize) -> Epoch {
        self.terms.get(at).copied().unwrap_or(Epoch(0))
    }

    async fn letters(&self) -> String {
        let filter = DeadLetterFilter {
            topic: Some(self.topic.clone()),
            group: Some(GROUP.to_owned()),
        };
        let letters = self.inspect.dead_letters(&filter, 1_000).await;
        let letters = letters.map(|letters| {
            let letters = letters.into_iter();
            letters
                .map(|l| (l.position, l.message.id, l.key, l.reason))
                .collect::<Vec<_>>()
        });
        shown(letters)
    }
}

fn places(deliveries: &[Delivery]) -> Vec<(u64, String)> {
    let places = deliveries.iter();
    places.map(|d| (d.position, d.message.id.clone())).collect()
}

fn shown<T: std::fmt::Debug>(answer: Result<T>) -> String {
    match answer {
        Ok(answer) => format!("{answer:?}"),
        Err(error) => format!("{:?}", error.kind()),
    }
}
