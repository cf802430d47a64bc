//! The children of the demo: a table of processes that are started, watched, killed, restarted, and
//! ended, each by its own id.
//!
//! Nothing here knows what a child does: it is a command line, and a URL that answers 200 once it can
//! be used. What it prints is in `logs/NAME.log` of the data folder, and is shown when it fails.

mod life;
mod program;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use futures_util::future::{join_all, select_all};
use ieum::base::{TaskKind, Tasks};
use ieum::http::HttpClient;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::Instant;

pub(super) use self::program::Program;

use self::life::{Life, State, Wish};

/// How long a child may take from its start until it can be used.
const READY: Duration = Duration::from_secs(60);
/// How long a child that ends before it was ready is started again: what an earlier one held, a port
/// or a lock, may be free only in a moment.
const STUBBORN: Duration = Duration::from_secs(4);
/// The pause between two looks at a child that is not ready yet.
const LOOK: Duration = Duration::from_millis(25);
/// How long one such look may take.
const ASK: Duration = Duration::from_secs(2);
/// How long a child may take to stop.
const STOP: Duration = Duration::from_secs(20);

/// All children.
pub(super) struct Children {
    table: BTreeMap<&'static str, Child>,
    logs: PathBuf,
    http: HttpClient,
    tasks: Tasks,
}

/// One line of the table.
struct Child {
    program: Program,
    wishes: mpsc::Sender<Wish>,
    state: watch::Receiver<State>,
    /// Whether it could be used since it was started: its end is a failure only then.
    used: AtomicBool,
}

impl Children {
    /// None yet; what they will print goes to files in `logs`.
    pub(super) fn new(logs: PathBuf, tasks: Tasks) -> Result<Self> {
        std::fs::create_dir_all(&logs)
            .with_context(|| format!("cannot make the folder {}", logs.display()))?;
        Ok(Self {
            table: BTreeMap::new(),
            logs,
            http: HttpClient::new(tasks.clone()),
            tasks,
        })
    }

    /// Adds a child to the table; it is not started yet. What it printed in an earlier demo is kept
    /// once more, as `NAME.log.old`.
    pub(super) fn add(&mut self, program: Program) {
        let (wishes, told) = mpsc::channel(1);
        let (tell, state) = watch::channel(State::Down);
        let log = self.logs.join(format!("{}.log", program.name));
        // There may be none yet.
        let _ = std::fs::rename(&log, log.with_extension("log.old"));
        let life = Life {
            program: program.clone(),
            log,
            wishes: told,
            state: tell,
        };
        self.tasks.spawn(TaskKind::Request, "child", life.run());
        let child = Child {
            program,
            wishes,
            state,
            used: AtomicBool::new(false),
        };
        self.table.insert(child.program.name, child);
    }

    /// The names of all children.
    pub(super) fn names(&self) -> Vec<&'static str> {
        self.table.keys().copied().collect()
    }

    /// Starts all children of `stage` at once, and waits until each can be used.
    pub(super) async fn start_stage(&self, stage: u8) -> Result<()> {
        let children = self.table.values().map(|child| &child.program);
        let names = children.filter(|program| program.stage == stage);
        let started = join_all(names.map(|program| self.start(program.name))).await;
        started.into_iter().collect()
    }

    /// Starts a child that is down, and waits until it can be used.
    pub(super) async fn start(&self, name: &str) -> Result<()> {
        let child = self.child(name)?;
        child.used.store(false, Ordering::Release);
        let begun = Instant::now();
        loop {
            child.tell(Wish::Start).await?;
            let failed = match tokio::time::timeout(READY, self.until_ready(child)).await {
                Ok(Ok(())) => return Ok(()),
                Ok(Err(failed)) => failed,
                Err(_) => bail!(
                    "{name} is not ready after {READY:?}: {}",
                    child.log(&self.logs)
                ),
            };
            if begun.elapsed() > STUBBORN {
                return Err(failed);
            }
            tokio::time::sleep(LOOK * 10).await;
        }
    }

    /// Kills a child with SIGKILL, and waits until it is gone. It stays down.
    pub(super) async fn kill(&self, name: &str) -> Result<()> {
        self.child(name)?.tell(Wish::Kill).await
    }

    /// Resolves when a child ended that nobody told to, with what is known of it.
    pub(super) async fn failed(&self) -> String {
        if self.table.is_empty() {
            return std::future::pending().await;
        }
        let ends = self.table.values().map(|child| Box::pin(child.failed()));
        select_all(ends).await.0
    }

    /// Ends all children with SIGTERM, the last stage first; says which did not obey.
    pub(super) async fn end(&self) -> Result<()> {
        let mut stages: Vec<u8> = self.table.values().map(|c| c.program.stage).collect();
        stages.sort_unstable();
        stages.dedup();
        let mut outcome = Ok(());
        for stage in stages.into_iter().rev() {
            let children = self.table.values().filter(|c| c.program.stage == stage);
            let ended = children.map(|child| child.tell(|done| Wish::End(STOP, done)));
            let ended: Result<()> = join_all(ended).await.into_iter().collect();
            outcome = outcome.and(ended);
        }
        outcome
    }

    fn child(&self, name: &str) -> Result<&Child> {
        let child = self.table.get(name);
        child.with_context(|| format!("there is no child {name}"))
    }

    /// Asks for its health until that is well; an error if it ends before.
    async fn until_ready(&self, child: &Child) -> Result<()> {
        loop {
            if let State::Failed(how) = &*child.state.borrow() {
                bail!("{how}");
            }
            if child.used.load(Ordering::Acquire) {
                return Ok(());
            }
            let answer = self.http.get(&child.program.health, ASK).await;
            // Then it is looked at once more: it may have ended just now.
            match answer.is_ok_and(|answer| answer.status().is_success()) {
                true => child.used.store(true, Ordering::Release),
                false => tokio::time::sleep(LOOK).await,
            }
        }
    }
}

impl Child {
    /// Tells its life something, and waits for the answer.
    async fn tell(&self, wish: impl FnOnce(oneshot::Sender<Result<()>>) -> Wish) -> Result<()> {
        let (done, answer) = oneshot::channel();
        let gone = || format!("nobody watches over {} any more", self.program.name);
        self.wishes.send(wish(done)).await.ok().with_context(gone)?;
        answer.await.ok().with_context(gone)?
    }

    /// Resolves when it ended although it could be used and nobody told it to end.
    async fn failed(&self) -> String {
        let mut state = self.state.clone();
        loop {
            if let State::Failed(how) = &*state.borrow_and_update()
                && self.used.load(Ordering::Acquire)
            {
                return how.clone();
            }
            if state.changed().await.is_err() {
                return std::future::pending().await;
            }
        }
    }

    fn log(&self, logs: &std::path::Path) -> String {
        program::tail(&logs.join(format!("{}.log", self.program.name)))
    }
}

#[cfg(test)]
mod tests {
    use ieum::base::Stop;

    use super::*;

    fn program(script: &str) -> Program {
        Program {
            name: "child",
            stage: 0,
            executable: "/bin/sh".into(),
            arguments: vec!["-c".into(), script.into()],
            environment: Vec::new(),
            // Nobody listens there: it is never ready.
            health: "http://127.0.0.1:9/health".to_owned(),
        }
    }

    #[tokio::test]
    async fn what_a_child_printed_is_shown_when_it_fails() {
        let name = format!("children-{}", ieum::base::Uuid::new_v4());
        let folder = std::env::temp_dir().join(name);
        let mut children =
            Children::new(folder.clone(), Tasks::new(Stop::new())).expect("a folder");
        children.add(program("echo what is wrong; exit 7"));
        let child = children.child("child").expect("it was added");
        child.tell(Wish::Start).await.expect("started");
        let error = children.until_ready(child).await.expect_err("it ended");
        let text = format!("{error:#}");
        assert!(
            text.contains("what is wrong") && text.contains('7'),
            "{text}"
        );
        // It could not be used yet: that is its start's failure and not the demo's.
        let nothing = tokio::time::timeout(LOOK, children.failed()).await;
        assert!(nothing.is_err(), "{nothing:?}");
        std::fs::remove_dir_all(folder).expect("removed");
    }

    #[tokio::test]
    async fn a_child_that_does_not_obey_is_killed_and_named() {
        let name = format!("children-{}", ieum::base::Uuid::new_v4());
        let folder = std::env::temp_dir().join(name);
        let mut children =
            Children::new(folder.clone(), Tasks::new(Stop::new())).expect("a folder");
        // It ignores SIGTERM, and says so before it waits for the end of its life line.
        children.add(program("trap '' TERM; echo deaf; read line"));
        let child = children.child("child").expect("it was added");
        child.tell(Wish::Start).await.expect("started");
        let log = folder.join("child.log");
        while !std::fs::read_to_string(&log).is_ok_and(|text| text.contains("deaf")) {
            tokio::task::yield_now().await;
        }
        let ended = child.tell(|done| Wish::End(LOOK, done)).await;
        let text = format!("{:#}", ended.expect_err("it was killed"));
        assert!(text.contains("child did not stop"), "{text}");
        std::fs::remove_dir_all(folder).expect("removed");
    }
}
