//! The suite on the engines of this crate, and what only they promise.

use std::sync::Arc;
use std::time::Duration;

use ieum_base::{Clock, Stop, TaskKind, Tasks};
use ieum_eventstore::EventStore;

use crate::catalog::Limits;
use crate::{
    CheckDefinition, CheckId, CheckKind, Instance, InstanceId, Registration, Registry, Status,
    conformance, embedded, memory, static_,
};

fn instance(service: &str, id: &str, port: u16) -> Instance {
    Instance {
        id: InstanceId(id.to_owned()),
        service: service.to_owned(),
        address: "127.0.0.1".to_owned(),
        port,
        tags: Vec::new(),
        meta: Default::default(),
        weight: 1,
    }
}

fn with_ttl(service: &str, id: &str) -> Registration {
    let instance = instance(service, id, 3_001);
    let ttl = CheckKind::Ttl {
        ttl: Duration::from_secs(10),
    };
    let check = CheckDefinition::new(CheckId::of(&instance.id), ttl);
    Registration {
        instance,
        checks: vec![check],
    }
}

async fn open(store: &Arc<dyn EventStore>) -> Arc<embedded::Registry> {
    let opened = embedded::Registry::open(Arc::clone(store), Clock::system(), Limits::default());
    opened.await.expect("a registry")
}

fn store() -> Arc<dyn EventStore> {
    Arc::new(ieum_eventstore::memory::Store::new())
}

fn assert_conforms(report: &conformance::Report) {
    assert!(report.failed.is_empty(), "{:#?}", report.failed);
    assert_eq!(report.passed, conformance::names());
}

#[tokio::test(start_paused = true)]
async fn the_registry_in_memory_conforms() {
    let fresh = async || Arc::new(memory::Registry::new()) as Arc<dyn Registry>;
    assert_conforms(&conformance::run(fresh).await);
}

#[tokio::test(start_paused = true)]
async fn the_registry_on_the_log_conforms() {
    let fresh = async || open(&store()).await as Arc<dyn Registry>;
    assert_conforms(&conformance::run(fresh).await);
}

#[tokio::test(start_paused = true)]
async fn what_is_registered_outlives_a_restart() {
    let store = store();
    let registry = open(&store).await;
    let check = CheckId("service:users-1".to_owned());
    registry
        .register(with_ttl("users", "users-1"))
        .await
        .expect("registered");
    registry
        .register(with_ttl("orders", "orders-1"))
        .await
        .expect("registered");
    registry
        .report(&check, Status::Passing, "fine")
        .await
        .expect("reported");
    registry
        .deregister(&InstanceId("orders-1".to_owned()))
        .await
        .expect("removed");
    let restarted = open(&store).await;
    for service in ["users", "orders", "nobody"] {
        let before = registry
            .watch(service, 0, Duration::ZERO)
            .await
            .expect("found");
        let after = restarted
            .watch(service, 0, Duration::ZERO)
            .await
            .expect("found");
        assert_eq!(after, before, "{service}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_heartbeat_that_changes_nothing_is_not_written() {
    let store = store();
    let registry = open(&store).await;
    let check = CheckId("service:users-1".to_owned());
    registry
        .register(with_ttl("users", "users-1"))
        .await
        .expect("registered");
    registry
        .report(&check, Status::Passing, "")
        .await
        .expect("reported");
    let before = store.head().await.expect("a head").position;
    for beat in 0..100 {
        let output = format!("beat {beat}");
        registry
            .report(&check, Status::Passing, &output)
            .await
            .expect("reported");
        registry
            .register(with_ttl("users", "users-1"))
            .await
            .expect("registered");
    }
    assert_eq!(store.head().await.expect("a head").position, before);
    let snapshot = registry
        .watch("users", 0, Duration::ZERO)
        .await
        .expect("found");
    assert_eq!(snapshot.index, before.0, "the position of the last change");
    assert_eq!(snapshot.instances[0].checks[0].output, "beat 99");
}

#[tokio::test(start_paused = true)]
async fn two_registries_on_one_log_see_each_others_changes() {
    let store = store();
    let (here, there) = (open(&store).await, open(&store).await);
    let tasks = Tasks::new(Stop::new());
    there.follow(&tasks);
    let watch = there.watch("users", 1, Duration::from_secs(60));
    let (seen, registered) = tokio::join!(watch, here.register(with_ttl("users", "users-1")));
    registered.expect("registered");
    assert_eq!(seen.expect("seen").instances.len(), 1);
    // `there` decides on what it has read; a stale decision loses and is made again.
    let removed = here.deregister(&InstanceId("users-1".to_owned())).await;
    removed.expect("removed");
    there
        .register(with_ttl("users", "users-2"))
        .await
        .expect("registered");
    let check = CheckId("service:users-1".to_owned());
    let told = there.report(&check, Status::Passing, "").await;
    assert!(
        told.is_err(),
        "the instance was removed by the other process"
    );
    tasks.shut_down(Duration::from_secs(1)).await;
}

#[tokio::test(start_paused = true)]
async fn blocking_queries_do_not_hold_up_a_shutdown() {
    let registry = open(&store()).await;
    let tasks = Tasks::new(Stop::new());
    registry.follow(&tasks);
    let before = tokio::time::Instant::now();
    let service = registry.watch("users", 1, Duration::from_secs(600));
    let services = registry.live().watch_services(1, Duration::from_secs(600));
    let (seen, _, abandoned) =
        tokio::join!(service, services, tasks.shut_down(Duration::from_secs(5)));
    assert_eq!(seen.expect("answered").index, 1);
    assert_eq!((abandoned, before.elapsed()), (Vec::new(), Duration::ZERO));
}

#[tokio::test(start_paused = true)]
async fn a_log_that_others_write_nonsense_to_stays_readable() {
    use ieum_eventstore::{Append, Expect, NewEvent};
    let store = store();
    open(&store)
        .await
        .register(with_ttl("users", "users-1"))
        .await
        .expect("registered");
    let event = NewEvent::new(Clock::system().new_id(), "instance.registered", &"?").expect("JSON");
    let stream = "registry-users".parse().expect("a stream");
    let append = Append::to(stream, Expect::Any, vec![event]);
    store.append(append).await.expect("appended");
    let registry = open(&store).await;
    registry
        .register(with_ttl("users", "users-2"))
        .await
        .expect("registered");
    let snapshot = registry
        .watch("users", 0, Duration::ZERO)
        .await
        .expect("found");
    assert_eq!(snapshot.instances.len(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_registry_takes_no_more_than_its_limit() {
    let limits = Limits {
        instances: 2,
        ..Limits::default()
    };
    let registry = memory::Registry::with_limits(limits);
    for id in ["a", "b", "a"] {
        registry
            .register(with_ttl("users", id))
            .await
            .expect("within the limit");
    }
    let refused = registry
        .register(with_ttl("users", "c"))
        .await
        .expect_err("too many");
    assert!(refused.to_string().contains("limit of 2"), "{refused}");
}

#[tokio::test(start_paused = true)]
async fn forgetting_a_deleted_service_still_wakes_its_watchers() {
    let limits = Limits {
        deleted: 1,
        ..Limits::default()
    };
    let registry = memory::Registry::with_limits(limits);
    registry
        .register(with_ttl("a", "a-1"))
        .await
        .expect("registered");
    let before = registry
        .watch("a", 0, Duration::ZERO)
        .await
        .expect("found")
        .index;
    for (service, id) in [("a", "a-1"), ("b", "b-1"), ("c", "c-1")] {
        registry
            .register(with_ttl(service, id))
            .await
            .expect("registered");
        registry
            .deregister(&InstanceId(id.to_owned()))
            .await
            .expect("removed");
    }
    let seen = registry
        .watch("a", before, Duration::from_secs(60))
        .await
        .expect("found");
    assert!(seen.index > before && seen.instances.is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_static_registry_answers_its_instances_and_refuses_changes() {
    let registry = static_::Registry::new([
        instance("users", "users-1", 1),
        instance("users", "users-2", 2),
        instance("orders", "orders-1", 3),
    ]);
    let first = registry
        .watch("users", 0, Duration::from_secs(60))
        .await
        .expect("found");
    assert_eq!(first.available().count(), 2);
    let again = registry
        .watch("users", first.index, Duration::from_secs(60))
        .await;
    assert_eq!(again.expect("found"), first);
    assert!(
        registry
            .register(with_ttl("users", "users-3"))
            .await
            .is_err()
    );
    assert_eq!(registry.services().await.expect("listed").len(), 2);
}

#[test]
fn an_older_reader_understands_a_newer_writers_change() {
    use crate::catalog::Change;
    let json = r#"{"registered":{"instance":{"id":"a","service":"s","address":"h","port":1,
        "zone":"new"},"checks":[{"id":"c","name":"n","kind":{"ttl":{"ttl":{"secs":1,"nanos":0},
        "grace":"new"}},"severity":"new"}],"owner":"new"}}"#;
    let change: Change = serde_json::from_str(json).expect("readable");
    let Change::Registered(registration) = &change else {
        panic!("{change:?}");
    };
    assert_eq!(
        registration.instance.weight, 1,
        "absent fields have their defaults"
    );
    assert_eq!(registration.checks[0].deregister_after, None);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn h10_a_change_between_the_look_and_the_wait_wakes_the_watcher() {
    const CHANGES: u16 = 300;
    let registry = Arc::new(memory::Registry::new());
    let tasks = Tasks::new(Stop::new());
    let changed = Arc::clone(&registry);
    tasks.spawn(TaskKind::Background, "changes", async move {
        for port in 1..=CHANGES {
            let instance = instance("users", "users-1", port);
            let checks = Vec::new();
            let registered = changed.register(Registration { instance, checks }).await;
            registered.expect("registered");
        }
    });
    // A watch that missed its wake-up would sit out its wait, which is longer than the test.
    let follow = async {
        let mut index = 1;
        loop {
            let wait = Duration::from_secs(600);
            let snapshot = registry.watch("users", index, wait).await.expect("seen");
            assert!(snapshot.index > index, "an index never goes back");
            index = snapshot.index;
            if snapshot.instances[0].instance.port == CHANGES {
                return;
            }
        }
    };
    let in_time = tokio::time::timeout(Duration::from_secs(20), follow).await;
    in_time.expect("every change wakes");
}

mod histories {
    //! Any history of requests leaves a catalog that agrees with itself and with its replay.

    use proptest::prelude::*;

    use super::*;
    use crate::catalog::{Catalog, Change};

    #[derive(Clone, Debug)]
    enum Request {
        Register(u8, u8, u16),
        Deregister(u8),
        Report(u8, Status),
    }

    fn requests() -> impl Strategy<Value = Vec<Request>> {
        let status = prop_oneof![
            Just(Status::Passing),
            Just(Status::Warning),
            Just(Status::Critical)
        ];
        let request = prop_oneof![
            3 => (0..3_u8, 0..4_u8, 1..3_u16).prop_map(|(s, i, p)| Request::Register(s, i, p)),
            1 => (0..4_u8).prop_map(Request::Deregister),
            3 => (0..4_u8, status).prop_map(|(i, status)| Request::Report(i, status)),
        ];
        prop::collection::vec(request, 0..60)
    }

    fn decide(catalog: &Catalog, request: &Request) -> Vec<Change> {
        let decided = match request {
            Request::Register(service, id, port) => {
                let mut registration = with_ttl(&format!("s{service}"), &format!("i{id}"));
                registration.instance.port = *port;
                catalog.register(registration)
            }
            Request::Deregister(id) => catalog.deregister(&InstanceId(format!("i{id}"))),
            Request::Report(id, status) => {
                catalog.report(&CheckId(format!("service:i{id}")), *status, "")
            }
        };
        decided.unwrap_or_default()
    }

    fn assert_same(a: &Catalog, b: &Catalog) {
        assert_eq!(a.index(), b.index());
        assert_eq!(a.services(), b.services());
        for service in ["s0", "s1", "s2"] {
            assert_eq!(a.snapshot(service), b.snapshot(service));
        }
    }

    fn assert_sound(catalog: &Catalog) {
        for registered in catalog.all() {
            let id = &registered.instance.id;
            assert_eq!(catalog.instance(id), Some(registered));
            for check in &registered.checks {
                assert!(catalog.check(&check.definition.id).is_some());
            }
            let index = catalog.service_index(&registered.instance.service);
            assert!(registered.created <= registered.modified && registered.modified <= index);
        }
    }

    proptest! {
        #[test]
        fn a_replay_of_what_was_decided_yields_the_same_catalog(requests in requests()) {
            let mut catalog = Catalog::new(Limits::default());
            let mut history = Vec::new();
            let mut index = 1;
            for request in &requests {
                for change in decide(&catalog, request) {
                    let before = catalog.service_index(change.service().unwrap_or_default());
                    index += 1;
                    catalog.apply(index, &change);
                    prop_assert!(catalog.service_index(change.service().unwrap_or_default()) > before);
                    history.push((index, serde_json::to_string(&change).expect("JSON")));
                }
                assert_sound(&catalog);
                prop_assert!(
                    matches!(request, Request::Deregister(_)) || decide(&catalog, request).is_empty(),
                    "the same request again changes nothing"
                );
            }
            let mut replayed = Catalog::new(Limits::default());
            for (index, json) in &history {
                let change = serde_json::from_str(json).expect("a change");
                replayed.apply(*index, &change);
                replayed.apply(*index, &change);
            }
            assert_same(&catalog, &replayed);
        }
    }
}
