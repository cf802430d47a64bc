//! The binary when nobody reads what it says.

use std::io::{self, pipe};
use std::process::{Command, Stdio};

#[test]
fn a_reader_that_went_away_changes_nothing_about_how_an_audit_ends() {
    let ended = Command::new(env!("CARGO_BIN_EXE_shop"))
        .args(["audit", "--data", "/nowhere"])
        .stdout(nobody().expect("a pipe"))
        .stderr(nobody().expect("a pipe"))
        .status()
        .expect("the binary runs");
    assert_eq!(ended.code(), Some(1));
}

/// The writing end of a pipe that nobody reads.
fn nobody() -> io::Result<Stdio> {
    let (reader, writer) = pipe()?;
    drop(reader);
    Ok(writer.into())
}
