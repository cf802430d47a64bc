//! HTTP/2 connections to peers: many requests at once on each.
//!
//! Two designs were weighed. *One connection per target* costs the fewest sockets and handshakes, but
//! its peer's limit of concurrent streams (often 100) is then ours, one lost packet stops all, and a
//! connection that dies takes everything along. *A fixed number of connections* spreads that, but keeps
//! sockets, handshakes and flow-control windows for a load that mostly fits into one. So: one
//! connection, opened once by however many wait for it, and another only while all that are open are
//! full, up to [`Config::connections`]; beyond that a request waits, in a bounded queue and for a
//! bounded time. The first connection that has room is taken, so that the later ones fall idle and are
//! closed when the load has gone.
//!
//! A connection is used only after the peer's `SETTINGS` have come: its stream limit is known from the
//! first request on, and a peer that speaks no HTTP/2 is found out before it was sent one. A
//! connection that says GOAWAY takes no more requests and ends with those that run. What the peer
//! certainly did not process (`REFUSED_STREAM`, streams beyond a GOAWAY) is [`Sent::NotSent`]. Whoever
//! drops a request or its answer resets its stream, the upload included.
//!
//! Pings are rare on purpose: gRPC servers close a connection whose client pings more often than every
//! 5 min. One is sent when a request went without an answer (a dead connection would swallow one
//! request after the other), and now and then while streams are open.
//!
//! A pool belongs to whoever made it: the gateway has one per thread, a client one per process. Its
//! connections are tasks on the runtime that opened them.
//!
//! [`Sent::NotSent`]: crate::Sent::NotSent

mod exchange;
mod line;
mod peer;

use std::collections::HashMap;
use std::fmt;
use std::hash::BuildHasherDefault;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use ieum_base::{TaskKind, Tasks};

use crate::pool::{PooledBody, SendError};
use crate::target::KnownHash;
use crate::{BoxError, Connector, Error, Result, Target};

use peer::{Peer, Place};

pub(crate) use exchange::Answer;

/// How HTTP/2 connections are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Config {
    /// The most connections to one target. Default: 8.
    pub connections: usize,
    /// The most requests at once on one connection, if the peer allows as many. Default: 100 (Envoy).
    pub streams: usize,
    /// The most requests that wait for a place at one target. Default: 1,024 (as the bulkhead).
    pub waiting: usize,
    /// The longest wait for a place while all connections are full. Default: 1 s (as the bulkhead).
    pub wait: Duration,
    /// How long an unused connection is kept. Default: 5 min. A peer that closes one says so first
    /// (GOAWAY), so that it can be kept longer than one of HTTP/1.
    pub idle_timeout: Duration,
    /// The longest wait for the peer's first frame. Default: 5 s (as for TLS).
    pub settings_timeout: Duration,
    /// The shortest time between pings. Default: 6 min, more than the 5 min on which gRPC servers
    /// insist.
    pub ping_interval: Duration,
    /// How long a ping may go without its answer. Default: 10 s.
    pub ping_timeout: Duration,
    /// The longest time in which a peer may take nothing of what it is sent. Default: 5 min.
    pub write_timeout: Duration,
    /// The flow-control window of a stream, in bytes: what a reader that does not read lets come.
    /// Default: 64 KiB (Envoy).
    pub stream_window: u32,
    /// The flow-control window of a connection, in bytes. Default: 6.25 MiB, room for all streams.
    /// (Envoy's 1 MiB is meant for the side of clients: towards an upstream, 16 clients that do not
    /// read their answers would stop those of all others.)
    pub connection_window: u32,
    /// What is buffered of a stream's upload, in bytes. Default: 64 KiB.
    pub send_buffer: usize,
    /// The largest head of an answer, and its trailers, in bytes. Default: 16 KiB.
    pub most_header_bytes: u32,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            connections: 8,
            streams: 100,
            waiting: 1_024,
            wait: Duration::from_secs(1),
            idle_timeout: Duration::from_secs(300),
            settings_timeout: Duration::from_secs(5),
            ping_interval: Duration::from_secs(360),
            ping_timeout: Duration::from_secs(10),
            write_timeout: Duration::from_secs(300),
            stream_window: 64 << 10,
            connection_window: 6_400 << 10,
            send_buffer: 64 << 10,
            most_header_bytes: 16 << 10,
        }
    }
}

/// A pool of HTTP/2 connections. Clones are the same pool.
#[derive(Clone)]
pub struct Pool(Arc<Shared>);

struct Shared {
    connector: Connector,
    config: Config,
    tasks: Tasks,
    peers: Mutex<Peers>,
}

type Peers = HashMap<Target, Arc<Peer>, BuildHasherDefault<KnownHash>>;

impl Pool {
    /// An empty pool whose connections are tasks of `tasks`; `connector` must be one for HTTP/2
    /// ([`Connector::http2`]). Once the stop is requested, unused connections are closed and used ones
    /// close after their answers.
    pub fn new(connector: Connector, config: Config, tasks: Tasks) -> Self {
        Self(Arc::new(Shared {
            connector,
            config,
            tasks,
            peers: Mutex::default(),
        }))
    }

    /// Sends a request in origin form (`/path?query`) and waits for the head of its answer; the body
    /// goes on being sent meanwhile and afterwards, until the answer's body is dropped. `:scheme` and
    /// `:authority` are the target's; `Host` and the headers of a connection are left out.
    ///
    /// Dropping the future, or the answer before its end, resets the stream.
    ///
    /// # Errors
    /// Those of [`Connector::connect`] and [`ErrorKind::Busy`], all not sent; [`ErrorKind::Broken`],
    /// not sent if the peer says that it did not process it. The request comes back if no byte of it
    /// was taken.
    ///
    /// [`ErrorKind::Busy`]: crate::ErrorKind::Busy
    /// [`ErrorKind::Broken`]: crate::ErrorKind::Broken
    pub async fn send<B>(
        &self,
        target: &Target,
        request: Box<Request<B>>,
    ) -> Result<Response<PooledBody<B>>, SendError<B>>
    where
        B: Body<Data = Bytes> + Send + 'static,
        B::Error: Into<BoxError>,
    {
        let place = match self.0.place(target).await {
            Ok(place) => place,
            Err(error) => {
                let request = Some(request);
                return Err(SendError { error, request });
            }
        };
        let answered = exchange::run(place, target, *request, &self.0.tasks).await;
        match answered {
            Ok(response) => Ok(response.map(|answer| PooledBody::http2(Box::new(answer)))),
            Err(error) => Err(SendError {
                error,
                request: None,
            }),
        }
    }

    /// How many connections are open to a target.
    pub fn open_connections(&self, target: &Target) -> usize {
        let peers = self.0.peers.lock().unwrap_or_else(PoisonError::into_inner);
        peers.get(target).map_or(0, |peer| peer.figures().0)
    }

    /// How many requests run at a target.
    pub fn running(&self, target: &Target) -> usize {
        let peers = self.0.peers.lock().unwrap_or_else(PoisonError::into_inner);
        peers.get(target).map_or(0, |peer| peer.figures().1)
    }
}

impl Shared {
    fn peer(&self, target: &Target) -> Arc<Peer> {
        let mut peers = self.peers.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(peer) = peers.get(target) {
            return Arc::clone(peer);
        }
        let peer = Arc::new(Peer::new(target.clone(), self.config));
        peers.insert(target.clone(), Arc::clone(&peer));
        peer
    }

    /// Forgets a peer without connections; who still waits there has a new one opened.
    fn forget(&self, peer: &Arc<Peer>) {
        let mut peers = self.peers.lock().unwrap_or_else(PoisonError::into_inner);
        if peer.is_unused()
            && peers
                .get(peer.target())
                .is_some_and(|p| Arc::ptr_eq(p, peer))
        {
            peers.remove(peer.target());
        }
    }

    /// A place for one request, on a connection that has room or on a new one.
    async fn place(self: &Arc<Self>, target: &Target) -> Result<Place> {
        let peer = self.peer(target);
        match peer.take_if_nobody_waits() {
            Some(place) => Ok(place),
            // Boxed: mostly there is a place.
            None => Box::pin(self.wait_for_place(&peer)).await,
        }
    }

    async fn wait_for_place(self: &Arc<Self>, peer: &Arc<Peer>) -> Result<Place> {
        let mut waiting = peer.wait()?;
        loop {
            let changed = peer.changed();
            let mut changed = std::pin::pin!(changed);
            // Registered before the look, so that no change after it is missed.
            changed.as_mut().enable();
            match waiting.look()? {
                peer::Look::Place(place) => return Ok(place),
                peer::Look::Open(opening) => self.open(opening),
                peer::Look::Opening => {}
            }
            waiting.until(changed).await?;
        }
    }

    /// Opens a connection in a task of its own: many wait for it, and any of them may leave.
    fn open(self: &Arc<Self>, opening: peer::Opening) {
        let shared = Arc::clone(self);
        let open = async move {
            let peer = Arc::clone(opening.peer());
            let opened = line::open(&shared.connector, peer.target(), &shared.config).await;
            let driver = match opened {
                Ok(opened) => Some(opening.done(opened)),
                Err(error) => {
                    opening.failed(&error);
                    None
                }
            };
            let stop = shared.tasks.stop().clone();
            // The pool may go while its connections finish what runs on them.
            let pool = Arc::downgrade(&shared);
            drop(shared);
            if let Some(driver) = driver {
                driver.run(&stop).await;
            }
            if let Some(pool) = pool.upgrade() {
                pool.forget(&peer);
            }
        };
        self.tasks
            .spawn(TaskKind::Background, "http2-connection", open);
    }
}

impl Drop for Shared {
    /// Connections without a pool end with the requests that run on them.
    fn drop(&mut self) {
        let peers = self.peers.get_mut().unwrap_or_else(PoisonError::into_inner);
        for peer in peers.values() {
            peer.retire_all();
        }
    }
}

impl fmt::Debug for Pool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let peers = self.0.peers.lock().unwrap_or_else(PoisonError::into_inner);
        write!(f, "Pool({} peers)", peers.len())
    }
}

/// A failed exchange with `target`.
fn broken(target: &Target, error: h2::Error) -> Error {
    let is_unprocessed = error.is_remote()
        && (error.is_go_away() || error.reason() == Some(h2::Reason::REFUSED_STREAM));
    let broken = Error::new(crate::ErrorKind::Broken, target.to_string()).caused_by(error);
    if is_unprocessed {
        broken.not_sent()
    } else {
        broken
    }
}
