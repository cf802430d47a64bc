//! Two engines, versions that change in flight, logs that fail, and tasks that die.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use ieum_base::testing::pass;
use ieum_base::{Clock, Rng};
use ieum_eventstore::{
    Append, Appended, Error, ErrorKind, Event, EventStore, Expect, Filter, Head, NewEvent, Page,
    Position, Result, StreamName, Version, memory,
};
use serde_json::json;

use super::fixtures::{STEPS, begin, from_json, input, order, order_json};
use crate::decide::Operation::Do;
use crate::engine::{Config, Deps, Service, Sharing};
use crate::events::{saga_id, stream};
use crate::port::{Call, CallResult, Participants};
use crate::state::Status;
use crate::testing::{Behaviour, Rig, World};

#[tokio::test(start_paused = true)]
async fn h13_a_zombie_engine_can_do_nothing() {
    let rig = Rig::new();
    rig.world.script("charge", Do, &[Behaviour::Hang]);
    let zombie = rig.boot().await.expect("open");
    let receipt = zombie
        .start(&order(), "o-1", input())
        .await
        .expect("started");
    pass(Duration::from_secs(1)).await;

    let successor = rig.boot().await.expect("open");
    assert_eq!(successor.handle.counts().recovered, 1);
    let status = successor.handle.settled(receipt.id).await.expect("ends");
    assert_eq!(status, Status::Completed);
    let history = successor
        .handle
        .get(receipt.id)
        .await
        .expect("known")
        .history;

    // The zombie's call times out now, and what it would write is refused.
    pass(Duration::from_secs(60)).await;
    assert!(zombie.handle.is_superseded());
    let start = zombie
        .start(&order(), "o-2", json!({"orderId": "o-2"}))
        .await;
    assert_eq!(
        *start.expect_err("shut out").kind(),
        crate::ErrorKind::Superseded
    );
    let cancel = zombie
        .handle
        .cancel(receipt.id, "zombie")
        .await
        .expect_err("shut out");
    assert_ne!(*cancel.kind(), crate::ErrorKind::TooLate);
    let later = successor
        .handle
        .get(receipt.id)
        .await
        .expect("known")
        .history;
    assert_eq!(later, history);
    assert_eq!(
        rig.world.audit(&receipt.id.to_string(), status, &STEPS),
        Ok(())
    );
}

#[tokio::test(start_paused = true)]
async fn h26_a_saga_in_flight_keeps_its_version_over_a_deploy_and_a_rollback() {
    let rig = Rig::new();
    rig.world.script("charge", Do, &[Behaviour::Hang]);
    let process = rig.boot().await.expect("open");
    let first = process
        .start(&order(), "o-1", input())
        .await
        .expect("started");
    pass(Duration::from_secs(1)).await;

    // Version 2: a step renamed, another one gone, the rest reordered.
    let mut json = order_json();
    json["steps"][0]["name"] = json!("check");
    let steps = json["steps"].as_array_mut().expect("steps");
    steps.remove(3);
    steps.swap(1, 2);
    let second = from_json(json);
    let other = process
        .start(&second, "o-2", json!({"orderId": "o-2"}))
        .await
        .expect("started");
    process.stop().await;

    let process = rig.boot().await.expect("open");
    process.handle.define(order()).await.expect("rolled back");
    for id in [first.id, other.id] {
        assert_eq!(
            process.handle.settled(id).await.expect("ends"),
            Status::Completed
        );
    }
    let of = |id: String| {
        let calls = rig.world.calls();
        let mut steps: Vec<String> = calls
            .iter()
            .filter(|call| call.header("ieum-saga-id") == Some(&*id))
            .filter_map(|call| call.header("ieum-step").map(str::to_owned))
            .collect();
        steps.dedup();
        steps
    };
    assert_eq!(of(first.id.to_string()), STEPS);
    assert_eq!(
        of(other.id.to_string()),
        ["check", "charge", "reserve", "confirm", "notify"]
    );
    let definitions = process.handle.definitions();
    assert_eq!((definitions.len(), definitions[0].versions), (1, 3));
    let first_hash = process
        .handle
        .get(first.id)
        .await
        .expect("known")
        .summary
        .hash;
    assert_eq!(definitions[0].hash, first_hash);
}

#[tokio::test(start_paused = true)]
async fn h26_what_a_newer_version_wrote_is_left_alone_and_shown() {
    let rig = Rig::new();
    rig.world.always("validate", Do, Behaviour::Hang);
    let (process, receipt) = begin(&rig, &order()).await;
    pass(Duration::from_millis(10)).await;
    process.life.end();
    let newer = NewEvent::new(Clock::system().new_id(), "saga.step-delegated", &json!({}));
    let append = Append::to(
        stream(receipt.id).expect("a name"),
        Expect::Exists,
        vec![newer.expect("json")],
    );
    rig.log.append(append).await.expect("appended");

    let older = rig.boot().await.expect("one saga does not stop the others");
    let calls = rig.world.calls().len();
    pass(Duration::from_secs(30)).await;
    let stalled = older.handle.liveness();
    assert_eq!(stalled.len(), 1);
    assert!(
        stalled[0].why.contains("newer version"),
        "{}",
        stalled[0].why
    );
    assert_eq!(rig.world.calls().len(), calls);
    rig.world.always("validate", Do, Behaviour::Succeed);
    let other = older.run(&order(), "o-2", json!({"orderId": "o-2"})).await;
    assert_eq!(other.expect("it lives").1, Status::Completed);
}

/// A log that answers "unavailable" to every second append: half of these have happened.
struct Flaky {
    log: memory::Store,
    appends: AtomicU64,
}

#[async_trait]
impl EventStore for Flaky {
    async fn append(&self, append: Append) -> Result<Appended> {
        let unavailable = || Err(Error::new(ErrorKind::Unavailable, "appending"));
        match self.appends.fetch_add(1, Ordering::SeqCst) % 4 {
            0 => unavailable(),
            2 => {
                self.log.append(append).await?;
                unavailable()
            }
            _ => self.log.append(append).await,
        }
    }
    async fn read_stream(&self, s: &StreamName, after: Version, n: usize) -> Result<Vec<Event>> {
        self.log.read_stream(s, after, n).await
    }
    async fn read_all(&self, after: Position, filter: &Filter, limit: usize) -> Result<Page> {
        self.log.read_all(after, filter, limit).await
    }
    async fn head(&self) -> Result<Head> {
        self.log.head().await
    }
    async fn wait(&self, after: Position, wait: Duration) -> Result<Head> {
        self.log.wait(after, wait).await
    }
}

fn deps(store: Arc<dyn EventStore>, log: &memory::Store, world: Arc<dyn Participants>) -> Deps {
    Deps {
        store,
        checkpoints: Arc::new(log.clone()),
        leases: Arc::new(log.clone()),
        sharing: Sharing::Alone,
        participants: world,
        clock: Clock::system(),
        rng: Rng::seeded(2),
        spans: None,
        service: "ieum".into(),
    }
}

#[tokio::test(start_paused = true)]
async fn an_append_whose_fate_is_unknown_is_settled_before_anything_else() {
    let log = memory::Store::new();
    let world = World::default();
    world.script("ship", Do, &[Behaviour::Reject("no")]);
    let flaky = Arc::new(Flaky {
        log: log.clone(),
        appends: AtomicU64::new(0),
    });
    let deps = deps(flaky, &log, Arc::new(world.clone()));
    let (_service, handle) = Service::open(Config::default(), deps).await.expect("open");
    handle.define(order()).await.expect("defined");
    let start = crate::Start {
        definition: "place-order".to_owned(),
        key: "o-1".to_owned(),
        input: input(),
        trace: None,
    };
    let receipt = handle.start(start).await.expect("started");
    assert!(receipt.id == saga_id("place-order", "o-1"));
    let status = handle.settled(receipt.id).await.expect("ends");
    assert_eq!(status, Status::Compensated);
    assert_eq!(world.audit(&receipt.id.to_string(), status, &STEPS), Ok(()));
    assert_eq!(handle.open_count(), 0);
}

/// Participants with a defect that kills the task that calls them, once.
struct Deadly(World, AtomicU64);

#[async_trait]
impl Participants for Deadly {
    async fn call(&self, call: Call) -> CallResult {
        assert!(
            self.1.fetch_add(1, Ordering::SeqCst) != 2,
            "a planted defect"
        );
        self.0.call(call).await
    }
}

#[tokio::test(start_paused = true)]
async fn h25_a_saga_whose_task_has_died_is_found_and_run_again() {
    let log = memory::Store::new();
    let world = World::default();
    let deadly = Arc::new(Deadly(world.clone(), AtomicU64::new(0)));
    let deps = deps(Arc::new(log.clone()), &log, deadly);
    let (service, handle) = Service::open(Config::default(), deps).await.expect("open");
    handle.define(order()).await.expect("defined");
    let start = crate::Start {
        definition: "place-order".to_owned(),
        key: "o-1".to_owned(),
        input: input(),
        trace: None,
    };
    let receipt = handle.start(start).await.expect("started");
    while handle.liveness().is_empty() {
        pass(Duration::from_millis(1)).await;
    }
    assert_eq!(handle.liveness()[0].why, "its task has died");
    let tasks = ieum_base::Tasks::new(ieum_base::Stop::new());
    let stop = tasks.stop().clone();
    tasks.spawn(ieum_base::TaskKind::Background, "engine", async move {
        service.run(stop).await.expect("not superseded");
    });
    let status = handle.settled(receipt.id).await.expect("ends");
    assert_eq!(status, Status::Completed);
    assert_eq!(handle.counts().revived, 1);
    assert_eq!(world.audit(&receipt.id.to_string(), status, &STEPS), Ok(()));
    tasks.shut_down(Duration::from_secs(60)).await;
}

#[tokio::test(start_paused = true)]
async fn a_caller_that_goes_away_does_not_leave_half_a_start() {
    let rig = Rig::new();
    let process = rig.boot().await.expect("open");
    process.handle.define(order()).await.expect("defined");
    let start = crate::Start {
        definition: "place-order".to_owned(),
        key: "o-1".to_owned(),
        input: input(),
        trace: None,
    };
    let waiting = process.handle.start(start);
    let gone = tokio::time::timeout(Duration::ZERO, waiting).await;
    let id = saga_id("place-order", "o-1");
    if gone.is_err() {
        pass(Duration::from_secs(1)).await;
    }
    let status = process
        .handle
        .settled(id)
        .await
        .expect("started all the same");
    assert_eq!(status, Status::Completed);
}
