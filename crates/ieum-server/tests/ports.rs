//! The platform behind its `ieum://` adapter keeps the promises of the ports: server and client agree
//! on every path, body and error.

use std::path::Path;
use std::time::Duration;

use ieum_base::{Clock, EngineUrl, Stop, Tasks};
use ieum_discovery::{Instance, InstanceId, Registration};
use ieum_eventstore::{
    Append, Checkpoint, ErrorKind, Expect, Filter, NewEvent, Position, StreamName, Version,
};
use ieum_messaging::conformance::{Engine, run_topics, topics_names};
use ieum_remote::wire::traces::ListTraces;
use ieum_server::config;
use ieum_server::platform::{Platform, Running};

#[tokio::test]
async fn topics_keep_their_promises_over_the_api() {
    check(async |platform| {
        let report = run_topics(async || Engine {
            publisher: platform.publisher(),
            groups: platform.groups(),
            subscriber: platform.subscriber(),
            inspect: platform.inspect(),
        });
        let report = report.await;
        assert_eq!(report.failed, []);
        assert_eq!(report.passed, topics_names());
    })
    .await;
}

#[tokio::test]
async fn the_log_keeps_its_types_over_the_api() {
    check(async |platform| {
        let log = platform.event_store();
        let stream: StreamName = "thing-1".parse().expect("a name");
        let event = NewEvent::new(Clock::system().new_id(), "ThingHappened", &1).expect("json");
        let append = Append::to(stream.clone(), Expect::NoStream, vec![event]);
        let first = log.append(append.clone()).await.expect("appended");
        assert!(!first.duplicate);
        let again = log.append(append).await.expect("a repetition");
        assert_eq!((again.position, again.duplicate), (first.position, true));
        let other = NewEvent::new(Clock::system().new_id(), "ThingHappened", &2).expect("json");
        let late = Append::to(stream.clone(), Expect::NoStream, vec![other.clone()]);
        let conflict = log.append(late).await.expect_err("somebody wrote first");
        let (kind, actual) = (stream.clone(), Version(1));
        assert_eq!(
            conflict.kind(),
            &ErrorKind::Conflict {
                stream: kind,
                actual
            }
        );
        let read = log
            .read_stream(&stream, Version(0), 5_000)
            .await
            .expect("read");
        assert_eq!(read.len(), 1);
        let filter = Filter::category("thing");
        let page = log
            .read_all(Position::START, &filter, 10)
            .await
            .expect("read");
        assert_eq!(page.events.len(), 1);
        let waiting = log.wait(page.head.position, Duration::from_millis(50));
        assert_eq!(waiting.await.expect("a head"), page.head);

        let checkpoints = platform.checkpoints();
        assert_eq!(checkpoints.load("view/1").await.expect("none"), None);
        let to = Checkpoint {
            incarnation: page.head.incarnation,
            position: first.position,
        };
        checkpoints.store("view/1", None, to).await.expect("stored");
        assert_eq!(checkpoints.load("view/1").await.expect("one"), Some(to));
        let lost = checkpoints
            .store("view/1", None, to)
            .await
            .expect_err("lost");
        assert!(matches!(lost.kind(), ErrorKind::Fenced { .. }), "{lost:?}");

        let zombie = platform.fences().raise("things").await.expect("an epoch");
        let owner = platform.fences().raise("things").await.expect("an epoch");
        let late = Append::to(stream, Expect::Any, vec![other]).fenced(zombie);
        let fenced = log.append(late).await.expect_err("superseded");
        let actual = owner.epoch;
        assert_eq!(fenced.kind(), &ErrorKind::Fenced { actual });
    })
    .await;
}

#[tokio::test]
async fn the_rest_of_the_platform_answers_its_adapter() {
    check(async |platform| {
        let instance = Instance {
            id: InstanceId("users-1".into()),
            service: "users".into(),
            address: "127.0.0.1".into(),
            port: 3001,
            tags: vec!["v1".into()],
            meta: [("owner".to_owned(), "accounts".to_owned())].into(),
            weight: 1,
        };
        let registration = Registration {
            instance,
            checks: Vec::new(),
        };
        let registry = platform.registry();
        registry.register(registration).await.expect("registered");
        let services = platform.services().await.expect("services");
        let users = services.iter().find(|s| s.name == "users").expect("users");
        assert_eq!(users.owner.as_deref(), Some("accounts"));
        assert_eq!(
            platform
                .traces(&ListTraces::default())
                .await
                .expect("traces"),
            []
        );
        let none = platform.trace("o-1").await.expect_err("no trace");
        assert_eq!(none.kind(), ieum_remote::ErrorKind::NotFound);
        platform.routes().await.expect("routes");
    })
    .await;
}

#[tokio::test]
async fn sagas_answer_their_adapter() {
    check_with("\"sagas\"", async |platform| {
        let sagas = platform.sagas();
        let none = sagas.start("no-such", "1", serde_json::json!({})).await;
        let none = none.expect_err("no definition");
        assert!(none.code().is_some_and(|c| c.starts_with("IEUM-4")), "{none:?}");
        let json = serde_json::json!({"name": "greet", "steps": [
            {"name": "hello", "call": {"service": "users", "path": "/hello", "body": {}}, "undo": "none"}]});
        let definition = serde_json::from_value(json).expect("a definition");
        let defined = sagas.define(&definition).await.expect("defined");
        assert_eq!(sagas.define(&definition).await.expect("again"), defined);
        assert_eq!(sagas.definitions().await.expect("definitions").len(), 1);
        let started = sagas.start("greet", "k-1", serde_json::json!({})).await;
        let started = started.expect("started");
        let again = sagas.start("greet", "k-1", serde_json::json!({})).await;
        let again = again.expect("the same one");
        assert_eq!((&again.id, again.duplicate), (&started.id, true));
        let view = sagas.get(&started.id).await.expect("a saga");
        assert_eq!(view.summary.definition, "greet");
        let list = sagas.list(&Default::default()).await.expect("a list");
        assert_eq!(list.len(), 1);
        sagas.liveness().await.expect("liveness");
        sagas.cancel(&started.id, "a test").await.expect("cancelled");
        let gone = sagas.get("0192f0c1-0000-7000-8000-000000000001").await;
        assert_eq!(gone.expect_err("none").kind(), ieum_remote::ErrorKind::NotFound);
    })
    .await;
}

async fn check(case: impl AsyncFnOnce(&ieum_remote::Platform)) {
    check_with("", case).await;
}

/// Runs `case` on a platform with these roles that keeps nothing.
async fn check_with(roles: &str, case: impl AsyncFnOnce(&ieum_remote::Platform)) {
    let (running, platform) = start(roles).await;
    case(&platform).await;
    running.stop();
    assert_eq!(running.wait().await.failure, None);
}

#[cfg(test)]
async fn start(roles: &str) -> (Running, ieum_remote::Platform) {
    let text = format!(
        "[platform]\nlisten = \"127.0.0.1:0\"\nroles = [{roles}]\n[log]\nurl = \"memory:\"\n"
    );
    let config = config::parse(Path::new("ieum.toml"), text).expect("a config");
    let running = Platform::start(config, Stop::new())
        .await
        .expect("a platform");
    let url = format!("ieum://{}", running.api_addr);
    let url: EngineUrl = url.parse().expect("a URL");
    let platform = ieum_remote::connect(&url, &Tasks::new(Stop::new()));
    (running, platform.expect("a platform"))
}
