//! The overview: everything that runs, read at one moment.

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;
use std::time::Duration;

use ieum_base::Clock;
use ieum_discovery::{Registered, Registry, Status};
use ieum_eventstore::EventStore;
use ieum_messaging::Inspect;
use ieum_remote::wire::live::Part;
use ieum_remote::wire::overview::{About, Edge, InstanceCounts, Overview, SagaCounts, ServiceLoad};
use serde_json::Value;

use super::board::Board;
use super::map::ServiceMap;
use super::window::WINDOW;
use crate::errors::ApiError;
use crate::traces::Store;

/// Reads the overview. Clones read the same parts.
#[derive(Clone)]
pub(crate) struct Glance(Arc<Sources>);

/// The parts that are read.
pub(crate) struct Sources {
    /// Who answers.
    pub(crate) about: About,
    pub(crate) clock: Clock,
    /// The services as they were seen to work.
    pub(crate) map: ServiceMap,
    /// The services as they are registered.
    pub(crate) registry: Arc<dyn Registry>,
    /// The gateway's routes.
    pub(crate) routes: Arc<dyn Fn() -> Vec<Value> + Send + Sync>,
    /// The saga engine, if it is here.
    pub(crate) sagas: Option<ieum_saga::Handle>,
    /// The log.
    pub(crate) log: Arc<dyn EventStore>,
    /// Its topics.
    pub(crate) topics: Arc<dyn Inspect>,
    pub(crate) traces: Store,
    pub(crate) breakers: Board,
}

/// The overview, and what tells whether something has changed since.
pub(super) struct Look {
    pub(super) overview: Overview,
    pub(super) marks: Marks,
}

/// A number for each part; another one if the part has changed. Those that count go up by the number
/// of changes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Marks([u64; Part::ALL.len()]);

impl Marks {
    /// How often each part has changed from `before` to this, at least.
    pub(super) fn since(&self, before: &Self) -> impl Iterator<Item = (Part, u64)> {
        let pairs = self.0.into_iter().zip(before.0);
        let changed = Part::ALL.into_iter().zip(pairs);
        changed.filter_map(|(part, (now, before))| {
            let count = match part {
                Part::Traces | Part::Sagas | Part::Breakers => now.abs_diff(before),
                _ => u64::from(now != before),
            };
            (count > 0).then_some((part, count))
        })
    }
}

impl Glance {
    pub(crate) fn new(sources: Sources) -> Self {
        Self(Arc::new(sources))
    }

    /// The overview with at most `limit` services and edges: those with the most calls.
    pub(crate) async fn overview(&self, limit: usize) -> Result<Overview, ApiError> {
        Ok(self.look(limit).await?.overview)
    }

    pub(super) async fn look(&self, limit: usize) -> Result<Look, ApiError> {
        let sources = &*self.0;
        let (registered, services) = self.registered().await?;
        let groups = sources.topics.groups().await?;
        let head = sources.log.head().await?;
        let (mut topics, mut routes) = (DefaultHasher::new(), DefaultHasher::new());
        for group in &groups {
            (&group.topic, &group.group, group.checkpoint, group.lag).hash(&mut topics);
        }
        head.position.0.hash(&mut topics);
        for route in (sources.routes)() {
            route.to_string().hash(&mut routes);
        }
        let dead_letters = groups.iter().map(|group| group.dead_letters).sum();
        let (services_shown, edges) = self.map(registered, limit);
        let marks = Part::ALL.map(|part| match part {
            Part::Services => services,
            Part::Sagas => self.saga_changes(),
            Part::Traces => sources.traces.taken(),
            Part::Breakers => sources.breakers.changed(),
            Part::Topics => topics.finish(),
            Part::Routes => routes.finish(),
            Part::DeadLetters => dead_letters,
        });
        Ok(Look {
            overview: Overview {
                at: sources.clock.now(),
                platform: sources.about.clone(),
                window_seconds: WINDOW,
                services: services_shown,
                edges,
                sagas: self.saga_counts(),
                dead_letters,
                lag: groups.iter().map(|group| group.lag).sum(),
                breakers: sources.breakers.count(),
            },
            marks: Marks(marks),
        })
    }

    /// The registered services without figures, and a mark that changes with them.
    async fn registered(&self) -> Result<(BTreeMap<String, ServiceLoad>, u64), ApiError> {
        let registry = &self.0.registry;
        let (mut services, mut mark) = (BTreeMap::new(), DefaultHasher::new());
        for name in registry.services().await?.into_keys() {
            let snapshot = registry.watch(&name, 0, Duration::ZERO).await?;
            (&name, snapshot.index).hash(&mut mark);
            let service = ServiceLoad {
                owner: owner(&snapshot.instances),
                instances: instances(&snapshot.instances),
                name: name.clone(),
                ..ServiceLoad::default()
            };
            services.insert(name, service);
        }
        Ok((services, mark.finish()))
    }

    /// What is registered and what was seen, together.
    fn map(
        &self,
        mut services: BTreeMap<String, ServiceLoad>,
        limit: usize,
    ) -> (Vec<ServiceLoad>, Vec<Edge>) {
        let seen = self.0.map.see();
        for (name, totals) in &seen.services {
            place(&mut services, name).load = totals.load();
        }
        for (from, to, _) in &seen.edges {
            place(&mut services, from);
            place(&mut services, to);
        }
        let mut edges: Vec<_> = seen.edges.iter().collect();
        keep(&mut edges, limit, |(_, _, totals)| totals.calls);
        edges.sort_by(|a, b| (&a.0, &a.1).cmp(&(&b.0, &b.1)));
        let edges = edges.into_iter().map(|(from, to, totals)| Edge {
            from: from.to_string(),
            to: to.to_string(),
            load: totals.load(),
        });
        let mut services: Vec<_> = services.into_values().collect();
        keep(&mut services, limit, |service| busy(service.load.rate));
        services.sort_by(|a, b| a.name.cmp(&b.name));
        (services, edges.collect())
    }

    fn saga_counts(&self) -> SagaCounts {
        use ieum_saga::state::Status;
        let Some(engine) = &self.0.sagas else {
            return SagaCounts::default();
        };
        let since_start = engine.counts();
        SagaCounts {
            running: engine.count(Status::Running),
            compensating: engine.count(Status::Compensating),
            parked: engine.count(Status::Parked),
            completed: since_start.completed,
            compensated: since_start.compensated,
        }
    }

    /// Counts whatever moves a saga.
    fn saga_changes(&self) -> u64 {
        let counts = self.0.sagas.as_ref().map(ieum_saga::Handle::counts);
        counts.map_or(0, |counts| counts.named().iter().map(|(_, n)| n).sum())
    }
}

/// The place of the service called `name`, which may not be registered.
fn place<'a>(services: &'a mut BTreeMap<String, ServiceLoad>, name: &str) -> &'a mut ServiceLoad {
    let unregistered = || ServiceLoad {
        name: name.to_owned(),
        ..ServiceLoad::default()
    };
    services.entry(name.to_owned()).or_insert_with(unregistered)
}

/// Keeps the `limit` items with the largest key, in no order.
fn keep<T>(items: &mut Vec<T>, limit: usize, key: impl Fn(&T) -> u64) {
    if limit < items.len() {
        items.select_nth_unstable_by_key(limit, |item| std::cmp::Reverse(key(item)));
        items.truncate(limit);
    }
}

/// A rate as a key to sort by.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a rate is at least 0, and what is lost is below a call in the window"
)]
fn busy(rate: f64) -> u64 {
    (rate * 1_000.0) as u64
}

fn owner(instances: &[Registered]) -> Option<String> {
    let owner = |registered: &Registered| registered.instance.meta.get("owner").cloned();
    instances.iter().find_map(owner)
}

fn instances(instances: &[Registered]) -> InstanceCounts {
    let mut counts = InstanceCounts::default();
    for registered in instances {
        match registered.status() {
            Status::Passing => counts.passing += 1,
            Status::Warning => counts.warning += 1,
            Status::Critical => counts.critical += 1,
        }
    }
    counts
}
