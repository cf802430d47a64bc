//! Connecting, and what is said when that does not work.

use std::time::Duration;

use ieum_base::{Clock, EngineUrl, Level, Stop, Tasks};
use ieum_messaging::{ErrorKind, Message, Publisher as _};
use ieum_testkit::engines::Nats;
use serde_json::json;
use tokio::time::Instant;

use crate::server::{engine, message, shared, url, url_with_password};

async fn refusal(url: &EngineUrl) -> (ErrorKind, String) {
    let tasks = Tasks::new(Stop::new());
    let error = ieum_nats::connect(url, &Clock::system(), &tasks)
        .await
        .expect_err("refused");
    (error.kind(), error.to_string())
}

#[tokio::test]
async fn a_wrong_password_is_told_without_showing_it() {
    let (kind, why) = refusal(&url_with_password(shared(), "wr0ng")).await;
    assert_eq!(kind, ErrorKind::Invalid, "{why}");
    assert!(why.contains("refuses the user and password"), "{why}");
    assert!(why.contains("nats://ieum:***@127.0.0.1"), "{why}");
    assert!(!why.contains("wr0ng"), "{why}");
}

#[tokio::test]
async fn a_wrong_token_is_told_without_showing_it() {
    let token = format!("nats://t0ken@127.0.0.1:{}", shared().port());
    let (kind, why) = refusal(&token.parse().expect("a URL")).await;
    assert_eq!(kind, ErrorKind::Invalid, "{why}");
    assert!(why.contains("token") && !why.contains("t0ken"), "{why}");
}

#[tokio::test]
async fn a_wrong_port_or_host_is_told_soon() {
    let closed = ieum_testkit::free_port().expect("a port");
    for wrong in [
        format!("nats://u:s3cret@127.0.0.1:{closed}"),
        "nats://u:s3cret@no-such-host.invalid".to_owned(),
    ] {
        let begun = Instant::now();
        let (kind, why) = refusal(&wrong.parse().expect("a URL")).await;
        assert_eq!(kind, ErrorKind::Unavailable, "{why}");
        assert!(why.contains("is a NATS server listening"), "{why}");
        assert!(!why.contains("s3cret"), "{why}");
        assert!(begun.elapsed() < Duration::from_secs(10), "{why}");
    }
}

#[tokio::test]
async fn a_server_without_jetstream_is_told() {
    let server = Nats::with("").expect("nats-server");
    let (kind, why) = refusal(&url(&server, "")).await;
    assert_eq!(kind, ErrorKind::Invalid, "{why}");
    assert!(why.contains("has no JetStream"), "{why}");
    assert!(why.contains("-js"), "{why}");
    let found = ieum_nats::examine(&url(&server, "")).await;
    assert_eq!(
        found.last().map(|f| f.level),
        Some(Level::Broken),
        "{found:?}"
    );
}

#[tokio::test]
async fn a_wrong_parameter_is_told() {
    let (kind, why) = refusal(&url(shared(), "/shop?leese=1s")).await;
    assert_eq!(kind, ErrorKind::Invalid);
    assert!(why.contains("`leese` is no parameter"), "{why}");
}

/// What the client library keeps while there is no connection must not count as published.
#[tokio::test(flavor = "multi_thread")]
async fn nothing_counts_as_published_while_the_server_is_away() {
    let mut server = Nats::start().expect("nats-server");
    let engine = engine(&server, "/away?answer=1s").await;
    let publisher = engine.publisher();
    let one: [Message; 1] = [message("1", "a")];
    publisher.publish("things", &one).await.expect("published");
    server.kill().expect("killed");
    let two = [message("2", "a")];
    for _ in 0..3 {
        let error = publisher.publish("things", &two).await.expect_err("away");
        assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
    }
    server.start_again().expect("started again");
    let begun = Instant::now();
    while publisher.publish("things", &two).await.is_err() {
        assert!(begun.elapsed() < Duration::from_secs(20), "it stays away");
        tokio::task::yield_now().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_stands_still_is_not_waited_for_for_ever() {
    let server = Nats::start().expect("nats-server");
    let engine = engine(&server, "/still?answer=3s").await;
    let publisher = engine.publisher();
    publisher
        .publish("things", &[message("1", "a")])
        .await
        .expect("published");
    server.freeze().expect("frozen");
    let begun = Instant::now();
    // The signal takes a moment to arrive in all of the server's threads.
    let mut number = 2;
    let error = loop {
        let next = [message(&number.to_string(), "a")];
        match publisher.publish("things", &next).await {
            Ok(()) => number += 1,
            Err(error) => break error,
        }
    };
    assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
    assert!(
        begun.elapsed() < Duration::from_secs(10),
        "{:?}",
        begun.elapsed()
    );
    server.thaw().expect("thawed");
    let begun = Instant::now();
    while publisher
        .publish("things", &[message("2", "a")])
        .await
        .is_err()
    {
        assert!(begun.elapsed() < Duration::from_secs(20), "it stays away");
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_message_above_what_the_server_takes_is_refused_before_anything_is_sent() {
    let configuration = "max_payload: 4096\njetstream { store_dir: \"STORE\" }";
    let server = Nats::with(configuration).expect("nats-server");
    let engine = engine(&server, "").await;
    let large = Message::new("/s", "2", "t", &json!({ "text": "x".repeat(4_000) }));
    let batch = [message("1", "a"), large.expect("JSON")];
    let error = engine.publisher().publish("things", &batch).await;
    let error = error.expect_err("too large");
    assert_eq!(error.kind(), ErrorKind::Invalid);
    assert!(error.to_string().contains("max_payload"), "{error}");
    let topics = ieum_messaging::Inspect::topics(&engine.inspect()).await;
    assert_eq!(topics.expect("topics"), []);
}

#[tokio::test]
async fn the_doctor_says_what_the_server_promises() {
    let healthy = format!("/doctor?monitor=127.0.0.1:{}", shared().monitoring());
    let found = ieum_nats::examine(&url(shared(), &healthy)).await;
    let what = |text: &str| found.iter().find(|finding| finding.what.contains(text));
    assert!(
        what("version 2.").is_some_and(|f| f.level == Level::Fine),
        "{found:?}"
    );
    let syncs = what("syncs its files every 2").expect("how it syncs");
    assert_eq!(syncs.level, Level::Weak);
    assert!(
        syncs
            .advice
            .as_deref()
            .is_some_and(|a| a.contains("power cut")),
        "{syncs:?}"
    );
    assert!(
        what("the account uses").is_some_and(|f| f.level == Level::Fine),
        "{found:?}"
    );
    assert!(
        found.iter().all(|finding| finding.level != Level::Broken),
        "{found:?}"
    );
}

#[tokio::test]
async fn the_doctor_says_what_is_wrong_without_the_password() {
    for (url, why) in [
        (url_with_password(shared(), "wr0ng"), "refuses the user"),
        (
            format!(
                "nats://u:s3cret@127.0.0.1:{}",
                ieum_testkit::free_port().expect("a port")
            )
            .parse()
            .expect("a URL"),
            "listening",
        ),
    ] {
        let found = ieum_nats::examine(&url).await;
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].level, Level::Broken);
        assert!(found[0].what.contains(why), "{found:?}");
        assert!(found[0].advice.is_some());
        let all = format!("{found:?}");
        assert!(!all.contains("wr0ng") && !all.contains("s3cret"), "{all}");
    }
}

#[tokio::test]
async fn the_doctor_sees_streams_in_memory() {
    let context = async_nats::jetstream::new(crate::server::client(shared()).await);
    let memory = async_nats::jetstream::stream::Config {
        name: "volatile-orders".to_owned(),
        subjects: vec!["volatile.topic.orders".to_owned()],
        storage: async_nats::jetstream::stream::StorageType::Memory,
        ..Default::default()
    };
    context.create_stream(memory).await.expect("made");
    let found = ieum_nats::examine(&url(shared(), "/volatile")).await;
    let weak = |text: &str| {
        let mut found = found.iter();
        found.any(|finding| finding.what.contains(text) && finding.level == Level::Weak)
    };
    assert!(weak("`volatile-orders` is kept in memory"), "{found:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn tls_is_used_and_a_certificate_that_is_not_trusted_is_told() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../ieum-http/tests/tls");
    let configuration = format!(
        "tls {{ cert_file: \"{folder}/cert.pem\", key_file: \"{folder}/key.pem\" }}\n\
         jetstream {{ store_dir: \"STORE\" }}"
    );
    let server = Nats::with(&configuration).expect("nats-server");
    let secure = |rest: &str| {
        let text = format!("localhost:{}{rest}", server.port());
        let url: EngineUrl = format!("tls://ieum@{text}").parse().expect("a URL");
        let password = url_with_password(&server, "s3cret/pass");
        url.with_password(password.password().expect("a password").clone())
    };
    let (kind, why) = refusal(&secure("")).await;
    assert_eq!(kind, ErrorKind::Invalid, "{why}");
    assert!(why.contains("TLS") && !why.contains("s3cret"), "{why}");
    let trusted = crate::server::open(&secure(&format!("/secure?ca={folder}/cert.pem"))).await;
    let publisher = trusted.publisher();
    publisher
        .publish("things", &[message("1", "a")])
        .await
        .expect("published");
}

#[tokio::test]
async fn credentials_that_cannot_be_read_are_told() {
    let (kind, why) = refusal(&url(shared(), "?creds=/nowhere/app.creds")).await;
    assert_eq!(kind, ErrorKind::Invalid, "{why}");
    assert!(why.contains("`/nowhere/app.creds`"), "{why}");
}
