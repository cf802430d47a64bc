//! Two platforms on one log: one judges, a service reports to either.

use std::sync::Mutex;

use ieum_base::testing::pass;
use ieum_base::{Clock, HumanDuration, Rng, Stop, TaskKind, Tasks};
use ieum_eventstore::{Fences, memory};
use ieum_http::egress;

use super::*;
use crate::catalog::Limits;
use crate::health::{Checker, Config};
use crate::peers::{Alone, Gathered, Heard};
use crate::{CheckDefinition, CheckKind, Instance, Registry as _};

const TTL: Duration = Duration::from_secs(10);

/// The other platform's registry, as the judge asks it; it can be killed.
struct Other {
    registry: Arc<Registry>,
    gathered: Mutex<State>,
}

#[derive(Clone, Copy, PartialEq)]
enum State {
    Well,
    Dead,
}

#[async_trait]
impl Peers for Other {
    async fn gather(&self) -> Gathered {
        let state = self.gathered.lock().expect("not poisoned");
        match *state {
            State::Well => Gathered {
                heard: vec![Heard::here(self.registry.live().told(), BTreeMap::new())],
                losses: 0,
            },
            State::Dead => Gathered {
                heard: Vec::new(),
                losses: 1,
            },
        }
    }
}

struct Bench {
    log: memory::Store,
    /// The platform that judges.
    here: Arc<Registry>,
    /// The other one.
    there: Arc<Registry>,
    other: Arc<Other>,
    tenure: Tenure,
    tasks: Tasks,
    check: CheckId,
}

impl Bench {
    async fn new() -> Self {
        let log = memory::Store::new();
        let tasks = Tasks::new(Stop::new());
        let (here, there) = (open(&log, &tasks).await, open(&log, &tasks).await);
        let fence = log.raise("checks").await.expect("a fence");
        let tenure = Tenure::alone("checks", fence);
        let other = Arc::new(Other {
            registry: Arc::clone(&there),
            gathered: Mutex::new(State::Well),
        });
        let (registry, peers) = (Arc::clone(&here), Arc::clone(&other));
        let judge = Judge::begin(registry, tenure.clone(), peers);
        let config = Config {
            least_interval: HumanDuration::from_millis(1),
            ..Config::default()
        };
        let policy = egress::Policy::default();
        let checker = Checker::new(
            Arc::new(judge),
            config,
            policy,
            Rng::seeded(1),
            tasks.clone(),
        );
        tasks.spawn(
            TaskKind::Background,
            "checker",
            checker.run(tenure.stop().clone()),
        );
        let check = register(&there).await;
        pass(Duration::from_secs(1)).await;
        Self {
            log,
            here,
            there,
            other,
            tenure,
            tasks,
            check,
        }
    }

    /// Heartbeats arrive at `registry` for `time`, every 3 s; each must find the service passing.
    async fn beat(&self, registry: &Registry, time: Duration) {
        let until = Instant::now() + time;
        while Instant::now() < until {
            registry
                .report(&self.check, Status::Passing, "alive")
                .await
                .expect("reported");
            pass(Duration::from_secs(3)).await;
            assert_eq!(status(&self.here), Status::Passing);
        }
    }
}

async fn open(log: &memory::Store, tasks: &Tasks) -> Arc<Registry> {
    let registry = Registry::open(Arc::new(log.clone()), Clock::system(), Limits::default());
    let registry = registry.await.expect("a registry");
    registry.follow(tasks);
    registry
}

/// Registers an instance with a TTL check, which is reported once.
async fn register(registry: &Registry) -> CheckId {
    let instance = InstanceId("users-1".to_owned());
    let check = CheckDefinition::new(CheckId::of(&instance), CheckKind::Ttl { ttl: TTL });
    let id = check.id.clone();
    let registration = Registration {
        instance: Instance {
            id: instance,
            service: "users".to_owned(),
            address: "127.0.0.1".to_owned(),
            port: 80,
            tags: Vec::new(),
            meta: BTreeMap::new(),
            weight: 1,
        },
        checks: vec![check],
    };
    registry.register(registration).await.expect("registered");
    let reported = registry.report(&id, Status::Passing, "alive").await;
    reported.expect("reported");
    id
}

fn status(registry: &Registry) -> Status {
    let live = registry.live();
    let status = live.look(|catalog| Some(catalog.snapshot("users").instances.first()?.status()));
    status.expect("registered")
}

#[tokio::test(start_paused = true)]
async fn heartbeats_may_arrive_at_any_platform_and_write_nothing() {
    let bench = Bench::new().await;
    let index = bench
        .here
        .watch("users", 0, Duration::ZERO)
        .await
        .expect("known")
        .index;
    bench.beat(&bench.there, 6 * TTL).await;
    bench.beat(&bench.here, 6 * TTL).await;
    let after = bench
        .here
        .watch("users", 0, Duration::ZERO)
        .await
        .expect("known")
        .index;
    assert_eq!(index, after, "nothing was written");
    // And who is silent everywhere is found out within a TTL.
    pass(TTL + Duration::from_secs(2)).await;
    assert_eq!(status(&bench.here), Status::Critical);
    assert_eq!(status(&bench.there), Status::Critical, "the other follows");
}

#[tokio::test(start_paused = true)]
async fn a_platform_that_dies_condemns_nobody_who_reports_elsewhere() {
    let bench = Bench::new().await;
    bench.beat(&bench.there, 3 * TTL).await;
    *bench.other.gathered.lock().expect("not poisoned") = State::Dead;
    // The service notices too and reports here, a while later.
    pass(TTL - Duration::from_secs(1)).await;
    bench.beat(&bench.here, 3 * TTL).await;
    // One that does not is still found out.
    pass(2 * TTL + Duration::from_secs(2)).await;
    assert_eq!(status(&bench.here), Status::Critical);
}

#[tokio::test(start_paused = true)]
async fn h13_a_judge_that_was_frozen_condemns_nobody() {
    let bench = Bench::new().await;
    // A successor has begun, and this one does not know.
    bench.log.raise("checks").await.expect("a fence");
    pass(2 * TTL).await;
    assert_eq!(
        status(&bench.there),
        Status::Passing,
        "its verdict was refused"
    );
    assert!(bench.tenure.lost().is_requested(), "and it knows now");
    let running = bench.tasks.len();
    pass(Duration::from_secs(1)).await;
    assert!(running >= bench.tasks.len());
}

#[tokio::test(start_paused = true)]
async fn a_judge_that_takes_over_gives_everybody_a_whole_ttl() {
    let bench = Bench::new().await;
    bench.beat(&bench.here, 3 * TTL).await;
    // There, nothing was heard of the check since it was registered; and the one here is gone.
    bench.tenure.lost().request();
    let fence = bench.log.raise("checks").await.expect("a fence");
    let judge = Judge::begin(
        Arc::clone(&bench.there),
        Tenure::alone("checks", fence),
        Arc::new(Alone),
    );
    let since = bench.there.live().heard(&bench.check).expect("heard");
    assert!(since.elapsed() < TTL);
    judge
        .expire(&bench.check, since, "silent")
        .await
        .expect("written");
    assert_eq!(status(&bench.there), Status::Critical, "who stays silent");
}

#[tokio::test(start_paused = true)]
async fn what_was_registered_at_one_is_known_to_the_other_at_once() {
    let log = memory::Store::new();
    let tasks = Tasks::new(Stop::new());
    let (one, two) = (open(&log, &tasks).await, open(&log, &tasks).await);
    let check = register(&one).await;
    let reported = two.report(&check, Status::Warning, "slow").await;
    reported.expect("it is there, although nobody has followed yet");
    let unknown = CheckId("service:nobody".to_owned());
    let error = two.report(&unknown, Status::Passing, "").await;
    assert_eq!(
        error.expect_err("unknown").kind(),
        crate::ErrorKind::NotFound
    );
}
