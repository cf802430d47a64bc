//! What clients of the key-value store rely on.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use ieum_base::testing::pass;
use ieum_base::{Clock, Stop, Tasks, Uuid};
use ieum_eventstore::memory;
use tokio::time::Instant;

use super::{Behavior, Config, Entry, Op, Session, Store, Watched};
use crate::catalog::Limits;
use crate::{
    CheckDefinition, CheckId, CheckKind, ErrorKind, Instance, InstanceId, Registration, Registry,
    Status, embedded,
};

/// A store with what it stands on.
struct Bench {
    log: Arc<memory::Store>,
    registry: Arc<embedded::Registry>,
    store: Store,
    tasks: Tasks,
}

impl Bench {
    async fn new() -> Self {
        Self::with(Config::default(), Arc::new(memory::Store::new())).await
    }

    async fn with(config: Config, log: Arc<memory::Store>) -> Self {
        let registry =
            embedded::Registry::open(log.clone(), Clock::system(), Limits::default()).await;
        let registry = registry.expect("a registry");
        let tasks = Tasks::new(Stop::new());
        let home = "ieum".to_owned();
        let store = Store::new(Arc::clone(&registry), home, config, tasks.clone());
        Self {
            log,
            registry,
            store,
            tasks,
        }
    }

    /// Another life on the same log.
    async fn restarted(&self) -> Self {
        Self::with(Config::default(), Arc::clone(&self.log)).await
    }

    /// True if the operation was done, false if somebody else was quicker.
    async fn run(&self, op: Op) -> bool {
        self.store.run(vec![op]).await.expect("decided").is_ok()
    }

    async fn set(&self, key: &str, value: &str) -> bool {
        self.run(set(key, value)).await
    }

    async fn lock(&self, key: &str, session: Uuid) -> bool {
        self.run(Op::Lock {
            key: key.to_owned(),
            value: Bytes::from_static(b"mine"),
            flags: 0,
            session,
        })
        .await
    }

    async fn entry(&self, key: &str) -> Option<Entry> {
        let entry = self.store.look(|state| state.entry(key).cloned()).await;
        entry.expect("readable")
    }

    async fn begin(&self, session: Session) -> Uuid {
        self.store.begin_session(session).await.expect("begun")
    }

    async fn is_alive(&self, id: Uuid) -> bool {
        let there = self.store.look(|state| state.session(id).is_some()).await;
        there.expect("readable")
    }
}

fn set(key: &str, value: &str) -> Op {
    Op::Set {
        key: key.to_owned(),
        value: Bytes::from(value.to_owned()),
        flags: 0,
    }
}

fn session() -> Session {
    Session {
        id: Uuid::new_v4(),
        name: String::new(),
        node: "ieum".to_owned(),
        lock_delay: Duration::ZERO,
        behavior: Behavior::Release,
        ttl: None,
        node_checks: Vec::new(),
        service_checks: Vec::new(),
        created: 0,
    }
}

#[tokio::test(start_paused = true)]
async fn a_key_is_set_read_and_deleted_and_its_index_never_goes_back() {
    let bench = Bench::new().await;
    assert!(bench.set("a", "1").await);
    let first = bench.entry("a").await.expect("there");
    assert_eq!(first.created, first.modified);
    assert!(bench.set("a", "2").await);
    let second = bench.entry("a").await.expect("there");
    assert_eq!(second.created, first.created);
    assert!(second.modified > first.modified);
    bench
        .run(Op::Delete {
            key: "a".to_owned(),
        })
        .await;
    let index = bench.store.look(|state| state.index_of("a")).await;
    assert!(index.expect("readable") > second.modified);
}

#[tokio::test(start_paused = true)]
async fn setting_what_is_set_changes_nothing() {
    let bench = Bench::new().await;
    bench.set("a", "1").await;
    let before = bench.entry("a").await;
    assert!(bench.set("a", "1").await);
    assert_eq!(bench.entry("a").await, before);
}

#[tokio::test(start_paused = true)]
async fn of_two_who_compare_and_set_one_wins() {
    let bench = Bench::new().await;
    let cas = |index, value: &str| Op::Cas {
        key: "a".to_owned(),
        value: Bytes::from(value.to_owned()),
        flags: 0,
        index,
    };
    assert!(bench.run(cas(0, "1")).await, "it was not there");
    assert!(!bench.run(cas(0, "2")).await, "now it is");
    let index = bench.entry("a").await.expect("there").modified;
    let (one, other) = tokio::join!(bench.run(cas(index, "3")), bench.run(cas(index, "4")));
    assert!(one != other, "exactly one");
    let delete = |index| Op::DeleteCas {
        key: "a".to_owned(),
        index,
    };
    assert!(!bench.run(delete(index)).await);
    let index = bench.entry("a").await.expect("there").modified;
    assert!(bench.run(delete(index)).await);
}

#[tokio::test(start_paused = true)]
async fn a_transaction_is_done_whole_with_one_index_or_not_at_all() {
    let bench = Bench::new().await;
    bench.set("a", "0").await;
    let missing = Op::Get {
        key: "missing".to_owned(),
    };
    let refused = bench.store.run(vec![set("a", "1"), missing]).await;
    let refused = refused.expect("decided").expect_err("refused");
    assert_eq!(refused[0].op, 1);
    assert_eq!(&bench.entry("a").await.expect("there").value[..], b"0");
    let tree = Op::GetTree {
        prefix: String::new(),
    };
    let done = bench
        .store
        .run(vec![set("a", "1"), set("b", "2"), tree])
        .await;
    let found = done.expect("decided").expect("done");
    let keys: Vec<&str> = found.iter().map(|found| found.key.as_str()).collect();
    assert_eq!(keys, ["a", "b", "a", "b"], "it reads what it wrote");
    let indexes: Vec<u64> = found
        .iter()
        .filter_map(|f| Some(f.entry.as_ref()?.modified))
        .collect();
    assert!(
        indexes.iter().all(|index| *index == indexes[0]),
        "{indexes:?}"
    );
    assert_eq!(bench.entry("b").await.expect("there").modified, indexes[0]);
}

#[tokio::test(start_paused = true)]
async fn only_one_session_holds_a_key_and_only_it_gives_it_back() {
    let bench = Bench::new().await;
    let (one, other) = (bench.begin(session()).await, bench.begin(session()).await);
    assert!(bench.lock("leader", one).await);
    assert!(!bench.lock("leader", other).await);
    assert!(bench.lock("leader", one).await, "the holder may set it");
    assert_eq!(bench.entry("leader").await.expect("there").lock_index, 1);
    assert!(
        bench.set("leader", "anybody").await,
        "a lock is a convention"
    );
    assert_eq!(
        bench.entry("leader").await.expect("there").session,
        Some(one)
    );
    let unlock = |session| Op::Unlock {
        key: "leader".to_owned(),
        value: Bytes::new(),
        flags: 0,
        session,
    };
    assert!(!bench.run(unlock(other)).await);
    assert!(bench.run(unlock(one)).await);
    assert!(bench.lock("leader", other).await);
    assert_eq!(bench.entry("leader").await.expect("there").lock_index, 2);
    let nobody = Op::Lock {
        key: "leader".to_owned(),
        value: Bytes::new(),
        flags: 0,
        session: Uuid::new_v4(),
    };
    let refused = bench.store.run(vec![nobody]).await.expect("decided");
    assert!(refused.expect_err("no such session")[0].invalid);
}

#[tokio::test(start_paused = true)]
async fn the_end_of_a_session_releases_or_deletes_its_keys_and_delays_others() {
    let bench = Bench::new().await;
    let delayed = Session {
        lock_delay: Duration::from_secs(15),
        ..session()
    };
    let deleting = Session {
        behavior: Behavior::Delete,
        ..session()
    };
    let (one, two) = (bench.begin(delayed).await, bench.begin(deleting).await);
    bench.lock("released", one).await;
    bench.lock("deleted", two).await;
    let before = bench.entry("released").await.expect("there").modified;
    bench.store.end_session(one).await.expect("ended");
    bench.store.end_session(two).await.expect("ended");
    bench
        .store
        .end_session(two)
        .await
        .expect("ending is idempotent");
    let released = bench.entry("released").await.expect("there");
    assert_eq!(released.session, None);
    assert!(released.modified > before, "who waits for it must be told");
    assert_eq!(bench.entry("deleted").await, None);
    let three = bench.begin(session()).await;
    assert!(!bench.lock("released", three).await, "its lock delay");
    assert!(bench.lock("deleted", three).await);
    tokio::time::advance(Duration::from_secs(15)).await;
    assert!(bench.lock("released", three).await);
}

#[tokio::test(start_paused = true)]
async fn a_session_that_is_not_renewed_ends_after_its_ttl_and_before_twice_and_a_bit() {
    let bench = Bench::new().await;
    let ttl = Some(Duration::from_secs(10));
    let renewed = bench.begin(Session { ttl, ..session() }).await;
    let silent = bench.begin(Session { ttl, ..session() }).await;
    bench.lock("leader", silent).await;
    for _ in 0..4 {
        pass(Duration::from_secs(9)).await;
        let known = bench.store.renew_session(renewed).await.expect("readable");
        assert!(known.is_some());
        if bench.is_alive(silent).await {
            assert_eq!(
                bench.entry("leader").await.expect("there").session,
                Some(silent)
            );
        }
    }
    assert!(bench.is_alive(renewed).await);
    assert!(!bench.is_alive(silent).await);
    assert_eq!(bench.entry("leader").await.expect("there").session, None);
    assert_eq!(
        bench.store.renew_session(silent).await.expect("readable"),
        None
    );
}

#[tokio::test(start_paused = true)]
async fn a_session_ends_with_its_check() {
    let bench = Bench::new().await;
    let mut check = CheckDefinition::new(
        CheckId("alive".to_owned()),
        CheckKind::Ttl {
            ttl: Duration::from_secs(60),
        },
    );
    check.initial = Status::Passing;
    let registration = Registration {
        instance: Instance {
            id: InstanceId("web-1".to_owned()),
            service: "web".to_owned(),
            address: "127.0.0.1".to_owned(),
            port: 80,
            tags: Vec::new(),
            meta: BTreeMap::new(),
            weight: 1,
        },
        checks: vec![check],
    };
    bench
        .registry
        .register(registration)
        .await
        .expect("registered");
    let service_checks = vec![CheckId("alive".to_owned())];
    let with_check = Session {
        service_checks: service_checks.clone(),
        ..session()
    };
    let id = bench.begin(with_check).await;
    let check = CheckId("alive".to_owned());
    let failed = bench.registry.report(&check, Status::Critical, "gone");
    failed.await.expect("reported");
    let ended = Watched::Sessions;
    let index = bench
        .store
        .look(|state| state.session(id).map(|s| s.created));
    let index = index.await.expect("readable").unwrap_or_default();
    let watched = bench.store.watch(&ended, index, Duration::from_secs(60));
    watched.await.expect("watched");
    assert!(!bench.is_alive(id).await);
    let again = Session {
        service_checks,
        ..session()
    };
    let refused = bench
        .store
        .begin_session(again)
        .await
        .expect_err("its check fails");
    assert_eq!(refused.to_string(), "Check 'alive' is in critical state");
}

#[tokio::test(start_paused = true)]
async fn who_waits_for_a_tree_is_woken_by_it_and_by_nothing_else() {
    let bench = Bench::new().await;
    bench.set("app/a", "1").await;
    let tree = Watched::Tree("app/".to_owned());
    let index = bench.store.look(|state| tree.index(state)).await;
    let index = index.expect("readable");
    let begun = Instant::now();
    let changes = async {
        bench.set("other", "1").await;
        pass(Duration::from_secs(5)).await;
        bench.set("app/b", "1").await;
    };
    let wait = Duration::from_secs(60);
    let (watched, ()) = tokio::join!(bench.store.watch(&tree, index, wait), changes);
    watched.expect("watched");
    assert_eq!(begun.elapsed(), Duration::from_secs(5));
    let missing = Watched::Key("missing".to_owned());
    let begun = Instant::now();
    let changes = async {
        bench.set("other", "2").await;
        pass(Duration::from_secs(7)).await;
        bench.set("missing", "no more").await;
    };
    let (watched, ()) = tokio::join!(bench.store.watch(&missing, 1, wait), changes);
    watched.expect("watched");
    assert_eq!(
        begun.elapsed(),
        Duration::from_secs(7),
        "also a key to come"
    );
}

#[tokio::test(start_paused = true)]
async fn an_index_that_was_not_reached_is_answered_at_once() {
    let bench = Bench::new().await;
    bench.set("a", "1").await;
    let begun = Instant::now();
    let key = Watched::Key("a".to_owned());
    let watched = bench.store.watch(&key, 1_000, Duration::from_secs(600));
    watched.await.expect("watched");
    assert_eq!(begun.elapsed(), Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn keys_locks_and_sessions_outlive_a_restart() {
    let bench = Bench::new().await;
    let ttl = Some(Duration::from_secs(10));
    let id = bench.begin(Session { ttl, ..session() }).await;
    bench.lock("leader", id).await;
    bench.set("deleted", "1").await;
    bench
        .run(Op::DeleteTree {
            prefix: "del".to_owned(),
        })
        .await;
    let before = bench.entry("leader").await;
    let index = bench.store.look(|state| state.index_of("deleted")).await;
    let again = bench.restarted().await;
    assert_eq!(again.entry("leader").await, before);
    assert!(again.is_alive(id).await);
    let index_again = again.store.look(|state| state.index_of("deleted")).await;
    assert_eq!(index.expect("readable"), index_again.expect("readable"));
    pass(Duration::from_secs(21)).await;
    assert!(!again.is_alive(id).await, "its TTL goes on from the start");
}

#[tokio::test(start_paused = true)]
async fn two_stores_on_one_log_decide_as_one() {
    let bench = Bench::new().await;
    let other = bench.restarted().await;
    bench.set("a", "1").await;
    let cas = Op::Cas {
        key: "a".to_owned(),
        value: Bytes::from_static(b"2"),
        flags: 0,
        index: 0,
    };
    assert!(!other.run(cas).await, "decided on what the other wrote");
}

#[tokio::test(start_paused = true)]
async fn what_is_beyond_the_bounds_is_refused_and_can_be_deleted() {
    let config = Config {
        max_keys: 2,
        max_sessions: 1,
        ..Config::default()
    };
    let bench = Bench::with(config, Arc::new(memory::Store::new())).await;
    let large = "x".repeat((512 << 10) + 1);
    let refused = bench.store.run(vec![set("a", &large)]).await;
    assert_eq!(refused.expect_err("too large").kind(), ErrorKind::Invalid);
    assert!(bench.set("a", &large[1..]).await, "512 KiB fit");
    assert!(bench.set("b", "1").await);
    let full = bench.store.run(vec![set("c", "1")]).await;
    let full = full.expect_err("full");
    assert_eq!(full.kind(), ErrorKind::Full);
    assert_eq!(full.to_string(), "the store holds its limit of 2 keys");
    assert!(bench.set("b", "2").await, "what is there may change");
    bench
        .run(Op::Delete {
            key: "a".to_owned(),
        })
        .await;
    assert!(bench.set("c", "1").await);
    let named = Session {
        name: "x".repeat(256),
        ..session()
    };
    let refused = bench.store.begin_session(named).await;
    assert_eq!(refused.expect_err("too long").kind(), ErrorKind::Invalid);
    bench.begin(session()).await;
    let refused = bench.store.begin_session(session()).await;
    assert_eq!(refused.expect_err("one too many").kind(), ErrorKind::Full);
}

#[tokio::test(start_paused = true)]
async fn h10_deleting_wakes_who_waits_for_the_key() {
    let bench = Bench::new().await;
    bench.set("a", "1").await;
    let index = bench.entry("a").await.expect("there").modified;
    let key = Watched::Key("a".to_owned());
    let deletes = bench.run(Op::Delete {
        key: "a".to_owned(),
    });
    let begun = Instant::now();
    let wait = Duration::from_secs(600);
    let (watched, _) = tokio::join!(bench.store.watch(&key, index, wait), deletes);
    watched.expect("watched");
    assert_eq!(begun.elapsed(), Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn nobody_who_waits_and_no_session_holds_up_a_shutdown() {
    let bench = Bench::new().await;
    bench.begin(session()).await;
    bench.set("a", "1").await;
    let index = bench.entry("a").await.expect("there").modified;
    let key = Watched::Key("a".to_owned());
    let begun = Instant::now();
    let waits = bench.store.watch(&key, index, Duration::from_secs(600));
    let stops = bench.tasks.shut_down(Duration::from_secs(30));
    let (watched, abandoned) = tokio::join!(waits, stops);
    watched.expect("watched");
    assert!(abandoned.is_empty(), "{abandoned:?}");
    assert_eq!(begun.elapsed(), Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn nothing_is_read_or_run_before_the_first_use() {
    let bench = Bench::new().await;
    assert!(bench.tasks.is_empty());
    bench.set("a", "1").await;
    assert!(bench.tasks.is_empty(), "no session, nobody to watch over");
    bench.begin(session()).await;
    assert_eq!(bench.tasks.len(), 1, "the keeper of the sessions");
}
