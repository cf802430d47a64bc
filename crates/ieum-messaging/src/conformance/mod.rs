//! The suites that every engine passes: what the ports promise, as cases.
//!
//! A case uses names of its own, so the cases may run against one long-lived server. A case that
//! fails says why; the caller asserts that [`Report::failed`] is empty and that [`Report::passed`]
//! holds every case, so that a suite that ran nothing cannot be green.

mod kit;
mod outbox;
mod topics;

pub use outbox::{Add, Outbox, names as outbox_names, run as run_outbox};
pub use topics::{Engine, names as topics_names, run as run_topics};

/// What a run of a suite found.
#[derive(Debug, Default)]
pub struct Report {
    /// The cases that held.
    pub passed: Vec<&'static str>,
    /// The cases that did not, and why.
    pub failed: Vec<(&'static str, String)>,
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::memory;

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
        assert_eq!(report.failed, []);
        assert_eq!(report.passed, topics_names());
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
        assert_eq!(report.failed, []);
        assert_eq!(report.passed, outbox_names());
    }
}
