//! An engine that refuses us, or is not there: one clear line, and a status that is not 0.

use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::Result;
use ieum_testkit::engines::Postgres;
use ieum_testkit::{TempFolder, binary, free_port};

/// Runs `shop` with a URL in the environment; the one line that it says on standard error.
fn refusal(arguments: &[&str], variable: &str, url: &str) -> Result<String> {
    let folder = TempFolder::new()?;
    let mut command = Command::new(binary("shop")?);
    command.args(arguments).arg("--data").arg(folder.path());
    let output = command
        .env(variable, url)
        .env("IEUM_LOG", "error")
        .output()?;
    assert_ne!(output.status.code(), Some(0), "{url}");
    let said = String::from_utf8(output.stderr)?;
    assert_eq!(said.lines().count(), 1, "{said}");
    assert!(
        !said.contains("s3cret") && !said.contains("wr0ng"),
        "{said}"
    );
    Ok(said)
}

const DEMO: [&str; 4] = ["demo", "--orders", "1", "--exit"];
const DATABASE: &str = "SHOP_DATABASE_URL";
const BROKER: &str = "SHOP_BROKER_URL";

#[test]
fn a_database_that_refuses_says_why_and_what_to_do() -> Result<()> {
    let server = Postgres::start()?;
    let port = server.port();
    let says = |url: String, words: &[&str]| -> Result<()> {
        let said = refusal(&DEMO, DATABASE, &url)?;
        assert!(said.contains(&format!("127.0.0.1:{port}/")), "{said}");
        for word in words {
            assert!(said.contains(word), "{said}");
        }
        Ok(())
    };
    says(
        format!("postgres://ieum:wr0ng@127.0.0.1:{port}/shop"),
        &["refuses the password", "***"],
    )?;
    server.sql(
        "postgres",
        "CREATE ROLE clerk LOGIN PASSWORD 's3cret' NOCREATEDB",
    )?;
    says(
        format!("postgres://clerk:s3cret@127.0.0.1:{port}/shop"),
        &["shop_users", "may not create", "CREATEDB", "createdb"],
    )
}

#[test]
#[expect(
    clippy::disallowed_methods,
    reason = "black-box tests wait on real time"
)]
fn a_host_where_nothing_listens_is_named_at_once() -> Result<()> {
    let port = free_port()?;
    let begun = Instant::now();
    for (variable, url) in [
        (
            DATABASE,
            format!("postgres://ieum:s3cret@127.0.0.1:{port}/shop"),
        ),
        (BROKER, format!("amqp://ieum:s3cret@127.0.0.1:{port}")),
        (BROKER, format!("nats://ieum:s3cret@127.0.0.1:{port}")),
        (BROKER, format!("redis://ieum:s3cret@127.0.0.1:{port}")),
    ] {
        let said = refusal(&DEMO, variable, &url)?;
        assert!(said.contains(&format!("127.0.0.1:{port}")), "{said}");
        assert!(said.contains("refused"), "{said}");
    }
    assert!(begun.elapsed() < Duration::from_secs(60));
    Ok(())
}

#[test]
fn a_service_does_not_make_the_database_that_is_missing() -> Result<()> {
    let server = Postgres::start()?;
    let url = server.url("nowhere");
    let said = refusal(&["serve", "products"], DATABASE, &url)?;
    assert!(said.contains("/nowhere"), "{said}");
    assert!(
        said.contains("not there") && said.contains("createdb"),
        "{said}"
    );
    Ok(())
}

#[test]
fn what_is_no_engine_is_refused_with_those_that_are() -> Result<()> {
    let says = |variable: &str, url: &str, word: &str| -> Result<()> {
        let said = refusal(&DEMO, variable, url)?;
        assert!(said.contains(word), "{said}");
        Ok(())
    };
    says(DATABASE, "mysql://ieum:s3cret@db/shop", "`postgres`")?;
    says(
        DATABASE,
        "postgres://ieum:s3cret@db/",
        "named after its path",
    )?;
    says(DATABASE, "s3cret", "SHOP_DATABASE_URL is not the URL")?;
    says(BROKER, "smtp://ieum:s3cret@mail", "`amqp`")
}
