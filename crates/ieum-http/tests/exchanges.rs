//! Every answer belongs to its request, whatever peers and callers do in between: early answers,
//! closes, unasked bytes, bodies that are half read, callers that leave.

#![expect(clippy::expect_used, reason = "a test that cannot be set up fails")]

use std::convert::Infallible;
use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::{Method, Request, Response};
use http_body::{Body, Frame, SizeHint};
use http_body_util::BodyExt;
use ieum_base::{Stop, TaskKind, Tasks};
use ieum_http::pool::{self, Pool, PooledBody};
use ieum_http::{Connector, Target};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;

/// Numbers that look random and are the same in each run (splitmix64).
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        ((mixed >> 27) ^ (mixed >> 40)) % sides
    }
}

/// A body of so many frames, between which it is not ready.
struct Drip {
    frames: u64,
    is_due: bool,
}

impl Body for Drip {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let this = self.get_mut();
        if this.frames == 0 {
            return Poll::Ready(None);
        }
        this.is_due = !this.is_due;
        if !this.is_due {
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        this.frames -= 1;
        Poll::Ready(Some(Ok(Frame::data(Bytes::from_static(&[b'u'; FRAME])))))
    }

    fn is_end_stream(&self) -> bool {
        self.frames == 0
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.frames * FRAME as u64)
    }
}

const FRAME: usize = 1000;

fn pool(tasks: &Tasks) -> Pool<Drip> {
    let config = pool::Config {
        most_idle: 8,
        ..pool::Config::default()
    };
    Pool::new(Connector::default(), config, tasks.clone())
}

fn request(target: &Target, method: Method, token: &str, frames: u64) -> Box<Request<Drip>> {
    let request = Request::builder().method(method).uri(format!("/{token}"));
    let request = request.header("host", target.host_header());
    let body = Drip {
        frames,
        is_due: false,
    };
    Box::new(request.body(body).expect("valid"))
}

async fn listen() -> (TcpListener, Target) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("bound").to_string();
    (listener, Target::http(&address).expect("valid"))
}

/// A request's method, path and length; `None` at the end of the connection.
async fn head(stream: &mut BufReader<TcpStream>) -> Option<(String, String, u64)> {
    let (mut first, mut length) = (None, 0);
    loop {
        let mut line = String::new();
        if stream.read_line(&mut line).await.ok()? == 0 {
            return None;
        }
        let line = line.trim_end().to_ascii_lowercase();
        if line.is_empty() {
            let line: String = first?;
            let mut words = line.split(' ').map(str::to_owned);
            return Some((words.next()?, words.next()?, length));
        }
        if let Some(value) = line.strip_prefix("content-length: ") {
            length = value.parse().expect("a number");
        }
        first.get_or_insert(line);
    }
}

/// The answer to `path`: its body repeats the path as often as `x-times` says.
fn sized(path: &str, times: usize) -> String {
    let length = path.len() * times;
    format!(
        "HTTP/1.1 200 OK\r\nx-times: {times}\r\nContent-Length: {length}\r\n\r\n{}",
        path.repeat(times)
    )
}

fn chunked(path: &str, times: usize) -> String {
    let chunk = format!("{:x}\r\n{path}\r\n", path.len()).repeat(times);
    format!(
        "HTTP/1.1 200 OK\r\nx-times: {times}\r\nTransfer-Encoding: chunked\r\n\r\n{chunk}0\r\nx-end: {path}\r\n\r\n"
    )
}

/// A peer that answers what was asked, in all the ways there are, and often goes away.
async fn fickle(stream: TcpStream, seed: u64) -> Option<()> {
    let (mut stream, mut dice) = (BufReader::new(stream), Dice(seed));
    let poison = sized("/poison", 1);
    loop {
        let (method, path, length) = head(&mut stream).await?;
        let times = if dice.roll(20) == 0 {
            20_000
        } else {
            dice.roll(5) as usize
        };
        let way = dice.roll(16);
        if way != 0 {
            tokio::io::copy(&mut (&mut stream).take(length), &mut tokio::io::sink())
                .await
                .ok()?;
        }
        let mut answer = match dice.roll(3) {
            0 => chunked(&path, times),
            1 if times > 0 => format!(
                "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\n{}",
                sized(&path, times)
            ),
            _ => sized(&path, times),
        };
        if method == "head" {
            answer = "HTTP/1.1 200 OK\r\nx-times: 0\r\nContent-Length: 5000\r\n\r\n".to_owned();
        }
        match way {
            1 => return None,
            2 => answer.truncate(answer.len() / 2),
            3 => answer.push_str(&poison),
            4 => answer = answer.replacen("x-times", "Connection: close\r\nx-times", 1),
            5 if method != "head" => {
                answer = format!("HTTP/1.1 200 OK\r\nx-times: {times}\r\n\r\n");
                answer.push_str(&path.repeat(times));
            }
            6 => {
                // No answer at all, until the caller has had enough.
                let _ = stream.read_u8().await;
                return None;
            }
            7 => {
                let (begin, end) = answer.split_at(answer.len() / 2);
                stream.write_all(begin.as_bytes()).await.ok()?;
                for _ in 0..dice.roll(200) {
                    tokio::task::yield_now().await;
                }
                answer = end.to_owned();
            }
            _ => {}
        }
        stream.write_all(answer.as_bytes()).await.ok()?;
        if matches!(way, 2 | 4 | 5) {
            return None;
        }
        if way == 0 {
            // It answered early, and takes the request's body now.
            tokio::io::copy(&mut (&mut stream).take(length), &mut tokio::io::sink())
                .await
                .ok()?;
        }
    }
}

/// Polls so often, and leaves then.
async fn leaves<T>(polls: u64, future: impl Future<Output = T>) -> Option<T> {
    let (mut future, mut left) = (pin!(future), polls);
    poll_fn(move |cx| match future.as_mut().poll(cx) {
        Poll::Ready(done) => Poll::Ready(Some(done)),
        Poll::Pending if left == 0 => Poll::Ready(None),
        Poll::Pending => {
            left -= 1;
            cx.waker().wake_by_ref();
            Poll::Pending
        }
    })
    .await
}

/// True if the whole answer was read, and it is the one to `token`.
async fn is_answer_to(token: &str, response: Response<PooledBody<Drip>>) -> bool {
    let times = response.headers()["x-times"].to_str().expect("ASCII");
    let times: usize = times.parse().expect("a number");
    let Ok(whole) = response.into_body().collect().await else {
        return false;
    };
    let path = format!("/{token}");
    if let Some(trailers) = whole.trailers() {
        assert_eq!(trailers["x-end"], path);
    }
    assert_eq!(whole.to_bytes(), path.repeat(times));
    true
}

/// Sends requests one after the other; how many were answered whole.
async fn caller(pool: Pool<Drip>, target: Target, name: u64, requests: u64) -> u64 {
    let (mut dice, mut whole) = (Dice(name), 0);
    for number in 0..requests {
        let token = format!("t{name}-{number}");
        let (method, frames) = match dice.roll(6) {
            0 => (Method::POST, 1 + dice.roll(3)),
            1 => (Method::PUT, 100),
            2 => (Method::HEAD, 0),
            _ => (Method::GET, 0),
        };
        let request = request(&target, method, &token, frames);
        let exchange = async {
            match pool.send(&target, request).await {
                Ok(response) => is_answer_to(&token, response).await,
                Err(_) => false,
            }
        };
        let is_whole = match dice.roll(4) {
            0 => leaves(dice.roll(30), exchange).await,
            _ => tokio::time::timeout(PATIENCE, exchange).await.ok(),
        };
        whole += u64::from(is_whole == Some(true));
    }
    whole
}

const PATIENCE: Duration = Duration::from_millis(40);

async fn no_answer_goes_astray(callers: u64, requests: u64) {
    let (tasks, pools) = (Tasks::new(Stop::new()), Tasks::new(Stop::new()));
    let (listener, target) = listen().await;
    let all = tasks.clone();
    tasks.spawn(TaskKind::Background, "peer", async move {
        let mut seed = 0;
        while let Ok((stream, _)) = listener.accept().await {
            seed += 1;
            all.spawn(TaskKind::Request, "peer-connection", async move {
                fickle(stream, seed).await;
            });
        }
    });
    let pool = pool(&pools);
    let (done, mut whole) = mpsc::unbounded_channel();
    for name in 0..callers {
        let caller = caller(pool.clone(), target.clone(), name, requests);
        let done = done.clone();
        tasks.spawn(TaskKind::Request, "caller", async move {
            let _ = done.send(caller.await);
        });
    }
    drop(done);
    let (mut callers_done, mut answered) = (0, 0);
    while let Some(one) = whole.recv().await {
        callers_done += 1;
        answered += one;
    }
    assert_eq!(callers_done, callers, "a caller panicked");
    let sent = callers * requests;
    assert!(answered > sent / 3, "{answered} of {sent}");
    while pool.open_connections() > pool.idle_connections() {
        tokio::task::yield_now().await;
    }
    pools.stop().request();
    while pool.open_connections() > 0 {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn no_answer_goes_astray_on_one_thread() {
    no_answer_goes_astray(16, 100).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn no_answer_goes_astray_between_threads() {
    no_answer_goes_astray(16, 100).await;
}

/// One exchange with a peer that writes exactly `answer`; then how many connections are kept.
async fn after(method: Method, answer: &str) -> (Option<Bytes>, usize) {
    let tasks = Tasks::new(Stop::new());
    let (listener, target) = listen().await;
    let pool = pool(&tasks);
    let serves = async {
        let (stream, _) = listener.accept().await.expect("a connection");
        let mut stream = BufReader::new(stream);
        head(&mut stream).await.expect("a request");
        stream.write_all(answer.as_bytes()).await.expect("sent");
        stream
    };
    let asks = async {
        let response = pool.send(&target, request(&target, method, "x", 0)).await;
        let collected = response.ok()?.into_body().collect().await;
        collected.ok().map(http_body_util::Collected::to_bytes)
    };
    let (body, _open) = tokio::join!(asks, serves);
    (body, pool.idle_connections())
}

#[tokio::test]
async fn a_connection_is_kept_only_if_the_end_of_its_answer_is_beyond_doubt() {
    let get = Method::GET;
    for (method, answer, body, kept) in [
        (
            &get,
            "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
            "ok",
            1,
        ),
        (&get, "HTTP/1.1 204 No Content\r\n\r\n", "", 1),
        (
            &get,
            "HTTP/1.1 304 Not Modified\r\nContent-Length: 9\r\n\r\n",
            "",
            1,
        ),
        (
            &Method::HEAD,
            "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n",
            "",
            1,
        ),
        (
            &Method::HEAD,
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
            "",
            1,
        ),
        (
            &get,
            "HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
            "ok",
            1,
        ),
        (
            &get,
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\nx: y\r\n\r\n",
            "ok",
            1,
        ),
        (
            &get,
            "HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok",
            "ok",
            0,
        ),
        (
            &get,
            "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok",
            "ok",
            0,
        ),
        // More than was asked for.
        (
            &get,
            "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nokHTTP/1.1 200 OK\r\n",
            "ok",
            0,
        ),
        (&get, "HTTP/1.1 204 No Content\r\n\r\nbody", "", 0),
        (
            &Method::HEAD,
            "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nbody",
            "",
            0,
        ),
        (
            &get,
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\nx",
            "ok",
            0,
        ),
    ] {
        let (read, idle) = after(method.clone(), answer).await;
        assert_eq!(
            (read.as_deref(), idle),
            (Some(body.as_bytes()), kept),
            "{answer}"
        );
    }
}

#[tokio::test]
async fn what_a_peer_says_unasked_ends_its_connection_and_answers_nobody() {
    let tasks = Tasks::new(Stop::new());
    let (listener, target) = listen().await;
    let pool = pool(&tasks);
    let serves = async {
        for path in ["/first", "/second"] {
            let (stream, _) = listener.accept().await.expect("a connection");
            let mut stream = BufReader::new(stream);
            head(&mut stream).await.expect("a request");
            stream
                .write_all(sized(path, 1).as_bytes())
                .await
                .expect("sent");
            while pool.idle_connections() == 0 {
                tokio::task::yield_now().await;
            }
            stream
                .write_all(sized("/poison", 1).as_bytes())
                .await
                .expect("sent");
            // The caller closes, and not for its idle timeout.
            assert_eq!(stream.read(&mut [0; 1]).await.unwrap_or_default(), 0);
        }
    };
    let asks = async {
        for token in ["first", "second"] {
            let response = pool.send(&target, request(&target, Method::GET, token, 0));
            assert!(is_answer_to(token, response.await.expect("answered")).await);
            while pool.open_connections() > 0 {
                tokio::task::yield_now().await;
            }
        }
    };
    let both = async { tokio::join!(serves, asks) };
    tokio::time::timeout(Duration::from_secs(2), both)
        .await
        .expect("within less than the idle timeout");
}

#[tokio::test]
async fn a_peer_that_answers_early_and_takes_no_more_of_the_body_is_given_up() {
    let tasks = Tasks::new(Stop::new());
    let (listener, target) = listen().await;
    let config = pool::Config {
        write_timeout: PATIENCE,
        ..pool::Config::default()
    };
    let pool = Pool::new(Connector::default(), config, tasks.clone());
    let serves = async {
        let (stream, _) = listener.accept().await.expect("a connection");
        let mut stream = BufReader::new(stream);
        head(&mut stream).await.expect("a request");
        stream
            .write_all(sized("/early", 1).as_bytes())
            .await
            .expect("sent");
        stream
    };
    let asks = async {
        let request = request(&target, Method::POST, "early", 1_000_000);
        let response = pool.send(&target, request).await.expect("answered");
        assert!(is_answer_to("early", response).await);
        // Not used for another request, whose head would end up inside the body.
        let next = pool.send(&target, next_request(&target));
        assert!(leaves(100, next).await.is_none());
    };
    let (_stays_open, ()) = tokio::join!(serves, asks);
    while pool.open_connections() > 0 {
        tokio::task::yield_now().await;
    }
}

fn next_request(target: &Target) -> Box<Request<Drip>> {
    request(target, Method::GET, "next", 0)
}

#[tokio::test]
async fn a_peer_that_closes_many_unused_connections_at_once_starves_nobody() {
    let tasks = Tasks::new(Stop::new());
    let (listener, target) = listen().await;
    let config = pool::Config {
        most_idle: MANY,
        idle_timeout: Duration::from_secs(3600),
        ..pool::Config::default()
    };
    let pool = Pool::new(Connector::default(), config, tasks.clone());
    let serves = async {
        let mut streams = Vec::new();
        for _ in 0..MANY {
            let (stream, _) = listener.accept().await.expect("a connection");
            let mut stream = BufReader::new(stream);
            head(&mut stream).await.expect("a request");
            stream
                .write_all(sized("/x", 1).as_bytes())
                .await
                .expect("sent");
            streams.push(stream);
        }
        streams
    };
    let asks = async {
        let mut answers = Vec::new();
        for _ in 0..MANY {
            let request = request(&target, Method::GET, "x", 0);
            answers.push(pool.send(&target, request).await.expect("answered"));
        }
        for answer in answers {
            assert!(is_answer_to("x", answer).await);
        }
    };
    let (streams, ()) = tokio::join!(serves, asks);
    assert_eq!(pool.idle_connections(), MANY);
    drop(streams);
    while pool.open_connections() > 0 {
        tokio::task::yield_now().await;
    }
}

const MANY: usize = 300;
