//! The pool against peers that behave, misbehave and go away, over real loopback sockets.

#![expect(clippy::expect_used, reason = "a test that cannot be set up fails")]

use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use http::{Method, Request, Response};
use http_body_util::{BodyExt, Full};
use ieum_base::{Stop, TaskKind, Tasks};
use ieum_http::pool::{self, Pool, PooledBody, SendError};
use ieum_http::{Connector, ErrorKind, HttpClient, Sent, Target, connector};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;

const SECOND: Duration = Duration::from_secs(1);
const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

/// A peer whose every byte the test writes.
struct Peer {
    listener: TcpListener,
    target: Target,
}

impl Peer {
    async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("bound");
        let target = Target::http(&address.to_string()).expect("valid");
        Self { listener, target }
    }

    async fn accept(&self) -> TcpStream {
        self.listener.accept().await.expect("a connection").0
    }

    /// Accepts connections and answers each request on them with `answer`; tells of each connection.
    fn answer_all(
        self,
        tasks: &Tasks,
        answer: &'static str,
    ) -> mpsc::UnboundedReceiver<SocketAddr> {
        let (tell, connections) = mpsc::unbounded_channel();
        let all = tasks.clone();
        tasks.spawn(TaskKind::Background, "peer", async move {
            while let Ok((mut stream, from)) = self.listener.accept().await {
                let _ = tell.send(from);
                all.spawn(TaskKind::Request, "peer-connection", async move {
                    while read_head(&mut stream).await.is_some() {
                        stream
                            .write_all(answer.as_bytes())
                            .await
                            .expect("connected");
                    }
                });
            }
        });
        connections
    }
}

/// Reads one request's head; `None` at the end of the connection.
async fn read_head(stream: &mut TcpStream) -> Option<String> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.ok()?);
    }
    String::from_utf8(head).ok()
}

fn pool_with(config: pool::Config, tasks: &Tasks) -> Pool<Full<Bytes>> {
    Pool::new(Connector::default(), config, tasks.clone())
}

fn pool(tasks: &Tasks) -> Pool<Full<Bytes>> {
    pool_with(pool::Config::default(), tasks)
}

fn tasks() -> Tasks {
    Tasks::new(Stop::new())
}

fn request(target: &Target) -> Request<Full<Bytes>> {
    let request = Request::builder().method(Method::POST).uri("/x");
    let request = request.header("host", target.host_header());
    request.body(Full::from("body")).expect("valid")
}

type Answer = Result<Response<PooledBody<Full<Bytes>>>, SendError<Full<Bytes>>>;

async fn send(pool: &Pool<Full<Bytes>>, target: &Target) -> Answer {
    pool.send(target, Box::new(request(target))).await
}

/// The same without a body: nobody but the caller drives the connection.
async fn ask(pool: &Pool<Full<Bytes>>, target: &Target) -> Answer {
    let request = Request::get("/x").header("host", target.host_header());
    let request = request.body(Full::default()).expect("valid");
    pool.send(target, Box::new(request)).await
}

async fn read(answer: Answer) -> Bytes {
    let body = answer.expect("answered").into_body();
    body.collect().await.expect("whole").to_bytes()
}

async fn until(condition: impl Fn() -> bool) {
    while !condition() {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_connection_serves_one_request_after_the_other() {
    let (tasks, peer) = (tasks(), Peer::start().await);
    let (pool, target) = (pool(&tasks), peer.target.clone());
    let mut connections = peer.answer_all(&tasks, OK);
    for _ in 0..10 {
        assert_eq!(read(send(&pool, &target).await).await, "ok");
    }
    connections.recv().await.expect("one");
    assert!(connections.try_recv().is_err());
    assert_eq!((pool.open_connections(), pool.idle_connections()), (1, 1));
}

#[tokio::test]
async fn a_request_without_a_body_needs_no_task_and_one_with_a_body_has_its_own() {
    let (tasks, pools, peer) = (tasks(), tasks(), Peer::start().await);
    let (pool, target) = (pool(&pools), peer.target.clone());
    let mut connections = peer.answer_all(&tasks, OK);
    for _ in 0..10 {
        assert_eq!(read(ask(&pool, &target).await).await, "ok");
        assert_eq!(pools.len(), 1, "the sweeper");
    }
    assert_eq!(read(send(&pool, &target).await).await, "ok");
    assert_eq!(pools.len(), 2);
    assert_eq!(read(ask(&pool, &target).await).await, "ok");
    connections.recv().await.expect("one");
    assert!(connections.try_recv().is_err());
    assert_eq!((pool.open_connections(), pool.idle_connections()), (1, 1));
}

#[tokio::test]
async fn an_unused_connection_that_nobody_drives_is_closed_with_its_peer() {
    let (tasks, peer) = (tasks(), Peer::start().await);
    let config = pool::Config {
        idle_timeout: 3600 * SECOND,
        ..pool::Config::default()
    };
    let (pool, target) = (pool_with(config, &tasks), peer.target.clone());
    let serves = async {
        for _ in 0..2 {
            let mut stream = peer.accept().await;
            read_head(&mut stream).await.expect("a request");
            stream.write_all(OK.as_bytes()).await.expect("connected");
        }
    };
    let asks = async {
        read(ask(&pool, &target).await).await;
        until(|| pool.open_connections() == 0).await;
        assert_eq!(pool.idle_connections(), 0);
        assert_eq!(read(ask(&pool, &target).await).await, "ok");
    };
    tokio::join!(serves, asks);
}

#[tokio::test]
async fn an_answer_may_be_read_by_another_task_and_end_whenever_it_wants() {
    let (tasks, peer) = (tasks(), Peer::start().await);
    let (pool, target) = (pool(&tasks), peer.target.clone());
    let (go_on, mut gate) = mpsc::unbounded_channel::<()>();
    tasks.spawn(TaskKind::Background, "peer", async move {
        let mut stream = peer.accept().await;
        let chunk = [b"4000\r\n".as_slice(), &[b'x'; 0x4000], b"\r\n"].concat();
        for _ in 0..2 {
            read_head(&mut stream).await.expect("a request");
            let head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
            stream.write_all(head).await.expect("connected");
            for _ in 0..100 {
                gate.recv().await.expect("told");
                stream.write_all(&chunk).await.expect("connected");
            }
            stream.write_all(b"0\r\n\r\n").await.expect("connected");
        }
        // Stays open for as long as the test.
        gate.recv().await;
    });
    for _ in 0..2 {
        let answer = ask(&pool, &target).await;
        let (done, mut length) = mpsc::unbounded_channel();
        tasks.spawn(TaskKind::Request, "reader", async move {
            let _ = done.send(read(answer).await.len());
        });
        for _ in 0..100 {
            tokio::task::yield_now().await;
            go_on.send(()).expect("the peer listens");
        }
        assert_eq!(length.recv().await, Some(100 * 0x4000));
    }
    assert_eq!((pool.open_connections(), pool.idle_connections()), (1, 1));
}

#[tokio::test]
async fn a_connection_is_not_shared_before_the_body_has_ended() {
    let (tasks, peer) = (tasks(), Peer::start().await);
    let (pool, target) = (pool(&tasks), peer.target.clone());
    let _connections = peer.answer_all(&tasks, OK);
    let first = send(&pool, &target).await;
    let second = send(&pool, &target).await;
    assert_eq!((pool.open_connections(), pool.idle_connections()), (2, 0));
    read(first).await;
    read(second).await;
    assert_eq!(pool.idle_connections(), 2);
}

#[tokio::test]
async fn the_connection_used_last_is_used_first() {
    let (tasks, peer) = (tasks(), Peer::start().await);
    let (pool, target) = (pool(&tasks), peer.target.clone());
    let sends = async {
        let (first, second) = (send(&pool, &target).await, send(&pool, &target).await);
        // The older connection comes back last.
        read(second).await;
        read(first).await;
        read(send(&pool, &target).await).await;
    };
    let serves = async {
        let (mut older, mut newer) = (peer.accept().await, None);
        read_head(&mut older).await.expect("the first");
        older.read_exact(&mut [0; 4]).await.expect("its body");
        older.write_all(OK.as_bytes()).await.expect("connected");
        let newer = newer.insert(peer.accept().await);
        read_head(newer).await.expect("the second");
        newer.write_all(OK.as_bytes()).await.expect("connected");
        read_head(&mut older).await.expect("the third");
        older.write_all(OK.as_bytes()).await.expect("connected");
    };
    tokio::join!(sends, serves);
    drop(tasks);
}

#[tokio::test]
async fn a_body_that_is_dropped_half_way_closes_its_connection() {
    let (tasks, peer) = (tasks(), Peer::start().await);
    let (pool, target) = (pool(&tasks), peer.target.clone());
    let long = "HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\nbeginning";
    let _connections = peer.answer_all(&tasks, long);
    drop(send(&pool, &target).await.expect("answered"));
    drop(ask(&pool, &target).await.expect("answered"));
    until(|| pool.open_connections() == 0).await;
    assert_eq!(pool.idle_connections(), 0);
}

#[tokio::test]
async fn an_unused_connection_that_the_peer_closed_is_replaced_in_silence() {
    let (tasks, peer) = (tasks(), Peer::start().await);
    let (pool, target) = (pool(&tasks), peer.target.clone());
    let serves = async {
        for _ in 0..2 {
            let mut stream = peer.accept().await;
            read_head(&mut stream).await.expect("a request");
            stream.read_exact(&mut [0; 4]).await.expect("its body");
            stream.write_all(OK.as_bytes()).await.expect("connected");
        }
    };
    let sends = async {
        read(send(&pool, &target).await).await;
        until(|| pool.open_connections() == 0).await;
        assert_eq!(read(send(&pool, &target).await).await, "ok");
    };
    tokio::join!(serves, sends);
}

#[tokio::test]
async fn a_request_that_may_have_arrived_is_called_sent_and_not_given_back() {
    let (tasks, peer) = (tasks(), Peer::start().await);
    let (pool, target) = (pool(&tasks), peer.target.clone());
    let serves = async {
        let mut stream = peer.accept().await;
        read_head(&mut stream).await.expect("a request");
    };
    let (answer, ()) = tokio::join!(send(&pool, &target), serves);
    let failure = answer.expect_err("no answer");
    assert_eq!(
        (failure.error.kind(), failure.error.sent()),
        (ErrorKind::Broken, Sent::Sent)
    );
    assert!(failure.request.is_none());
}

#[tokio::test]
async fn a_request_that_certainly_never_left_is_given_back() {
    let (tasks, peer) = (tasks(), Peer::start().await);
    let (pool, target) = (pool(&tasks), peer.target.clone());
    drop(peer);
    let failure = send(&pool, &target).await.expect_err("nobody listens");
    assert_eq!(
        (failure.error.kind(), failure.error.sent()),
        (ErrorKind::Connect, Sent::NotSent)
    );
    let request = failure.request.expect("given back");
    assert_eq!(
        (request.method(), request.uri().path()),
        (&Method::POST, "/x")
    );
}

#[tokio::test]
async fn an_answer_that_is_no_http_breaks_the_exchange_and_the_connection() {
    let (tasks, peer) = (tasks(), Peer::start().await);
    let (pool, target) = (pool(&tasks), peer.target.clone());
    let _connections = peer.answer_all(&tasks, "SSH-2.0-OpenSSH\r\n");
    let failure = send(&pool, &target).await.expect_err("no HTTP");
    assert_eq!(
        (failure.error.kind(), failure.error.sent()),
        (ErrorKind::Broken, Sent::Sent)
    );
    ask(&pool, &target).await.expect_err("no HTTP");
    until(|| pool.open_connections() == 0).await;
}

#[tokio::test]
async fn a_connection_that_the_answer_closes_is_not_used_again() {
    let (tasks, peer) = (tasks(), Peer::start().await);
    let (pool, target) = (pool(&tasks), peer.target.clone());
    let close = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok";
    let mut connections = peer.answer_all(&tasks, close);
    for _ in 0..3 {
        read(send(&pool, &target).await).await;
        connections.recv().await.expect("a connection each");
    }
}

#[tokio::test]
async fn unused_connections_are_closed_in_time_and_only_so_many_are_kept() {
    let (tasks, peer) = (tasks(), Peer::start().await);
    let config = pool::Config {
        idle_timeout: SECOND / 20,
        most_idle: 2,
        ..pool::Config::default()
    };
    let (pool, target) = (pool_with(config, &tasks), peer.target.clone());
    let _connections = peer.answer_all(&tasks, OK);
    let mut answers = Vec::new();
    for _ in 0..3 {
        answers.push(send(&pool, &target).await);
    }
    for answer in answers {
        read(answer).await;
    }
    assert_eq!(pool.idle_connections(), 2);
    until(|| pool.open_connections() == 0).await;
    assert_eq!(pool.idle_connections(), 0);
}

#[tokio::test]
async fn at_the_stop_unused_connections_close_and_used_ones_after_their_answer() {
    let (tasks, pools) = (tasks(), tasks());
    let peer = Peer::start().await;
    let (pool, target) = (pool(&pools), peer.target.clone());
    let _connections = peer.answer_all(&tasks, OK);
    let used = [send(&pool, &target).await, ask(&pool, &target).await];
    read(ask(&pool, &target).await).await;
    assert_eq!((pool.open_connections(), pool.idle_connections()), (3, 1));
    pools.stop().request();
    until(|| pool.open_connections() == 2).await;
    for used in used {
        assert_eq!(read(used).await, "ok");
    }
    assert_eq!(pools.shut_down(5 * SECOND).await, []);
}

#[tokio::test]
async fn a_peer_that_does_not_answer_the_handshake_is_given_up_in_time() {
    // A listener whose queue is full: the kernel drops further SYNs.
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None);
    let socket = socket.expect("a socket");
    let any: SocketAddr = "127.0.0.1:0".parse().expect("an address");
    socket.bind(&any.into()).expect("a free port");
    socket.listen(0).expect("listens");
    let address = socket
        .local_addr()
        .expect("bound")
        .as_socket()
        .expect("TCP");
    let mut fillers = Vec::new();
    while let Ok(Ok(filler)) = tokio::time::timeout(SECOND / 20, TcpStream::connect(address)).await
    {
        fillers.push(filler);
    }
    let connector = Connector::new(connector::Config {
        connect_timeout: SECOND / 20,
        ..connector::Config::default()
    });
    let target = Target::http(&address.to_string()).expect("valid");
    let error = connector.connect(&target).await.expect_err("no answer");
    assert_eq!(
        (error.kind(), error.sent()),
        (ErrorKind::Connect, Sent::NotSent)
    );
}

#[tokio::test]
async fn a_name_that_points_to_a_forbidden_address_is_not_called() {
    let connector = Connector::new(connector::Config {
        egress: ieum_http::egress::Policy::PUBLIC_ONLY,
        ..connector::Config::default()
    });
    for authority in [
        "localhost:80",
        "127.0.0.1:80",
        "[::1]:80",
        "169.254.169.254",
    ] {
        let target = Target::http(authority).expect("valid");
        let error = connector.connect(&target).await.expect_err("forbidden");
        assert_eq!(error.kind(), ErrorKind::Forbidden, "{authority}");
    }
}

#[tokio::test]
async fn a_name_is_resolved_and_the_address_that_answers_wins() {
    // `localhost` is ::1 and 127.0.0.1; only one of them listens.
    let (tasks, peer) = (tasks(), Peer::start().await);
    let port = peer.target.port();
    let _connections = peer.answer_all(&tasks, OK);
    let client = HttpClient::new(tasks.clone());
    let answer = client
        .get(&format!("http://localhost:{port}/"), 5 * SECOND)
        .await;
    assert_eq!(answer.expect("answered").body(), "ok");
}

#[tokio::test]
async fn a_late_answer_is_a_timeout_and_ends_the_connection() {
    let (tasks, peer) = (tasks(), Peer::start().await);
    let url = format!("{}/slow?secret=1", peer.target);
    let client = HttpClient::new(tasks.clone());
    let error = client.get(&url, SECOND / 20).await.expect_err("late");
    assert_eq!(
        (error.kind(), error.sent()),
        (ErrorKind::Timeout, Sent::Sent)
    );
    assert!(!error.to_string().contains("secret"), "{error}");
    until(|| client.pool().open_connections() == 0).await;
}

#[tokio::test]
async fn an_answer_above_the_limit_is_not_collected() {
    let (tasks, peer) = (tasks(), Peer::start().await);
    let url = peer.target.to_string();
    let long = "HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\nbeginning";
    let _connections = peer.answer_all(&tasks, long);
    let config = ieum_http::client::Config {
        most_bytes: 1000,
        ..ieum_http::client::Config::default()
    };
    let client = HttpClient::with_config(config, tasks.clone());
    let error = client.get(&url, 5 * SECOND).await.expect_err("too large");
    assert_eq!(error.kind(), ErrorKind::TooLarge);
}

#[test]
fn one_pool_serves_many_threads_and_many_pools_serve_one_thread_each() {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .expect("a runtime");
    runtime.block_on(async {
        let (tasks, peer) = (tasks(), Peer::start().await);
        let (pool, target) = (pool(&tasks), peer.target.clone());
        let _connections = peer.answer_all(&tasks, OK);
        let (done, mut all) = mpsc::unbounded_channel();
        for _ in 0..8 {
            let (pool, target, done) = (pool.clone(), target.clone(), done.clone());
            tasks.spawn(TaskKind::Request, "caller", async move {
                for _ in 0..50 {
                    assert_eq!(read(ask(&pool, &target).await).await, "ok");
                    assert_eq!(read(send(&pool, &target).await).await, "ok");
                }
                let _ = done.send(());
            });
        }
        for _ in 0..8 {
            all.recv().await.expect("done");
        }
        assert!(pool.open_connections() <= 16, "{pool:?}");
    });
}
