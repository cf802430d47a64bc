//! A server that stops, as its clients see it: no request that was sent is lost.

use std::io::{Read, Write};
use std::net::TcpStream as Client;

use http_body_util::Full;
use tokio::sync::{Notify, oneshot};
use tower::service_fn;

use super::*;
use crate::listener;

/// A server that answers `done`; requests to `/slow` wait for the gate.
struct Server {
    address: SocketAddr,
    stop: Stop,
    ended: oneshot::Receiver<Drained>,
    gate: Arc<Notify>,
    /// Requests that reached the service.
    seen: Arc<Semaphore>,
    _tasks: Tasks,
}

fn start(config: Config) -> Server {
    let listener = listener::bind(SocketAddr::from(([127, 0, 0, 1], 0))).expect("a free port");
    let address = listener.local_addr().expect("bound");
    let (stop, gate, tasks) = (
        Stop::new(),
        Arc::new(Notify::new()),
        Tasks::new(Stop::new()),
    );
    let seen = Arc::new(Semaphore::new(0));
    let (end, ended) = oneshot::channel();
    let (waiting, counting) = (Arc::clone(&gate), Arc::clone(&seen));
    let service = service_fn(move |request: Request<Incoming>| {
        let (gate, seen) = (Arc::clone(&waiting), Arc::clone(&counting));
        async move {
            seen.add_permits(1);
            if request.uri().path() == "/slow" {
                gate.notified().await;
            }
            Ok::<_, Infallible>(Response::new(Full::<Bytes>::from("done")))
        }
    });
    let (stopping, connections) = (stop.clone(), tasks.clone());
    tasks.spawn(TaskKind::Background, "server", async move {
        let _ = end.send(serve(listener, service, config, stopping, &connections).await);
    });
    Server {
        address,
        stop,
        ended,
        gate,
        seen,
        _tasks: tasks,
    }
}

impl Server {
    /// A connection that the kernel accepts, before any task of the server has run.
    fn connect(&self) -> Client {
        let client = Client::connect(self.address).expect("listening");
        let limit = Some(Duration::from_secs(20));
        client.set_read_timeout(limit).expect("a socket");
        client
    }

    async fn has_seen(&self, count: u32) {
        let seen = self.seen.acquire_many(count).await;
        seen.expect("never closed").forget();
    }

    async fn drained(self) -> Drained {
        let ended = tokio::time::timeout(Duration::from_secs(20), self.ended);
        ended.await.expect("it ends").expect("it answers")
    }
}

fn send(client: &mut Client, text: &str) {
    client.write_all(text.as_bytes()).expect("sent");
}

/// Reads on another thread until the server says that nothing more comes; a reset is a failure.
async fn rest(mut client: Client) -> (String, Client) {
    let read = tokio::task::spawn_blocking(move || {
        let mut text = String::new();
        client.read_to_string(&mut text).expect("no reset");
        (text, client)
    });
    read.await.expect("read")
}

async fn answer(mut client: Client) -> Client {
    let read = tokio::task::spawn_blocking(move || {
        let mut text = Vec::new();
        while !text.ends_with(b"done") {
            let mut byte = [0];
            client.read_exact(&mut byte).expect("an answer");
            text.push(byte[0]);
        }
        client
    });
    read.await.expect("read")
}

#[track_caller]
fn check_last_answer(text: &str) {
    assert!(text.starts_with("HTTP/1.1 200 OK\r\n"), "{text}");
    assert!(text.contains("\r\nconnection: close\r\n"), "{text}");
    assert!(text.ends_with("\r\n\r\ndone"), "{text}");
}

const GET: &str = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";

#[tokio::test]
async fn connections_in_the_kernels_queue_are_answered() {
    let server = start(Config::default());
    let mut clients: Vec<Client> = (0..20).map(|_| server.connect()).collect();
    clients.iter_mut().for_each(|client| send(client, GET));
    server.stop.request();
    for client in clients {
        check_last_answer(&rest(client).await.0);
    }
    assert_eq!(server.drained().await.abandoned, 0);
}

#[tokio::test]
async fn a_request_that_was_sent_on_an_unused_connection_is_answered() {
    let server = start(Config::default());
    let mut client = server.connect();
    send(&mut client, GET);
    let mut client = answer(client).await;
    // Sent before the server's task can hear of the stop, and before it reads.
    send(&mut client, GET);
    server.stop.request();
    check_last_answer(&rest(client).await.0);
    assert_eq!(server.drained().await.abandoned, 0);
}

#[tokio::test]
async fn a_request_of_which_half_was_read_is_answered() {
    let server = start(Config {
        idle_grace: Duration::from_millis(20),
        ..Config::default()
    });
    let (mut first, mut later) = (server.connect(), server.connect());
    send(&mut later, GET);
    let mut later = answer(later).await;
    for client in [&mut first, &mut later] {
        send(client, "GET / HTTP/1.1\r\nHo");
    }
    // Whatever was sent before a whole exchange on another connection has been read.
    let mut other = server.connect();
    send(
        &mut other,
        "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
    );
    rest(other).await;
    server.stop.request();
    // Longer than the grace period: an idle connection is gone by then.
    let idle = tokio::time::timeout(Duration::from_millis(100), std::future::pending::<()>());
    assert!(idle.await.is_err());
    for mut client in [first, later] {
        send(&mut client, "st: a\r\n\r\n");
        check_last_answer(&rest(client).await.0);
    }
    assert_eq!(server.drained().await.abandoned, 0);
}

#[tokio::test]
async fn a_request_that_is_running_is_the_last_of_its_connection() {
    let server = start(Config::default());
    let mut client = server.connect();
    send(&mut client, "GET /slow HTTP/1.1\r\nHost: a\r\n\r\n");
    server.has_seen(1).await;
    server.stop.request();
    tokio::task::yield_now().await;
    server.gate.notify_one();
    check_last_answer(&rest(client).await.0);
    assert_eq!(server.drained().await.abandoned, 0);
}

#[tokio::test]
async fn an_unused_connection_is_closed_after_its_grace() {
    let server = start(Config {
        idle_grace: Duration::from_millis(20),
        ..Config::default()
    });
    let (mut used, unused) = (server.connect(), server.connect());
    send(&mut used, GET);
    let used = answer(used).await;
    server.stop.request();
    for client in [used, unused] {
        assert_eq!(rest(client).await.0, "");
    }
    assert_eq!(server.drained().await.abandoned, 0);
}

#[tokio::test]
async fn what_a_client_sent_behind_its_last_request_does_not_destroy_the_answer() {
    let server = start(Config::default());
    let mut client = server.connect();
    let last = "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
    send(&mut client, last);
    // More than one read takes, so that some of it lies in the kernel when the server closes.
    send(
        &mut client,
        &"GET / HTTP/1.1\r\nHost: a\r\n\r\n".repeat(4_000),
    );
    check_last_answer(&rest(client).await.0);
}

#[tokio::test]
async fn nobody_is_let_in_after_the_stop() {
    let server = start(Config::default());
    let address = server.address;
    server.stop.request();
    assert_eq!(server.drained().await.abandoned, 0);
    assert!(Client::connect(address).is_err());
}

#[tokio::test]
async fn a_head_that_does_not_end_is_told_so() {
    let server = start(Config {
        header_timeout: Duration::from_millis(50),
        ..Config::default()
    });
    let mut client = server.connect();
    send(&mut client, "GET / HTTP/1.1\r\nHost: a\r\nX-Sl");
    let (text, _) = rest(client).await;
    assert!(
        text.starts_with("HTTP/1.1 408 Request Timeout\r\n"),
        "{text}"
    );
    assert!(text.contains("\"code\":\"IEUM-3011\""), "{text}");
}
