//! A server process that cannot outlive its test process.
//!
//! A shell stands between: it starts the server and reads its own standard input, which is a pipe
//! from the test process. When that pipe closes (a drop, the end of the process, a kill) the shell
//! ends the server by its id and removes the folder.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use rustix::process::{Pid, Signal, kill_process};

use crate::process::stands_still;
use crate::wait::eventually;

/// A server: what it is started with, and the process that runs, if one does.
#[derive(Debug)]
pub struct Server {
    name: &'static str,
    folder: PathBuf,
    command: Vec<String>,
    variables: Vec<(String, String)>,
    /// The signal that ends it at once.
    end: &'static str,
    running: Option<Running>,
}

#[derive(Debug)]
struct Running {
    shell: Child,
    pid: Pid,
}

static NEXT: AtomicU32 = AtomicU32::new(0);

impl Server {
    /// A server that is not started yet, with a new folder. `end` is the signal that ends it at once,
    /// such as `KILL`.
    pub(super) fn new(name: &'static str, end: &'static str) -> Result<Self> {
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let name_of_folder = format!("ieum-{name}-{}-{number}", std::process::id());
        let folder = std::env::temp_dir().join(name_of_folder);
        if folder.exists() {
            std::fs::remove_dir_all(&folder).with_context(|| folder.display().to_string())?;
        }
        std::fs::create_dir_all(&folder).with_context(|| folder.display().to_string())?;
        Ok(Self {
            name,
            folder,
            command: Vec::new(),
            variables: Vec::new(),
            end,
            running: None,
        })
    }

    pub(super) fn command<S: Into<String>>(&mut self, words: impl IntoIterator<Item = S>) {
        self.command = words.into_iter().map(Into::into).collect();
    }

    pub(super) fn variable(&mut self, name: &str, value: impl Into<String>) {
        self.variables.push((name.to_owned(), value.into()));
    }

    /// Its folder.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// What it printed so far.
    pub fn output(&self) -> String {
        std::fs::read_to_string(self.log()).unwrap_or_default()
    }

    /// The id of its process.
    pub fn id(&self) -> Result<u32> {
        let running = self.running.as_ref();
        let running = running.with_context(|| format!("{} does not run", self.name))?;
        Ok(running.pid.as_raw_nonzero().get().cast_unsigned())
    }

    /// Starts it, and waits until `port` accepts connections.
    pub(super) fn start(&mut self, port: u16) -> Result<()> {
        anyhow::ensure!(self.running.is_none(), "{} runs already", self.name);
        let log = File::options().create(true).append(true).open(self.log())?;
        let keep = self.keep();
        if keep.exists() {
            std::fs::remove_file(&keep)?;
        }
        let mut shell = Command::new("sh")
            .args(["-c", LIFELINE, self.end])
            .arg(&self.folder)
            .args(&self.command)
            .envs(self.variables.iter().map(|(name, value)| (name, value)))
            .current_dir(&self.folder)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(log)
            .spawn()
            .with_context(|| format!("cannot start {}", self.name))?;
        let mut line = String::new();
        let stdout = shell.stdout.take().context("no stdout")?;
        BufReader::new(stdout).read_line(&mut line)?;
        let pid = line.trim().parse().ok().and_then(Pid::from_raw);
        let pid = pid.with_context(|| format!("{}: {}", self.name, self.output()))?;
        self.running = Some(Running { shell, pid });
        self.wait_for_port(port)
    }

    fn wait_for_port(&mut self, port: u16) -> Result<()> {
        let address = SocketAddr::from(([127, 0, 0, 1], port));
        let pid = self.id()?;
        let opened = eventually("its port", LIMIT, || {
            if is_gone(pid) {
                return Some(false);
            }
            let connected = TcpStream::connect_timeout(&address, Duration::from_secs(1));
            connected.is_ok().then_some(true)
        });
        match opened {
            Ok(true) => Ok(()),
            _ => bail!("{} does not serve: {}", self.name, self.output()),
        }
    }

    /// Sends `signal` to the server.
    pub fn signal(&self, signal: Signal) -> Result<()> {
        let running = self.running.as_ref();
        let running = running.with_context(|| format!("{} does not run", self.name))?;
        kill_process(running.pid, signal).with_context(|| format!("cannot signal {}", self.name))
    }

    /// Stops the server where it is, and waits until it stands still.
    pub(super) fn freeze(&self) -> Result<()> {
        self.signal(Signal::STOP)?;
        let pid = self.running.as_ref().map(|running| running.pid);
        pid.map_or(Ok(()), stands_still)
    }

    /// Ends it at once with its signal, and keeps its folder for the next start.
    pub(super) fn kill(&mut self) -> Result<()> {
        std::fs::write(self.keep(), "")?;
        if let Some(mut running) = self.running.take() {
            drop(running.shell.stdin.take());
            running.shell.wait()?;
        }
        Ok(())
    }

    fn log(&self) -> PathBuf {
        self.folder.join("output.log")
    }

    fn keep(&self) -> PathBuf {
        self.folder.join("keep")
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        match self.running.take() {
            Some(mut running) => {
                // A test that kept the folder for a second start does not need it any more.
                let _ = std::fs::remove_file(self.keep());
                drop(running.shell.stdin.take());
                let _ = running.shell.wait();
            }
            None => {
                let _ = std::fs::remove_dir_all(&self.folder);
            }
        }
    }
}

/// True if no such process runs, or only its entry is left.
fn is_gone(pid: u32) -> bool {
    let Ok(stat) = std::fs::read_to_string(format!("/proc/{pid}/stat")) else {
        return true;
    };
    stat.rsplit(')')
        .next()
        .is_some_and(|rest| rest.starts_with(" Z"))
}

/// A command for a server that refuses to run as root: as `user` then.
pub(super) fn as_user(user: &str, words: &[&str]) -> Vec<String> {
    let mut command: Vec<String> = Vec::new();
    if rustix::process::getuid().is_root() {
        let user = [format!("--reuid={user}"), format!("--regid={user}")];
        command.push("setpriv".to_owned());
        command.extend(user);
        command.push("--clear-groups".to_owned());
    }
    command.extend(words.iter().map(|word| (*word).to_owned()));
    command
}

/// `$0` is the signal, `$1` the folder, the rest the server.
const LIFELINE: &str = r#"
folder=$1; shift
"$@" </dev/null >&2 &
pid=$!
echo "$pid"
cat >/dev/null
kill -s CONT "$pid" 2>/dev/null
kill -s "$0" "$pid" 2>/dev/null
wait "$pid" 2>/dev/null
[ -e "$folder/keep" ] || rm -rf "$folder"
"#;

/// How long a server may take until it serves: Erlang's needs seconds, on a busy machine many.
const LIMIT: Duration = Duration::from_secs(90);
