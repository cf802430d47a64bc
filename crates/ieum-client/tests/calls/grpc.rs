//! Calls by gRPC, with services whose every frame the test decides.

use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use h2::server::SendResponse;
use h2::{RecvStream, SendStream};
use http::{HeaderMap, Request, Response};
use http_body_util::{BodyExt, Full};
use ieum_base::{Stop, TaskKind, Tasks};
use ieum_client::{GrpcBody, GrpcChannel, ServiceClient};
use ieum_grpc::{Code, message};
use tokio::net::TcpListener;
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tower::Service as _;

use super::setup::{dead_address, set_up, users};

const GET: &str = "/shop.v1.Users/Get";

/// A service that hands over what it is asked.
struct Service {
    address: SocketAddr,
    asked: UnboundedReceiver<(Request<RecvStream>, SendResponse<Bytes>)>,
    _tasks: Tasks,
}

impl Service {
    async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("bound");
        let tasks = Tasks::new(Stop::new());
        let (ask, asked) = unbounded_channel();
        let all = tasks.clone();
        tasks.spawn(TaskKind::Background, "service", async move {
            while let Ok((stream, _)) = listener.accept().await {
                let ask = ask.clone();
                all.spawn(TaskKind::Request, "connection", async move {
                    let shaken = h2::server::handshake(stream).await;
                    let mut connection = shaken.expect("a handshake");
                    while let Some(Ok(asked)) = connection.accept().await {
                        let _ = ask.send(asked);
                    }
                });
            }
        });
        Self {
            address,
            asked,
            _tasks: tasks,
        }
    }

    async fn asked(&mut self) -> (Request<RecvStream>, SendResponse<Bytes>) {
        let asked = tokio::time::timeout(Duration::from_secs(10), self.asked.recv()).await;
        asked.expect("in time").expect("it runs")
    }

    /// Answers the next call with trailers only.
    async fn ends(&mut self, code: Code) {
        let (_, mut respond) = self.asked().await;
        let response = Response::builder().header("grpc-status", code.field());
        let response = response.body(()).expect("valid");
        respond.send_response(response, true).expect("open");
    }

    /// Answers the next call with a message and a status.
    async fn answers(&mut self, code: Code) -> Request<RecvStream> {
        let (request, mut respond) = self.asked().await;
        let mut stream = begin(&mut respond);
        let mut trailers = HeaderMap::new();
        trailers.insert("grpc-status", code.field());
        stream.send_trailers(trailers).expect("open");
        request
    }
}

fn begin(respond: &mut SendResponse<Bytes>) -> SendStream<Bytes> {
    let response = Response::builder().header("content-type", "application/grpc");
    let response = response.body(()).expect("valid");
    let mut stream = respond.send_response(response, false).expect("open");
    stream.send_data("message".into(), false).expect("open");
    stream
}

async fn call(channel: &GrpcChannel) -> Response<GrpcBody> {
    let request = Request::post(format!("http://anything{GET}"));
    let request = request.header("content-type", "application/grpc");
    let request = request.body(Full::from("question")).expect("valid");
    let answered = channel.clone().call(request).await;
    answered.expect("it always answers")
}

/// The code, the text and the body that a caller gets.
async fn ended(channel: &GrpcChannel) -> (Option<Code>, String, Bytes) {
    let (head, body) = call(channel).await.into_parts();
    let collected = body.collect().await.expect("it never fails");
    let trailers = collected.trailers().cloned().unwrap_or_default();
    let text = trailers
        .get("grpc-message")
        .or(head.headers.get("grpc-message"));
    let code = Code::of_fields(&trailers).or(Code::of_fields(&head.headers));
    (
        code,
        text.map(message::decode).unwrap_or_default(),
        collected.to_bytes(),
    )
}

async fn code(channel: &GrpcChannel) -> Option<Code> {
    ended(channel).await.0
}

fn channel(service: &ServiceClient) -> GrpcChannel {
    service.grpc()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_carries_trace_identity_and_deadline_and_brings_back_trailers() {
    let mut service = Service::start().await;
    let setup = set_up(|_| {});
    let users = users(&setup, &[service.address]);
    let channel = channel(&users).timeout(Duration::from_secs(5));
    let channel = channel
        .on_behalf_of("u-1", &["buyer", "admin"])
        .expect("valid");
    let (request, got) = tokio::join!(service.answers(Code::NotFound), ended(&channel));
    assert_eq!(
        (got.0, got.2),
        (Some(Code::NotFound), Bytes::from("message"))
    );
    assert_eq!(
        request.uri().to_string(),
        format!("http://{}{GET}", service.address)
    );
    for (name, value) in [
        ("te", "trailers"),
        ("x-user-id", "u-1"),
        ("x-user-roles", "buyer,admin"),
    ] {
        assert_eq!(request.headers()[name], value, "{name}");
    }
    let left = ieum_grpc::timeout::parse(&request.headers()["grpc-timeout"]).expect("valid");
    assert!(
        left <= Duration::from_secs(5) && left > Duration::from_secs(3),
        "{left:?}"
    );
    let span = setup.spans.0.lock().expect("not poisoned")[0].clone();
    assert_eq!(&*span.name, "shop.v1.Users/Get");
    let trace = request.headers()["traceparent"].to_str().expect("text");
    assert!(trace.contains(&span.span_id.to_string()), "{trace}");
}

#[tokio::test]
async fn a_call_that_never_left_goes_to_another_instance() {
    let mut service = Service::start().await;
    let setup = set_up(|_| {});
    let users = users(&setup, &[dead_address(), service.address]);
    let channel = channel(&users);
    for _ in 0..4 {
        let (_, got) = tokio::join!(service.answers(Code::Ok), code(&channel));
        assert_eq!(got, Some(Code::Ok));
    }
}

#[tokio::test]
async fn unavailable_is_tried_again_only_for_methods_that_may_be_called_twice() {
    let mut service = Service::start().await;
    let setup = set_up(|_| {});
    let users = users(&setup, &[service.address]);
    let once = channel(&users);
    let ((), got) = tokio::join!(service.ends(Code::Unavailable), code(&once));
    assert_eq!(got, Some(Code::Unavailable));
    let twice = channel(&users).idempotent([GET]);
    let serves = async {
        service.ends(Code::Unavailable).await;
        service.answers(Code::Ok).await
    };
    let (again, got) = tokio::join!(serves, code(&twice));
    assert_eq!(got, Some(Code::Ok));
    let body = again
        .into_body()
        .data()
        .await
        .expect("a piece")
        .expect("whole");
    assert_eq!(body, "question");
}

#[tokio::test]
async fn what_keeps_a_call_from_being_answered_is_a_status() {
    let setup = set_up(|_| {});
    let nobody = channel(&users(&setup, &[]));
    assert_eq!(code(&nobody).await, Some(Code::Unavailable));
    let dead = channel(&users(&setup, &[dead_address()]));
    assert_eq!(code(&dead).await, Some(Code::Unavailable));

    let mut service = Service::start().await;
    let soon = channel(&users(&setup, &[service.address])).timeout(Duration::from_millis(50));
    let (_asked, got) = tokio::join!(service.asked(), code(&soon));
    assert_eq!(got, Some(Code::DeadlineExceeded));
    // The stream has begun; the deadline holds for the whole of it.
    let begins = async {
        let (request, mut respond) = service.asked().await;
        (request, begin(&mut respond))
    };
    let (_stream, got) = tokio::join!(begins, ended(&soon));
    assert_eq!(
        (got.0, got.2),
        (Some(Code::DeadlineExceeded), Bytes::from("message"))
    );
    let breaks = async {
        let (_, mut respond) = service.asked().await;
        begin(&mut respond).send_reset(h2::Reason::INTERNAL_ERROR);
    };
    let ((), got) = tokio::join!(breaks, ended(&soon));
    assert_eq!(got.0, Some(Code::Unavailable), "{}", got.1);
}

#[tokio::test]
async fn failures_in_trailers_open_the_breaker() {
    let mut service = Service::start().await;
    let setup = set_up(|_| {});
    let channel = channel(&users(&setup, &[service.address]));
    for _ in 0..5 {
        let (_, got) = tokio::join!(service.answers(Code::Internal), code(&channel));
        assert_eq!(got, Some(Code::Internal));
    }
    let (got, text, _) = ended(&channel).await;
    assert_eq!(got, Some(Code::Unavailable), "{text}");
    assert!(service.asked.is_empty());
}
