//! One connection that many share, and that comes back by itself.
//!
//! A keeper connects, watches, and connects again for as long as its task tree lives. Whoever asks
//! something while there is no connection, or while the server stopped answering, is told so at once
//! or waits for the keeper, as the port wants it; nobody's request is the probe that finds out whether
//! the server is back. So a dead or frozen server costs each port one timeout, and then nothing.

use std::collections::HashMap;
use std::fmt;
use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use ieum_base::{Backoff, Clock, EngineUrl, Rng, TaskKind, Tasks};
use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, PushInfo, PushKind, RedisResult, Value};
use tokio::sync::{Notify, watch};
use tokio::time::timeout;

use crate::client;
use crate::config::Config;
use crate::error::{Error, ErrorKind, Result};

/// A connection to a Redis server. Clones are the same connection.
#[derive(Clone)]
pub struct Connection(Arc<Shared>);

struct Shared {
    url: EngineUrl,
    config: Config,
    clock: Clock,
    client: redis::Client,
    state: watch::Sender<State>,
    /// Somebody met trouble, or the library saw the connection end.
    trouble: Notify,
    /// Who waits for messages of a topic.
    wakes: Wakes,
}

#[derive(Clone)]
enum State {
    Up {
        connection: MultiplexedConnection,
        /// Which connection this is, so that trouble with an old one does not end a new one.
        number: u64,
    },
    Down(Arc<str>),
}

/// Wake-ups of topics, by name. A hint: whoever waits also looks now and then.
type Wakes = Arc<Mutex<HashMap<String, watch::Sender<u64>>>>;

/// What somebody does who finds the connection down.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Patience {
    /// Does without.
    None,
    /// Waits for it, within the time that the question may take.
    Wait,
}

impl Connection {
    /// Connects to the server at `url`, and keeps connected as a task of `tasks`.
    ///
    /// # Errors
    /// `Url`; `Refused` for what waiting does not mend; `Unavailable` if nobody answers.
    pub async fn open(url: &EngineUrl, clock: &Clock, tasks: &Tasks) -> Result<Self> {
        let (this, first) = Self::try_open(url, clock, tasks).await?;
        first.map(|()| this)
    }

    /// The same for ports that do without the server: if nobody answers that is logged, and the
    /// keeper goes on trying.
    ///
    /// # Errors
    /// `Url`, and `Refused` for what waiting does not mend.
    pub async fn open_when_there(url: &EngineUrl, clock: &Clock, tasks: &Tasks) -> Result<Self> {
        let (this, first) = Self::try_open(url, clock, tasks).await?;
        match first {
            Err(error) if error.kind() == ErrorKind::Unavailable => {
                tracing::warn!(%error, "doing without Redis until it answers");
                Ok(this)
            }
            first => first.map(|()| this),
        }
    }

    async fn try_open(url: &EngineUrl, clock: &Clock, tasks: &Tasks) -> Result<(Self, Result<()>)> {
        let config = Config::from_url(url)?;
        let client = client::of(url, &config)?;
        let this = Self(Arc::new(Shared {
            url: url.clone(),
            config,
            clock: clock.clone(),
            client,
            state: watch::Sender::new(State::Down("not connected yet".into())),
            trouble: Notify::new(),
            wakes: Wakes::default(),
        }));
        let first = this.connect(0).await;
        if first
            .as_ref()
            .is_err_and(|error| error.kind() != ErrorKind::Unavailable)
        {
            return first.map(|()| (this, Ok(())));
        }
        let (keeper, stop) = (this.clone(), tasks.stop().clone());
        tasks.spawn(TaskKind::Background, "redis-connection", async move {
            stop.unless_requested(keeper.keep()).await;
        });
        Ok((this, first))
    }

    /// The server's URL.
    pub fn url(&self) -> &EngineUrl {
        &self.0.url
    }

    /// What the URL says beside the server.
    pub fn config(&self) -> &Config {
        &self.0.config
    }

    /// True while the server answers.
    pub fn is_up(&self) -> bool {
        matches!(*self.0.state.borrow(), State::Up { .. })
    }

    /// Asks the server something, within `limit` in all.
    pub(crate) async fn ask<T, F, Q>(
        &self,
        limit: Duration,
        patience: Patience,
        ask: F,
    ) -> Result<T>
    where
        F: FnOnce(MultiplexedConnection) -> Q,
        Q: Future<Output = RedisResult<T>>,
    {
        let deadline = ieum_base::Deadline::after(limit);
        let (connection, number) = self.connection(deadline, patience).await?;
        match tokio::time::timeout_at(deadline.instant(), ask(connection)).await {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(error)) => {
                let is_broken = error.is_io_error() || error.is_unrecoverable_error();
                let error = Error::native(self.url(), error);
                if is_broken || error.kind() == ErrorKind::Unavailable {
                    self.trouble(number, &error.to_string());
                }
                Err(error)
            }
            Err(_) => {
                let error = Error::unavailable(self.url(), format!("no answer within {limit:?}"));
                self.trouble(number, &error.to_string());
                Err(error)
            }
        }
    }

    /// Who is told of messages of `topic`.
    pub(crate) fn wake_ups(&self, topic: &str) -> watch::Receiver<u64> {
        let mut wakes = lock(&self.0.wakes);
        // Those that nobody waits for any more make room.
        if wakes.len() >= MOST_WAKES {
            wakes.retain(|_, sender| sender.receiver_count() > 0);
        }
        wakes.entry(topic.to_owned()).or_default().subscribe()
    }

    async fn connection(
        &self,
        deadline: ieum_base::Deadline,
        patience: Patience,
    ) -> Result<(MultiplexedConnection, u64)> {
        let mut state = self.0.state.subscribe();
        let known = state.borrow_and_update().clone();
        let known = match known {
            State::Down(_) if patience == Patience::Wait => {
                let up = state.wait_for(|state| matches!(state, State::Up { .. }));
                let up = tokio::time::timeout_at(deadline.instant(), up).await;
                match up {
                    Ok(Ok(state)) => state.clone(),
                    _ => known,
                }
            }
            known => known,
        };
        match known {
            State::Up { connection, number } => Ok((connection, number)),
            State::Down(why) => Err(Error::new(ErrorKind::Unavailable, why.as_ref())),
        }
    }

    fn trouble(&self, number: u64, why: &str) {
        let ended = self.0.state.send_if_modified(|state| {
            let is_this = matches!(state, State::Up { number: n, .. } if *n == number);
            if is_this {
                *state = State::Down(why.into());
            }
            is_this
        });
        if ended {
            tracing::warn!(why, "Redis does not answer");
            self.0.trouble.notify_one();
        }
    }

    /// Connects again and again; never ends by itself.
    async fn keep(self) {
        let (mut failures, mut number, rng) = (0, 0, Rng::system());
        loop {
            if self.is_up() {
                failures = 0;
                self.watch(number).await;
            }
            number += 1;
            failures += 1;
            self.0.clock.sleep(BACKOFF.delay(failures, &rng)).await;
            match self.connect(number).await {
                Ok(()) => tracing::info!(url = %self.url(), "Redis answers again"),
                Err(error) => {
                    tracing::debug!(%error, "connecting to Redis again");
                    self.0
                        .state
                        .send_replace(State::Down(error.to_string().into()));
                }
            }
        }
    }

    /// Watches a connection until it is of no use any more.
    async fn watch(&self, number: u64) {
        let State::Up { mut connection, .. } = self.0.state.borrow().clone() else {
            return;
        };
        loop {
            let _ = timeout(PROBE_EVERY, self.0.trouble.notified()).await;
            let ping = redis::cmd("PING");
            let probe = ping.query_async::<Value>(&mut connection);
            match timeout(self.0.config.patience.min(PROBE_LIMIT), probe).await {
                // It was slow, not gone.
                Ok(Ok(_)) => {
                    self.0.state.send_if_modified(|state| {
                        let was_down = matches!(state, State::Down(_));
                        let connection = connection.clone();
                        *state = State::Up { connection, number };
                        was_down
                    });
                }
                Ok(Err(error)) => return self.lost(&Error::native(self.url(), error)),
                Err(_) => return self.lost(&Error::unavailable(self.url(), "it stands still")),
            }
        }
    }

    fn lost(&self, error: &Error) {
        tracing::warn!(%error, "the connection to Redis is lost");
        self.0
            .state
            .send_replace(State::Down(error.to_string().into()));
    }

    async fn connect(&self, number: u64) -> Result<()> {
        let shared = &self.0;
        let weak = Arc::downgrade(shared);
        let push = move |push: PushInfo| {
            if let Some(shared) = weak.upgrade() {
                shared.heard(&push);
            }
            Ok::<_, redis::aio::SendError>(())
        };
        let settings = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(shared.config.connect_timeout))
            .set_response_timeout(None)
            .set_push_sender(push);
        // The library's own limit ends before the handshake.
        let connecting = shared
            .client
            .get_multiplexed_async_connection_with_config(&settings);
        let connecting = timeout(2 * shared.config.connect_timeout, connecting);
        let Ok(connected) = connecting.await else {
            let why = "nobody answers: check host and port";
            return Err(Error::unavailable(self.url(), why));
        };
        let mut connection = connected.map_err(|error| Error::native(self.url(), error))?;
        let limit = shared.config.patience;
        client::examine(&mut connection, self.url(), &shared.clock, limit).await?;
        // Without the permission to listen, whoever waits looks now and then.
        let channel = self.channel();
        match timeout(shared.config.patience, connection.subscribe(&channel)).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::debug!(%error, channel, "no wake-ups"),
            Err(_) => return Err(Error::unavailable(self.url(), "it stands still")),
        }
        shared.state.send_replace(State::Up { connection, number });
        Ok(())
    }

    /// Where it is told that a topic has new messages.
    pub(crate) fn channel(&self) -> String {
        format!("{}-published", self.0.config.prefix)
    }
}

impl Shared {
    fn heard(&self, push: &PushInfo) {
        match (&push.kind, push.data.as_slice()) {
            (PushKind::Disconnection, _) => self.trouble.notify_one(),
            (PushKind::Message, [_, Value::BulkString(topic)]) => {
                let topic = String::from_utf8_lossy(topic);
                if let Some(waiting) = lock(&self.wakes).get(topic.as_ref()) {
                    waiting.send_modify(|count| *count += 1);
                }
            }
            _ => {}
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connection")
            .field("url", &self.0.url)
            .field("is_up", &self.is_up())
            .finish_non_exhaustive()
    }
}

/// Between two tries to connect.
const BACKOFF: Backoff = Backoff::new(Duration::from_millis(50), Duration::from_secs(1));
/// How often a connection that nobody complains about is looked at.
const PROBE_EVERY: Duration = Duration::from_secs(5);
/// How long a server may take to say that it is alive.
const PROBE_LIMIT: Duration = Duration::from_secs(2);
/// The most topics that are waited for at once, before those that nobody waits for are forgotten.
const MOST_WAKES: usize = 1_000;
