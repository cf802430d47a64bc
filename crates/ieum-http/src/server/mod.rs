//! A server loop: a listener and a stop signal in, a drained server out.
//!
//! One task per connection, which speaks HTTP/1.1 or HTTP/2 by what the client sends first. At the
//! stop it takes in the connections that are in the kernel's queue and then nothing more, tells each
//! client to go (`Connection: close`, GOAWAY), lets running requests finish until the deadline, and
//! says how many it cut off. No request that was sent on an accepted connection is reset.

mod config;
mod connection;
mod flush;
mod framing;
mod io;
mod life;
mod refusal;

use std::convert::Infallible;
use std::io::ErrorKind;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use hyper::body::Incoming;
use ieum_base::{Stop, TaskKind, Tasks};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;
use tower::{Service, ServiceExt};

use crate::BoxError;

pub use config::Config;
pub use framing::is_host;

/// The client's address, among the extensions of each request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Peer(pub SocketAddr);

/// How a server ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Drained {
    /// Connections whose request was still running at the deadline, and which were cut off.
    pub abandoned: usize,
}

/// Serves `service` on `listener` until `stop` is requested and the connections have ended, or the
/// drain's deadline has passed. Connections are tasks of `tasks`, on the current runtime.
///
/// The service gets each request with its [`Peer`] as an extension. Its clones share what it
/// limits; it admits in `call`.
pub async fn serve<S, B>(
    listener: TcpListener,
    service: S,
    config: Config,
    stop: Stop,
    tasks: &Tasks,
) -> Drained
where
    S: Service<Request<Incoming>, Response = Response<B>, Error = Infallible>
        + Clone
        + Send
        + 'static,
    S::Future: Send + 'static,
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    let make = |peer| {
        let service = service.clone();
        service.map_request(move |mut request: Request<Incoming>| {
            request.extensions_mut().insert(peer);
            request
        })
    };
    serve_each(listener, make, config, stop, tasks).await
}

/// Serves each connection with a service of its own, which knows its [`Peer`]: for servers to which
/// an extension on each request is too dear.
pub async fn serve_each<S, B>(
    listener: TcpListener,
    make: impl Fn(Peer) -> S,
    config: Config,
    stop: Stop,
    tasks: &Tasks,
) -> Drained
where
    S: Service<Request<Incoming>, Response = Response<B>, Error = Infallible>
        + Clone
        + Send
        + 'static,
    S::Future: Send + 'static,
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    let places = Arc::new(Semaphore::new(config.most_connections));
    let give_up = Stop::new();
    let take_in = |place, (stream, peer): (TcpStream, SocketAddr)| {
        let context = connection::Context {
            config,
            stop: stop.clone(),
            give_up: give_up.clone(),
            tasks: tasks.clone(),
        };
        let served = connection::serve(stream, Peer(peer), make(Peer(peer)), context);
        tasks.spawn(TaskKind::Request, "http-server-connection", async move {
            served.await;
            drop(place);
        });
    };
    while let Some((place, accepted)) = stop
        .unless_requested(async { (place(&places).await, accept(&listener).await) })
        .await
    {
        take_in(place, accepted);
    }
    last_call(listener, &places, take_in).await;
    drain(&places, &config, &give_up).await
}

/// Takes in the connections that the kernel has accepted for us, and closes the listener: closing it
/// over them would reset them, with the requests that were sent on them.
async fn last_call(
    listener: TcpListener,
    places: &Arc<Semaphore>,
    take_in: impl Fn(Option<OwnedSemaphorePermit>, (TcpStream, SocketAddr)),
) {
    crate::listener::let_nobody_in(&listener);
    let end = Instant::now() + LAST_CALL;
    while let Ok(place) = Arc::clone(places).try_acquire_owned() {
        let quiet = Instant::now() + LAST_CALL_QUIET;
        match tokio::time::timeout_at(quiet.min(end), accept(&listener)).await {
            Ok(accepted) if Instant::now() < end => take_in(Some(place), accepted),
            _ => return,
        }
    }
}

async fn place(places: &Arc<Semaphore>) -> Option<OwnedSemaphorePermit> {
    // The semaphore is never closed, so there is always a permit in the end.
    Arc::clone(places).acquire_owned().await.ok()
}

/// The next connection. Trouble with one connection is skipped; trouble of ours, such as no file
/// descriptors left, is waited out.
async fn accept(listener: &TcpListener) -> (TcpStream, SocketAddr) {
    loop {
        match listener.accept().await {
            Ok((stream, peer)) => {
                // Without this, a small answer waits for the client's delayed ack.
                if stream.set_nodelay(true).is_ok() {
                    return (stream, peer);
                }
            }
            Err(error) if is_the_clients(error.kind()) => {}
            Err(error) => {
                tracing::warn!(%error, "cannot accept connections; trying again");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

const fn is_the_clients(error: ErrorKind) -> bool {
    matches!(
        error,
        ErrorKind::ConnectionAborted | ErrorKind::ConnectionReset | ErrorKind::ConnectionRefused
    )
}

/// Waits until all places are free again, or the deadline.
async fn drain(places: &Semaphore, config: &Config, give_up: &Stop) -> Drained {
    let all = u32::try_from(config.most_connections).unwrap_or(u32::MAX);
    let drained = tokio::time::timeout(config.drain, places.acquire_many(all)).await;
    let abandoned = match drained {
        Ok(_) => 0,
        Err(_) => config
            .most_connections
            .saturating_sub(places.available_permits()),
    };
    if abandoned > 0 {
        tracing::warn!(
            abandoned,
            "connections were cut off at the drain's deadline"
        );
        give_up.request();
        // Dropping them takes one more poll of each.
        let _ = tokio::time::timeout(CUT_OFF_WAIT, places.acquire_many(all)).await;
    }
    Drained { abandoned }
}

/// The longest time for emptying the kernel's queue; where nobody can be kept out, more come.
const LAST_CALL: Duration = Duration::from_millis(200);
/// A queue from which nothing came for this long is empty.
const LAST_CALL_QUIET: Duration = Duration::from_millis(20);
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
const CUT_OFF_WAIT: Duration = Duration::from_secs(1);

#[cfg(test)]
mod leaving_tests;
#[cfg(test)]
mod shared_tests;
#[cfg(test)]
mod tests;
