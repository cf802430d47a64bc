//! Peers that speak HTTP/2 as the tests want, and what asks them.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use h2::RecvStream;
use h2::server::{Builder, Connection, SendResponse};
use http::{Request, Response};
use http_body::{Body, Frame};
use ieum_base::{Stop, TaskKind, Tasks};
use ieum_http::http2::{Config, Pool};
use ieum_http::pool::{PooledBody, SendError};
use ieum_http::{Connector, Target, connector};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

/// A body whose frames the test sends; without a sender it has ended.
pub(crate) struct Fed(UnboundedReceiver<Frame<Bytes>>);

impl Fed {
    pub(crate) fn new() -> (UnboundedSender<Frame<Bytes>>, Self) {
        let (feed, fed) = unbounded_channel();
        (feed, Self(fed))
    }

    pub(crate) fn empty() -> Self {
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

pub(crate) type Answer = Result<Response<PooledBody<Fed>>, SendError<Fed>>;
pub(crate) type Asked = (Request<RecvStream>, SendResponse<Bytes>);

/// A peer whose every frame the test decides.
pub(crate) struct Peer {
    pub(crate) listener: TcpListener,
    pub(crate) target: Target,
}

impl Peer {
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("bound");
        let target = Target::http(&address.to_string()).expect("valid");
        Self { listener, target }
    }

    pub(crate) async fn accept(&self) -> Connection<TcpStream, Bytes> {
        self.accept_with(&Builder::new()).await
    }

    pub(crate) async fn accept_with(&self, builder: &Builder) -> Connection<TcpStream, Bytes> {
        let stream = self.listener.accept().await.expect("a connection").0;
        builder.handshake(stream).await.expect("a handshake")
    }

    /// Takes in connections with at most `streams` streams each, tells of each connection, and hands
    /// over what is asked on them.
    pub(crate) fn serve(
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

pub(crate) async fn hand_over(
    mut connection: Connection<TcpStream, Bytes>,
    ask: UnboundedSender<Asked>,
) {
    while let Some(Ok(asked)) = connection.accept().await {
        let _ = ask.send(asked);
    }
}

pub(crate) fn tasks() -> Tasks {
    Tasks::new(Stop::new())
}

pub(crate) fn pool_with(config: Config, tasks: &Tasks) -> Pool {
    Pool::new(
        Connector::http2(connector::Config::default()),
        config,
        tasks.clone(),
    )
}

pub(crate) fn pool(tasks: &Tasks) -> Pool {
    pool_with(Config::default(), tasks)
}

pub(crate) fn request(body: Fed) -> Box<Request<Fed>> {
    let request = Request::post("/a.B/C?d=e")
        .header("host", "elsewhere")
        .header("te", "trailers");
    let request = request
        .header("connection", "close")
        .header("x-kept", "yes");
    Box::new(request.body(body).expect("valid"))
}

pub(crate) async fn send(pool: &Pool, target: &Target) -> Answer {
    pool.send(target, request(Fed::empty())).await
}

pub(crate) fn ok(asked: Asked) {
    let (_, mut respond) = asked;
    respond
        .send_response(Response::new(()), true)
        .expect("open");
}

#[track_caller]
pub(crate) fn failure(answer: Answer) -> SendError<Fed> {
    answer.map(|answer| answer.status()).expect_err("it fails")
}

pub(crate) async fn next<T>(receiver: &mut UnboundedReceiver<T>) -> T {
    tokio::time::timeout(Duration::from_secs(10), receiver.recv())
        .await
        .expect("in time")
        .expect("still there")
}

/// Polls `future` until the condition holds.
pub(crate) async fn until_polled<F: Future + Unpin>(future: &mut F, condition: impl Fn() -> bool) {
    tokio::select! {
        _ = future => unreachable!("not answered yet"),
        () = until(condition) => {}
    }
}

pub(crate) async fn until(condition: impl Fn() -> bool) {
    while !condition() {
        tokio::task::yield_now().await;
    }
}

/// A peer whose every byte the test writes.
pub(crate) struct Raw {
    stream: TcpStream,
    /// What came before what was waited for.
    pub(crate) passed: Vec<(u8, u32, Vec<u8>)>,
}

impl Raw {
    /// Takes a connection in and says that it speaks HTTP/2.
    pub(crate) async fn accept(peer: &Peer) -> Self {
        let mut stream = peer.listener.accept().await.expect("a connection").0;
        let mut preface = [0; 24];
        stream.read_exact(&mut preface).await.expect("a preface");
        let passed = Vec::new();
        let mut raw = Self { stream, passed };
        raw.write(SETTINGS, 0, 0, &[]).await;
        raw
    }

    pub(crate) async fn write(&mut self, kind: u8, flags: u8, stream: u32, payload: &[u8]) {
        let length = u8::try_from(payload.len()).expect("short");
        let head = [0, 0, length, kind, flags];
        let frame = [&head, stream.to_be_bytes().as_slice(), payload].concat();
        self.stream.write_all(&frame).await.expect("connected");
    }

    /// The stream of the next frame of this kind, and what is in it; `None` at the end.
    pub(crate) async fn next(&mut self, wanted: u8) -> Option<(u32, Vec<u8>)> {
        loop {
            let known = self.passed.iter().position(|(kind, ..)| *kind == wanted);
            if let Some((_, stream, payload)) = known.map(|at| self.passed.remove(at)) {
                return Some((stream, payload));
            }
            let mut head = [0; 9];
            self.stream.read_exact(&mut head).await.ok()?;
            let [_, high, low, kind, _, a, b, c, d] = head;
            let stream = u32::from_be_bytes([a, b, c, d]);
            let mut payload = vec![0; usize::from(u16::from_be_bytes([high, low]))];
            self.stream.read_exact(&mut payload).await.ok()?;
            self.passed.push((kind, stream, payload));
        }
    }

    pub(crate) async fn ok(&mut self, stream: u32) {
        self.write(HEADERS, END_HEADERS | END_STREAM, stream, STATUS_200)
            .await;
    }
}

pub(crate) const DATA: u8 = 0;
pub(crate) const HEADERS: u8 = 1;
pub(crate) const RESET: u8 = 3;
pub(crate) const SETTINGS: u8 = 4;
pub(crate) const PING: u8 = 6;
pub(crate) const GOAWAY: u8 = 7;
pub(crate) const END_STREAM: u8 = 1;
pub(crate) const END_HEADERS: u8 = 4;
/// HPACK's static table has it.
pub(crate) const STATUS_200: &[u8] = &[0x88];
