//! A user who owns its database and may nothing else.

use std::time::Duration;

use ieum_base::EngineUrl;
use ieum_eventstore::{EventStore, Expect, Fences, Position};
use ieum_messaging::Groups;
use ieum_sql::postgres::topics::{self, Topics};
use ieum_sql::postgres::{self, Log, Pool, log};

use super::server::{database, one, shared};

/// A new database whose owner is no superuser.
fn owned() -> (EngineUrl, String) {
    let (_, name) = database();
    let sql = format!(
        "CREATE ROLE owner_of_{name} LOGIN PASSWORD 'plain'; \
         ALTER DATABASE {name} OWNER TO owner_of_{name}"
    );
    shared().sql("postgres", &sql).expect("an owner");
    let port = shared().port();
    let url = format!("postgres://owner_of_{name}:plain@127.0.0.1:{port}/{name}");
    (url.parse().expect("a URL"), name)
}

async fn connect(url: &EngineUrl) -> ieum_sql::Result<Pool> {
    let config = postgres::Config {
        acquire_timeout: Duration::from_secs(20),
        ..postgres::Config::default()
    };
    postgres::connect(url, log::MIGRATIONS, config).await
}

#[tokio::test]
async fn the_owner_of_a_database_needs_no_other_rights() {
    let (url, _) = owned();
    let pool = postgres::Config::default();
    let log = Log::open(&url, topics::MIGRATIONS, pool, log::Config::default()).await;
    let log = log.expect("opens");
    log.append(one("a-1", Expect::Any)).await.expect("appends");
    log.raise("saga").await.expect("raises");
    let head = log.wait(Position::START, Duration::ZERO).await;
    assert_eq!(head.expect("reads").position, Position(1));
    let topics = Topics::new(log, topics::Config::default());
    topics.join("a", "mail", "m1").await.expect("joins");
    let findings = postgres::examine(&url).await;
    let refused: Vec<_> = findings
        .iter()
        .filter(|finding| finding.level == ieum_base::Level::Broken)
        .collect();
    assert!(refused.is_empty(), "{refused:?}");
}

#[tokio::test]
async fn a_server_that_has_no_connection_left_is_waited_for() {
    let (url, name) = owned();
    let limit = format!("ALTER DATABASE {name} CONNECTION LIMIT 1");
    shared().sql("postgres", &limit).expect("limits");
    let first = connect(&url).await.expect("connects");
    let mut second = Box::pin(connect(&url));
    let early = tokio::time::timeout(Duration::from_millis(300), &mut second).await;
    assert!(early.is_err(), "it did not wait: {early:?}");
    first.close();
    second.await.expect("connects when there is room");
}
