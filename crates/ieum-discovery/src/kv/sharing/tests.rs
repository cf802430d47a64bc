//! Two processes on one log, with the same keys and sessions.

use async_trait::async_trait;
use bytes::Bytes;
use ieum_base::testing::pass;
use ieum_base::{Clock, Stop};
use ieum_eventstore::{Fences, memory};

use super::super::{Behavior, Op, Session, Watched};
use super::*;
use crate::catalog::Limits;
use crate::peers::Heard;

const TTL: Duration = Duration::from_secs(10);

/// Two stores, and the tasks that look after both.
struct Bench {
    log: memory::Store,
    one: Store,
    two: Store,
    tasks: Tasks,
}

/// The other process, as the one that ends sessions asks it.
struct Other(Store);

#[async_trait]
impl Peers for Other {
    async fn gather(&self) -> Gathered {
        Gathered {
            heard: vec![Heard::here(BTreeMap::new(), self.0.told())],
            losses: 0,
        }
    }
}

/// A process that is gone with what it had heard; another one who asked learnt of it before.
struct Gone;

#[async_trait]
impl Peers for Gone {
    async fn gather(&self) -> Gathered {
        Gathered {
            heard: Vec::new(),
            losses: 1,
        }
    }
}

impl Bench {
    async fn new() -> Self {
        let (log, tasks) = (memory::Store::new(), Tasks::new(Stop::new()));
        let store = async || {
            let log = Arc::new(log.clone());
            let registry = embedded::Registry::open(log, Clock::system(), Limits::default()).await;
            let registry = registry.expect("a registry");
            Store::sharing(
                registry,
                "ieum".to_owned(),
                Config::default(),
                tasks.clone(),
            )
        };
        Self {
            one: store().await,
            two: store().await,
            log,
            tasks,
        }
    }

    /// Lets the first process end sessions from here on.
    async fn one_looks_after(&self) {
        self.one_asks(Arc::new(Other(self.two.clone()))).await;
    }

    /// The same, with these as the others.
    async fn one_asks(&self, peers: Arc<dyn Peers>) {
        let fence = self.log.raise("sessions").await.expect("a fence");
        let one = self.one.clone();
        self.tasks
            .spawn(TaskKind::Background, "sessions", async move {
                one.look_after_sessions(fence, peers).await;
            });
        pass(Duration::from_secs(1)).await;
    }

    async fn session(&self) -> Uuid {
        let session = Session {
            id: Uuid::new_v4(),
            name: String::new(),
            node: "ieum".to_owned(),
            lock_delay: Duration::ZERO,
            behavior: Behavior::Release,
            ttl: Some(TTL),
            node_checks: Vec::new(),
            service_checks: Vec::new(),
            created: 0,
        };
        self.two.begin_session(session).await.expect("begun")
    }

    async fn is_alive(&self, id: Uuid) -> bool {
        let there = self.one.look(|state| state.session(id).is_some()).await;
        there.expect("readable")
    }
}

async fn set(store: &Store, value: &'static str) {
    let op = Op::Set {
        key: "a".to_owned(),
        value: Bytes::from_static(value.as_bytes()),
        flags: 0,
    };
    store.run(vec![op]).await.expect("decided").expect("done");
}

async fn get(store: &Store) -> Option<Bytes> {
    let look = store.look(|state| Some(state.entry("a")?.value.clone()));
    look.await.expect("readable")
}

#[tokio::test(start_paused = true)]
async fn what_one_wrote_the_other_reads_at_once_and_may_wait_for() {
    let bench = Bench::new().await;
    assert_eq!(get(&bench.two).await, None);
    set(&bench.one, "1").await;
    assert_eq!(get(&bench.two).await.as_deref(), Some(&b"1"[..]));
    let key = Watched::Key("a".to_owned());
    let index = bench
        .two
        .look(|state| state.index_of("a"))
        .await
        .expect("readable");
    let begun = Instant::now();
    let two = bench.two.clone();
    let waiting = two.watch(&key, index, Duration::from_secs(60));
    let writing = async {
        pass(Duration::from_secs(5)).await;
        set(&bench.one, "2").await;
    };
    let (waited, ()) = tokio::join!(waiting, writing);
    waited.expect("readable");
    assert!(
        begun.elapsed() < Duration::from_secs(10),
        "{:?}",
        begun.elapsed()
    );
    assert_eq!(get(&bench.two).await.as_deref(), Some(&b"2"[..]));
}

#[tokio::test(start_paused = true)]
async fn a_session_that_is_renewed_anywhere_lives_and_one_that_is_not_ends() {
    let bench = Bench::new().await;
    bench.one_looks_after().await;
    let id = bench.session().await;
    for _ in 0..10 {
        pass(TTL / 2).await;
        let renewed = bench.two.renew_session(id).await.expect("readable");
        assert!(renewed.is_some(), "it is renewed at the other process");
    }
    // As in Consul, at most twice its TTL.
    pass(2 * TTL + Duration::from_secs(2)).await;
    assert!(!bench.is_alive(id).await);
}

#[tokio::test(start_paused = true)]
async fn without_one_whose_turn_it_is_no_session_ends() {
    let bench = Bench::new().await;
    let id = bench.session().await;
    pass(10 * TTL).await;
    assert!(bench.is_alive(id).await);
    bench.one_looks_after().await;
    pass(TTL).await;
    assert!(bench.is_alive(id).await, "it lives for its whole TTL again");
    pass(2 * TTL).await;
    assert!(!bench.is_alive(id).await);
}

#[tokio::test(start_paused = true)]
async fn h13_whose_turn_is_over_ends_no_session() {
    let bench = Bench::new().await;
    bench.one_looks_after().await;
    let id = bench.session().await;
    bench.log.raise("sessions").await.expect("a successor");
    pass(10 * TTL).await;
    assert!(bench.is_alive(id).await);
}

#[tokio::test(start_paused = true)]
async fn what_a_lost_process_may_have_heard_lets_a_session_live_once_more() {
    let bench = Bench::new().await;
    bench.one_asks(Arc::new(Gone)).await;
    let id = bench.session().await;
    pass(2 * TTL + Duration::from_secs(2)).await;
    assert!(bench.is_alive(id).await, "it may have been renewed there");
    pass(2 * TTL + Duration::from_secs(2)).await;
    assert!(!bench.is_alive(id).await, "one loss is counted once");
}
