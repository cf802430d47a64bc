//! The life of one child: whoever owns the process waits for its end, so that its id is never
//! somebody else's.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result, anyhow};
use rustix::process::{Pid, Signal, kill_process};
use tokio::process::Child;
use tokio::sync::{mpsc, oneshot, watch};

use super::program::{Program, tail};

/// What a child's life is told.
pub(super) enum Wish {
    /// SIGKILL, and stay down.
    Kill(oneshot::Sender<Result<()>>),
    /// Start it, if it is down.
    Start(oneshot::Sender<Result<()>>),
    /// SIGTERM, SIGKILL after this time, and never again.
    End(Duration, oneshot::Sender<Result<()>>),
}

/// Where a child stands.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) enum State {
    /// It was not started, or it was killed.
    #[default]
    Down,
    /// It runs.
    Up,
    /// It ended without being told to; how.
    Failed(String),
}

/// What is known of a child while it lives.
pub(super) struct Life {
    pub(super) program: Program,
    pub(super) log: PathBuf,
    pub(super) wishes: mpsc::Receiver<Wish>,
    pub(super) state: watch::Sender<State>,
}

impl Life {
    /// Lives until it is told to end, or nobody is left to tell it.
    pub(super) async fn run(mut self) {
        while let Some(wish) = self.wishes.recv().await {
            let goes_on = match wish {
                Wish::Kill(done) => done.send(Ok(())).is_ok(),
                Wish::End(_, done) => {
                    // Who does not wait for the answer does not need it.
                    let _ = done.send(Ok(()));
                    false
                }
                Wish::Start(done) => self.up(done).await,
            };
            if !goes_on {
                return;
            }
        }
    }

    /// From its start to its end; false if it is never started again.
    async fn up(&mut self, done: oneshot::Sender<Result<()>>) -> bool {
        let (mut child, line) = match self.program.start(&self.log) {
            Ok(started) => started,
            Err(error) => return done.send(Err(error)).is_ok(),
        };
        self.state.send_replace(State::Up);
        let _ = done.send(Ok(()));
        let goes_on = loop {
            tokio::select! {
                status = child.wait() => {
                    let how = status.map_or_else(|error| error.to_string(), |s| s.to_string());
                    let text = format!("{} ended: {how}; {}", self.program.name, tail(&self.log));
                    self.state.send_replace(State::Failed(text));
                    break true;
                }
                wish = self.wishes.recv() => match wish {
                    Some(Wish::Start(done)) => drop(done.send(Ok(()))),
                    Some(Wish::Kill(done)) => {
                        let killed = child.kill().await.context("a child cannot be killed");
                        self.state.send_replace(State::Down);
                        let _ = done.send(killed);
                        break true;
                    }
                    Some(Wish::End(grace, done)) => {
                        let ended = self.end(&mut child, grace).await;
                        self.state.send_replace(State::Down);
                        let _ = done.send(ended);
                        break false;
                    }
                    // Dropping the child kills it.
                    None => break false,
                }
            }
        };
        drop(line);
        goes_on
    }

    async fn end(&self, child: &mut Child, grace: Duration) -> Result<()> {
        let name = self.program.name;
        terminate(child)?;
        match tokio::time::timeout(grace, child.wait()).await {
            Ok(status) if status.as_ref().is_ok_and(|s| s.success()) => Ok(()),
            Ok(status) => {
                let how = status.map_or_else(|error| error.to_string(), |s| s.to_string());
                Err(anyhow!("{name} ended with {how}; {}", tail(&self.log)))
            }
            Err(_) => {
                child.kill().await?;
                Err(anyhow!(
                    "{name} did not stop within {grace:?}: killed; {}",
                    tail(&self.log)
                ))
            }
        }
    }
}

/// SIGTERM, unless it has ended already.
fn terminate(child: &Child) -> Result<()> {
    let id = child.id().and_then(|id| i32::try_from(id).ok());
    if let Some(pid) = id.and_then(Pid::from_raw) {
        kill_process(pid, Signal::TERM).context("a child cannot be told to stop")?;
    }
    Ok(())
}
