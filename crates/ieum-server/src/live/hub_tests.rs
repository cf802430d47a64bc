//! The live stream and the overview on virtual time, over parts that count how often they are asked.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use ieum_base::testing::pass;
use ieum_base::{Clock, Stop, Tasks};
use ieum_discovery::{
    CheckId, Instance, InstanceId, Registration, Registry, Result, Snapshot, Status, memory,
};
use ieum_messaging::{DeadLetter, DeadLetterFilter, GroupState, Inspect, TopicState};
use ieum_remote::wire::overview::About;
use tokio::sync::mpsc;

use super::board::Board;
use super::glance::{Glance, Sources};
use super::hub::{Hub, MOST_LISTENERS, Refused};
use super::map::{MapLimits, ServiceMap};
use crate::traces::{Limits, LogLimits, Store};

/// A registry that counts what it is asked.
#[derive(Default)]
struct Counting {
    inner: memory::Registry,
    lists: AtomicUsize,
    watches: AtomicUsize,
}

#[async_trait]
impl Registry for Counting {
    async fn register(&self, registration: Registration) -> Result<()> {
        self.inner.register(registration).await
    }

    async fn deregister(&self, instance: &InstanceId) -> Result<()> {
        self.inner.deregister(instance).await
    }

    async fn report(&self, check: &CheckId, status: Status, output: &str) -> Result<()> {
        self.inner.report(check, status, output).await
    }

    async fn watch(&self, service: &str, after: u64, wait: Duration) -> Result<Snapshot> {
        self.watches.fetch_add(1, Ordering::Relaxed);
        self.inner.watch(service, after, wait).await
    }

    async fn services(&self) -> Result<BTreeMap<String, Vec<String>>> {
        self.lists.fetch_add(1, Ordering::Relaxed);
        self.inner.services().await
    }
}

/// Topics with one group that counts how often it is looked at: its lag.
#[derive(Default)]
struct Topics(AtomicUsize);

#[async_trait]
impl Inspect for Topics {
    async fn topics(&self) -> ieum_messaging::Result<Vec<TopicState>> {
        Ok(Vec::new())
    }

    async fn groups(&self) -> ieum_messaging::Result<Vec<GroupState>> {
        let looks = self.0.fetch_add(1, Ordering::Relaxed);
        Ok(vec![GroupState {
            topic: "order.events".to_owned(),
            group: "billing".to_owned(),
            member: None,
            epoch: ieum_messaging::Epoch(1),
            checkpoint: 1,
            lag: looks as u64,
            dead_letters: 3,
        }])
    }

    async fn dead_letters(
        &self,
        _: &DeadLetterFilter,
        _: usize,
    ) -> ieum_messaging::Result<Vec<DeadLetter>> {
        Ok(Vec::new())
    }
}

struct World {
    registry: Arc<Counting>,
    glance: Glance,
    hub: Hub,
    tasks: Tasks,
}

impl World {
    async fn new(services: usize) -> Self {
        let registry = Arc::new(Counting::default());
        for number in 0..services {
            let registration = registration(number);
            registry.register(registration).await.expect("registers");
        }
        let clock = Clock::system();
        let map = ServiceMap::new(clock.clone(), MapLimits::default());
        let glance = Glance::new(Sources {
            about: About::default(),
            clock: clock.clone(),
            map,
            registry: Arc::<Counting>::clone(&registry),
            routes: Arc::new(Vec::new),
            sagas: None,
            log: Arc::new(ieum_eventstore::memory::Store::new()),
            topics: Arc::new(Topics::default()),
            traces: Store::new(LIMITS),
            breakers: Board::new(clock.clone(), None),
        });
        let tasks = Tasks::new(Stop::new());
        let hub = Hub::start(glance.clone(), clock, &tasks);
        Self {
            registry,
            glance,
            hub,
            tasks,
        }
    }

    fn listen(&self) -> mpsc::Receiver<Bytes> {
        self.hub.listen().expect("a place")
    }

    fn looks(&self) -> usize {
        self.registry.lists.load(Ordering::Relaxed)
    }
}

fn registration(number: usize) -> Registration {
    Registration {
        instance: Instance {
            id: InstanceId(format!("service-{number}-1")),
            service: format!("service-{number}"),
            address: "10.0.0.1".to_owned(),
            port: 80,
            tags: Vec::new(),
            meta: BTreeMap::new(),
            weight: 1,
        },
        checks: Vec::new(),
    }
}

/// What has come for a listener.
fn heard(listener: &mut mpsc::Receiver<Bytes>) -> String {
    let mut text = Vec::new();
    while let Ok(event) = listener.try_recv() {
        text.extend_from_slice(&event);
    }
    String::from_utf8(text).expect("text")
}

const LIMITS: Limits = Limits {
    traces: 10,
    bytes: 1 << 20,
    spans: 10,
    logs: LogLimits {
        lines: 10,
        bytes: 1 << 20,
        of_trace: 10,
    },
};

const SECOND: Duration = Duration::from_secs(1);

#[tokio::test(start_paused = true)]
async fn nothing_is_computed_without_a_listener() {
    let world = World::new(1).await;
    pass(SECOND * 60).await;
    assert_eq!(world.looks(), 0);
    let listener = world.listen();
    pass(SECOND * 10).await;
    let looks = world.looks();
    assert!(looks > 0);
    drop(listener);
    pass(SECOND * 60).await;
    assert!(
        world.looks() <= looks + 1,
        "{} after {looks}",
        world.looks()
    );
}

#[tokio::test(start_paused = true)]
async fn one_look_a_second_is_enough_for_all_listeners() {
    let world = World::new(1).await;
    let mut listeners: Vec<_> = (0..MOST_LISTENERS).map(|_| world.listen()).collect();
    assert_eq!(world.hub.listen().err(), Some(Refused::Full));
    for _ in 0..10 {
        pass(SECOND).await;
        for listener in &mut listeners {
            assert_eq!(heard(listener).matches("event: overview").count(), 1);
        }
    }
    assert!(world.looks() <= 11, "{}", world.looks());
    drop(listeners);
    assert!(world.hub.listen().is_ok());
}

#[tokio::test(start_paused = true)]
async fn who_does_not_keep_up_is_dropped_and_the_others_are_not() {
    let world = World::new(1).await;
    let (mut slow, mut good) = (world.listen(), world.listen());
    for _ in 0..20 {
        pass(SECOND).await;
        assert!(heard(&mut good).contains("event: overview"));
    }
    let mut waiting = 0;
    while slow.recv().await.is_some() {
        waiting += 1;
    }
    assert!(waiting < 6, "{waiting} events were kept for it");
}

#[tokio::test(start_paused = true)]
async fn what_has_changed_is_told_and_what_has_not_is_not() {
    let world = World::new(1).await;
    let mut listener = world.listen();
    pass(SECOND * 2).await;
    heard(&mut listener);
    world
        .registry
        .register(registration(7))
        .await
        .expect("registers");
    pass(SECOND).await;
    let told = heard(&mut listener);
    assert!(told.contains(r#"{"what":"services","count":1}"#), "{told}");
    assert!(told.contains(r#"{"what":"topics","count":1}"#), "{told}");
    for part in ["dead-letters", "routes", "traces", "sagas", "breakers"] {
        let changed = format!(r#"{{"what":"{part}""#);
        assert!(!told.contains(&changed), "{part}: {told}");
    }
}

#[tokio::test(start_paused = true)]
async fn listeners_are_told_the_end_at_the_stop_and_nobody_is_let_in_after() {
    let world = World::new(1).await;
    let mut listener = world.listen();
    pass(SECOND).await;
    world.tasks.stop().request();
    pass(Duration::from_millis(1)).await;
    heard(&mut listener);
    assert!(listener.is_closed());
    assert_eq!(world.hub.listen().err(), Some(Refused::Stopping));
}

#[tokio::test(start_paused = true)]
async fn an_overview_asks_each_part_once_however_much_there_is() {
    let world = World::new(200).await;
    let overview = world.glance.overview(1_000).await.expect("answers");
    assert_eq!(overview.services.len(), 200);
    assert_eq!((overview.lag, overview.dead_letters), (0, 3));
    let again = world.glance.overview(10).await.expect("answers");
    assert_eq!((again.services.len(), again.lag), (10, 1));
    assert_eq!(world.looks(), 2);
    assert_eq!(world.registry.watches.load(Ordering::Relaxed), 400);
}
