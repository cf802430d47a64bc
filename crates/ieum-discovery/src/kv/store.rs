//! Keys and sessions on the log.
//!
//! All of them have one stream: a session's end touches the keys that it held, a transaction any
//! keys, and the bounds are of all together, so every decision is made on the whole state and loses
//! the race on the stream's version if another process was quicker. What is decided is one event, is
//! answered after it is durable, and is written by a task: a client that goes away leaves nothing
//! half known.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use ieum_base::{Clock, Deadline, TaskKind, Tasks, Uuid};
use ieum_eventstore::{Append, Event, EventStore, Expect, Fence, NewEvent, StreamName, Version};
use serde::{Deserialize, Serialize};
use tokio::sync::{Mutex as AsyncMutex, Notify, OnceCell, oneshot};
use tokio::time::Instant;

use super::draft::{Draft, PENDING};
use super::keeper::Keeper;
use super::waiters::{Waiters, Watched};
use super::{Change, Config, Op, Outcome, Session, State};
use crate::{CheckId, Error, ErrorKind, Live, Result, Status, embedded};

/// Keys, values and sessions. Clones are the same one.
#[derive(Clone)]
pub struct Store(pub(super) Arc<Shared>);

pub(super) struct Shared {
    pub(super) log: Arc<dyn EventStore>,
    pub(super) clock: Clock,
    config: Config,
    registry: Arc<embedded::Registry>,
    /// The name of the platform's own node.
    home: String,
    pub(super) tasks: Tasks,
    /// True if other processes write to the same log, and one of them looks after the sessions.
    pub(super) is_shared: bool,
    opened: OnceCell<()>,
    pub(super) writer: AsyncMutex<Writer>,
    state: Mutex<State>,
    waiters: Waiters,
    /// Wakes the keeper of the sessions, which runs from the first one on.
    pub(super) sessions: Notify,
    keeper: OnceCell<()>,
}

/// How far the stream was read.
#[derive(Debug, Default)]
pub(super) struct Writer {
    version: Version,
    /// True while an append may have happened that was not read back.
    unsure: bool,
}

/// The data of an event: what was decided as one.
#[derive(Serialize, Deserialize)]
struct Decided {
    changes: Vec<Change>,
}

impl Store {
    /// A store on the log of `registry`, whose sessions live with its checks, at the node `home`. It
    /// reads and runs nothing before it is used; what it runs ends with `tasks`.
    pub fn new(
        registry: Arc<embedded::Registry>,
        home: String,
        config: Config,
        tasks: Tasks,
    ) -> Self {
        Self::with(registry, home, config, tasks, false)
    }

    pub(super) fn with(
        registry: Arc<embedded::Registry>,
        home: String,
        config: Config,
        tasks: Tasks,
        is_shared: bool,
    ) -> Self {
        Self(Arc::new(Shared {
            log: Arc::clone(registry.log()),
            clock: registry.clock().clone(),
            config,
            registry,
            home,
            tasks,
            is_shared,
            opened: OnceCell::new(),
            writer: AsyncMutex::default(),
            state: Mutex::default(),
            waiters: Waiters::default(),
            sessions: Notify::new(),
            keeper: OnceCell::new(),
        }))
    }

    /// The bounds.
    pub fn config(&self) -> &Config {
        &self.0.config
    }

    /// Looks at the state. `look` must be short: it runs under a lock.
    ///
    /// # Errors
    /// `Unavailable` if the log cannot be read.
    pub async fn look<T>(&self, look: impl FnOnce(&State) -> T) -> Result<T> {
        self.0.open().await?;
        self.0.refresh().await?;
        Ok(look(&self.0.state()))
    }

    /// Waits at most `wait` for an index of `watched` other than `after`. `after` 0, and an index that
    /// was not reached, are answered at once. Cancel safe.
    ///
    /// # Errors
    /// As [`Self::look`].
    pub async fn watch(&self, watched: &Watched, after: u64, wait: Duration) -> Result<()> {
        self.0.open().await?;
        self.0.refresh().await?;
        let deadline = Deadline::after(wait);
        let waiting = self.0.waiters.on(watched);
        let stop = self.0.tasks.stop();
        loop {
            // Registered before the look, so that a change in between is not missed.
            let woken = waiting.waker.notified();
            tokio::pin!(woken);
            woken.as_mut().enable();
            if after == 0 || watched.index(&self.0.state()) != after {
                break;
            }
            let waited = stop.unless_requested(woken);
            match tokio::time::timeout_at(deadline.instant(), waited).await {
                Ok(Some(())) => {}
                Ok(None) | Err(_) => break,
            }
        }
        Ok(())
    }

    /// Does all operations or none, as one change with one index. Durable at return.
    ///
    /// # Errors
    /// `Invalid` for a key or value beyond the bounds, `Full` if the store is, `Unavailable` if the
    /// log cannot be written.
    pub async fn run(&self, ops: Vec<Op>) -> Result<Outcome> {
        check_sizes(&ops, &self.0.config)?;
        let config = self.0.config;
        let decide = move |state: &State| Draft::of(state).decide(&ops, &config);
        let (outcome, index) = self.0.change(decide).await?;
        Ok(outcome.map(|mut found| {
            let entries = found.iter_mut().filter_map(|found| found.entry.as_mut());
            for entry in entries {
                for pending in [&mut entry.created, &mut entry.modified] {
                    if *pending == PENDING {
                        *pending = index;
                    }
                }
            }
            found
        }))
    }

    /// Begins a session. Durable at return.
    ///
    /// # Errors
    /// `Invalid` if its node is not there, a check of it is not there or critical, or it has too much;
    /// `Full`, `Unavailable`.
    pub async fn begin_session(&self, session: Session) -> Result<Uuid> {
        check_session(&session)?;
        let id = session.id;
        let shared = Arc::clone(&self.0);
        let decide = move |state: &State| {
            if state.sessions_len() >= shared.config.max_sessions {
                let most = shared.config.max_sessions;
                return Err(Error::new(
                    ErrorKind::Full,
                    format!("the store holds its limit of {most} sessions"),
                ));
            }
            match shared.why_over(&session) {
                Some(why) => Err(Error::new(ErrorKind::Invalid, why)),
                None => Ok(((), vec![Change::SessionCreated(session.clone())])),
            }
        };
        self.0.change(decide).await?;
        self.0.keep_sessions().await;
        Ok(id)
    }

    /// Ends a session; its keys are released or deleted. Idempotent, durable at return.
    ///
    /// # Errors
    /// `Unavailable` if the log cannot be written.
    pub async fn end_session(&self, id: Uuid) -> Result<()> {
        let decide = move |state: &State| {
            let there = state.session(id).is_some();
            let ended = there.then_some(Change::SessionEnded { session: id });
            Ok(((), ended.into_iter().collect()))
        };
        self.0.change(decide).await.map(|((), _)| ())
    }

    /// Lets a session live for its whole TTL again, and answers it; `None` if it is over. Writes
    /// nothing.
    ///
    /// # Errors
    /// As [`Self::look`].
    pub async fn renew_session(&self, id: Uuid) -> Result<Option<Session>> {
        self.0.open().await?;
        self.0.refresh().await?;
        let mut state = self.0.state();
        state.hear(id);
        Ok(state.session(id).cloned())
    }
}

impl Shared {
    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn live(&self) -> &Live {
        self.registry.live()
    }

    /// Reads the stream, once. Sessions that are found live for a whole TTL from here on.
    pub(super) async fn open(self: &Arc<Self>) -> Result<()> {
        let read = async {
            self.catch_up(&mut *self.writer.lock().await).await?;
            let sessions = {
                let mut state = self.state();
                state.begin();
                state.sessions_len()
            };
            if sessions > 0 {
                self.keep_sessions().await;
            }
            if self.is_shared {
                self.follow();
            }
            Ok(())
        };
        self.opened.get_or_try_init(|| read).await.map(|_| ())
    }

    /// Decides, appends and folds in, as often as somebody else was quicker. Answers the index of the
    /// change; 0 if there was none.
    async fn change<T: Send + 'static>(
        self: &Arc<Self>,
        decide: impl Fn(&State) -> Result<(T, Vec<Change>)> + Send + Sync + 'static,
    ) -> Result<(T, u64)> {
        self.open().await?;
        let (done, changed) = oneshot::channel();
        let shared = Arc::clone(self);
        self.tasks.spawn(TaskKind::Request, "kv-write", async move {
            // Nobody may wait any more: the change is made all the same.
            drop(done.send(shared.write(None, &decide).await));
        });
        let stopped = |_| Error::new(ErrorKind::Unavailable, "the platform is stopping");
        changed.await.map_err(stopped)?
    }

    pub(super) async fn write<T>(
        &self,
        fence: Option<&Fence>,
        decide: &(impl Fn(&State) -> Result<(T, Vec<Change>)> + Sync),
    ) -> Result<(T, u64)> {
        let mut writer = self.writer.lock().await;
        for _ in 0..MAX_RACES {
            if writer.unsure {
                self.catch_up(&mut writer).await?;
            }
            let (answer, changes) = decide(&self.state())?;
            if changes.is_empty() {
                return Ok((answer, 0));
            }
            let event = NewEvent::new(self.clock.new_id(), DECIDED, &Decided { changes });
            let event = event.map_err(unwritable)?;
            let mut append = Append::to(stream()?, Expect::Version(writer.version), vec![event]);
            append.fence = fence.cloned();
            writer.unsure = true;
            match self.log.append(append).await {
                Ok(appended) => {
                    self.catch_up(&mut writer).await?;
                    return Ok((answer, appended.position.0));
                }
                Err(error) if is_lost_race(&error) => {}
                Err(error) => return Err(unavailable("writing the key-value store", error)),
            }
        }
        Err(Error::new(
            ErrorKind::Unavailable,
            "too many others change the key-value store",
        ))
    }

    /// Reads to the end of the stream and folds in what is new.
    pub(super) async fn catch_up(&self, writer: &mut Writer) -> Result<()> {
        let stream = stream()?;
        loop {
            let read = self.log.read_stream(&stream, writer.version, PAGE).await;
            let events = read.map_err(|e| unavailable("reading the key-value store", e))?;
            for event in &events {
                writer.version = event.version;
                self.fold(event);
            }
            if events.len() < PAGE {
                writer.unsure = false;
                return Ok(());
            }
        }
    }

    /// What cannot be read must not keep the rest from being used: it is reported and passed over.
    fn fold(&self, event: &Event) {
        if event.kind != DECIDED {
            return;
        }
        match event.decode::<Decided>() {
            Ok(Decided { changes }) => {
                let touched = self.state().apply(event.position.0, &changes);
                self.waiters.wake(&touched);
                if touched.sessions {
                    self.sessions.notify_one();
                }
            }
            Err(error) => tracing::error!(
                position = event.position.0, %error,
                "an event of the key-value store cannot be read; it is passed over"
            ),
        }
    }

    async fn keep_sessions(self: &Arc<Self>) {
        if self.is_shared {
            self.sessions.notify_one();
            return;
        }
        let begin = async {
            let keeper = Keeper::new(Arc::clone(self), None);
            let stop = self.tasks.stop().clone();
            self.tasks
                .spawn(TaskKind::Background, "session-keeper", async move {
                    stop.unless_requested(keeper.run()).await;
                });
        };
        self.keeper.get_or_init(|| begin).await;
        self.sessions.notify_one();
    }

    /// Why a session cannot go on, as far as the registry says; `None` if it can.
    pub(super) fn why_over(&self, session: &Session) -> Option<String> {
        self.live().look(|catalog| {
            if session.node != self.home && catalog.node(&session.node).is_none() {
                return Some("Missing node registration".to_owned());
            }
            let checks = session.node_checks.iter().chain(&session.service_checks);
            checks
                .filter(|check| check.0 != SERF_HEALTH)
                .find_map(|id: &CheckId| match catalog.check(id) {
                    None => Some(format!("Missing check '{id}' registration")),
                    Some((_, check)) if check.status == Status::Critical => {
                        Some(format!("Check '{id}' is in critical state"))
                    }
                    Some(_) => None,
                })
        })
    }

    /// True once the session's time is over.
    pub(super) fn is_late(state: &State, session: &Session) -> bool {
        state
            .end_of(session)
            .is_some_and(|end| end <= Instant::now())
    }
}

impl fmt::Debug for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("kv::Store")
            .field("config", &self.0.config)
            .finish_non_exhaustive()
    }
}

fn check_sizes(ops: &[Op], config: &Config) -> Result<()> {
    let invalid = |why: String| Err(Error::new(ErrorKind::Invalid, why));
    let mut values = 0;
    for op in ops {
        let (key, value) = match op {
            Op::Set { key, value, .. }
            | Op::Cas { key, value, .. }
            | Op::Lock { key, value, .. }
            | Op::Unlock { key, value, .. } => (key, value.len()),
            _ => continue,
        };
        values += value;
        if key.is_empty() {
            return invalid("Missing key name".to_owned());
        }
        if key.len() > config.max_key_bytes {
            let most = config.max_key_bytes;
            return invalid(format!("a key has {} bytes, more than {most}", key.len()));
        }
    }
    let most = config.most_value();
    match values > most {
        true => invalid(format!("the value has {values} bytes, more than {most}")),
        false => Ok(()),
    }
}

fn check_session(session: &Session) -> Result<()> {
    let checks = session.node_checks.len() + session.service_checks.len();
    let why = if session.name.len() > MOST_NAME {
        format!("the name of a session has more than {MOST_NAME} bytes")
    } else if checks > MOST_CHECKS {
        format!("a session has {checks} checks, more than {MOST_CHECKS}")
    } else {
        return Ok(());
    };
    Err(Error::new(ErrorKind::Invalid, why))
}

fn stream() -> Result<StreamName> {
    StreamName::new(CATEGORY, "store").map_err(|error| {
        Error::new(ErrorKind::Internal, "naming the key-value store's stream").caused_by(error)
    })
}

fn is_lost_race(error: &ieum_eventstore::Error) -> bool {
    matches!(
        error.kind(),
        ieum_eventstore::ErrorKind::Conflict { .. }
            | ieum_eventstore::ErrorKind::ConditionFailed { .. }
    )
}

pub(super) fn unavailable(what: &str, error: ieum_eventstore::Error) -> Error {
    Error::new(ErrorKind::Unavailable, what).caused_by(error)
}

fn unwritable(error: serde_json::Error) -> Error {
    Error::new(ErrorKind::Internal, "writing a key as JSON").caused_by(error)
}

/// The category of the store's stream: one of the registry's, so that nobody else writes to it.
const CATEGORY: &str = "registry_kv";

/// The type of its events.
const DECIDED: &str = "kv.decided";

/// The check of Consul's gossip, which clients name by default. There is none here to fail.
const SERF_HEALTH: &str = "serfHealth";

/// How often a decision is made again because another process was quicker.
const MAX_RACES: usize = 16;

/// The longest name and the most checks of a session.
const MOST_NAME: usize = 255;
const MOST_CHECKS: usize = 64;

/// How many events are read at once; each may have a value of 512 KiB.
const PAGE: usize = 32;
