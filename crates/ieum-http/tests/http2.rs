//! The pool of HTTP/2 connections against peers that behave, refuse, leave and die, over real sockets.

#![expect(clippy::expect_used, reason = "a test that cannot be set up fails")]

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::join_all;
use h2::server::{Builder, Connection, SendResponse};
use h2::{Reason, RecvStream};
use http::{HeaderMap, Request, Response};
use http_body::{Body, Frame};
use http_body_util::BodyExt;
use ieum_base::{Stop, TaskKind, Tasks};
use ieum_http::http2::{Config, Pool};
use ieum_http::pool::{PooledBody, SendError};
use ieum_http::{Connector, ErrorKind, Sent, Target, connector};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

/// A body whose frames the test sends; without a sender it has ended.
struct Fed(UnboundedReceiver<Frame<Bytes>>);

impl Fed {
    fn new() -> (UnboundedSender<Frame<Bytes>>, Self) {
        let (feed, fed) = unbounded_channel();
        (feed, Self(fed))
    }

    fn empty() -> Self {
        Self::new().1
    }
}

impl Body for Fed {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        self.0.poll_recv(cx).map(|frame| frame.map(Ok))
    }

    fn is_end_stream(&self) -> bool {
        self.0.is_closed() && self.0.is_empty()
    }
}

type Answer = Result<Response<PooledBody<Fed>>, SendError<Fed>>;
type Asked = (Request<RecvStream>, SendResponse<Bytes>);

/// A peer whose every frame the test decides.
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

    async fn accept(&self) -> Connection<TcpStream, Bytes> {
        self.accept_with(&Builder::new()).await
    }

    async fn accept_with(&self, builder: &Builder) -> Connection<TcpStream, Bytes> {
        let stream = self.listener.accept().await.expect("a connection").0;
        builder.handshake(stream).await.expect("a handshake")
    }

    /// Takes in connections with at most `streams` streams each, tells of each connection, and hands
    /// over what is asked on them.
    fn serve(
        self,
        tasks: &Tasks,
        streams: u32,
    ) -> (UnboundedReceiver<()>, UnboundedReceiver<Asked>) {
        let (tell, connections) = unbounded_channel();
        let (ask, asked) = unbounded_channel();
        let all = tasks.clone();
        tasks.spawn(TaskKind::Background, "peer", async move {
            loop {
                let mut builder = Builder::new();
                builder.max_concurrent_streams(streams);
                let connection = self.accept_with(&builder).await;
                let _ = tell.send(());
                all.spawn(
                    TaskKind::Request,
                    "peer-connection",
                    hand_over(connection, ask.clone()),
                );
            }
        });
        (connections, asked)
    }
}

async fn hand_over(mut connection: Connection<TcpStream, Bytes>, ask: UnboundedSender<Asked>) {
    while let Some(Ok(asked)) = connection.accept().await {
        let _ = ask.send(asked);
    }
}

fn tasks() -> Tasks {
    Tasks::new(Stop::new())
}

fn pool_with(config: Config, tasks: &Tasks) -> Pool {
    Pool::new(
        Connector::http2(connector::Config::default()),
        config,
        tasks.clone(),
    )
}

fn pool(tasks: &Tasks) -> Pool {
    pool_with(Config::default(), tasks)
}

fn request(body: Fed) -> Box<Request<Fed>> {
    let request = Request::post("/a.B/C?d=e")
        .header("host", "elsewhere")
        .header("te", "trailers");
    let request = request
        .header("connection", "close")
        .header("x-kept", "yes");
    Box::new(request.body(body).expect("valid"))
}

async fn send(pool: &Pool, target: &Target) -> Answer {
    pool.send(target, request(Fed::empty())).await
}

fn ok(asked: Asked) {
    let (_, mut respond) = asked;
    respond
        .send_response(Response::new(()), true)
        .expect("open");
}

#[track_caller]
fn failure(answer: Answer) -> SendError<Fed> {
    answer.map(|answer| answer.status()).expect_err("it fails")
}

async fn next<T>(receiver: &mut UnboundedReceiver<T>) -> T {
    tokio::time::timeout(Duration::from_secs(10), receiver.recv())
        .await
        .expect("in time")
        .expect("still there")
}

/// Polls `future` until the condition holds.
async fn until_polled<F: Future + Unpin>(future: &mut F, condition: impl Fn() -> bool) {
    tokio::select! {
        _ = future => unreachable!("not answered yet"),
        () = until(condition) => {}
    }
}

async fn until(condition: impl Fn() -> bool) {
    while !condition() {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn heads_bodies_and_trailers_pass_both_ways() {
    let (tasks, peer) = (tasks(), Peer::start().await);
    let (pool, target) = (pool(&tasks), peer.target.clone());
    let authority = target.authority().to_owned();
    let (_connections, mut asked) = peer.serve(&tasks, 100);
    let serves = async {
        let (request, mut respond) = next(&mut asked).await;
        assert_eq!(
            request.uri().to_string(),
            format!("http://{authority}/a.B/C?d=e")
        );
        let mut names: Vec<_> = request.headers().keys().map(|name| name.as_str()).collect();
        names.sort_unstable();
        assert_eq!(names, ["te", "x-kept"]);
        let mut body = request.into_body();
        let piece = body.data().await.expect("a piece").expect("whole");
        assert_eq!(piece, "question");
        assert!(body.data().await.is_none());
        let trailers = body.trailers().await.expect("whole").expect("trailers");
        assert_eq!(trailers["x-sum"], "1");
        let mut stream = respond
            .send_response(Response::new(()), false)
            .expect("open");
        stream.send_data("answer".into(), false).expect("open");
        let mut trailers = HeaderMap::new();
        trailers.insert("grpc-status", "0".parse().expect("valid"));
        stream.send_trailers(trailers).expect("open");
    };
    let asks = async {
        let (feed, body) = Fed::new();
        feed.send(Frame::data("question".into())).expect("taken");
        let mut trailers = HeaderMap::new();
        trailers.insert("x-sum", "1".parse().expect("valid"));
        feed.send(Frame::trailers(trailers)).expect("taken");
        let answer = pool.send(&target, request(body)).await.expect("answered");
        let collected = answer.into_body().collect().await.expect("whole");
        assert_eq!(collected.trailers().expect("some")["grpc-status"], "0");
        assert_eq!(collected.to_bytes(), "answer");
    };
    tokio::join!(serves, asks);
    assert_eq!(
        (pool.open_connections(&target), pool.running(&target)),
        (1, 0)
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_who_ask_at_once_share_one_connection() {
    let (tasks, peer) = (tasks(), Peer::start().await);
    let (pool, target) = (pool(&tasks), peer.target.clone());
    let (mut connections, mut asked) = peer.serve(&tasks, 100);
    let serves = async {
        for _ in 0..100 {
            ok(next(&mut asked).await);
        }
    };
    let asks = join_all((0..100).map(|_| send(&pool, &target)));
    let (answers, ()) = tokio::join!(asks, serves);
    assert!(
        answers
            .iter()
            .all(|answer| answer.as_ref().is_ok_and(|a| a.status() == 200))
    );
    next(&mut connections).await;
    assert!(connections.try_recv().is_err());
}

#[tokio::test]
async fn a_full_connection_gets_a_second_and_then_there_is_waiting_and_then_an_end_to_it() {
    let (tasks, peer) = (tasks(), Peer::start().await);
    let target = peer.target.clone();
    let config = Config {
        connections: 2,
        waiting: 4,
        wait: Duration::from_millis(100),
        ..Config::default()
    };
    let pool = pool_with(config, &tasks);
    let (_connections, mut asked) = peer.serve(&tasks, 2);
    let mut running = Box::pin(join_all((0..4).map(|_| send(&pool, &target))));
    let mut held = Vec::new();
    while held.len() < 4 {
        tokio::select! {
            _ = &mut running => unreachable!("nothing was answered"),
            one = next(&mut asked) => held.push(one),
        }
    }
    assert_eq!(
        (pool.open_connections(&target), pool.running(&target)),
        (2, 4)
    );
    let is_busy = |answer| {
        let busy = failure(answer);
        assert_eq!(
            (busy.error.kind(), busy.error.sent()),
            (ErrorKind::Busy, Sent::NotSent)
        );
        assert!(busy.request.is_some());
    };
    is_busy(send(&pool, &target).await);
    // The fifth finds the queue full, the others get one after the other the place that is free.
    let more = join_all((0..5).map(|_| send(&pool, &target)));
    let frees = async {
        ok(held.pop().expect("four"));
        for _ in 0..4 {
            ok(next(&mut asked).await);
        }
    };
    let (more, ()) = tokio::select! {
        _ = &mut running => unreachable!("three were not answered"),
        both = async { tokio::join!(more, frees) } => both,
    };
    let (answered, refused): (Vec<_>, Vec<_>) = more.into_iter().partition(Result::is_ok);
    assert_eq!(answered.len(), 4);
    refused.into_iter().for_each(is_busy);
}

#[tokio::test]
async fn a_refused_stream_was_not_sent_and_another_reset_was() {
    let (tasks, peer) = (tasks(), Peer::start().await);
    let (pool, target) = (pool(&tasks), peer.target.clone());
    let (_connections, mut asked) = peer.serve(&tasks, 100);
    for (reason, sent) in [
        (Reason::REFUSED_STREAM, Sent::NotSent),
        (Reason::INTERNAL_ERROR, Sent::Sent),
    ] {
        let resets = async {
            let (_, mut respond) = next(&mut asked).await;
            respond.send_reset(reason);
        };
        let (answer, ()) = tokio::join!(send(&pool, &target), resets);
        let failed = failure(answer).error;
        assert_eq!(
            (failed.kind(), failed.sent()),
            (ErrorKind::Broken, sent),
            "{reason}"
        );
    }
    assert_eq!(
        pool.open_connections(&target),
        1,
        "a stream is no connection"
    );
}

/// A peer whose every byte the test writes.
struct Raw {
    stream: TcpStream,
    /// What came before what was waited for.
    passed: Vec<(u8, u8, Vec<u8>)>,
}

impl Raw {
    /// Takes a connection in and says that it speaks HTTP/2.
    async fn accept(peer: &Peer) -> Self {
        let mut stream = peer.listener.accept().await.expect("a connection").0;
        let mut preface = [0; 24];
        stream.read_exact(&mut preface).await.expect("a preface");
        let passed = Vec::new();
        let mut raw = Self { stream, passed };
        raw.write(SETTINGS, 0, 0, &[]).await;
        raw
    }

    async fn write(&mut self, kind: u8, flags: u8, stream: u8, payload: &[u8]) {
        let length = u8::try_from(payload.len()).expect("short");
        let head = [0, 0, length, kind, flags, 0, 0, 0, stream];
        let frame = [&head, payload].concat();
        self.stream.write_all(&frame).await.expect("connected");
    }

    /// The stream of the next frame of this kind, and what is in it; `None` at the end.
    async fn next(&mut self, wanted: u8) -> Option<(u8, Vec<u8>)> {
        loop {
            let known = self.passed.iter().position(|(kind, ..)| *kind == wanted);
            if let Some((_, stream, payload)) = known.map(|at| self.passed.remove(at)) {
                return Some((stream, payload));
            }
            let mut head = [0; 9];
            self.stream.read_exact(&mut head).await.ok()?;
            let [_, high, low, kind, _, _, _, _, stream] = head;
            let mut payload = vec![0; usize::from(u16::from_be_bytes([high, low]))];
            self.stream.read_exact(&mut payload).await.ok()?;
            self.passed.push((kind, stream, payload));
        }
    }

    async fn ok(&mut self, stream: u8) {
        self.write(HEADERS, END_HEADERS | END_STREAM, stream, STATUS_200)
            .await;
    }
}

const HEADERS: u8 = 1;
const RESET: u8 = 3;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const GOAWAY: u8 = 7;
const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;
/// HPACK's static table has it.
const STATUS_200: &[u8] = &[0x88];

#[tokio::test]
async fn what_a_leaving_peer_did_not_process_was_not_sent_and_what_it_did_is_answered() {
    let (tasks, peer) = (tasks(), Peer::start().await);
    let (pool, target) = (pool(&tasks), peer.target.clone());
    let serves = async {
        let mut first = Raw::accept(&peer).await;
        assert_eq!(first.next(HEADERS).await.expect("asked").0, 1);
        assert_eq!(first.next(HEADERS).await.expect("asked").0, 3);
        first.write(GOAWAY, 0, 0, &[0, 0, 0, 1, 0, 0, 0, 0]).await;
        // Who asks from now on is answered on another connection.
        let mut second = Raw::accept(&peer).await;
        let (stream, _) = second.next(HEADERS).await.expect("asked");
        second.ok(stream).await;
        first.ok(1).await;
        (first, second)
    };
    let asks = async {
        let mut first = Box::pin(send(&pool, &target));
        until_polled(&mut first, || pool.running(&target) == 1).await;
        let both = tokio::join!(first, async {
            let second = failure(send(&pool, &target).await).error;
            assert_eq!(second.kind(), ErrorKind::Broken);
            assert_eq!(second.sent(), Sent::NotSent, "{second:?}");
            send(&pool, &target).await
        });
        assert_eq!(both.0.expect("answered").status(), 200);
        assert_eq!(both.1.expect("answered").status(), 200);
    };
    tokio::join!(serves, asks);
}

#[tokio::test]
async fn a_connection_that_breaks_fails_what_runs_on_it_and_is_replaced() {
    let (tasks, peer) = (tasks(), Peer::start().await);
    let (pool, target) = (pool(&tasks), peer.target.clone());
    let serves = async {
        let mut first = Raw::accept(&peer).await;
        first.next(HEADERS).await.expect("asked");
        drop(first);
        let mut second = Raw::accept(&peer).await;
        let (stream, _) = second.next(HEADERS).await.expect("asked");
        second.ok(stream).await;
        second
    };
    let asks = async {
        let failed = failure(send(&pool, &target).await).error;
        assert_eq!(
            (failed.kind(), failed.sent()),
            (ErrorKind::Broken, Sent::Sent)
        );
        assert_eq!(send(&pool, &target).await.expect("answered").status(), 200);
    };
    tokio::join!(serves, asks);
}

#[tokio::test]
async fn a_connection_whose_peer_is_gone_in_silence_swallows_one_request_and_no_more() {
    let (tasks, peer) = (tasks(), Peer::start().await);
    let target = peer.target.clone();
    let config = Config {
        ping_timeout: Duration::from_millis(50),
        ..Config::default()
    };
    let pool = pool_with(config, &tasks);
    let serves = async {
        let mut first = Raw::accept(&peer).await;
        first.next(HEADERS).await.expect("asked");
        assert!(first.next(PING).await.is_some(), "whether it is there");
        let mut second = Raw::accept(&peer).await;
        let (stream, _) = second.next(HEADERS).await.expect("asked");
        second.ok(stream).await;
        (first, second)
    };
    let asks = async {
        let patience = Duration::from_millis(50);
        let swallowed = tokio::time::timeout(patience, send(&pool, &target)).await;
        assert!(swallowed.is_err());
        until(|| pool.open_connections(&target) == 0).await;
        assert_eq!(send(&pool, &target).await.expect("answered").status(), 200);
    };
    tokio::join!(serves, asks);
}

#[tokio::test]
async fn a_peer_that_speaks_no_http2_is_sent_no_request() {
    let (tasks, peer) = (tasks(), Peer::start().await);
    let target = peer.target.clone();
    let config = Config {
        settings_timeout: Duration::from_millis(50),
        ..Config::default()
    };
    let pool = pool_with(config, &tasks);
    for answer in ["HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n", ""] {
        let serves = async {
            let mut stream = peer.listener.accept().await.expect("a connection").0;
            stream
                .write_all(answer.as_bytes())
                .await
                .expect("connected");
            let mut seen = Vec::new();
            let _ = stream.read_to_end(&mut seen).await;
            assert!(seen.windows(2).all(|two| two != b"/a"), "{seen:?}");
        };
        let (answer, ()) = tokio::join!(send(&pool, &target), serves);
        let failed = failure(answer);
        assert_eq!(
            failed.error.kind(),
            ErrorKind::Connect,
            "{:?}",
            failed.error
        );
        assert!(failed.request.is_some());
    }
}

#[tokio::test]
async fn who_leaves_has_the_stream_reset_wherever_it_is() {
    let (tasks, peer) = (tasks(), Peer::start().await);
    let (pool, target) = (pool(&tasks), peer.target.clone());
    let (left, mut leaves) = unbounded_channel::<()>();
    let serves = async {
        let mut raw = Raw::accept(&peer).await;
        // Before the head; with an upload that says nothing; with one for which there is no room.
        for stream in [1, 3, 5] {
            assert_eq!(raw.next(HEADERS).await.expect("asked").0, stream);
            if stream > 1 {
                raw.write(HEADERS, END_HEADERS, stream, STATUS_200).await;
            }
            left.send(()).expect("listens");
            let (reset, why) = raw.next(RESET).await.expect("a reset");
            assert_eq!((reset, why), (stream, vec![0, 0, 0, 8]), "CANCEL");
        }
        raw
    };
    let asks = async {
        tokio::select! {
            _ = send(&pool, &target) => unreachable!("not answered"),
            () = next(&mut leaves) => {}
        }
        for megabytes in [0, 1] {
            let (feed, body) = Fed::new();
            for _ in 0..megabytes {
                feed.send(Frame::data(vec![0; 1 << 20].into()))
                    .expect("taken");
            }
            let answer = pool.send(&target, request(body)).await.expect("answered");
            next(&mut leaves).await;
            drop(answer);
            feed.closed().await;
        }
        until(|| pool.running(&target) == 0).await;
    };
    tokio::join!(serves, asks);
    assert_eq!(
        pool.open_connections(&target),
        1,
        "a stream is no connection"
    );
}

#[tokio::test]
async fn a_reader_that_does_not_read_stops_its_own_stream_and_no_other() {
    let (tasks, peer) = (tasks(), Peer::start().await);
    let (pool, target) = (pool(&tasks), peer.target.clone());
    let (_connections, mut asked) = peer.serve(&tasks, 100);
    let endless = async {
        let mut streams = Vec::new();
        for _ in 0..20 {
            let (_, mut respond) = next(&mut asked).await;
            let mut stream = respond
                .send_response(Response::new(()), false)
                .expect("open");
            stream
                .send_data(vec![0; 1 << 20].into(), false)
                .expect("open");
            streams.push(stream);
        }
        let (_, mut respond) = next(&mut asked).await;
        let mut last = respond
            .send_response(Response::new(()), false)
            .expect("open");
        last.send_data(vec![0; 60 << 10].into(), true)
            .expect("open");
        streams
    };
    let reads = async {
        let mut unread = Vec::new();
        for _ in 0..20 {
            unread.push(send(&pool, &target).await.expect("answered"));
        }
        let last = send(&pool, &target).await.expect("answered");
        assert_eq!(
            last.into_body()
                .collect()
                .await
                .expect("whole")
                .to_bytes()
                .len(),
            60 << 10
        );
        unread
    };
    let (_streams, unread) = tokio::join!(endless, reads);
    // What was not read is there, and the rest comes as it is.
    let mut body = unread.into_iter().next().expect("some").into_body();
    let mut read = 0;
    while read < 1 << 20 {
        let frame = body.frame().await.expect("more").expect("whole");
        read += frame.into_data().expect("data").len();
    }
}

#[tokio::test]
async fn an_unused_connection_is_closed_in_time_and_at_the_stop() {
    let (pools, peer) = (tasks(), Peer::start().await);
    let target = peer.target.clone();
    let config = Config {
        idle_timeout: Duration::from_millis(60),
        ..Config::default()
    };
    let pool = pool_with(config, &pools);
    let serves = async {
        for _ in 0..2 {
            let mut connection = peer.accept().await;
            ok(connection
                .accept()
                .await
                .expect("asked")
                .expect("well formed"));
            assert!(connection.accept().await.is_none(), "closed");
        }
    };
    let asks = async {
        assert_eq!(send(&pool, &target).await.expect("answered").status(), 200);
        until(|| pool.open_connections(&target) == 0).await;
        assert_eq!(send(&pool, &target).await.expect("answered").status(), 200);
        assert_eq!(pools.shut_down(Duration::from_secs(5)).await, []);
    };
    tokio::join!(serves, asks);
}
