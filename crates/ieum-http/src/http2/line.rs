//! One connection: its opening, and who drives it to its end.

use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use bytes::Bytes;
use h2::client::{Builder, Connection, SendRequest};
use h2::{Ping, PingPong};
use ieum_base::Stop;
use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until};

use super::Config;
use super::peer::Peer;
use crate::connector::Io;
use crate::pool::Patient;
use crate::{BoxError, Connector, Error, ErrorKind, Result, Target};

/// A connection, as those know it who use it.
#[derive(Default)]
pub(super) struct Line {
    /// Told when a request on it went without an answer.
    doubt: Notify,
}

impl Line {
    /// Asks whether the peer is still there.
    pub(super) fn is_doubted(&self) {
        self.doubt.notify_one();
    }
}

/// A connection whose peer has shown that it speaks HTTP/2.
pub(super) struct Opened {
    pub(super) sender: SendRequest<Bytes>,
    pub(super) connection: Wire,
    pub(super) line: Arc<Line>,
}

pub(super) type Wire = Box<Connection<Patient<Io>, Bytes>>;

/// Opens a connection and waits for the peer's settings.
pub(super) async fn open(
    connector: &Connector,
    target: &Target,
    config: &Config,
) -> Result<Opened> {
    let failed =
        |cause: BoxError| Error::new(ErrorKind::Connect, target.to_string()).caused_by(cause);
    let stream = connector.connect(target).await?;
    let io = Patient::new(stream, config.write_timeout);
    let shakes = async {
        let (sender, connection) = builder(config).handshake(io).await?;
        let mut connection = Box::new(connection);
        let settled = poll_fn(|cx| {
            let ended = Pin::new(&mut connection).poll(cx);
            match connection.max_concurrent_send_streams() {
                0 => ended.map(|ended| ended.and(Err(h2::Reason::PROTOCOL_ERROR.into()))),
                _ => Poll::Ready(Ok(())),
            }
        });
        settled.await?;
        Ok::<_, h2::Error>((sender, connection))
    };
    let (sender, connection) = tokio::time::timeout(config.settings_timeout, shakes)
        .await
        .map_err(|_| failed("the peer said nothing in HTTP/2".into()))?
        .map_err(|error| failed(format!("the peer does not speak HTTP/2: {error}").into()))?;
    Ok(Opened {
        sender,
        connection,
        line: Arc::default(),
    })
}

fn builder(config: &Config) -> Builder {
    let mut builder = Builder::new();
    builder
        .enable_push(false)
        // None until the peer has said how many: that its settings have come is seen by this.
        .initial_max_send_streams(0)
        .initial_window_size(config.stream_window)
        .initial_connection_window_size(config.connection_window)
        .max_header_list_size(config.most_header_bytes)
        .max_send_buffer_size(config.send_buffer)
        // What still comes for a call that its caller left is let go in silence while its stream is
        // remembered, and counted as the peer's error afterwards. So many are remembered that callers
        // who leave cannot end the connection of all others, and so many errors in its life do.
        .max_concurrent_reset_streams(RESET_STREAMS)
        .max_local_error_reset_streams(Some(PEERS_ERRORS));
    builder
}

/// Moves a connection's bytes, asks whether the peer is there, and lets it go when it is not needed.
pub(super) struct Driver {
    connection: Wire,
    pings: Option<PingPong>,
    /// Until when the answer to a ping has to come.
    pong_due: Option<Instant>,
    line: Arc<Line>,
    peer: Arc<Peer>,
    config: Config,
}

/// Why a driver looks up.
enum Stirred {
    Ended(Result<(), h2::Error>),
    Stop,
    Tick,
    Doubt,
    Pong,
    NoPong,
}

impl Driver {
    pub(super) fn new(
        mut connection: Wire,
        line: Arc<Line>,
        peer: Arc<Peer>,
        config: Config,
    ) -> Self {
        Self {
            pings: connection.ping_pong(),
            connection,
            pong_due: None,
            line,
            peer,
            config,
        }
    }

    /// Drives the connection until it has ended.
    pub(super) async fn run(mut self, stop: &Stop) {
        let pause = self.config.idle_timeout.min(self.config.ping_interval) / 2;
        let pause = pause.max(SHORTEST_PAUSE);
        let mut tick = Instant::now() + pause;
        let mut next_doubt = Instant::now();
        let mut next_ping = Instant::now() + self.config.ping_interval;
        let mut is_stopped = false;
        loop {
            match self.stirred(tick, stop, is_stopped).await {
                Stirred::Ended(ended) => {
                    if let Err(error) = ended {
                        tracing::debug!(%error, peer = %self.peer.target(), "an HTTP/2 connection broke");
                    }
                    break;
                }
                Stirred::Stop => {
                    is_stopped = true;
                    self.peer.retire(&self.line);
                }
                Stirred::Tick => {
                    let now = Instant::now();
                    tick = now + pause;
                    let is_idle = self.peer.retire_if_idle(&self.line);
                    if !is_idle && now >= next_ping && self.peer.runs(&self.line) {
                        next_ping = now + self.config.ping_interval;
                        self.ping(now);
                    }
                }
                Stirred::Doubt => {
                    let now = Instant::now();
                    if now >= next_doubt {
                        next_doubt = now + self.config.ping_interval;
                        self.ping(now);
                    }
                }
                Stirred::Pong => self.pong_due = None,
                Stirred::NoPong => {
                    tracing::debug!(peer = %self.peer.target(), "an HTTP/2 connection answers no ping");
                    break;
                }
            }
        }
        self.peer.retire(&self.line);
    }

    async fn stirred(&mut self, tick: Instant, stop: &Stop, is_stopped: bool) -> Stirred {
        let Self {
            connection,
            pings,
            pong_due,
            line,
            ..
        } = self;
        let pong = poll_fn(|cx| match pings {
            Some(pings) => pings.poll_pong(cx).map(|_| ()),
            None => Poll::Pending,
        });
        let due = pong_due.unwrap_or(tick);
        let stopped = pin!(stop.requested());
        tokio::select! {
            biased;
            ended = connection.as_mut() => Stirred::Ended(ended),
            () = stopped, if !is_stopped => Stirred::Stop,
            () = pong, if pong_due.is_some() => Stirred::Pong,
            () = line.doubt.notified() => Stirred::Doubt,
            () = sleep_until(due), if pong_due.is_some() => Stirred::NoPong,
            () = sleep_until(tick) => Stirred::Tick,
        }
    }

    fn ping(&mut self, now: Instant) {
        let sent = self
            .pings
            .as_mut()
            .map(|pings| pings.send_ping(Ping::opaque()));
        if matches!(sent, Some(Ok(()))) && self.pong_due.is_none() {
            self.pong_due = Some(now + self.config.ping_timeout);
        }
    }
}

/// How often a driver looks at most whether its connection is unused.
const SHORTEST_PAUSE: Duration = Duration::from_millis(50);
/// For a second each; a few hundred bytes.
const RESET_STREAMS: usize = 2_000;
const PEERS_ERRORS: usize = 100_000;
