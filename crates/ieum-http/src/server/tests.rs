//! The server over real loopback sockets.

use http_body_util::{BodyExt, Full};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::{Notify, mpsc};
use tower::service_fn;

use super::*;
use crate::{HttpClient, listener};

/// A running server that answers with what it got: `METHOD path host body`.
struct Server {
    address: SocketAddr,
    tasks: Tasks,
    stop: Stop,
    ended: mpsc::Receiver<Drained>,
    /// Paths of the requests that reached the service.
    seen: mpsc::UnboundedReceiver<String>,
    /// Lets requests to `/slow` go on.
    gate: Arc<Notify>,
}

fn start(config: Config) -> Server {
    let listener = listener::bind(SocketAddr::from(([127, 0, 0, 1], 0))).expect("a free port");
    let address = listener.local_addr().expect("bound");
    let (stop, gate) = (Stop::new(), Arc::new(Notify::new()));
    let tasks = Tasks::new(Stop::new());
    let (see, seen) = mpsc::unbounded_channel();
    let (end, ended) = mpsc::channel(1);
    let waiting = Arc::clone(&gate);
    let service = service_fn(move |request: Request<Incoming>| {
        let (see, gate) = (see.clone(), Arc::clone(&waiting));
        async move {
            let (head, body) = request.into_parts();
            see.send(head.uri.path().to_owned())
                .expect("the test listens");
            if head.uri.path() == "/slow" {
                gate.notified().await;
            }
            let Ok(body) = body.collect().await else {
                let refused = Response::builder().status(400).body(Full::default());
                return Ok(refused.expect("valid"));
            };
            let host = head
                .headers
                .get("host")
                .map_or("-", |h| h.to_str().expect("ASCII"));
            let body = String::from_utf8_lossy(&body.to_bytes()).into_owned();
            let text = format!("{} {} {host} {body}", head.method, head.uri.path());
            Ok::<_, Infallible>(Response::new(Full::<Bytes>::from(text)))
        }
    });
    let (stopping, connections) = (stop.clone(), tasks.clone());
    tasks.spawn(TaskKind::Background, "server", async move {
        let drained = serve(listener, service, config, stopping, &connections).await;
        end.send(drained).await.expect("the test listens");
    });
    Server {
        address,
        tasks,
        stop,
        ended,
        seen,
        gate,
    }
}

impl Server {
    async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.address).await.expect("listening")
    }

    /// Sends bytes and reads until the server closes.
    async fn exchange(&self, bytes: impl AsRef<[u8]>) -> String {
        let mut stream = self.connect().await;
        stream.write_all(bytes.as_ref()).await.expect("connected");
        let mut answer = Vec::new();
        // A close with unread bytes is a reset; what was read before counts.
        let _ = stream.read_to_end(&mut answer).await;
        String::from_utf8_lossy(&answer).into_owned()
    }

    fn reached(&mut self) -> Vec<String> {
        std::iter::from_fn(|| self.seen.try_recv().ok()).collect()
    }
}

async fn read_until(stream: &mut TcpStream, end: &str) -> String {
    let mut text = String::new();
    while !text.ends_with(end) {
        let mut bytes = [0; 1024];
        let length = stream.read(&mut bytes).await.expect("connected");
        assert!(length > 0, "closed after {text:?}");
        text.push_str(std::str::from_utf8(&bytes[..length]).expect("ASCII"));
    }
    text
}

/// The answer is problem details with this code, of the length it says, and ends its connection.
#[track_caller]
fn check_problem(answer: &str, code: &str) {
    let (head, body) = answer.split_once("\r\n\r\n").expect("a head");
    let problem: serde_json::Value = serde_json::from_str(body).expect("JSON");
    assert_eq!(problem["code"], code, "{answer}");
    for field in [
        "content-type: application/problem+json",
        "connection: close",
        &format!("content-length: {}", body.len()),
    ] {
        assert!(head.contains(field), "{answer}");
    }
}

#[tokio::test]
async fn a_refusal_comes_behind_the_answers_to_the_requests_before_it() {
    let mut server = start(Config::default());
    let answer = server
        .exchange("GET /1 HTTP/1.1\r\nHost: a\r\n\r\nGET /2 HTTP/1.1\nHost: a\r\n\r\n")
        .await;
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    let (_, refusal) = answer.split_once("GET /1 a ").expect("answered");
    assert!(refusal.starts_with("HTTP/1.1 400 "), "{answer}");
    check_problem(refusal, "IEUM-3009");
    assert_eq!(server.reached(), ["/1"]);
}

#[tokio::test]
async fn a_bare_400_of_the_service_stays_its_own() {
    let listener = listener::bind(SocketAddr::from(([127, 0, 0, 1], 0))).expect("a free port");
    let address = listener.local_addr().expect("bound");
    let tasks = Tasks::new(Stop::new());
    let bare = service_fn(|_| async {
        let response = Response::builder()
            .status(400)
            .body(Full::<Bytes>::default());
        Ok::<_, Infallible>(response.expect("valid"))
    });
    let (connections, stop) = (tasks.clone(), Stop::new());
    tasks.spawn(TaskKind::Background, "server", async move {
        serve(listener, bare, Config::default(), stop, &connections).await;
    });
    let mut client = TcpStream::connect(address).await.expect("listening");
    let request = b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
    client.write_all(request).await.expect("connected");
    let mut answer = String::new();
    client.read_to_string(&mut answer).await.expect("answered");
    assert!(answer.starts_with("HTTP/1.1 400 "), "{answer}");
    assert!(answer.ends_with("\r\n\r\n"), "{answer}");
}

#[tokio::test]
async fn doubtful_framing_is_answered_400_and_closed_and_reaches_nobody() {
    let mut server = start(Config::default());
    let smuggled = "GET /admin HTTP/1.1\r\nHost: a\r\n\r\n";
    for (name, head) in [
        (
            "length and chunked",
            "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n",
        ),
        (
            "chunked and length",
            "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n",
        ),
        (
            "two lengths",
            "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\nContent-Length: 0\r\n\r\n",
        ),
        (
            "a list of lengths",
            "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0, 0\r\n\r\n",
        ),
        (
            "a signed length",
            "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: +0\r\n\r\n",
        ),
        (
            "chunked not last",
            "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked, gzip\r\n\r\n",
        ),
        (
            "chunked with another",
            "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n",
        ),
        (
            "chunked on 1.0",
            "POST / HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n",
        ),
        (
            "a space before the colon",
            "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding : chunked\r\n\r\n",
        ),
        ("a bare LF", "GET / HTTP/1.1\r\nHost: a\nX: y\r\n\r\n"),
        ("a bare LF at the end", "GET / HTTP/1.1\r\nHost: a\r\n\n"),
        ("a bare CR", "GET / HTTP/1.1\r\nHost: a\rX: y\r\n\r\n"),
        ("a NUL", "GET / HTTP/1.1\r\nHost: a\r\nX: y\0z\r\n\r\n"),
        (
            "a folded line",
            "GET / HTTP/1.1\r\nHost: a\r\nX: y\r\n z\r\n\r\n",
        ),
        ("no host", "GET / HTTP/1.1\r\n\r\n"),
        ("two hosts", "GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n"),
    ] {
        let answer = server.exchange(format!("{head}{smuggled}")).await;
        assert!(answer.starts_with("HTTP/1.1 400 "), "{name}: {answer}");
        assert_eq!(answer.matches("HTTP/1.1").count(), 1, "{name}: {answer}");
        check_problem(&answer, "IEUM-3009");
        assert_eq!(server.reached(), [""; 0], "{name}");
    }
}

#[tokio::test]
async fn a_bad_chunk_fails_the_body_and_ends_the_connection() {
    let mut server = start(Config::default());
    let head = "POST /upload HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";
    let smuggled = "GET /admin HTTP/1.1\r\nHost: a\r\n\r\n";
    for body in [
        "3\nabc\r\n0\r\n\r\n",
        "3;a\nabc\r\n0\r\n\r\n0\r\n\r\n",
        "3 \r\nabc\r\n0\r\n\r\n",
        "0x3\r\nabc\r\n0\r\n\r\n",
        "3\r\nabcX\r\n0\r\n\r\n",
        "0\r\nT: v\n\r\n",
    ] {
        let answer = server.exchange(format!("{head}{body}{smuggled}")).await;
        assert!(answer.starts_with("HTTP/1.1 400 "), "{body:?}: {answer}");
        assert_eq!(answer.matches("HTTP/1.1").count(), 1, "{body:?}: {answer}");
        assert_eq!(server.reached(), ["/upload"], "{body:?}");
    }
}

#[tokio::test]
async fn requests_are_kept_apart_on_one_connection() {
    let mut server = start(Config::default());
    let answer = server
        .exchange(
            "POST /1 HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\na\nb\n\
             POST /2 HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n\n\n\r\n0\r\n\r\n\
             GET /3 HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
        )
        .await;
    for part in ["POST /1 a a\nb\n", "POST /2 a \n\n", "GET /3 a "] {
        assert!(answer.contains(part), "{answer}");
    }
    assert_eq!(server.reached(), ["/1", "/2", "/3"]);
}

#[tokio::test]
async fn a_head_that_is_too_large_is_refused() {
    let mut server = start(Config::default());
    let many = (0..101)
        .map(|n| format!("X-{n}: y\r\n"))
        .collect::<String>();
    let long = format!("X: {}\r\n", "y".repeat(17 << 10));
    for fields in [many, long] {
        let answer = server
            .exchange(format!("GET / HTTP/1.1\r\nHost: a\r\n{fields}\r\n"))
            .await;
        assert!(answer.starts_with("HTTP/1.1 431 "), "{answer}");
        check_problem(&answer, "IEUM-3010");
    }
    assert_eq!(server.reached(), [""; 0]);
}

#[tokio::test]
async fn a_client_that_does_not_finish_its_head_is_cut_off() {
    let server = start(Config {
        header_timeout: Duration::from_millis(50),
        ..Config::default()
    });
    for beginning in ["", "PRI * HTT", "GET / HTTP/1.1\r\nHost: a\r\n"] {
        let answer = server.exchange(beginning).await;
        assert!(
            answer.is_empty() || answer.starts_with("HTTP/1.1 408"),
            "{answer}"
        );
    }
}

#[tokio::test]
async fn a_client_that_stops_in_the_middle_of_its_body_is_cut_off() {
    let mut server = start(Config {
        stream_idle: Duration::from_millis(50),
        ..Config::default()
    });
    for body in [
        "Content-Length: 10\r\n\r\nabc",
        "Transfer-Encoding: chunked\r\n\r\n5\r\nabc",
    ] {
        let answer = server
            .exchange(format!("POST /upload HTTP/1.1\r\nHost: a\r\n{body}"))
            .await;
        assert!(!answer.starts_with("HTTP/1.1 200"), "{answer}");
        assert_eq!(server.reached(), ["/upload"]);
    }
}

#[tokio::test]
async fn a_client_that_does_not_take_its_answer_is_cut_off() {
    let listener = listener::bind(SocketAddr::from(([127, 0, 0, 1], 0))).expect("a free port");
    let address = listener.local_addr().expect("bound");
    let (stop, tasks) = (Stop::new(), Tasks::new(Stop::new()));
    let large = service_fn(|_| async {
        Ok::<_, Infallible>(Response::new(Full::<Bytes>::from(vec![0; 32 << 20])))
    });
    let config = Config {
        stream_idle: Duration::from_millis(50),
        ..Config::default()
    };
    let connections = tasks.clone();
    let stopping = stop.clone();
    tasks.spawn(TaskKind::Background, "server", async move {
        serve(listener, large, config, stopping, &connections).await;
    });
    let mut client = TcpStream::connect(address).await.expect("listening");
    let request = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n";
    client.write_all(request).await.expect("connected");
    client.read_u8().await.expect("the answer began");
    while tasks.len() > 1 {
        tokio::task::yield_now().await;
    }
    drop(client);
}

#[tokio::test]
async fn connections_beyond_the_limit_wait_for_a_place() {
    let mut server = start(Config {
        most_connections: 1,
        ..Config::default()
    });
    let mut first = server.connect().await;
    first
        .write_all(b"GET /1 HTTP/1.1\r\nHost: a\r\n\r\n")
        .await
        .expect("connected");
    read_until(&mut first, "GET /1 a ").await;
    let mut second = server.connect().await;
    second
        .write_all(b"GET /2 HTTP/1.1\r\nHost: a\r\n\r\n")
        .await
        .expect("queued");
    assert_eq!(server.reached(), ["/1"]);
    drop(first);
    read_until(&mut second, "GET /2 a ").await;
}

#[tokio::test]
async fn at_the_stop_running_requests_finish_and_their_connections_close() {
    let mut server = start(Config::default());
    let mut idle = server.connect().await;
    idle.write_all(b"GET /1 HTTP/1.1\r\nHost: a\r\n\r\n")
        .await
        .expect("connected");
    read_until(&mut idle, "GET /1 a ").await;
    let mut running = server.connect().await;
    running
        .write_all(b"GET /slow HTTP/1.1\r\nHost: a\r\n\r\n")
        .await
        .expect("connected");
    assert_eq!(server.seen.recv().await.as_deref(), Some("/1"));
    assert_eq!(server.seen.recv().await.as_deref(), Some("/slow"));

    server.stop.request();
    let mut rest = Vec::new();
    idle.read_to_end(&mut rest).await.expect("closed in order");
    assert!(TcpStream::connect(server.address).await.is_err());
    server.gate.notify_one();
    let mut answer = String::new();
    running
        .read_to_string(&mut answer)
        .await
        .expect("closed in order");
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    assert!(
        answer.to_lowercase().contains("connection: close"),
        "{answer}"
    );
    assert_eq!(server.ended.recv().await, Some(Drained { abandoned: 0 }));
}

#[tokio::test]
async fn what_does_not_finish_by_the_deadline_is_cut_off_and_counted() {
    let mut server = start(Config {
        drain: Duration::from_millis(50),
        ..Config::default()
    });
    let mut stuck = server.connect().await;
    stuck
        .write_all(b"GET /slow HTTP/1.1\r\nHost: a\r\n\r\n")
        .await
        .expect("connected");
    server.seen.recv().await.expect("reached");
    server.stop.request();
    assert_eq!(server.ended.recv().await, Some(Drained { abandoned: 1 }));
    let mut rest = Vec::new();
    let _ = stuck.read_to_end(&mut rest).await;
    assert!(rest.is_empty());
    assert_eq!(server.tasks.shut_down(Duration::from_secs(5)).await, []);
}

#[tokio::test]
async fn http2_is_spoken_with_prior_knowledge_and_ends_with_goaway() {
    let mut server = start(Config::default());
    let io = hyper_util::rt::TokioIo::new(server.connect().await);
    let (mut sender, connection) =
        hyper::client::conn::http2::handshake(hyper_util::rt::TokioExecutor::new(), io)
            .await
            .expect("HTTP/2");
    let (end, ended) = tokio::sync::oneshot::channel();
    server
        .tasks
        .spawn(TaskKind::Background, "client", async move {
            end.send(connection.await).expect("the test listens");
        });
    let request = Request::get("http://real/h2").header("host", "forged");
    let request = request.body(Full::<Bytes>::default()).expect("valid");
    let answer = sender.send_request(request).await.expect("answered");
    let body = answer
        .into_body()
        .collect()
        .await
        .expect("whole")
        .to_bytes();
    assert_eq!(body, "GET /h2 real ");

    server.stop.request();
    assert!(ended.await.expect("ended").is_ok());
    assert_eq!(server.ended.recv().await, Some(Drained { abandoned: 0 }));
}

#[tokio::test]
async fn a_refused_tunnel_ends_the_connection() {
    let mut server = start(Config {
        upgrades: true,
        ..Config::default()
    });
    let answer = server
        .exchange("GET /ws HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: upgrade\r\n\r\nGET /admin HTTP/1.1\nHost: a\n\n")
        .await;
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    assert_eq!(server.reached(), ["/ws"]);
}

#[tokio::test]
async fn our_own_client_and_server_understand_each_other() {
    let server = start(Config::default());
    let client = HttpClient::new(server.tasks.clone());
    let url = format!("http://{}/echo", server.address);
    let answer = client
        .post_json(&url, &serde_json::json!({"a": 1}), Duration::from_secs(5))
        .await
        .expect("answered");
    let expected = format!("POST /echo {} {{\"a\":1}}", server.address);
    assert_eq!(answer.body(), expected.as_bytes());
}
