//! A process that a test started: watched by its lines, ended by its id.

use std::io::{BufRead, BufReader, Read};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use rustix::process::{Pid, Signal, kill_process};

use crate::wait::{eventually, now};

/// A running process. Dropping it kills it and waits for its end.
#[derive(Debug)]
pub struct Process {
    name: String,
    child: Child,
    stdout: Arc<Lines>,
    stderr: Arc<Lines>,
}

#[derive(Debug, Default)]
struct Lines {
    read: Mutex<Vec<String>>,
    grew: Condvar,
}

impl Process {
    /// Starts `command` and collects what it prints.
    pub fn start(command: &mut Command) -> Result<Self> {
        let name = command.get_program().to_string_lossy().into_owned();
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .with_context(|| format!("cannot start {name}"))?;
        let stdout = Lines::collect(child.stdout.take().context("no stdout")?);
        let stderr = Lines::collect(child.stderr.take().context("no stderr")?);
        Ok(Self {
            name,
            child,
            stdout,
            stderr,
        })
    }

    /// The process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Waits for a line of either output for which `pick` answers a value.
    pub fn wait_for<T>(&self, limit: Duration, pick: impl Fn(&str) -> Option<T>) -> Result<T> {
        let end = now() + limit;
        let mut seen = [0, 0];
        loop {
            for (lines, seen) in [&self.stdout, &self.stderr].into_iter().zip(&mut seen) {
                let read = lines.read.lock().unwrap_or_else(PoisonError::into_inner);
                let found = read[*seen..].iter().find_map(|line| pick(line));
                *seen = read.len();
                if let Some(found) = found {
                    return Ok(found);
                }
            }
            if now() > end {
                bail!(
                    "{}: the line did not come within {limit:?}\n{}",
                    self.name,
                    self.output()
                );
            }
            let read = self
                .stdout
                .read
                .lock()
                .unwrap_or_else(PoisonError::into_inner);
            drop(
                self.stdout
                    .grew
                    .wait_timeout(read, Duration::from_millis(20)),
            );
        }
    }

    /// Everything it has printed so far, standard output first.
    pub fn output(&self) -> String {
        format!("{}\n{}", self.stdout.text(), self.stderr.text())
    }

    /// The last line of its standard output.
    pub fn last_line(&self) -> String {
        let read = self
            .stdout
            .read
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        read.last().cloned().unwrap_or_default()
    }

    /// True if it has ended.
    pub fn has_ended(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(Some(_)))
    }

    /// Sends SIGTERM.
    pub fn terminate(&self) -> Result<()> {
        self.signal(Signal::TERM)
    }

    /// Sends SIGHUP.
    pub fn hang_up(&self) -> Result<()> {
        self.signal(Signal::HUP)
    }

    /// Sends SIGSTOP, and waits until it stands still, and its connections with it.
    pub fn freeze(&self) -> Result<()> {
        self.signal(Signal::STOP)?;
        stands_still(self.pid()?)
    }

    /// Sends SIGCONT.
    pub fn thaw(&self) -> Result<()> {
        self.signal(Signal::CONT)
    }

    /// Sends SIGINT, as Ctrl-C does.
    pub fn interrupt(&self) -> Result<()> {
        self.signal(Signal::INT)
    }

    /// Sends SIGKILL and waits for the end.
    pub fn kill(&mut self) -> Result<()> {
        self.child.kill()?;
        self.child.wait()?;
        Ok(())
    }

    /// Waits for the end, at most `limit`.
    pub fn wait(&mut self, limit: Duration) -> Result<ExitStatus> {
        let child = &mut self.child;
        let status = eventually("the end of the process", limit, || {
            child.try_wait().transpose()
        })
        .with_context(|| {
            format!(
                "{}\n{}\n{}",
                self.name,
                self.stdout.text(),
                self.stderr.text()
            )
        })?
        .with_context(|| self.name.clone())?;
        self.stdout.closed();
        self.stderr.closed();
        Ok(status)
    }

    fn pid(&self) -> Result<Pid> {
        let id = i32::try_from(self.child.id())?;
        Pid::from_raw(id).context("a process id is not 0")
    }

    fn signal(&self, signal: Signal) -> Result<()> {
        kill_process(self.pid()?, signal).with_context(|| format!("cannot signal {}", self.name))
    }
}

/// Waits until no thread of a process runs any more: a signal takes its time on a busy machine, and what is
/// asked meanwhile is still answered.
pub(crate) fn stands_still(process: Pid) -> Result<()> {
    let is_stopped = |stat: &str| {
        // The state follows the program's name, which may have brackets and spaces.
        let state = stat.rsplit_once(") ").map(|(_, rest)| rest);
        state.is_some_and(|rest| rest.starts_with(['T', 't', 'Z', 'X']))
    };
    eventually("a process stands still", STOPS_WITHIN, || {
        let threads = std::fs::read_dir(format!("/proc/{}/task", process.as_raw_nonzero())).ok()?;
        let mut stats = threads
            .filter_map(|thread| std::fs::read_to_string(thread.ok()?.path().join("stat")).ok());
        stats.all(|stat| is_stopped(&stat)).then_some(())
    })
}

const STOPS_WITHIN: Duration = Duration::from_secs(10);

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended by itself; either way nothing is left running.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Lines {
    fn collect(output: impl Read + Send + 'static) -> Arc<Self> {
        let lines = Arc::new(Self::default());
        let writer = Arc::clone(&lines);
        std::thread::spawn(move || {
            for line in BufReader::new(output).lines().map_while(Result::ok) {
                writer
                    .read
                    .lock()
                    .unwrap_or_else(PoisonError::into_inner)
                    .push(line);
                writer.grew.notify_all();
            }
        });
        lines
    }

    /// Waits until the reading thread has seen the end of the output.
    fn closed(self: &Arc<Self>) {
        let done = eventually("the end of the output", Duration::from_secs(5), || {
            (Arc::strong_count(self) == 1).then_some(())
        });
        // Somebody who inherited the pipe may hold it open; what was read is what there is.
        let _ = done;
    }

    fn text(&self) -> String {
        self.read
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .join("\n")
    }
}
