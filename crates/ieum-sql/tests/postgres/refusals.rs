//! A server that cannot be used: one clear error, with the URL without its password and what to do.

use std::time::Duration;

use futures_util::future::join_all;
use ieum_base::{EngineUrl, Level};
use ieum_sql::postgres::{self, Config, log};
use ieum_sql::{Error, ErrorKind};
use ieum_testkit::engines::Postgres;

use super::server::{database, shared};

async fn refused(url: &EngineUrl) -> Error {
    let config = Config {
        acquire_timeout: Duration::from_millis(300),
        ..Config::default()
    };
    let error = postgres::connect(url, log::MIGRATIONS, config)
        .await
        .expect_err("refused");
    let text = error.to_string();
    assert!(text.contains(&url.to_string()), "it names the URL: {text}");
    let secret = url.password().expect("a password").expose();
    assert!(
        !format!("{error:?}").contains(secret),
        "it shows the password"
    );
    error
}

#[tokio::test]
async fn a_server_that_cannot_be_used_is_named_with_the_way_out() {
    let (good, _) = database();
    let text = good.expose();
    let text = text.expose();
    let port = format!(":{}/", shared().port());
    let nobody = format!(":{}/", ieum_testkit::free_port().expect("a port"));
    for (url, kind, way_out) in [
        (
            text.replace("s3cret", "wrong"),
            ErrorKind::Denied,
            "password",
        ),
        (text.replace("ieum:", "nobody:"), ErrorKind::Denied, "user"),
        (
            good.clone().with_path("nowhere").expose().expose().clone(),
            ErrorKind::Missing,
            "createdb",
        ),
        (text.replace(&port, &nobody), ErrorKind::Unreachable, "port"),
        (
            text.replace("127.0.0.1", "nowhere.invalid"),
            ErrorKind::Unreachable,
            "host",
        ),
        (
            format!("{text}?sslmode=require"),
            ErrorKind::Unreachable,
            "sslmode",
        ),
    ] {
        let url: EngineUrl = url.parse().expect("a URL");
        let error = refused(&url).await;
        assert_eq!(error.kind(), kind, "{error:?}");
        assert!(error.to_string().contains(way_out), "{error}");
    }
    let findings = postgres::examine(&good).await;
    assert!(
        findings.iter().all(|found| found.level == Level::Fine),
        "{findings:?}"
    );
    assert!(findings.len() > 7, "{findings:?}");
}

#[tokio::test]
async fn a_server_that_forgets_what_it_acknowledged_is_refused() {
    let careless = [
        ("fsync", "off"),
        ("full_page_writes", "off"),
        ("synchronous_commit", "off"),
        ("max_connections", "12"),
    ];
    let server = tokio::task::spawn_blocking(move || Postgres::with(&careless).expect("a server"));
    let server = server.await.expect("starts");
    let url: EngineUrl = server.url("ieum").parse().expect("a URL");
    let error = refused(&url).await;
    assert_eq!(error.kind(), ErrorKind::Unsupported);
    assert!(error.to_string().contains("fsync = on"), "{error}");
    let findings = postgres::examine(&url).await;
    let of = |level| {
        let found = findings.iter().filter(move |found| found.level == level);
        found
            .map(|found| &*found.what)
            .collect::<Vec<_>>()
            .join(", ")
    };
    assert_eq!(of(Level::Broken), "fsync is off");
    let weak = of(Level::Weak);
    for what in ["full_page_writes", "synchronous_commit", "connections"] {
        assert!(weak.contains(what), "{weak}");
    }
    assert!(
        findings
            .iter()
            .all(|f| f.advice.is_some() == (f.level != Level::Fine))
    );
}

#[tokio::test]
async fn a_newer_schema_is_refused_and_nothing_is_changed() {
    let (url, name) = database();
    let connect = || postgres::connect(&url, log::MIGRATIONS, Config::default());
    connect().await.expect("migrates");
    let newer = "INSERT INTO ieum_migrations VALUES ('log', 99, 0)";
    shared().sql(&name, newer).expect("is newer");
    let error = connect().await.expect_err("refused");
    assert_eq!(error.kind(), ErrorKind::Newer);
    assert!(error.to_string().contains("upgrade ieum"), "{error}");
}

#[tokio::test]
async fn processes_that_start_at_once_all_succeed() {
    let (url, name) = database();
    let starts = (0..6).map(|_| postgres::connect(&url, log::MIGRATIONS, Config::default()));
    for started in join_all(starts).await {
        started.expect("connects");
    }
    let applied = "SELECT count(*) FROM ieum_migrations WHERE component = 'log'";
    assert_eq!(
        shared().sql(&name, applied).expect("asks"),
        log::MIGRATIONS.len().to_string()
    );
}

#[tokio::test]
async fn a_migration_that_fails_leaves_nothing_behind() {
    let (url, name) = database();
    let notes = |sql| postgres::Migration {
        component: "notes",
        version: 1,
        sql,
    };
    let wrong = [notes("CREATE TABLE notes (n int); SELECT nonsense")];
    let error = postgres::connect(&url, &wrong, Config::default())
        .await
        .expect_err("refused");
    assert!(
        error.to_string().contains("migration 1 of `notes`"),
        "{error}"
    );
    let tables = "SELECT count(*) FROM pg_tables WHERE schemaname = 'public'";
    assert_eq!(shared().sql(&name, tables).expect("asks"), "0");
    let right = [notes("CREATE TABLE notes (n int)")];
    postgres::connect(&url, &right, Config::default())
        .await
        .expect("migrates");
}
