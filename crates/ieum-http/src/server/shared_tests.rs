//! A connection that a gateway shares among its clients: what one of them does is none of the others'
//! affair.

use std::future::poll_fn;
use std::pin::Pin;
use std::task::Poll;

use h2::client::{Connection, ResponseFuture, SendRequest};
use http_body_util::{BodyExt, Full};
use tower::service_fn;

use super::*;
use crate::listener;

/// One connection to a server that answers `done` when it has read a body, and leaves those to
/// `/hold` unread.
struct Shared {
    sender: SendRequest<Bytes>,
    connection: Connection<TcpStream>,
    _tasks: Tasks,
}

async fn start(config: Config) -> Shared {
    let listener = listener::bind(SocketAddr::from(([127, 0, 0, 1], 0))).expect("a free port");
    let address = listener.local_addr().expect("bound");
    let (stop, tasks) = (Stop::new(), Tasks::new(Stop::new()));
    let service = service_fn(|request: Request<Incoming>| async move {
        if request.uri().path() == "/hold" {
            std::future::pending::<()>().await;
        }
        let _ = request.into_body().collect().await;
        Ok::<_, Infallible>(Response::new(Full::<Bytes>::from("done")))
    });
    let connections = tasks.clone();
    tasks.spawn(TaskKind::Background, "server", async move {
        serve(listener, service, config, stop, &connections).await;
    });
    let stream = TcpStream::connect(address).await.expect("listening");
    let (sender, connection) = h2::client::handshake(stream).await.expect("HTTP/2");
    let mut shared = Shared {
        sender,
        connection,
        _tasks: tasks,
    };
    assert!(shared.is_answered().await, "the first call");
    shared
}

impl Shared {
    fn call(&mut self, path: &str, body: Vec<u8>, is_last: bool) -> ResponseFuture {
        let request = Request::post(format!("http://here{path}"));
        let request = request.body(()).expect("valid");
        let sent = self.sender.send_request(request, false);
        let (answer, mut upload) = sent.expect("a connection");
        upload.send_data(body.into(), is_last).expect("a stream");
        answer
    }

    /// Writes what there is to write, without letting the server run.
    async fn flush(&mut self) {
        poll_fn(|cx| Poll::Ready(Pin::new(&mut self.connection).poll(cx).is_ready())).await;
    }

    /// Whether one more call is answered, before the connection ends or patience does.
    async fn is_answered(&mut self) -> bool {
        let answer = self.call("/", vec![1], true);
        let answered = async {
            tokio::select! {
                answer = answer => answer.is_ok(),
                _ = &mut self.connection => false,
            }
        };
        let in_time = tokio::time::timeout(PATIENCE, answered).await;
        in_time.unwrap_or(false)
    }

    /// Calls that leave before the server has seen them.
    async fn reset(&mut self, calls: usize) {
        let leaving: Vec<_> = (0..calls).map(|_| self.call("/", vec![1], false)).collect();
        self.flush().await;
        drop(leaving);
        self.flush().await;
    }
}

#[tokio::test]
async fn callers_who_leave_at_once_end_nobody_elses_connection() {
    let mut shared = start(Config::behind_gateway()).await;
    shared.reset(50).await;
    assert!(shared.is_answered().await);
    // Towards strangers it is another matter.
    let mut edge = start(Config::default()).await;
    edge.reset(50).await;
    assert!(!edge.is_answered().await);
}

#[tokio::test]
async fn uploads_that_nobody_reads_stop_no_others() {
    let config = Config::behind_gateway();
    let (all, window) = (config.most_streams, config.stream_window as usize);
    let mut shared = start(config).await;
    let unread = (1..all).map(|_| shared.call("/hold", vec![0; window], false));
    let unread: Vec<_> = unread.collect();
    assert!(shared.is_answered().await);
    drop(unread);
}

#[tokio::test]
async fn an_answer_that_a_client_does_not_take_is_given_up_and_the_others_go_on() {
    let idle = Duration::from_millis(200);
    let config = Config {
        stream_idle: idle,
        ..Config::default()
    };
    let mut shared = start(config).await;
    // No window for streams that begin from here on: heads come, not a byte of a body does.
    shared.connection.set_initial_window_size(0).expect("set");
    shared.flush().await;
    let answer = shared.call("/", vec![1], true);
    let began = Instant::now();
    let outcome = async {
        let mut body = answer.await?.into_body();
        body.data().await.unwrap_or(Ok(Bytes::new()))
    };
    let given_up = tokio::time::timeout(PATIENCE, async {
        tokio::select! {
            outcome = outcome => outcome.expect_err("the stream was reset"),
            _ = &mut shared.connection => panic!("the connection ended"),
        }
    });
    let error = given_up.await.expect("not held for ever");
    assert!(error.is_reset(), "{error}");
    assert!(began.elapsed() >= idle);
    shared
        .connection
        .set_initial_window_size(1 << 16)
        .expect("set");
    assert!(shared.is_answered().await, "the connection lives");
}

/// An answer takes a millisecond.
const PATIENCE: Duration = Duration::from_secs(10);
