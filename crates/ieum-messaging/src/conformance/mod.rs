//! The suites that every engine passes: what the ports promise, as cases.
//!
//! A case uses names of its own, so the cases may run against one long-lived server. A case that
//! fails says why; the caller asserts that [`Report::failed`] is empty and that [`Report::passed`]
//! holds every case but those that it expects in [`Report::skipped`], so that a suite that ran
//! nothing cannot be green.

mod broker;
mod kit;
mod outbox;
mod topics;

pub use broker::{
    BrokerUnderTest, Connect, Connection, ListDeadLetters, Outage, names as broker_names,
    run as run_broker,
};
pub use outbox::{Add, Outbox, names as outbox_names, run as run_outbox};
pub use topics::{Engine, names as topics_names, run as run_topics};

/// What a run of a suite found.
#[derive(Debug, Default)]
pub struct Report {
    /// The cases that held.
    pub passed: Vec<&'static str>,
    /// The cases that did not, and why.
    pub failed: Vec<(&'static str, String)>,
    /// The cases that were left out, and why.
    pub skipped: Vec<(&'static str, String)>,
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use ieum_testkit::conformance::record;

    use super::*;
    use crate::{DeadLetterFilter, DeadLetterReason, Inspect, memory};

    #[tokio::test(start_paused = true)]
    async fn the_broker_in_memory_keeps_its_promises() {
        let report = run_topics(async || {
            let broker = Arc::new(memory::Broker::default());
            Engine {
                publisher: Arc::clone(&broker) as _,
                groups: Arc::clone(&broker) as _,
                subscriber: Arc::clone(&broker) as _,
                inspect: broker,
            }
        });
        let report = report.await;
        record("topics", "memory", &report.passed, &report.failed, &[]);
        assert_eq!(report.failed, []);
        assert_eq!(report.passed, topics_names());
    }

    #[tokio::test(start_paused = true)]
    async fn the_broker_in_memory_keeps_the_promises_of_brokers() {
        let broker = memory::Broker::default();
        let letters = broker.clone();
        let engine = BrokerUnderTest::new(
            move || {
                let broker = Arc::new(broker.clone());
                let connection = Connection {
                    broker: crate::Broker {
                        publisher: Arc::clone(&broker) as _,
                        subscriber: broker,
                        capabilities: memory::CAPABILITIES,
                    },
                    process: Box::new(()),
                };
                Box::pin(async { connection })
            },
            move |topic, group| {
                let broker = letters.clone();
                Box::pin(async move { dead_letters(&broker, topic, group).await })
            },
        );
        let report = run_broker(engine).await;
        record(
            "broker",
            "memory",
            &report.passed,
            &report.failed,
            &report.skipped,
        );
        assert_eq!(report.failed, []);
        let skipped: Vec<&str> = report.skipped.iter().map(|(case, _)| *case).collect();
        let outages = broker_names().into_iter();
        let outages: Vec<&str> = outages.filter(|name| name.contains("outage")).collect();
        assert_eq!(skipped, outages);
        assert_eq!(report.passed.len() + skipped.len(), broker_names().len());
    }

    #[tokio::test(start_paused = true)]
    async fn the_outbox_in_memory_keeps_its_promises() {
        let report = run_outbox(async || {
            let outbox = Arc::new(memory::Outbox::default());
            let adding = Arc::clone(&outbox);
            Outbox {
                store: outbox,
                add: Box::new(move |topic, message| {
                    adding.add(topic, message);
                    Box::pin(async {})
                }),
            }
        });
        let report = report.await;
        record("outbox", "memory", &report.passed, &report.failed, &[]);
        assert_eq!(report.failed, []);
        assert_eq!(report.passed, outbox_names());
    }

    async fn dead_letters(
        broker: &memory::Broker,
        topic: String,
        group: String,
    ) -> Vec<(String, String)> {
        let filter = DeadLetterFilter {
            topic: Some(topic),
            group: Some(group),
        };
        let letters = broker.dead_letters(&filter, 100).await.expect("a list");
        let letters = letters.into_iter().map(|letter| {
            let why = match letter.reason {
                DeadLetterReason::GaveUp(why) => why,
                DeadLetterReason::Behind(position) => format!("waits behind {position}"),
            };
            (letter.message.id, why)
        });
        letters.collect()
    }
}
