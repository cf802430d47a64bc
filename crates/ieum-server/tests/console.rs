//! The binary when nobody reads what it says.

use std::io::{self, pipe};
use std::process::{Command, Stdio};

#[test]
fn a_reader_that_went_away_changes_nothing_about_how_a_command_ends() {
    for (words, status) in [
        (["schema"].as_slice(), 0),
        (&["check", "--config", "/nowhere/ieum.toml"], 1),
        (&["services", "--platform", "http://127.0.0.1:9"], 1),
        (&["up", "--config", "/nowhere/ieum.toml"], 1),
    ] {
        let ended = Command::new(env!("CARGO_BIN_EXE_ieum"))
            .args(words)
            .stdout(nobody().expect("a pipe"))
            .stderr(nobody().expect("a pipe"))
            .status()
            .expect("the binary runs");
        assert_eq!(ended.code(), Some(status), "{words:?}");
    }
}

/// The writing end of a pipe that nobody reads.
fn nobody() -> io::Result<Stdio> {
    let (reader, writer) = pipe()?;
    drop(reader);
    Ok(writer.into())
}
