//! The resolver with a registry that can be changed, slowed and taken away.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use ieum_base::testing::pass;
use ieum_base::{HumanDuration, Rng, Stop, Tasks};
use ieum_resilience::circuit_breaker::State;

use crate::balance::Policy;
use crate::{
    Absence, CheckDefinition, CheckId, CheckKind, Config, Error, ErrorKind, Instance, InstanceId,
    Outcome, Picked, Registration, Registry, Resolver, Result, Service, Snapshot, Status, memory,
};

/// A registry that may be unreachable.
#[derive(Default)]
struct Flaky {
    inner: memory::Registry,
    is_away: AtomicBool,
}

impl Flaky {
    fn check(&self) -> Result<()> {
        match self.is_away.load(Ordering::Relaxed) {
            true => Err(Error::new(ErrorKind::Unavailable, "asking")),
            false => Ok(()),
        }
    }

    async fn add(&self, id: &str, weight: u16) {
        self.register(registration(id, weight))
            .await
            .expect("registered");
    }

    async fn remove(&self, id: &str) {
        let removed = self.deregister(&InstanceId(id.to_owned())).await;
        removed.expect("removed");
    }
}

#[async_trait]
impl Registry for Flaky {
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
        self.check()?;
        let snapshot = self.inner.watch(service, after, wait).await?;
        self.check()?;
        Ok(snapshot)
    }
    async fn services(&self) -> Result<BTreeMap<String, Vec<String>>> {
        self.inner.services().await
    }
}

fn registration(id: &str, weight: u16) -> Registration {
    Registration {
        instance: Instance {
            id: InstanceId(id.to_owned()),
            service: "users".to_owned(),
            address: id.to_owned(),
            port: 80,
            tags: Vec::new(),
            meta: BTreeMap::new(),
            weight,
        },
        checks: Vec::new(),
    }
}

/// A service that is resolved, over a registry with these instances.
struct Bench {
    registry: Arc<Flaky>,
    service: Arc<Service>,
}

impl Bench {
    async fn of(instances: &[(&str, u16)]) -> Self {
        let registry = Arc::new(Flaky::default());
        for (id, weight) in instances {
            registry.add(id, *weight).await;
        }
        let dynamic = Arc::clone(&registry) as Arc<dyn Registry>;
        let config = Config {
            wait: HumanDuration::from_secs(10),
            ..Config::default()
        };
        let tasks = Tasks::new(Stop::new());
        let resolver = Resolver::with_config(dynamic, tasks, config, Rng::seeded(7));
        let service = resolver.service("users");
        service.ready().await;
        Self { registry, service }
    }

    fn pick(&self, policy: Policy) -> Option<Picked> {
        self.service.pick(policy, &[])
    }

    fn host(&self, policy: Policy) -> String {
        host(&self.pick(policy).expect("an endpoint"))
    }

    /// How often each endpoint is picked.
    fn shares(&self, policy: Policy, picks: usize) -> HashMap<String, usize> {
        let mut shares = HashMap::new();
        for _ in 0..picks {
            *shares.entry(self.host(policy)).or_default() += 1;
        }
        shares
    }

    /// Opens the breaker of an endpoint by failing its requests.
    fn open(&self, host: &str) {
        let endpoints = self.service.endpoints();
        let endpoint = endpoints.iter().find(|e| e.authority().host() == host);
        let endpoint = endpoint.expect("an endpoint of that name");
        while let Ok(permit) = endpoint.breaker().try_acquire() {
            permit.record(ieum_resilience::circuit_breaker::Outcome::Failure);
        }
    }

    async fn becomes(&self, holds: impl Fn(&Service) -> bool) {
        let becomes = async {
            while !holds(&self.service) {
                pass(Duration::from_millis(1)).await;
            }
        };
        let in_time = tokio::time::timeout(Duration::from_secs(60), becomes).await;
        in_time.expect("it never happens");
    }
}

fn host(picked: &Picked) -> String {
    picked.authority().host().to_owned()
}

#[tokio::test(start_paused = true)]
async fn a_change_in_the_registry_arrives_at_once() {
    let bench = Bench::of(&[("a", 1)]).await;
    let before = tokio::time::Instant::now();
    bench.registry.add("b", 1).await;
    bench
        .becomes(|service| service.endpoints().len() == 2)
        .await;
    bench.registry.remove("a").await;
    bench
        .becomes(|service| service.endpoints().len() == 1)
        .await;
    assert_eq!(bench.host(Policy::P2c), "b");
    assert!(
        before.elapsed() < Duration::from_millis(20),
        "{:?}",
        before.elapsed()
    );
}

#[tokio::test(start_paused = true)]
async fn round_robin_really_takes_turns() {
    let bench = Bench::of(&[("a", 1), ("b", 1), ("c", 1)]).await;
    let turns: Vec<String> = (0..9).map(|_| bench.host(Policy::RoundRobin)).collect();
    let (first, rest) = turns.split_at(3);
    let distinct: std::collections::BTreeSet<_> = first.iter().collect();
    assert_eq!(distinct.len(), 3, "{turns:?}");
    assert!(rest.chunks(3).all(|round| round == first), "{turns:?}");
}

#[tokio::test(start_paused = true)]
async fn a_name_is_no_beginning_of_another_and_instances_of_one_name_stand_side_by_side() {
    let bench = Bench::of(&[("a", 1), ("b", 1)]).await;
    let mut other = registration("evil", 1);
    other.instance.service = "users-evil".to_owned();
    bench
        .registry
        .inner
        .register(other)
        .await
        .expect("registered");
    pass(Duration::from_secs(20)).await;
    let shares = bench.shares(Policy::RoundRobin, 10);
    assert_eq!(shares, HashMap::from([("a".into(), 5), ("b".into(), 5)]));
}

#[tokio::test(start_paused = true)]
async fn turns_stay_even_when_an_endpoint_is_passed_over() {
    let bench = Bench::of(&[("a", 1), ("b", 1), ("c", 1)]).await;
    bench.open("b");
    let shares = bench.shares(Policy::RoundRobin, 100);
    assert_eq!((shares["a"], shares["c"]), (50, 50));
}

#[tokio::test(start_paused = true)]
async fn weights_decide_the_share_of_each() {
    let bench = Bench::of(&[("a", 3), ("b", 1)]).await;
    for (policy, least, most) in [(Policy::RoundRobin, 300, 300), (Policy::Random, 260, 340)] {
        let shares = bench.shares(policy, 400);
        assert!(
            (least..=most).contains(&shares["a"]),
            "{policy:?}: {shares:?}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn the_least_loaded_takes_the_next_request_and_equals_take_turns() {
    let bench = Bench::of(&[("a", 1), ("b", 1), ("c", 1)]).await;
    let held: Vec<Picked> = (0..6)
        .filter_map(|_| bench.pick(Policy::LeastLoaded))
        .collect();
    let mut hosts: Vec<String> = held.iter().map(host).collect();
    hosts.sort();
    assert_eq!(hosts, ["a", "a", "b", "b", "c", "c"]);
    let idle = bench.shares(Policy::LeastLoaded, 3);
    assert_eq!(idle.len(), 3, "{idle:?}");
}

#[tokio::test(start_paused = true)]
async fn p2c_leaves_the_slow_and_the_failing_alone() {
    let bench = Bench::of(&[("fast", 1), ("slow", 1), ("failing", 1)]).await;
    for _ in 0..200 {
        let picked = bench.pick(Policy::P2c).expect("an endpoint");
        match host(&picked).as_str() {
            "fast" => tokio::time::advance(Duration::from_millis(5)).await,
            "slow" => tokio::time::advance(Duration::from_millis(500)).await,
            _ => {
                picked.finish(Outcome::FAILURE);
                continue;
            }
        }
        picked.finish(Outcome::Success);
    }
    let shares = bench.shares(Policy::P2c, 300);
    // Of three pairs, the fast one wins both that it is in; the slow one only the third.
    assert!(shares["fast"] > 150, "{shares:?}");
    assert!(
        shares.get("failing").copied().unwrap_or(0) < 5,
        "{shares:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn health_outlives_an_update_and_ends_with_the_address() {
    let bench = Bench::of(&[("a", 1), ("b", 1)]).await;
    bench.open("a");
    let before = bench.service.endpoints();
    let mut moved = registration("b", 1);
    moved.instance.port = 81;
    bench.registry.add("a", 5).await;
    bench.registry.register(moved).await.expect("registered");
    bench
        .becomes(|s| s.endpoints()[0].instance().weight == 5)
        .await;
    bench
        .becomes(|s| s.endpoints()[1].authority().port_u16() == Some(81))
        .await;
    let after = bench.service.endpoints();
    assert_eq!(after[0].id(), before[0].id());
    assert_eq!(after[0].breaker().state(), State::Open);
    assert_ne!(after[1].id(), before[1].id());
}

#[tokio::test(start_paused = true)]
async fn the_last_known_endpoints_stay_while_the_registry_is_away() {
    let bench = Bench::of(&[("a", 1)]).await;
    bench.registry.is_away.store(true, Ordering::Relaxed);
    bench.becomes(Service::is_stale).await;
    bench.registry.add("b", 1).await;
    pass(Duration::from_secs(600)).await;
    assert_eq!(bench.host(Policy::P2c), "a");
    bench.registry.is_away.store(false, Ordering::Relaxed);
    bench
        .becomes(|service| service.endpoints().len() == 2)
        .await;
    assert!(!bench.service.is_stale());
}

#[tokio::test(start_paused = true)]
async fn a_critical_instance_is_never_picked_however_few_are_left() {
    let bench = Bench::of(&[]).await;
    let mut checks = Vec::new();
    for id in ["a", "b"] {
        let mut registration = registration(id, 1);
        let check = CheckId::of(&registration.instance.id);
        let ttl = CheckKind::Ttl {
            ttl: Duration::from_secs(10),
        };
        registration
            .checks
            .push(CheckDefinition::new(check.clone(), ttl));
        bench
            .registry
            .register(registration)
            .await
            .expect("registered");
        checks.push(check);
    }
    bench
        .becomes(|service| service.absence() == Absence::AllCritical)
        .await;
    assert!(bench.pick(Policy::Random).is_none());
    bench
        .registry
        .report(&checks[0], Status::Warning, "")
        .await
        .expect("reported");
    bench.service.available().await;
    assert_eq!(
        bench.shares(Policy::Random, 20),
        HashMap::from([("a".to_owned(), 20)])
    );
}

#[tokio::test(start_paused = true)]
async fn at_most_half_of_the_endpoints_is_ejected() {
    let bench = Bench::of(&[("a", 1), ("b", 1), ("c", 1), ("d", 1)]).await;
    bench.open("a");
    bench.open("b");
    let shares = bench.shares(Policy::RoundRobin, 100);
    assert_eq!(shares.len(), 2, "half is ejected: {shares:?}");
    bench.open("c");
    let shares = bench.shares(Policy::RoundRobin, 100);
    assert_eq!(shares.len(), 4, "with more, none is: {shares:?}");
    assert_eq!(bench.service.sample().ejected, 3);
}

#[tokio::test(start_paused = true)]
async fn when_all_breakers_are_open_requests_fail_fast_until_a_probe() {
    let bench = Bench::of(&[("a", 1)]).await;
    bench.open("a");
    assert!(bench.pick(Policy::P2c).is_none());
    let Absence::AllOpen { retry_after } = bench.service.absence() else {
        panic!("{:?}", bench.service.absence());
    };
    assert!(retry_after >= Duration::from_secs(1), "{retry_after:?}");
    tokio::time::advance(retry_after).await;
    let probe = bench.pick(Policy::P2c).expect("the probe");
    assert!(bench.pick(Policy::P2c).is_none(), "one probe at a time");
    probe.finish(Outcome::Success);
    assert!(bench.pick(Policy::P2c).is_some());
}

#[tokio::test(start_paused = true)]
async fn another_endpoint_is_tried_if_there_is_one() {
    let bench = Bench::of(&[("a", 1), ("b", 1)]).await;
    for policy in [
        Policy::P2c,
        Policy::RoundRobin,
        Policy::Random,
        Policy::LeastLoaded,
    ] {
        for _ in 0..10 {
            let failed = bench.pick(policy).expect("an endpoint").endpoint().id();
            let other = bench.service.pick(policy, &[failed]).expect("another");
            assert_ne!(other.endpoint().id(), failed, "{policy:?}");
        }
    }
    bench.registry.remove("b").await;
    bench
        .becomes(|service| service.endpoints().len() == 1)
        .await;
    let failed = bench
        .pick(Policy::P2c)
        .expect("an endpoint")
        .endpoint()
        .id();
    let again = bench.service.pick(Policy::P2c, &[failed]);
    assert!(again.is_some(), "the same one is better than none");
}

#[tokio::test(start_paused = true)]
async fn why_there_is_nothing_is_told() {
    let bench = Bench::of(&[]).await;
    let pick = bench
        .service
        .pick_within(Duration::from_secs(1), Policy::P2c, &[]);
    assert_eq!(pick.await.expect_err("nobody"), Absence::NoInstance);
    let away = Arc::new(Flaky::default());
    away.is_away.store(true, Ordering::Relaxed);
    let resolver = Resolver::new(away, Tasks::new(Stop::new()));
    let service = resolver.service("users");
    let pick = service.pick_within(Duration::from_secs(1), Policy::P2c, &[]);
    assert_eq!(pick.await.expect_err("nobody"), Absence::Unresolved);
}

#[tokio::test(start_paused = true)]
async fn a_fixed_service_needs_no_registry() {
    let resolver = Resolver::new(Arc::new(memory::Registry::new()), Tasks::new(Stop::new()));
    let service = resolver.fixed("legacy", vec![registration("::1", 1).instance]);
    let picked = service.pick(Policy::P2c, &[]).expect("an endpoint");
    assert_eq!(picked.authority().as_str(), "[::1]:80");
    assert_eq!(picked.endpoint().load().in_flight(), 1);
    drop(picked);
    assert_eq!(service.sample().in_flight, 0);
}

#[tokio::test(start_paused = true)]
async fn the_breakers_of_watched_and_of_fixed_addresses_are_listed() {
    let tasks = Tasks::new(Stop::new());
    let resolver = Resolver::new(Arc::new(memory::Registry::new()), tasks);
    let instance = |service: &str| Instance {
        id: InstanceId(format!("{service}-1")),
        service: service.to_owned(),
        address: "10.0.0.1".to_owned(),
        port: 80,
        tags: Vec::new(),
        meta: BTreeMap::new(),
        weight: 1,
    };
    let registration = Registration {
        instance: instance("users"),
        checks: Vec::new(),
    };
    let registry = Arc::clone(resolver.registry());
    registry.register(registration).await.expect("registers");
    let users = resolver.service("users");
    users.ready().await;
    let legacy = resolver.fixed("legacy", vec![instance("legacy")]);
    drop(resolver.fixed("gone", vec![instance("gone")]));
    let listed = resolver.breakers();
    let named = listed.iter().map(|b| (&*b.service, &*b.instance.0));
    assert_eq!(
        named.collect::<Vec<_>>(),
        [("legacy", "legacy-1"), ("users", "users-1")]
    );
    let endpoint = &legacy.endpoints()[0];
    while let Ok(permit) = endpoint.breaker().try_acquire() {
        permit.record(ieum_resilience::circuit_breaker::Outcome::Failure);
    }
    assert_eq!(listed[0].breaker.state(), State::Open);
}
