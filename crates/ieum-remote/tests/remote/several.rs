//! Several platforms on one log: a call goes to one that is well.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::IntoResponse;
use axum::routing::get;
use ieum_base::{EngineUrl, HumanDuration, Stop, TaskKind, Tasks};
use ieum_eventstore::ErrorKind;
use ieum_messaging::Message;
use ieum_remote::{Config, Platform};
use tokio::net::TcpListener;

/// A platform that counts its calls, and that answers nothing while it is frozen.
#[derive(Clone, Default)]
struct Member {
    calls: Arc<AtomicUsize>,
    frozen: Arc<AtomicBool>,
    stopping: Arc<AtomicBool>,
}

impl Member {
    /// Listens on a free port until the stop of `tasks`; answers the address.
    async fn listen(&self, tasks: &Tasks) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address").to_string();
        let router = Router::new()
            .route("/health", get(health))
            .route("/api/v1/log/head", get(head))
            .route("/api/v1/topics/{topic}", axum::routing::post(publish))
            .route("/v1/health/service/{name}", get(watch))
            .with_state(self.clone());
        let stop = tasks.stop().clone();
        tasks.spawn(TaskKind::Background, "member", async move {
            let serving = axum::serve(listener, router).into_future();
            stop.unless_requested(serving).await;
        });
        address
    }

    fn calls(&self) -> usize {
        self.calls.load(Ordering::SeqCst)
    }

    async fn thawed(&self) {
        if self.frozen.load(Ordering::SeqCst) {
            std::future::pending::<()>().await;
        }
    }
}

async fn health(State(member): State<Member>) -> StatusCode {
    member.thawed().await;
    match member.stopping.load(Ordering::SeqCst) {
        true => StatusCode::SERVICE_UNAVAILABLE,
        false => StatusCode::OK,
    }
}

async fn head(State(member): State<Member>) -> String {
    member.calls.fetch_add(1, Ordering::SeqCst);
    member.thawed().await;
    let incarnation = ieum_base::Uuid::nil();
    format!(r#"{{"incarnation":"{incarnation}","position":7}}"#)
}

async fn publish(State(member): State<Member>) -> StatusCode {
    member.calls.fetch_add(1, Ordering::SeqCst);
    member.thawed().await;
    StatusCode::ACCEPTED
}

async fn watch(State(member): State<Member>) -> impl IntoResponse {
    member.calls.fetch_add(1, Ordering::SeqCst);
    member.thawed().await;
    ([("x-consul-index", "3")], "[]")
}

/// The platforms at `addresses`, watched closely.
fn platform(addresses: &[String], tasks: &Tasks) -> Platform {
    let url = format!("ieum://{}", addresses.join(","));
    let url: EngineUrl = url.parse().expect("a URL");
    let config = Config {
        probe: HumanDuration::from_millis(20),
        probe_timeout: HumanDuration::from_millis(200),
        ..Config::default()
    };
    Platform::new(&url, &config, tasks).expect("a platform")
}

/// Two members, the first of which is the one that `platform` calls.
async fn pair(tasks: &Tasks) -> (Platform, Member, Member) {
    let (one, two) = (Member::default(), Member::default());
    let addresses = [one.listen(tasks).await, two.listen(tasks).await];
    let platform = platform(&addresses, tasks);
    platform.event_store().head().await.expect("a head");
    match one.calls() {
        0 => (platform, two, one),
        _ => (platform, one, two),
    }
}

async fn until(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    let holds = async {
        while !holds().await {
            tokio::task::yield_now().await;
        }
    };
    let in_time = tokio::time::timeout(Duration::from_secs(20), holds).await;
    in_time.unwrap_or_else(|_| panic!("never: {what}"));
}

#[tokio::test]
async fn clients_spread_over_the_addresses() {
    let tasks = Tasks::new(Stop::new());
    let (one, two) = (Member::default(), Member::default());
    let addresses = [one.listen(&tasks).await, two.listen(&tasks).await];
    for _ in 0..40 {
        let client = platform(&addresses, &tasks);
        client.event_store().head().await.expect("a head");
    }
    assert!(one.calls() >= 5 && two.calls() >= 5, "{}", one.calls());
}

#[tokio::test]
async fn one_that_was_killed_is_passed_over() {
    let tasks = Tasks::new(Stop::new());
    let member = Member::default();
    let there = member.listen(&tasks).await;
    for _ in 0..10 {
        let client = platform(&["127.0.0.1:1".to_owned(), there.clone()], &tasks);
        let message = Message::new("/s", "1", "t", &()).expect("json");
        let published = client.publisher().publish("things", &[message]).await;
        published.expect("nothing was sent to the other");
        let known = client.registry().watch("users", 0, Duration::ZERO).await;
        assert_eq!(known.expect("a snapshot").index, 3);
    }
}

#[tokio::test]
async fn one_that_is_frozen_is_given_up_and_called_again_when_it_thaws() {
    let tasks = Tasks::new(Stop::new());
    let (platform, first, second) = pair(&tasks).await;
    first.frozen.store(true, Ordering::SeqCst);
    // A read goes on elsewhere; long before its own timeout of 15 s.
    let begun = tokio::time::Instant::now();
    let head = platform.event_store().head().await.expect("a head");
    assert_eq!(head.position.0, 7);
    assert!(begun.elapsed() < Duration::from_secs(10));
    let before = (first.calls(), second.calls());
    let registry = platform.registry();
    let snapshot = registry.watch("users", 3, Duration::from_secs(60));
    assert_eq!(snapshot.await.expect("a snapshot").index, 3);
    assert_eq!((first.calls(), second.calls()), (before.0, before.1 + 1));

    first.frozen.store(false, Ordering::SeqCst);
    until("calls go home again", async || {
        platform.event_store().head().await.expect("a head");
        first.calls() > before.0
    })
    .await;
}

#[tokio::test]
async fn what_was_perhaps_done_is_not_repeated_elsewhere() {
    let tasks = Tasks::new(Stop::new());
    let (platform, first, second) = pair(&tasks).await;
    first.frozen.store(true, Ordering::SeqCst);
    let message = Message::new("/s", "1", "t", &()).expect("json");
    let (publisher, messages) = (platform.publisher(), [message]);
    let published = publisher.publish("things", &messages).await;
    let error = published.expect_err("nobody knows");
    assert_eq!(error.kind(), ieum_messaging::ErrorKind::Unavailable);
    assert_eq!(second.calls(), 0);
    // The caller, who knows that the message has an id, tries again.
    let again = publisher.publish("things", &messages).await;
    again.expect("published");
    assert_eq!(second.calls(), 1);
}

#[tokio::test]
async fn one_that_is_stopping_gets_nothing_new() {
    let tasks = Tasks::new(Stop::new());
    let (platform, first, second) = pair(&tasks).await;
    first.stopping.store(true, Ordering::SeqCst);
    until("calls go elsewhere", async || {
        platform.event_store().head().await.expect("a head");
        second.calls() > 0
    })
    .await;
}

#[tokio::test]
async fn if_all_are_away_the_call_says_so() {
    let tasks = Tasks::new(Stop::new());
    let nowhere = ["127.0.0.1:1".to_owned(), "127.0.0.1:2".to_owned()];
    let error = platform(&nowhere, &tasks).event_store().head().await;
    assert_eq!(error.expect_err("away").kind(), &ErrorKind::Unavailable);
}

#[test]
fn every_address_is_an_address() {
    let tasks = Tasks::new(Stop::new());
    for wrong in ["ieum://a:1,", "ieum://,a:1", "ieum://a:1,b:2/x"] {
        let url: EngineUrl = wrong.parse().expect("a URL");
        assert!(ieum_remote::connect(&url, &tasks).is_err(), "{wrong}");
    }
}

#[test]
fn platforms_are_named_as_people_write_addresses() {
    let located = |text: &str| {
        let url = ieum_remote::locate(text).ok()?;
        Some(format!("{}://{}", url.scheme(), url.rest()))
    };
    for text in ["http://a:1,http://b:2/", "a:1,b:2", "ieum://a:1,b:2"] {
        assert_eq!(located(text).as_deref(), Some("ieum://a:1,b:2"), "{text}");
    }
    assert_eq!(located("https://a,b").as_deref(), Some("ieums://a,b"));
    assert_eq!(located("https://a,http://b"), None);
    assert_eq!(located("ftp://a"), None);
}
