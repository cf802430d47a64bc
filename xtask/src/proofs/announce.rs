//! Says which test binary runs: cargo tells that on another stream than the outcomes.
//!
//! `cargo xtask test` makes this program the runner of test binaries. It prints one line on the
//! stream of the outcomes and becomes the binary.

use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result};

/// What the line begins with.
const MARK: &str = "test binary ";

/// Prints the line for the binary at `program`, and becomes it. Returns only if it cannot.
pub(crate) fn run(program: &str, args: &[&str]) -> Result<()> {
    let package = std::env::var("CARGO_PKG_NAME").unwrap_or_default();
    println!("{MARK}{package} {}", target_of(program));
    let mut command = Command::new(program);
    // rustdoc tells a program of several doctests where it is, but not through a runner; without it
    // they share one process. Other test binaries do not look at it.
    command.env("RUSTDOC_DOCTEST_BIN_PATH", program);
    let error = command.args(args).exec();
    Err(error).with_context(|| program.to_owned())
}

/// What cargo has to be told, before its subcommand, so that this program runs the binaries.
pub(crate) fn as_runner() -> Result<[String; 2]> {
    let ourselves = std::env::current_exe()?;
    let runner = format!("[{:?}, \"announce\"]", ourselves.display().to_string());
    Ok([
        "--config".to_owned(),
        format!("target.'cfg(all())'.runner = {runner}"),
    ])
}

/// The package and the target that such a line names.
pub(crate) fn read(line: &str) -> Option<(&str, &str)> {
    line.strip_prefix(MARK)?.split_once(' ')
}

/// `gateway` of `target/debug/deps/gateway-0123456789abcdef`.
fn target_of(program: &str) -> &str {
    let name = Path::new(program)
        .file_name()
        .and_then(|name| name.to_str())
        .unwrap_or(program);
    name.rsplit_once('-').map_or(name, |(target, _)| target)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_names_package_and_target() {
        assert_eq!(target_of("/t/debug/deps/fake_aws-01ab"), "fake_aws");
        assert_eq!(
            read("test binary ieum-aws fake_aws"),
            Some(("ieum-aws", "fake_aws"))
        );
        assert_eq!(read("test a::b ... ok"), None);
    }
}
