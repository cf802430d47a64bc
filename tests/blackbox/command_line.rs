//! Mistakes in the configuration and on disk: one clear error, a status other than 0, no damage.

use std::net::TcpListener;
use std::path::Path;
use std::process::{Command, Output};

use anyhow::{Context, Result};
use ieum_testkit::{Process, TempFolder, binary};

use crate::platform::{SOON, address, configuration};

fn ieum(folder: &Path, args: &[&str]) -> Result<Output> {
    let mut command = Command::new(binary("ieum")?);
    Ok(command.args(args).current_dir(folder).output()?)
}

/// Runs `ieum check` on `text` and answers what it prints; the status must be 1.
fn check(text: &str) -> Result<String> {
    let folder = TempFolder::new()?;
    folder.write("ieum.toml", text)?;
    let output = ieum(folder.path(), &["check", "-c", "ieum.toml"])?;
    let printed = String::from_utf8_lossy(&output.stderr).into_owned();
    anyhow::ensure!(
        output.status.code() == Some(1),
        "{:?}: {printed}",
        output.status
    );
    Ok(printed)
}

/// Runs `ieum up` on `folder` and answers what it prints; it must end by itself with a failure.
fn refused_start(folder: &TempFolder) -> Result<String> {
    let mut command = Command::new(binary("ieum")?);
    command
        .args(["up", "-c", "ieum.toml"])
        .current_dir(folder.path());
    let mut process = Process::start(&mut command)?;
    let status = process.wait(SOON)?;
    anyhow::ensure!(
        status.code().is_some_and(|code| code != 0),
        "{status}: {}",
        process.output()
    );
    Ok(process.output())
}

#[test]
fn an_unknown_key_is_named_with_its_line_and_a_suggestion() -> Result<()> {
    let printed =
        check("[platform]\nlisten = \"127.0.0.1:8500\"\n\n[gateway]\nlistn = \"0.0.0.0:80\"\n")?;
    assert!(printed.contains("ieum.toml:5"), "{printed}");
    assert!(
        printed.contains("listn") && printed.contains("listen"),
        "{printed}"
    );
    Ok(())
}

#[test]
fn wrong_values_are_named_with_their_lines() -> Result<()> {
    let cases = [
        ("[gateway]\nlisten = 80\n", "ieum.toml:2"),
        ("[gateway\n", "ieum.toml:1"),
        (
            "[[gateway.routes]]\nname = \"a\"\npath = \"/a\"\nauth = \"none\"\nurl = \"http://x\"\ntimeout = \"5 days\"\n",
            "ieum.toml:6",
        ),
        (
            "[[gateway.routes]]\nname = \"a\"\npath = \"/a\"\nauth = \"jtw\"\nurl = \"http://x\"\n",
            "ieum.toml:4",
        ),
    ];
    for (text, place) in cases {
        let printed = check(text)?;
        assert!(printed.contains(place), "{text}\n{printed}");
    }
    Ok(())
}

#[test]
fn a_missing_secret_is_named() -> Result<()> {
    let keys = "[gateway.jwt]\nkeys = [{ kid = \"a\", algorithm = \"HS256\", secret-file = \"no.key\" }]\n";
    let printed = check(keys)?;
    assert!(printed.contains("no.key"), "{printed}");
    let keys = "[gateway.jwt]\nkeys = [{ kid = \"a\", algorithm = \"HS256\", secret-env = \"NO_SUCH_SECRET\" }]\n";
    let printed = check(keys)?;
    assert!(printed.contains("NO_SUCH_SECRET"), "{printed}");
    Ok(())
}

#[test]
fn a_configured_port_in_use_is_an_error() -> Result<()> {
    let holder = TcpListener::bind("127.0.0.1:0")?;
    let taken = holder.local_addr()?.to_string();
    for (gateway, api) in [(taken.clone(), address()?), (address()?, taken.clone())] {
        let folder = TempFolder::new()?;
        folder.write("ieum.toml", configuration(&gateway, &api, ""))?;
        let printed = refused_start(&folder)?;
        assert!(printed.contains(&taken), "{printed}");
    }
    Ok(())
}

#[test]
fn a_damaged_database_is_refused_and_left_as_it_is() -> Result<()> {
    let folder = TempFolder::new()?;
    folder.write("ieum.toml", configuration(&address()?, &address()?, ""))?;
    let data = folder.path().join("data");
    std::fs::create_dir(&data)?;
    let log = data.join(log_file());
    let garbage =
        b"this is no database, and it is longer than a header of one hundred bytes. ".repeat(40);
    std::fs::write(&log, &garbage)?;
    let printed = refused_start(&folder)?;
    assert!(printed.contains(log_file()), "{printed}");
    assert_eq!(std::fs::read(&log)?, garbage);
    Ok(())
}

#[test]
fn a_database_of_a_newer_version_is_refused_and_left_as_it_is() -> Result<()> {
    let folder = TempFolder::new()?;
    folder.write("ieum.toml", configuration(&address()?, &address()?, ""))?;
    let mut command = Command::new(binary("ieum")?);
    command
        .args(["up", "-c", "ieum.toml"])
        .current_dir(folder.path());
    let mut process = Process::start(&mut command)?;
    let log = folder.path().join("data").join(log_file());
    ieum_testkit::eventually("the log exists", SOON, || log.is_file().then_some(()))?;
    process.terminate()?;
    process.wait(SOON)?;
    let database = rusqlite::Connection::open(&log)?;
    database.pragma_update(None, "user_version", 1_000_000)?;
    drop(database);
    let before = std::fs::read(&log)?;
    let printed = refused_start(&folder)?;
    assert!(printed.contains("newer"), "{printed}");
    assert_eq!(std::fs::read(&log)?, before);
    Ok(())
}

#[test]
fn a_locked_database_is_refused() -> Result<()> {
    let folder = TempFolder::new()?;
    folder.write("ieum.toml", configuration(&address()?, &address()?, ""))?;
    let data = folder.path().join("data");
    std::fs::create_dir(&data)?;
    let log = data.join(log_file());
    let other = rusqlite::Connection::open(&log)?;
    other.execute_batch(
        "PRAGMA locking_mode = EXCLUSIVE; CREATE TABLE mine (x); BEGIN EXCLUSIVE;",
    )?;
    let printed = refused_start(&folder)?;
    assert!(printed.contains(log_file()), "{printed}");
    Ok(())
}

#[test]
fn the_schema_describes_the_configuration() -> Result<()> {
    let folder = TempFolder::new()?;
    let output = ieum(folder.path(), &["schema"])?;
    let schema: serde_json::Value = serde_json::from_slice(&output.stdout).context("JSON")?;
    assert!(schema["properties"]["gateway"].is_object(), "{schema}");
    Ok(())
}

#[test]
fn a_platform_that_is_not_there_is_a_clear_error() -> Result<()> {
    let folder = TempFolder::new()?;
    let platform = format!("http://{}", address()?);
    for command in [
        &["services"][..],
        &["sagas"],
        &["events", "a-b"],
        &["trace", "x"],
    ] {
        let output = ieum(
            folder.path(),
            &[command, &["--platform", &platform]].concat(),
        )?;
        let printed = String::from_utf8_lossy(&output.stderr);
        assert_ne!(output.status.code(), Some(0), "{printed}");
        assert!(
            printed.contains(&platform) || printed.contains("ieum up"),
            "{printed}"
        );
    }
    Ok(())
}

/// The platform's log in its data folder.
const fn log_file() -> &'static str {
    "log.db"
}
