//! TLS, with the certificate for `localhost` that the tests of HTTPS use.

use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};

use ieum_base::EngineUrl;
use ieum_sql::ErrorKind;
use ieum_sql::postgres::{self, Config};
use ieum_testkit::engines::Postgres;
use ieum_testkit::{TempFolder, eventually};

const CERTIFICATE: &str = include_str!("../../../ieum-http/tests/tls/cert.pem");
const KEY: &str = include_str!("../../../ieum-http/tests/tls/key.pem");

/// A server that offers TLS.
fn secured() -> Postgres {
    let server = Postgres::start().expect("a server");
    let data = server.server().folder().join("data");
    let owner = std::fs::metadata(&data).expect("its data");
    for (name, text) in [("server.crt", CERTIFICATE), ("server.key", KEY)] {
        let file = data.join(name);
        std::fs::write(&file, text).expect("writes");
        std::fs::set_permissions(&file, PermissionsExt::from_mode(0o600)).expect("its mode");
        chown(&file, Some(owner.uid()), Some(owner.gid())).expect("its owner");
    }
    server
        .sql("postgres", "ALTER SYSTEM SET ssl = on")
        .expect("sets");
    server
        .sql("postgres", "SELECT pg_reload_conf()")
        .expect("reloads");
    eventually("TLS", std::time::Duration::from_secs(10), || {
        (server.sql("postgres", "SHOW ssl").ok()? == "on").then_some(())
    })
    .expect("offers TLS");
    server
}

/// Whether the connection is encrypted, or why there is none.
async fn connect(url: &str) -> Result<bool, (ErrorKind, String)> {
    let url: EngineUrl = url.parse().expect("a URL");
    let config = Config {
        acquire_timeout: std::time::Duration::from_millis(300),
        ..Config::default()
    };
    let pool = postgres::connect(&url, &[], config).await;
    let pool = pool.map_err(|error| (error.kind(), error.to_string()))?;
    let client = pool.get().await.expect("a connection");
    let asks = "SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()";
    Ok(client.query_one(asks, &[]).await.expect("asks").get(0))
}

#[tokio::test]
async fn tls_goes_as_far_as_sslmode_says() {
    let server = tokio::task::spawn_blocking(secured).await.expect("starts");
    let folder = TempFolder::new().expect("a folder");
    let roots = folder.path().join("roots.pem");
    std::fs::write(&roots, CERTIFICATE).expect("writes");
    let by_address = server.url("ieum");
    let by_name = by_address.replace("127.0.0.1", "localhost");
    let verified = format!("sslmode=verify-full&sslrootcert={}", roots.display());
    for (url, query, encrypted) in [
        (&by_address, "sslmode=disable", false),
        (&by_address, "sslmode=prefer", true),
        (&by_address, "sslmode=require", true),
        (&by_name, &*verified, true),
    ] {
        let found = connect(&format!("{url}?{query}")).await;
        assert_eq!(found, Ok(encrypted), "{query}");
    }
    for (url, query) in [(&by_address, &*verified), (&by_name, "sslmode=verify-full")] {
        let (kind, text) = connect(&format!("{url}?{query}")).await.expect_err(query);
        assert_eq!(kind, ErrorKind::Unreachable, "{text}");
        assert!(
            text.contains("certificate") && text.contains("sslmode"),
            "{text}"
        );
    }
    let missing = format!("{by_name}?sslmode=verify-full&sslrootcert=/nowhere.pem");
    let (kind, text) = connect(&missing).await.expect_err("refused");
    assert_eq!(kind, ErrorKind::Invalid);
    assert!(text.contains("/nowhere.pem"), "{text}");
}
