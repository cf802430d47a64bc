//! Keep-alive connections to HTTP/1.1 peers.
//!
//! The connection that was used last is used first (LIFO): it is the warmest and the least likely
//! to have been closed by the peer. A connection returns to the pool in the moment the response's
//! body ends, by a body type of our own and without boxing.
//!
//! A pool belongs to whoever made it. The gateway makes one per core, whose mutex is then never
//! contended; a service makes one per process. Connections are driven by whoever waits for their
//! answer (`line`), on the runtime that opened them.

mod line;
mod patient;

use std::collections::HashMap;
use std::fmt;
use std::future::{Future, poll_fn};
use std::hash::BuildHasherDefault;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use ieum_base::{TaskKind, Tasks};
use tokio::sync::Notify;
use tokio::time::Instant;

use crate::target::KnownHash;
use crate::{BoxError, Connector, Error, ErrorKind, Result, Target, http2};

use line::Line;
pub(crate) use patient::Patient;

/// How connections are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Config {
    /// How long an unused connection is kept. Default: 4 s: less than the 5 s after which Node.js
    /// closes one, and the 10 s of our own servers, so that a request seldom meets a closing peer.
    pub idle_timeout: Duration,
    /// The most unused connections to one authority; more are closed. Default: 256.
    pub most_idle: usize,
    /// The longest time in which a peer may take nothing of what it is sent. Default: 5 min (as our
    /// own servers).
    pub write_timeout: Duration,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            idle_timeout: Duration::from_secs(4),
            most_idle: 256,
            write_timeout: Duration::from_secs(300),
        }
    }
}

/// A pool of connections for requests with bodies of type `B`. Clones are the same pool.
pub struct Pool<B> {
    shared: Arc<Shared<B>>,
}

struct Shared<B> {
    connector: Connector,
    config: Config,
    tasks: Tasks,
    idle: Mutex<Unused<B>>,
    open: AtomicUsize,
    sweeping: AtomicBool,
    /// Told when an unused connection stirs.
    stirred: Arc<Notify>,
}

type Unused<B> = HashMap<Target, Vec<Idle<B>>, BuildHasherDefault<KnownHash>>;

struct Idle<B> {
    line: Box<Line<B>>,
    since: Instant,
}

/// A request that was not answered. The request comes back if not one byte of it was sent.
pub struct SendError<B> {
    /// Why.
    pub error: Error,
    /// The request, if it certainly never left.
    pub request: Option<Box<Request<B>>>,
}

impl<B> Pool<B>
where
    B: Body + Send + 'static,
    B::Data: Send,
    B::Error: Into<BoxError>,
{
    /// An empty pool whose connections are tasks of `tasks`. Once its stop is requested, unused
    /// connections are closed and used ones close after their answer.
    pub fn new(connector: Connector, config: Config, tasks: Tasks) -> Self {
        Self {
            shared: Arc::new(Shared {
                connector,
                config,
                tasks,
                idle: Mutex::default(),
                open: AtomicUsize::new(0),
                sweeping: AtomicBool::new(false),
                stirred: Arc::default(),
            }),
        }
    }

    /// Sends a request in origin form (`/path?query`) with a `Host` header, on an unused connection
    /// or a new one. A connection that turns out to be closed before the request was written is
    /// replaced in silence. Dropping the future cancels the request and closes its connection.
    ///
    /// # Errors
    /// Those of [`Connector::connect`], all not sent; [`ErrorKind::Broken`], with the request if it
    /// never left.
    pub async fn send(
        &self,
        target: &Target,
        mut request: Box<Request<B>>,
    ) -> Result<Response<PooledBody<B>>, SendError<B>> {
        while let Some(line) = self.shared.take(target) {
            match self.send_on(line, request).await {
                Err(SendError {
                    request: Some(unsent),
                    ..
                }) => request = unsent,
                answered_or_sent => return answered_or_sent,
            }
        }
        // Boxed: opening a connection is rare and its future is large (TLS).
        match Box::pin(self.shared.open(target)).await {
            Ok(line) => self.send_on(line, request).await,
            Err(error) => Err(SendError {
                error,
                request: Some(request),
            }),
        }
    }

    async fn send_on(
        &self,
        mut line: Box<Line<B>>,
        request: Box<Request<B>>,
    ) -> Result<Response<PooledBody<B>>, SendError<B>> {
        if !request.body().is_end_stream() {
            self.shared.detach(&mut line);
        }
        // Unconstrained: a wake-up for want of budget would get lost, and the driver is constrained.
        // Boxed: it has room for a request, which everybody who waits for it would have to have too.
        let answer = tokio::task::unconstrained(line.sender.try_send_request(*request));
        let mut answer = Box::pin(answer);
        let answered = poll_fn(|cx| line.poll(cx, |cx| answer.as_mut().poll(cx))).await;
        match answered {
            Ok(response) => Ok(self.lease(line, response)),
            Err(mut failure) => {
                let request = failure.take_message().map(Box::new);
                let error = Error::new(ErrorKind::Broken, line.target.to_string());
                let error = error.caused_by(failure.into_error());
                Err(SendError {
                    error: if request.is_some() {
                        error.not_sent()
                    } else {
                        error
                    },
                    request,
                })
            }
        }
    }

    fn lease(
        &self,
        mut line: Box<Line<B>>,
        response: Response<Incoming>,
    ) -> Response<PooledBody<B>> {
        let is_tunnel = response.status() == StatusCode::SWITCHING_PROTOCOLS;
        if is_tunnel {
            self.shared.detach(&mut line);
        }
        response.map(|incoming| PooledBody::http1(incoming, (!is_tunnel).then_some(line)))
    }
}

impl<B> Pool<B> {
    /// How many connections are open, used and unused.
    pub fn open_connections(&self) -> usize {
        self.shared.open.load(Ordering::Relaxed)
    }

    /// How many connections are unused.
    pub fn idle_connections(&self) -> usize {
        self.shared.idle().values().map(Vec::len).sum()
    }
}

impl<B> Shared<B> {
    fn idle(&self) -> MutexGuard<'_, Unused<B>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The connection that was used last and is still good. One that is still busy with the end of
    /// its last exchange stays where it is.
    fn take(&self, target: &Target) -> Option<Box<Line<B>>> {
        let mut idle = self.idle();
        let kept = idle.get_mut(target)?;
        let now = Instant::now();
        for at in (0..kept.len()).rev() {
            if self.is_over(&mut kept[at], now) {
                kept.remove(at);
            } else if kept[at].line.sender.is_ready() {
                let line = kept.remove(at).line;
                line.begin();
                return Some(line);
            }
        }
        None
    }

    fn give_back(&self, mut line: Box<Line<B>>) {
        line.settle();
        if line.sender.is_closed() {
            return;
        }
        if !line.sender.is_ready() {
            self.detach(&mut line);
        }
        line.rest();
        let mut idle = self.idle();
        // Asked under the lock: what is kept now is seen by the sweeper, which clears at the stop.
        if self.tasks.stop().is_requested() {
            return;
        }
        let kept = match idle.get_mut(&line.target) {
            Some(kept) => kept,
            None => idle.entry(line.target.clone()).or_default(),
        };
        if kept.len() < self.config.most_idle {
            kept.push(Idle {
                line,
                since: Instant::now(),
            });
        }
    }

    /// Gives a connection a task of its own, if it has none.
    fn detach(&self, line: &mut Line<B>) {
        if let Some(driver) = line.take_driver() {
            self.tasks
                .spawn(TaskKind::Background, "http-connection", driver);
        }
    }

    fn is_over(&self, idle: &mut Idle<B>, now: Instant) -> bool {
        idle.line.look_after();
        idle.line.sender.is_closed() || now.duration_since(idle.since) >= self.config.idle_timeout
    }

    fn sweep(&self) {
        let now = Instant::now();
        self.idle().retain(|_, kept| {
            kept.retain_mut(|idle| !self.is_over(idle, now));
            !kept.is_empty()
        });
    }
}

impl<B> Shared<B>
where
    B: Body + Send + 'static,
    B::Data: Send,
    B::Error: Into<BoxError>,
{
    async fn open(self: &Arc<Self>, target: &Target) -> Result<Box<Line<B>>> {
        let stream = self.connector.connect(target).await?;
        let io = TokioIo::new(Patient::new(stream, self.config.write_timeout));
        let (sender, connection) = http1::handshake(io)
            .await
            .map_err(|error| Error::new(ErrorKind::Connect, target.to_string()).caused_by(error))?;
        let counted = Open::enter(Arc::downgrade(self), &self.open);
        let drive = async move {
            let _counted = counted;
            if let Err(error) = connection.with_upgrades().await {
                tracing::debug!(%error, "a connection to a peer broke");
            }
        };
        self.start_sweeper();
        let line = Line::new(self, target, sender, Box::pin(drive));
        Ok(Box::new(line))
    }

    /// Closes unused connections in time, for as long as there are connections.
    fn start_sweeper(self: &Arc<Self>) {
        if self.sweeping.swap(true, Ordering::AcqRel) {
            return;
        }
        let pool = Arc::downgrade(self);
        let pause = (self.config.idle_timeout / 2).max(SHORTEST_SWEEP_PAUSE);
        let (stop, stirred) = (self.tasks.stop().clone(), Arc::clone(&self.stirred));
        let sweep = async move {
            loop {
                let due = tokio::time::timeout(pause, stirred.notified());
                let is_stopped = stop.unless_requested(due).await.is_none();
                let Some(pool) = pool.upgrade() else { return };
                if is_stopped {
                    return pool.idle().clear();
                }
                pool.sweep();
                if pool.open.load(Ordering::Acquire) == 0 {
                    pool.sweeping.store(false, Ordering::Release);
                    // Opened in between, and counting on this sweeper: go on.
                    let missed = pool.open.load(Ordering::Acquire) > 0;
                    if !missed || pool.sweeping.swap(true, Ordering::AcqRel) {
                        return;
                    }
                }
            }
        };
        self.tasks
            .spawn(TaskKind::Background, "http-pool-sweep", sweep);
    }
}

/// Counts an open connection.
struct Open<B>(Weak<Shared<B>>);

impl<B> Open<B> {
    fn enter(pool: Weak<Shared<B>>, open: &AtomicUsize) -> Self {
        open.fetch_add(1, Ordering::AcqRel);
        Self(pool)
    }
}

impl<B> Drop for Open<B> {
    fn drop(&mut self) {
        if let Some(pool) = self.0.upgrade() {
            pool.open.fetch_sub(1, Ordering::AcqRel);
        }
    }
}

/// A response's body, from this pool or that of [`crate::http2`]. When it ends, its connection returns
/// to the pool; when it is dropped before, an HTTP/1 connection is closed, and an HTTP/2 stream reset.
pub struct PooledBody<B>(Kind<B>);

enum Kind<B> {
    Http1 {
        incoming: Incoming,
        /// The connection, until the body has ended.
        line: Option<Box<Line<B>>>,
    },
    Http2(Box<http2::Answer>),
}

impl<B> PooledBody<B> {
    fn http1(incoming: Incoming, mut line: Option<Box<Line<B>>>) -> Self {
        if incoming.is_end_stream() {
            give_back(&mut line);
        }
        Self(Kind::Http1 { incoming, line })
    }

    pub(crate) const fn http2(answer: Box<http2::Answer>) -> Self {
        Self(Kind::Http2(answer))
    }
}

fn give_back<B>(line: &mut Option<Box<Line<B>>>) {
    if let Some(line) = line.take()
        && let Some(pool) = line.pool.upgrade()
    {
        pool.give_back(line);
    }
}

fn poll_http1<B>(
    incoming: &mut Incoming,
    line: &mut Option<Box<Line<B>>>,
    cx: &mut Context<'_>,
) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
    let polled = match line {
        Some(line) => line.poll(cx, |cx| Pin::new(&mut *incoming).poll_frame(cx)),
        None => Pin::new(&mut *incoming).poll_frame(cx),
    };
    match &polled {
        Poll::Ready(None) => give_back(line),
        Poll::Ready(Some(Ok(_))) if incoming.is_end_stream() => give_back(line),
        Poll::Ready(Some(Err(_))) => *line = None,
        _ => {}
    }
    polled.map_err(BoxError::from)
}

impl<B> Body for PooledBody<B> {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        match &mut self.get_mut().0 {
            Kind::Http1 { incoming, line } => poll_http1(incoming, line, cx),
            Kind::Http2(answer) => answer.poll_frame(cx).map_err(BoxError::from),
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.0 {
            Kind::Http1 { incoming, .. } => incoming.is_end_stream(),
            Kind::Http2(answer) => answer.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.0 {
            Kind::Http1 { incoming, .. } => incoming.size_hint(),
            Kind::Http2(answer) => answer.size_hint(),
        }
    }
}

impl<B> Clone for Pool<B> {
    fn clone(&self) -> Self {
        Self {
            shared: Arc::clone(&self.shared),
        }
    }
}

impl<B> fmt::Debug for Pool<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (open, idle) = (self.open_connections(), self.idle_connections());
        write!(f, "Pool({open} open, {idle} idle)")
    }
}

impl<B> fmt::Debug for PooledBody<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Kind::Http1 { incoming, .. } => f.debug_tuple("PooledBody").field(incoming).finish(),
            Kind::Http2(answer) => f.debug_tuple("PooledBody").field(answer).finish(),
        }
    }
}

impl<B> fmt::Debug for SendError<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.error, f)
    }
}

const SHORTEST_SWEEP_PAUSE: Duration = Duration::from_millis(50);
