//! What a child runs, and how one knows that it is ready.

use std::ffi::OsString;
use std::fs::{self, OpenOptions};
use std::path::{Path, PathBuf};
use std::process::Stdio;

use anyhow::{Context, Result};
use ieum::base::Secret;
use tokio::process::{Child, ChildStdin, Command};

use crate::support::engines;

/// What a child logs, in the words of `tracing`: everything but a line for every request, if nobody
/// says otherwise.
const LOG: &str = "IEUM_LOG";
const QUIET: &str = "info,access=warn";
/// How many lines of its log are shown when a child failed.
const SHOWN: usize = 20;

/// A child of the demo: a line of the supervisor's table.
///
/// Its standard input is a pipe that nobody writes to. Its end is the parent's end: a child that
/// sees it has nobody left to serve, and ends at once.
#[derive(Clone, Debug)]
pub(in crate::demo) struct Program {
    /// Under this it is killed, restarted, and found in the logs.
    pub(in crate::demo) name: &'static str,
    /// Children of a higher stage are started after those of a lower one, and stopped before.
    pub(in crate::demo) stage: u8,
    /// The executable.
    pub(in crate::demo) executable: PathBuf,
    /// Its arguments. No secrets: everybody on the machine can read them.
    pub(in crate::demo) arguments: Vec<OsString>,
    /// What is added to its environment.
    pub(in crate::demo) environment: Vec<(&'static str, Secret)>,
    /// Answers 200 once the child can be used.
    pub(in crate::demo) health: String,
}

impl Program {
    /// Starts it, with everything that it prints at the end of `log`. The pipe is its life line.
    pub(super) fn start(&self, log: &Path) -> Result<(Child, ChildStdin)> {
        let name = self.name;
        let open = || {
            let file = OpenOptions::new().create(true).append(true).open(log)?;
            Ok::<_, std::io::Error>((Stdio::from(file.try_clone()?), Stdio::from(file)))
        };
        let (out, err) = open().with_context(|| format!("cannot write {}", log.display()))?;
        let mut command = Command::new(&self.executable);
        command.args(&self.arguments);
        if std::env::var_os(LOG).is_none() {
            command.env(LOG, QUIET);
        }
        // A child has what it is given: the parent's own are for the whole shop.
        for key in engines::VARIABLES {
            command.env_remove(key);
        }
        for (key, value) in &self.environment {
            command.env(key, value.expose());
        }
        // A group of its own: Ctrl-C is for the parent, which stops its children in order.
        command.process_group(0).kill_on_drop(true);
        command.stdin(Stdio::piped()).stdout(out).stderr(err);
        let mut child = command
            .spawn()
            .with_context(|| format!("cannot start {name} ({})", self.executable.display()))?;
        let line = child.stdin.take();
        let line = line.with_context(|| format!("{name} was started without its pipe"))?;
        Ok((child, line))
    }
}

/// The last lines of a child's log, for people.
pub(super) fn tail(log: &Path) -> String {
    let text = fs::read(log).unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    let lines: Vec<&str> = text.lines().collect();
    let from = lines.len().saturating_sub(SHOWN);
    format!(
        "the end of {}:\n{}",
        log.display(),
        lines[from..].join("\n")
    )
}
