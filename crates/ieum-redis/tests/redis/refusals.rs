//! What is refused, and how it is said: one clear error with the URL, without its password.

use std::io::{Read as _, Write as _};
use std::net::TcpListener;

use ieum_base::{Clock, EngineUrl, Level, Stop, Tasks};
use ieum_redis::{Connection, ErrorKind, examine};
use ieum_testkit::engines::Redis;

use super::broker::plain;
use super::server::{calm, own, url};

/// What is said of this URL?
async fn check(url: &EngineUrl, kind: ErrorKind, parts: &[&str]) {
    let tasks = Tasks::new(Stop::new());
    let error = Connection::open(url, &Clock::system(), &tasks)
        .await
        .expect_err("refused");
    let text = format!("{error} / {error:?}");
    assert_eq!(error.kind(), kind, "{text}");
    for part in parts {
        assert!(error.to_string().contains(part), "{part}: {text}");
    }
    assert!(
        !text.contains("s3cret") && !text.contains("hunter2"),
        "{text}"
    );
    let findings = examine(url).await;
    assert_eq!(findings[0].level, Level::Broken, "{findings:?}");
    assert!(findings[0].advice.is_some());
    tasks.stop().request();
}

fn at(text: &str) -> EngineUrl {
    text.parse().expect("a URL")
}

#[tokio::test]
async fn a_wrong_password_is_one_clear_error() {
    let server = calm();
    let host = server.authority();
    let wrong = at(&format!("redis://:hunter2@{host}"));
    check(&wrong, ErrorKind::Refused, &[host, "password is wrong"]).await;
    let none = at(&format!("redis://{host}"));
    check(&none, ErrorKind::Refused, &[host, "asks for a password"]).await;
}

#[tokio::test]
async fn a_wrong_host_is_one_clear_error() {
    let port = ieum_testkit::free_port().expect("a port");
    let nobody = at(&format!("redis://:hunter2@127.0.0.1:{port}"));
    check(&nobody, ErrorKind::Unavailable, &["127.0.0.1", "no answer"]).await;
}

#[tokio::test]
async fn what_is_no_redis_is_one_clear_error() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("an address");
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let mut stream = stream;
            let _ = stream.read(&mut [0; 1_024]);
            let _ = stream.write_all(b"HTTP/1.1 400 Bad Request\r\nconnection: close\r\n\r\n");
        }
    });
    let other = at(&format!("redis://{address}"));
    check(&other, ErrorKind::Refused, &["no Redis", "host and port"]).await;
}

#[tokio::test]
async fn a_replica_is_refused() {
    let (primary, replica) = (own(), own());
    let mut plain = plain(&url(&replica, "")).await;
    let mut follow = redis::cmd("REPLICAOF");
    follow.arg("127.0.0.1").arg(primary.port());
    follow
        .query_async::<()>(&mut plain)
        .await
        .expect("it follows");
    let parts = ["replica", "name the primary"];
    check(&url(&replica, ""), ErrorKind::Refused, &parts).await;
}

#[tokio::test]
async fn a_user_without_a_permission_is_told_which() {
    let server = own();
    let admin = url(&server, "");
    let mut plain = plain(&admin).await;
    let mut user = redis::cmd("ACL");
    user.arg("SETUSER")
        .arg("app")
        .arg("on")
        .arg(">hunter2")
        .arg("~ieum:*")
        .arg("+ping");
    user.query_async::<()>(&mut plain).await.expect("a user");
    let app = at(&format!("redis://app:hunter2@{}", admin.authority()));
    check(&app, ErrorKind::Refused, &["app:***@", "permission"]).await;
}

/// A user who may only touch our keys and channel can do everything that we do.
#[tokio::test]
async fn a_user_with_our_keys_alone_is_enough() {
    let server = own();
    let admin = url(&server, "");
    let mut plain = plain(&admin).await;
    let mut user = redis::cmd("ACL");
    user.arg("SETUSER")
        .arg("app")
        .arg("on")
        .arg(">hunter2")
        .arg("~ieum:*")
        .arg("&ieum:*");
    user.arg("+@all")
        .arg("-@admin")
        .arg("-@dangerous")
        .arg("+info");
    user.query_async::<()>(&mut plain).await.expect("a user");
    let app = at(&format!("redis://app:hunter2@{}", admin.authority()));
    let tasks = Tasks::new(Stop::new());
    let broker = ieum_redis::connect(&app, &Clock::system(), &tasks)
        .await
        .expect("connected");
    let message = ieum_messaging::Message::new("/a", "1", "a", &1).expect("a message");
    broker
        .publisher
        .publish("t", &[message])
        .await
        .expect("published");
    let mut group = broker
        .subscriber
        .subscribe("t", "g", "m")
        .await
        .expect("subscribed");
    let read = group.next(1).await.expect("read");
    group.ack(&read[0]).await.expect("acknowledged");
    let said = broker.capabilities.caveats.join(" ");
    assert!(said.contains("may not be read"), "{said}");
    tasks.stop().request();
}

#[tokio::test]
async fn the_doctor_sees_settings_that_weaken_a_promise() {
    let findings = examine(&calm()).await;
    let weak = findings.iter().filter(|f| f.level != Level::Fine);
    assert_eq!(weak.count(), 0, "{findings:?}");
    let settings = [("maxmemory", "50mb"), ("maxmemory-policy", "allkeys-lru")];
    let server = Redis::with(&settings).expect("a server");
    let findings = examine(&url(&server, "")).await;
    let told: Vec<_> = findings.iter().filter(|f| f.level == Level::Weak).collect();
    assert_eq!(told.len(), 2, "{findings:?}");
    assert!(told[0].what.contains("appendonly") && told[1].what.contains("allkeys-lru"));
}

/// A memory that is full refuses, loses nothing, and goes on by itself.
#[tokio::test]
async fn a_full_memory_is_told_as_full() {
    let server = own();
    let address = url(&server, "");
    let tasks = Tasks::new(Stop::new());
    let broker = ieum_redis::connect(&address, &Clock::system(), &tasks)
        .await
        .expect("connected");
    let mut plain = plain(&address).await;
    let mut room = async |bytes: u32| {
        let mut room = redis::cmd("CONFIG");
        room.arg("SET").arg("maxmemory").arg(bytes);
        room.query_async::<()>(&mut plain).await.expect("set");
    };
    room(1).await;
    let message = ieum_messaging::Message::new("/a", "1", "a", &1).expect("a message");
    let full = broker
        .publisher
        .publish("t", std::slice::from_ref(&message))
        .await;
    let full = full.expect_err("full");
    assert_eq!(full.kind(), ieum_messaging::ErrorKind::Full, "{full:?}");
    room(0).await;
    broker
        .publisher
        .publish("t", &[message])
        .await
        .expect("published");
    tasks.stop().request();
}
