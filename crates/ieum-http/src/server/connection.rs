//! One connection, from its first byte to its last.

use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http::header::{CONNECTION, HOST, UPGRADE};
use http::{HeaderValue, Method, Request, Response, StatusCode, Version};
use http_body::Body;
use hyper::body::Incoming;
use hyper::server::conn::{http1, http2};
use hyper_util::rt::{TokioIo, TokioTimer};
use ieum_base::{Stop, TaskKind, Tasks};
use tokio::net::TcpStream;
use tower::util::Oneshot;
use tower::{Service, ServiceExt};

use super::flush::{self, Noting};
use super::framing::Scanner;
use super::io::{Protocol, Watched};
use super::life::{self, Graceful, Life};
use super::{Config, Peer, refusal};
use crate::BoxError;

/// What a connection shares with its server.
pub(super) struct Context {
    pub(super) config: Config,
    /// Finish what is running, then end.
    pub(super) stop: Stop,
    /// End now.
    pub(super) give_up: Stop,
    pub(super) tasks: Tasks,
}

pub(super) async fn serve<S, B>(stream: TcpStream, peer: Peer, service: S, context: Context)
where
    S: Service<Request<Incoming>, Response = Response<B>, Error = Infallible>
        + Clone
        + Send
        + 'static,
    S::Future: Send + 'static,
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    let config = context.config;
    let life = Arc::<Life>::default();
    let Some((protocol, io)) = watched(stream, &life, &context).await else {
        return;
    };
    let io = TokioIo::new(io);
    let service = PerConnection {
        service,
        closes_refused_tunnels: config.upgrades,
        life: Arc::clone(&life),
    };
    let ended = match protocol {
        Protocol::Http2 => {
            let connection = http2(&config, &context.tasks).serve_connection(io, service);
            drive(connection, None, &context).await
        }
        Protocol::Http1 if config.upgrades => {
            let connection = http1(&config).serve_connection(io, service);
            drive(connection.with_upgrades(), Some(&life), &context).await
        }
        Protocol::Http1 => {
            let connection = http1(&config).serve_connection(io, service);
            drive(connection, Some(&life), &context).await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, peer = %peer.0, "a client's connection broke");
    }
}

/// Finds the protocol out; `None` if the client says nothing in time. A connection that was taken in
/// just before the stop has a moment for the request for which it was opened.
async fn watched(
    stream: TcpStream,
    life: &Arc<Life>,
    context: &Context,
) -> Option<(Protocol, Watched<TcpStream>)> {
    let config = &context.config;
    let scanner = Scanner::new(config.most_header_bytes, config.upgrades);
    let watched = Watched::new(stream, scanner, Arc::clone(life), config);
    let mut first_bytes = std::pin::pin!(tokio::time::timeout(config.header_timeout, watched));
    let watched = match context.stop.unless_requested(first_bytes.as_mut()).await {
        Some(watched) => watched,
        None => tokio::time::timeout(config.idle_grace, first_bytes)
            .await
            .ok()?,
    };
    watched.ok()?.ok()?
}

fn http1(config: &Config) -> http1::Builder {
    let mut builder = http1::Builder::new();
    builder
        .timer(TokioTimer::new())
        // Ours comes first and says why (`io`); hyper's closes unused connections.
        .header_read_timeout(config.header_timeout + HYPERS_DELAY)
        .max_header_size(config.most_header_bytes);
    // hyper's own limit costs no allocation.
    if config.most_headers != HYPERS_MOST_HEADERS {
        builder.max_headers(config.most_headers);
    }
    builder
}

fn http2(config: &Config, tasks: &Tasks) -> http2::Builder<Streams> {
    let mut builder = http2::Builder::new(Streams {
        tasks: tasks.clone(),
        idle: config.stream_idle,
    });
    builder
        .timer(TokioTimer::new())
        .max_concurrent_streams(config.most_streams)
        .initial_stream_window_size(config.stream_window)
        .initial_connection_window_size(config.connection_window)
        .max_header_list_size(u32::try_from(config.most_header_bytes).unwrap_or(u32::MAX))
        .max_pending_accept_reset_streams(config.most_early_resets)
        .max_local_error_reset_streams(config.most_late_frames)
        .keep_alive_interval(PING_INTERVAL)
        .keep_alive_timeout(PING_TIMEOUT);
    builder
}

/// Runs the streams of an HTTP/2 connection as tasks of the tree.
#[derive(Clone)]
struct Streams {
    tasks: Tasks,
    idle: Duration,
}

impl<F> hyper::rt::Executor<F> for Streams
where
    F: Future<Output = ()> + Send + 'static,
{
    fn execute(&self, stream: F) {
        let stream = flush::Watched::new(stream, self.idle);
        self.tasks.spawn(TaskKind::Request, "http-stream", stream);
    }
}

/// Runs a connection to its end; after the stop, to the end of what is running. On HTTP/2 a frame
/// (GOAWAY) tells the client at once, on HTTP/1 the next answer does.
async fn drive(
    connection: impl Graceful,
    life: Option<&Life>,
    context: &Context,
) -> hyper::Result<()> {
    let mut connection = std::pin::pin!(connection);
    if let Some(ended) = context.stop.unless_requested(connection.as_mut()).await {
        return ended;
    }
    let ended = match life {
        Some(life) => {
            let leaving = life::leave(connection, life, context.config.idle_grace);
            context.give_up.unless_requested(leaving).await
        }
        None => {
            connection.as_mut().finish();
            context.give_up.unless_requested(connection).await
        }
    };
    ended.unwrap_or(Ok(()))
}

impl<S, B> Graceful for http1::Connection<TokioIo<Watched<TcpStream>>, S>
where
    S: hyper::service::HttpService<Incoming, ResBody = B>,
    S::Error: Into<BoxError>,
    B: Body + 'static,
    B::Error: Into<BoxError>,
{
    fn finish(self: Pin<&mut Self>) {
        self.graceful_shutdown();
    }
}

impl<S, B> Graceful for http1::UpgradeableConnection<TokioIo<Watched<TcpStream>>, S>
where
    S: hyper::service::HttpService<Incoming, ResBody = B>,
    S::Error: Into<BoxError>,
    B: Body + 'static,
    B::Error: Into<BoxError>,
{
    fn finish(self: Pin<&mut Self>) {
        self.graceful_shutdown();
    }
}

impl<S, B> Graceful for http2::Connection<TokioIo<Watched<TcpStream>>, S, Streams>
where
    S: hyper::service::HttpService<Incoming, ResBody = B>,
    S::Error: Into<BoxError>,
    S::Future: Send + 'static,
    B: Body + Send + 'static,
    B::Data: Send,
    B::Error: Into<BoxError>,
{
    fn finish(self: Pin<&mut Self>) {
        self.graceful_shutdown();
    }
}

/// The service as one connection sees it.
struct PerConnection<S> {
    service: S,
    closes_refused_tunnels: bool,
    life: Arc<Life>,
}

impl<S, B> hyper::service::Service<Request<Incoming>> for PerConnection<S>
where
    S: Service<Request<Incoming>, Response = Response<B>, Error = Infallible> + Clone,
{
    type Response = Response<Noting<B>>;
    type Error = Infallible;
    type Future = Answer<Oneshot<S, Request<Incoming>>>;

    fn call(&self, mut request: Request<Incoming>) -> Self::Future {
        if request.version() == Version::HTTP_2 {
            host_is_authority(&mut request);
        }
        let asks_for_tunnel =
            request.method() == Method::CONNECT || request.headers().contains_key(UPGRADE);
        Answer {
            close_unless_granted: request.version() <= Version::HTTP_11
                && (self.life.is_leaving() || self.closes_refused_tunnels && asks_for_tunnel),
            inner: self.service.clone().oneshot(request),
        }
    }
}

/// `:authority` decides; a `Host` beside it cannot say otherwise (RFC 9113, 8.3.1).
fn host_is_authority(request: &mut Request<Incoming>) {
    let host = request
        .uri()
        .authority()
        .and_then(|authority| HeaderValue::from_str(authority.as_str()).ok());
    if let Some(host) = host {
        request.headers_mut().insert(HOST, host);
    }
}

pin_project_lite::pin_project! {
    /// The service's answer. If a tunnel was asked for and not granted, the connection ends with it:
    /// what the client sent behind its request was not meant as HTTP. So does one that is leaving.
    struct Answer<F> {
        #[pin]
        inner: F,
        close_unless_granted: bool,
    }
}

impl<F, B> Future for Answer<F>
where
    F: Future<Output = Result<Response<B>, Infallible>>,
{
    type Output = Result<Response<Noting<B>>, Infallible>;

    fn poll(self: Pin<&mut Self>, cx: &mut std::task::Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let Ok(mut response) = ready!(this.inner.poll(cx));
        if *this.close_unless_granted && response.status() != StatusCode::SWITCHING_PROTOCOLS {
            let close = HeaderValue::from_static("close");
            response.headers_mut().insert(CONNECTION, close);
        }
        refusal::tell_apart(&mut response);
        Poll::Ready(Ok(response.map(Noting::new)))
    }
}

const HYPERS_MOST_HEADERS: usize = 100;
const HYPERS_DELAY: Duration = Duration::from_millis(500);
const PING_INTERVAL: Duration = Duration::from_secs(30);
const PING_TIMEOUT: Duration = Duration::from_secs(10);
