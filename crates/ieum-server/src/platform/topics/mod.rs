//! Topics on a broker: the platform publishes there, and copies what it needs into its own log.
//!
//! Without `topics.url` topics are in the log, and nothing of this runs.

mod connect;
pub(super) mod mirror;

use std::collections::BTreeSet;
use std::sync::Arc;

use ieum_base::{Clock, EngineUrl, Rng, TaskKind, Tasks};
use ieum_messaging::Broker;

pub(super) use self::connect::connect;
use self::mirror::{Mirror, Status};
use super::storage::Storage;

/// The broker that carries the topics.
pub(super) struct OnBroker {
    broker: Broker,
    place: String,
}

impl OnBroker {
    fn new(broker: Broker, url: &EngineUrl) -> Self {
        Self {
            broker,
            place: url.to_string(),
        }
    }

    /// Where messages are published.
    pub(super) fn publisher(&self) -> Arc<dyn ieum_messaging::Publisher> {
        Arc::clone(&self.broker.publisher)
    }

    /// Where it is, for people.
    pub(super) fn place(&self) -> String {
        format!("{} at {}", self.broker.capabilities.engine, self.place)
    }

    /// What it does not promise, a sentence each.
    pub(super) fn caveats(&self) -> Vec<String> {
        let caveats = self.broker.capabilities.caveats.iter();
        caveats.map(|&caveat| caveat.to_owned()).collect()
    }

    /// Copies `always` and the topics that start sagas into the log, until the stop of `tasks`.
    pub(super) fn mirror(
        &self,
        storage: &Storage,
        always: &[String],
        sagas: Option<ieum_saga::Handle>,
        member: &str,
        clock: &Clock,
        tasks: &Tasks,
    ) -> Status {
        let mirror = Mirror {
            from: Arc::clone(&self.broker.subscriber),
            to: Arc::clone(&storage.topics.publisher),
            member: member.to_owned(),
            clock: clock.clone(),
            rng: Rng::system(),
            status: Status::default(),
        };
        let status = mirror.status.clone();
        let always: BTreeSet<String> = always.iter().cloned().collect();
        let wanted = move || {
            let triggers = sagas.as_ref().map(triggers).unwrap_or_default();
            always.union(&triggers).cloned().collect()
        };
        let run = mirror.run(wanted, tasks.clone());
        tasks.spawn(TaskKind::Essential, "topic-mirror", run);
        status
    }
}

/// The topics that start sagas at present.
fn triggers(sagas: &ieum_saga::Handle) -> BTreeSet<String> {
    let definitions = sagas.definitions().into_iter();
    let topics = definitions.filter_map(|summary| Some(summary.definition.on?.topic));
    topics.collect()
}
