//! Ten minutes without a registry, on virtual time: callers go on with what was last known.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use ieum_base::testing::pass;
use ieum_base::{Rng, Stop, Tasks};
use tokio::sync::watch;

use crate::balance::Policy;
use crate::{
    CheckId, Config, Error, ErrorKind, Instance, InstanceId, Outcome, Recall, Registration,
    Registry, Resolver, Result, Service, Snapshot, Status, memory, recall,
};

/// A platform that can be killed, and started again with or without its memory.
struct Platform {
    /// `None` while it is away.
    running: watch::Sender<Option<Arc<memory::Registry>>>,
    /// Connections that stand still are not refused: it was stopped, not killed.
    is_frozen: AtomicBool,
}

impl Platform {
    fn of(registry: &Arc<memory::Registry>) -> Arc<Self> {
        Arc::new(Self {
            running: watch::Sender::new(Some(Arc::clone(registry))),
            is_frozen: AtomicBool::new(false),
        })
    }

    fn set(&self, running: Option<Arc<memory::Registry>>) {
        self.running.send_replace(running);
    }

    fn running(&self) -> Result<Arc<memory::Registry>> {
        self.running.borrow().clone().ok_or_else(away)
    }
}

fn away() -> Error {
    Error::new(ErrorKind::Unavailable, "asking a platform that is away")
}

#[async_trait]
impl Registry for Platform {
    async fn register(&self, registration: Registration) -> Result<()> {
        self.running()?.register(registration).await
    }
    async fn deregister(&self, instance: &InstanceId) -> Result<()> {
        self.running()?.deregister(instance).await
    }
    async fn report(&self, check: &CheckId, status: Status, output: &str) -> Result<()> {
        self.running()?.report(check, status, output).await
    }
    async fn watch(&self, service: &str, after: u64, wait: Duration) -> Result<Snapshot> {
        if self.is_frozen.load(Ordering::Relaxed) {
            std::future::pending::<()>().await;
        }
        let mut changed = self.running.subscribe();
        changed.mark_unchanged();
        let running = self.running()?;
        tokio::select! {
            snapshot = running.watch(service, after, wait) => snapshot,
            // A query breaks with its connection.
            _ = changed.changed() => Err(away()),
        }
    }
    async fn services(&self) -> Result<BTreeMap<String, Vec<String>>> {
        self.running()?.services().await
    }
}

async fn add(registry: &impl Registry, id: &str) {
    let instance = Instance {
        id: InstanceId(id.to_owned()),
        service: "users".to_owned(),
        address: id.to_owned(),
        port: 80,
        tags: Vec::new(),
        meta: BTreeMap::new(),
        weight: 1,
    };
    let registration = Registration {
        instance,
        checks: Vec::new(),
    };
    registry.register(registration).await.expect("registered");
}

async fn becomes(service: &Service, holds: impl Fn(&Service) -> bool) {
    let becomes = async {
        while !holds(service) {
            pass(Duration::from_millis(5)).await;
        }
    };
    let in_time = tokio::time::timeout(Duration::from_secs(60), becomes).await;
    in_time.expect("it never happens");
}

fn hosts(service: &Service) -> Vec<String> {
    let endpoints = service.endpoints();
    let hosts = endpoints.iter().map(|e| e.authority().host().to_owned());
    hosts.collect()
}

fn resolver(platform: &Arc<Platform>, recall: Option<Recall>) -> Resolver {
    let registry = Arc::clone(platform) as Arc<dyn Registry>;
    let (tasks, config, rng) = (Tasks::new(Stop::new()), Config::default(), Rng::seeded(3));
    match recall {
        Some(recall) => Resolver::recalling(registry, tasks, config, rng, recall),
        None => Resolver::with_config(registry, tasks, config, rng),
    }
}

#[tokio::test(start_paused = true)]
async fn ten_minutes_without_the_platform_fail_no_call_and_then_all_is_as_before() {
    let log = Arc::new(memory::Registry::new());
    add(&*log, "a").await;
    add(&*log, "b").await;
    let platform = Platform::of(&log);
    let service = resolver(&platform, None).service("users");
    service.ready().await;
    let before = service.endpoints();
    platform.set(None);
    for _ in 0..6_000 {
        pass(Duration::from_millis(100)).await;
        let picked = service.pick(Policy::P2c, &[]).expect("last known");
        picked.finish(Outcome::Success);
    }
    // It returns with the same log, so with the same indexes.
    platform.set(Some(Arc::clone(&log)));
    becomes(&service, |service| !service.is_stale()).await;
    let after = service.endpoints();
    let ids = |endpoints: &[Arc<crate::Endpoint>]| -> Vec<_> {
        endpoints.iter().map(|endpoint| endpoint.id()).collect()
    };
    assert_eq!(ids(&after), ids(&before), "their health is kept");
    add(&*log, "c").await;
    becomes(&service, |service| hosts(service) == ["a", "b", "c"]).await;
}

#[tokio::test(start_paused = true)]
async fn a_platform_that_returns_with_the_same_index_and_another_state_is_believed() {
    let first = Arc::new(memory::Registry::new());
    add(&*first, "a").await;
    let platform = Platform::of(&first);
    let service = resolver(&platform, None).service("users");
    service.ready().await;
    platform.set(None);
    becomes(&service, Service::is_stale).await;
    let second = Arc::new(memory::Registry::new());
    add(&*second, "b").await;
    platform.set(Some(second));
    becomes(&service, |service| hosts(service) == ["b"]).await;
}

/// A file of its own, removed at the end.
struct Kept(recall::Config);

impl Kept {
    fn new(name: &str) -> Self {
        let name = format!("ieum-outage-{}-{name}.json", std::process::id());
        Self(recall::Config {
            file: std::env::temp_dir().join(name),
            registry: "ieum://platform".to_owned(),
            most_bytes: 1 << 20,
        })
    }

    /// What a process that had been here would have left.
    async fn after_a_process_that_knew(ids: &[&str], name: &str) -> Self {
        let (kept, log) = (Self::new(name), Arc::new(memory::Registry::new()));
        for id in ids {
            add(&*log, id).await;
        }
        let (recall, tasks) = (kept.open(), Tasks::new(Stop::new()));
        recall.keep(&tasks);
        let resolver = resolver(&Platform::of(&log), Some(recall));
        resolver.service("users").ready().await;
        // The note is taken in the same step as the first answer, before the stop writes it.
        tokio::task::yield_now().await;
        assert_eq!(tasks.shut_down(Duration::from_secs(5)).await, []);
        kept
    }

    fn open(&self) -> Recall {
        Recall::open(self.0.clone())
    }
}

impl Drop for Kept {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0.file);
    }
}

#[tokio::test(start_paused = true)]
async fn a_process_that_starts_while_the_platform_is_away_begins_with_what_was_known() {
    let kept = Kept::after_a_process_that_knew(&["a", "b"], "away").await;
    for is_frozen in [false, true] {
        let log = Arc::new(memory::Registry::new());
        add(&*log, "c").await;
        let platform = Platform::of(&log);
        platform.set(None);
        platform.is_frozen.store(is_frozen, Ordering::Relaxed);
        let service = resolver(&platform, Some(kept.open())).service("users");
        let wait = Duration::from_secs(1);
        let picked = service.pick_within(wait, Policy::P2c, &[]).await;
        assert!(picked.is_ok(), "frozen: {is_frozen}");
        assert_eq!(hosts(&service), ["a", "b"]);
        assert!(service.is_stale());
        if !is_frozen {
            platform.set(Some(log));
            becomes(&service, |service| hosts(service) == ["c"]).await;
            assert!(!service.is_stale());
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_registry_that_answers_is_asked_and_not_the_memory() {
    let kept = Kept::after_a_process_that_knew(&["a"], "answers").await;
    let log = Arc::new(memory::Registry::new());
    add(&*log, "b").await;
    let service = resolver(&Platform::of(&log), Some(kept.open())).service("users");
    service.ready().await;
    assert_eq!(hosts(&service), ["b"]);
}
