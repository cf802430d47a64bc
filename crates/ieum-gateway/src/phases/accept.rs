//! Accept: from a connection's request to an exchange that the other phases share.

use std::net::IpAddr;
use std::sync::Arc;

use http::uri::PathAndQuery;
use http::{HeaderValue, Method, Request};
use hyper::body::Incoming;
use ieum_base::Stop;
use ieum_base::trace::{Span, SpanKind};
use ieum_grpc::Code as GrpcCode;
use ieum_http::propagation::{self, X_REQUEST_ID};
use ieum_http::server::{self, Drained};
use ieum_resilience::rate_limit::Allowed;
use tokio::net::TcpListener;
use tokio::time::Instant;

use super::forwarded::{self, Peer};
use super::grpc;
use crate::errors::Code;
use crate::identity::Identity;
use crate::table::Table;
use crate::worker::Worker;

/// What the phases know and find out about one request.
pub(crate) struct Exchange {
    pub(crate) worker: Arc<Worker>,
    pub(crate) started: Instant,
    pub(crate) method: Method,
    /// Path and query as they came.
    pub(crate) target: PathAndQuery,
    /// The other end of the connection.
    pub(crate) peer: Peer,
    /// Who the peer says it speaks for, if it is believed; otherwise the peer.
    pub(crate) client: IpAddr,
    pub(crate) request_id: HeaderValue,
    /// Ends when the answer has been sent.
    pub(crate) span: Span,
    /// The route's index, once it is known.
    pub(crate) route: Option<usize>,
    pub(crate) identity: Option<Arc<Identity>>,
    /// What the rate limit has left.
    pub(crate) allowed: Option<Allowed>,
    /// True if a fallback answered.
    pub(crate) fell_back: bool,
    /// How often an upstream was asked.
    pub(crate) tries: u32,
    /// True if the client speaks gRPC, and is therefore refused in gRPC too.
    pub(crate) speaks_grpc: bool,
    /// When the caller's `grpc-timeout` ends.
    pub(crate) deadline: Option<Instant>,
    /// How a call of gRPC ended; until that, as if the client left.
    pub(crate) grpc: Option<GrpcCode>,
    /// Why the gateway answered itself.
    pub(crate) code: Option<Code>,
}

/// Serves connections on this thread until the stop, and drains them.
pub(crate) async fn serve(
    worker: &Arc<Worker>,
    listener: TcpListener,
    config: server::Config,
    stop: Stop,
) -> Drained {
    let connection = |peer: server::Peer| {
        let worker = Arc::clone(worker);
        let peer = Peer::new(peer.0.ip().to_canonical());
        tower::service_fn(move |request| {
            let table = worker.table();
            let exchange = begin(Arc::clone(&worker), &table, peer.clone(), &request);
            // Boxed once: the connection would otherwise carry, and move, the state of a request.
            Box::pin(super::answer(table, exchange, request))
        })
    };
    server::serve_each(listener, connection, config, stop, &worker.tasks).await
}

impl Drop for Exchange {
    /// The answer has been sent, or the client has left before.
    fn drop(&mut self) {
        self.worker.telemetry.in_flight.dec();
    }
}

/// Begins an exchange.
pub(crate) fn begin(
    worker: Arc<Worker>,
    table: &Table,
    peer: Peer,
    request: &Request<Incoming>,
) -> Box<Exchange> {
    let headers = request.headers();
    let span = worker.tracer.span("request").kind(SpanKind::Server);
    let span = propagation::below(span, headers).start();
    worker.telemetry.in_flight.inc();
    let target = request.uri().path_and_query().cloned();
    // Boxed: it outlives the phases, until the answer has been sent.
    Box::new(Exchange {
        started: Instant::now(),
        method: request.method().clone(),
        target: target.unwrap_or_else(|| PathAndQuery::from_static("/")),
        client: forwarded::client(table, &peer, headers),
        peer,
        request_id: request_id(request, &worker, &span),
        span,
        route: None,
        identity: None,
        allowed: None,
        fell_back: false,
        tries: 0,
        speaks_grpc: grpc::is_spoken_by(request),
        deadline: None,
        grpc: None,
        code: None,
        worker,
    })
}

/// The id that the request brought, if it is harmless; otherwise that of its trace, so that both
/// find the same thing.
fn request_id(request: &Request<Incoming>, worker: &Worker, span: &Span) -> HeaderValue {
    if request.headers().contains_key(X_REQUEST_ID) {
        return propagation::request_id(request.headers(), &worker.clock);
    }
    let id = span.context().trace_id.hex();
    HeaderValue::from_bytes(&id).unwrap_or_else(|_| HeaderValue::from_static("none"))
}
