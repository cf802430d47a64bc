//! The checker with real servers on loopback, and TTLs on virtual time.

use std::sync::Arc;
use std::sync::atomic::{AtomicU16, AtomicUsize, Ordering};
use std::time::Duration;

use ieum_base::testing::pass;
use ieum_base::{Clock, Rng, Stop, TaskKind, Tasks};
use ieum_http::egress;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use super::{Checker, Config, Handle};
use crate::catalog::Limits;
use crate::{
    Check, CheckDefinition, CheckId, CheckKind, Instance, InstanceId, Registration, Registry,
    Status, embedded,
};

/// A registry with a running checker.
struct Bench {
    registry: Arc<embedded::Registry>,
    checker: Handle,
    tasks: Tasks,
}

impl Bench {
    async fn new() -> Self {
        Self::with(egress::Policy::default()).await
    }

    async fn with(egress: egress::Policy) -> Self {
        let store = Arc::new(ieum_eventstore::memory::Store::new());
        let registry = embedded::Registry::open(store, Clock::system(), Limits::default()).await;
        let registry = registry.expect("a registry");
        let tasks = Tasks::new(Stop::new());
        let config = Config {
            least_interval: ieum_base::HumanDuration::from_millis(1),
            ..Config::default()
        };
        let checked = Arc::clone(&registry);
        let checker = Checker::new(checked, config, egress, Rng::seeded(1), tasks.clone());
        let handle = checker.handle();
        let stop = tasks.stop().clone();
        tasks.spawn(TaskKind::Essential, "checker", checker.run(stop));
        Self {
            registry,
            checker: handle,
            tasks,
        }
    }

    async fn register(&self, kind: CheckKind, deregister_after: Option<Duration>) -> CheckId {
        let instance = InstanceId("users-1".to_owned());
        let mut check = CheckDefinition::new(CheckId::of(&instance), kind);
        check.deregister_after = deregister_after;
        let id = check.id.clone();
        let registration = Registration {
            instance: Instance {
                id: instance,
                service: "users".to_owned(),
                address: "127.0.0.1".to_owned(),
                port: 80,
                tags: Vec::new(),
                meta: Default::default(),
                weight: 1,
            },
            checks: vec![check],
        };
        self.registry
            .register(registration)
            .await
            .expect("registered");
        id
    }

    /// Waits, by blocking queries, until the only check is so; answers its output.
    async fn becomes(&self, status: Status) -> String {
        self.until(|check| check.status == status).await
    }

    /// The same for what the check has put out.
    async fn says(&self, part: &str) -> String {
        self.until(|check| check.output.contains(part)).await
    }

    async fn until(&self, holds: impl Fn(&Check) -> bool) -> String {
        let mut index = 0;
        let becomes = async {
            loop {
                let watch = self.registry.watch("users", index, Duration::from_secs(60));
                let snapshot = watch.await.expect("an answer");
                index = snapshot.index;
                let check = snapshot.instances.first().map(|found| &found.checks[0]);
                if let Some(check) = check.filter(|check| holds(check)) {
                    return check.output.clone();
                }
            }
        };
        let in_time = tokio::time::timeout(Duration::from_secs(300), becomes).await;
        in_time.expect("it never becomes so")
    }

    fn status(&self) -> Option<Status> {
        let live = self.registry.live();
        live.look(|catalog| Some(catalog.snapshot("users").instances.first()?.status()))
    }
}

/// A server that answers every request with `status`, until it is dropped.
struct Server {
    address: std::net::SocketAddr,
    status: Arc<AtomicU16>,
    asked: Arc<AtomicUsize>,
    stop: Stop,
}

impl Server {
    async fn start(tasks: &Tasks) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let server = Self {
            address: listener.local_addr().expect("an address"),
            status: Arc::new(AtomicU16::new(200)),
            asked: Arc::default(),
            stop: tasks.stop().child(),
        };
        let (status, asked) = (Arc::clone(&server.status), Arc::clone(&server.asked));
        let stop = server.stop.clone();
        let serve = async move {
            while let Ok((mut connection, _)) = listener.accept().await {
                let mut request = [0; 1_024];
                let _ = connection.read(&mut request).await;
                asked.fetch_add(1, Ordering::Relaxed);
                let status = status.load(Ordering::Relaxed);
                let answer = format!("HTTP/1.1 {status} x\r\ncontent-length: 4\r\n\r\nbody");
                let _ = connection.write_all(answer.as_bytes()).await;
            }
        };
        tasks.spawn(TaskKind::Background, "server", async move {
            stop.unless_requested(serve).await;
        });
        server
    }

    fn http(&self) -> CheckKind {
        CheckKind::http(
            format!("http://{}/health", self.address),
            Duration::from_millis(20),
            Duration::from_secs(5),
        )
    }
}

#[tokio::test]
async fn an_http_check_follows_the_answers_of_its_instance() {
    let bench = Bench::new().await;
    let server = Server::start(&bench.tasks).await;
    bench.register(server.http(), None).await;
    let output = bench.becomes(Status::Passing).await;
    assert!(
        output.contains("200") && output.ends_with("Output: body"),
        "{output}"
    );
    for (status, expected) in [
        (429, Status::Warning),
        (503, Status::Critical),
        (204, Status::Passing),
        (302, Status::Critical),
    ] {
        server.status.store(status, Ordering::Relaxed);
        bench.becomes(expected).await;
    }
    server.status.store(200, Ordering::Relaxed);
    bench.becomes(Status::Passing).await;
    server.stop.request();
    let output = bench.becomes(Status::Critical).await;
    assert!(
        output.contains("no connection"),
        "one failure is critical: {output}"
    );
}

#[tokio::test]
async fn an_instance_that_registers_again_is_asked_at_once() {
    let bench = Bench::new().await;
    let server = Server::start(&bench.tasks).await;
    let seldom = || {
        CheckKind::http(
            format!("http://{}/health", server.address),
            Duration::from_secs(3_600),
            Duration::from_secs(5),
        )
    };
    server.status.store(503, Ordering::Relaxed);
    bench.register(seldom(), None).await;
    bench.says("503").await;
    // It was started again, and says so; its registration is the one that is known.
    server.status.store(200, Ordering::Relaxed);
    bench.register(seldom(), None).await;
    bench.becomes(Status::Passing).await;
}

#[tokio::test]
async fn a_tcp_check_finds_out_whether_somebody_listens() {
    let bench = Bench::new().await;
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address").to_string();
    let kind = CheckKind::Tcp {
        address,
        interval: Duration::from_millis(20),
        timeout: Duration::from_secs(5),
    };
    bench.register(kind, None).await;
    bench.becomes(Status::Passing).await;
    drop(listener);
    bench.becomes(Status::Critical).await;
}

#[tokio::test]
async fn an_instance_that_does_not_answer_in_time_is_critical() {
    let bench = Bench::new().await;
    // The system accepts for a listener that nobody serves.
    let silent = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let kind = CheckKind::http(
        format!("http://{}/", silent.local_addr().expect("an address")),
        Duration::from_millis(20),
        Duration::from_millis(50),
    );
    let check = bench.register(kind, None).await;
    let output = async {
        loop {
            let live = bench.registry.live();
            let output = live.look(|c| c.check(&check).map(|(_, c)| c.output.clone()));
            match output {
                Some(output) if !output.is_empty() => return output,
                _ => tokio::task::yield_now().await,
            }
        }
    };
    assert_eq!(output.await, "no answer within 50ms");
    assert_eq!(bench.status(), Some(Status::Critical));
}

#[tokio::test]
async fn a_check_cannot_be_used_to_reach_what_must_not_be_called() {
    let policy = egress::Policy {
        loopback: false,
        ..egress::Policy::default()
    };
    let bench = Bench::with(policy).await;
    let server = Server::start(&bench.tasks).await;
    let check = bench.register(server.http(), None).await;
    let live = bench.registry.live();
    while live.look(|c| c.check(&check).is_none_or(|(_, c)| c.output.is_empty())) {
        tokio::task::yield_now().await;
    }
    assert_eq!(bench.status(), Some(Status::Critical));
    assert_eq!(server.asked.load(Ordering::Relaxed), 0);
}

#[tokio::test]
async fn checks_end_with_their_registration_and_begin_anew_when_it_changes() {
    let bench = Bench::new().await;
    let (first, second) = (
        Server::start(&bench.tasks).await,
        Server::start(&bench.tasks).await,
    );
    bench.register(first.http(), None).await;
    bench.becomes(Status::Passing).await;
    bench.register(second.http(), None).await;
    while second.asked.load(Ordering::Relaxed) < 3 {
        tokio::task::yield_now().await;
    }
    assert_eq!(bench.checker.running(), 1);
    let removed = bench
        .registry
        .deregister(&InstanceId("users-1".to_owned()))
        .await;
    removed.expect("removed");
    while bench.checker.running() > 0 {
        tokio::task::yield_now().await;
    }
}

const TTL: CheckKind = CheckKind::Ttl {
    ttl: Duration::from_secs(10),
};

#[tokio::test(start_paused = true)]
async fn a_ttl_expires_when_nobody_reports_and_not_before() {
    let bench = Bench::new().await;
    let check = bench.register(TTL, None).await;
    let report = async || bench.registry.report(&check, Status::Passing, "").await;
    for _ in 0..5 {
        report().await.expect("reported");
        pass(Duration::from_millis(9_900)).await;
        assert_eq!(bench.status(), Some(Status::Passing));
    }
    let output = bench.becomes(Status::Critical).await;
    assert_eq!(output, "TTL expired (no report for 10s)");
    report().await.expect("reported");
    assert_eq!(bench.status(), Some(Status::Passing), "it heals at once");
    bench.becomes(Status::Critical).await;
}

#[tokio::test(start_paused = true)]
async fn h16_a_step_of_the_time_of_day_expires_nobody() {
    let manual = ieum_base::ManualClock::starting_at(ieum_base::Timestamp::from_micros(1 << 50));
    let store = Arc::new(ieum_eventstore::memory::Store::new());
    let registry = embedded::Registry::open(store, manual.clock(), Limits::default()).await;
    let mut bench = Bench::new().await;
    bench.registry = registry.expect("a registry");
    let tasks = bench.tasks.clone();
    let checked = Arc::clone(&bench.registry);
    let policy = egress::Policy::default();
    let checker = Checker::new(checked, Config::default(), policy, Rng::seeded(1), tasks);
    let stop = bench.tasks.stop().clone();
    bench
        .tasks
        .spawn(TaskKind::Essential, "checker", checker.run(stop));
    let check = bench.register(TTL, None).await;
    bench
        .registry
        .report(&check, Status::Passing, "")
        .await
        .expect("reported");
    for hours in [1, -2] {
        let micros = hours * 3_600_000_000 + manual.clock().now().as_micros();
        manual.set(ieum_base::Timestamp::from_micros(micros));
        pass(Duration::from_secs(4)).await;
        assert_eq!(bench.status(), Some(Status::Passing));
    }
    bench.becomes(Status::Critical).await;
}

#[tokio::test(start_paused = true)]
async fn an_instance_that_stays_critical_is_removed_if_it_asked_for_that() {
    let bench = Bench::new().await;
    let check = bench.register(TTL, Some(Duration::from_secs(60))).await;
    bench
        .registry
        .report(&check, Status::Passing, "")
        .await
        .expect("reported");
    bench.becomes(Status::Critical).await;
    pass(Duration::from_secs(55)).await;
    assert_eq!(bench.status(), Some(Status::Critical), "not yet");
    pass(Duration::from_secs(15)).await;
    assert_eq!(bench.status(), None);
    while bench.checker.running() > 0 {
        tokio::task::yield_now().await;
    }
}
