//! Calls through the frame: what a caller and an operator see of them.

use std::convert::Infallible;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::response::Response;
use bytes::Bytes;
use futures_util::{StreamExt, stream};
use http::{HeaderMap, StatusCode};
use http_body::Frame;
use http_body_util::{BodyExt, StreamBody};
use ieum_base::trace::{self, SpanData, SpanSink};
use ieum_grpc::{Code, Prefix, message};
use prost::Message;
use prost_types::{
    FileDescriptorProto, FileDescriptorSet, MethodDescriptorProto, ServiceDescriptorProto,
};
use tonic_health::pb::{HealthCheckRequest, HealthCheckResponse};
use tonic_reflection::pb::v1::server_reflection_request::MessageRequest;
use tonic_reflection::pb::v1::server_reflection_response::MessageResponse;
use tonic_reflection::pb::v1::{ServerReflectionRequest, ServerReflectionResponse};
use tower::ServiceExt;

use super::Services;
use crate::{Chassis, Config, Health, Metrics};

const CHECK: &str = "/grpc.health.v1.Health/Check";
const WATCH: &str = "/grpc.health.v1.Health/Watch";
const PARENT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

#[derive(Clone, Default)]
struct Spans(Arc<Mutex<Vec<SpanData>>>);

impl SpanSink for Spans {
    fn record(&self, span: SpanData) {
        self.0.lock().expect("not poisoned").push(span);
    }
}

/// A service that serves `test.v1.Echo` over gRPC.
struct Bench {
    router: Router,
    health: Health,
    metrics: Metrics,
    spans: Spans,
}

impl Bench {
    fn new() -> Self {
        let services = Services::described_by(descriptors()).expect("descriptors");
        let services = services.with("test.v1.Echo", tower::service_fn(echo));
        let spans = Spans::default();
        let config = Config {
            health_cache: ieum_base::HumanDuration::default(),
            ..Config::new("echo")
        };
        let chassis = Chassis::new(config).spans_to(Arc::new(spans.clone()));
        let mut chassis = chassis.grpc(services.expect("described")).expect("mounted");
        Self {
            health: chassis.health_checks().clone(),
            metrics: chassis.metrics().clone(),
            router: chassis.frame(),
            spans,
        }
    }

    async fn call(&self, path: &str, headers: &[(&'static str, &str)], body: Body) -> Response {
        let mut request = Request::post(path).header("content-type", "application/grpc");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(body).expect("a request");
        let Ok(response) = self.router.clone().oneshot(request).await;
        response
    }

    /// The messages of an answer, and its status.
    async fn ask(&self, path: &str, headers: &[(&'static str, &str)], body: Body) -> Answer {
        read(self.call(path, headers, body).await).await
    }

    async fn status(&self, path: &str) -> Code {
        self.ask(path, &[], Body::empty()).await.code
    }

    /// How many calls of this route ended like this.
    fn counted(&self, path: &str, labels: &str) -> bool {
        let line = format!("api_requests_total{{method=\"POST\",path=\"{path}\",{labels}}} 1\n");
        self.metrics.encode().contains(&line)
    }
}

struct Answer {
    code: Code,
    why: String,
    data: Bytes,
}

async fn read(response: Response) -> Answer {
    assert_eq!(response.status(), StatusCode::OK);
    assert_eq!(response.headers()["content-type"], "application/grpc");
    let (head, body) = response.into_parts();
    let body = body.collect().await.expect("a body");
    let trailers = body.trailers().cloned().unwrap_or_default();
    let end = match Code::of_fields(&head.headers) {
        Some(_) => &head.headers,
        None => &trailers,
    };
    let why = end.get(message::GRPC_MESSAGE).map(message::decode);
    Answer {
        code: Code::of_fields(end).expect("a status"),
        why: why.unwrap_or_default(),
        data: body.to_bytes(),
    }
}

fn descriptors() -> &'static [u8] {
    let method = |name: &str| MethodDescriptorProto {
        name: Some(name.to_owned()),
        ..MethodDescriptorProto::default()
    };
    let methods = ["Say", "Wait", "Hang", "Talk", "Fall", "Fail", "Trace"];
    let file = FileDescriptorProto {
        name: Some("echo.proto".to_owned()),
        package: Some("test.v1".to_owned()),
        service: vec![ServiceDescriptorProto {
            name: Some("Echo".to_owned()),
            method: methods.map(method).into(),
            ..ServiceDescriptorProto::default()
        }],
        ..FileDescriptorProto::default()
    };
    FileDescriptorSet { file: vec![file] }
        .encode_to_vec()
        .leak()
}

/// Speaks gRPC without knowing any message.
async fn echo(request: Request) -> Result<Response, Infallible> {
    let data = |text: String| Ok::<_, Infallible>(Frame::data(Bytes::from(text)));
    let end = |code: Code| Ok(Frame::trailers(super::refusal::trailers(code, "")));
    let frames = match request.uri().path() {
        "/test.v1.Echo/Say" => stream::iter([data("hi".into()), end(Code::Ok)]).boxed(),
        "/test.v1.Echo/Wait" => std::future::pending().await,
        "/test.v1.Echo/Hang" => stream::iter([data("hi".into())])
            .chain(stream::pending())
            .boxed(),
        "/test.v1.Echo/Talk" => stream::repeat_with(move || data("hi".into())).boxed(),
        "/test.v1.Echo/Fall" => panic!("it fell"),
        "/test.v1.Echo/Fail" => stream::once(async { panic!("it fell later") }).boxed(),
        "/test.v1.Echo/Trace" => stream::once(async { trace::current() })
            .map(move |trace| data(trace.expect("a trace").trace_id.to_string()))
            .chain(stream::iter([end(Code::Ok)]))
            .boxed(),
        _ => {
            return Ok(super::refusal::refuse(
                Code::Unimplemented,
                "no such method",
            ));
        }
    };
    let mut response = Response::new(Body::new(StreamBody::new(frames)));
    let media_type = http::HeaderValue::from_static("application/grpc");
    response.headers_mut().insert("content-type", media_type);
    Ok(response)
}

fn framed(message: &impl Message) -> Body {
    let message = message.encode_to_vec();
    let prefix = Prefix {
        is_compressed: false,
        length: u32::try_from(message.len()).expect("small"),
    };
    Body::from([&prefix.write()[..], &message].concat())
}

fn unframed<M: Message + Default>(data: &[u8]) -> M {
    M::decode(&data[Prefix::LENGTH..]).expect("a message")
}

fn of(service: &str) -> Body {
    framed(&HealthCheckRequest {
        service: service.to_owned(),
    })
}

#[tokio::test]
async fn a_call_is_counted_and_traced_under_its_method_and_status() {
    let bench = Bench::new();
    let headers = [("traceparent", PARENT), ("x-user-id", "u-1")];
    let answer = bench
        .ask("/test.v1.Echo/Trace", &headers, Body::empty())
        .await;
    assert_eq!(answer.data, "0af7651916cd43dd8448eb211c80319c");
    assert_eq!(answer.code, Code::Ok);
    assert!(bench.counted(
        "/test.v1.Echo/Trace",
        "status_code=\"200\",grpc_status=\"OK\""
    ));
    let spans = std::mem::take(&mut *bench.spans.0.lock().expect("not poisoned"));
    let [span] = &*spans else {
        panic!("one span: {spans:?}");
    };
    assert_eq!(span.name, "test.v1.Echo/Trace");
    let said = format!("{:?}", span.attributes);
    for part in ["rpc.system", "test.v1.Echo", "rpc.grpc.status_code", "u-1"] {
        assert!(said.contains(part), "{said}");
    }
}

#[tokio::test]
async fn what_nobody_serves_is_unimplemented_and_gives_no_label() {
    let bench = Bench::new();
    assert_eq!(
        bench.status("/test.v1.Echo/Typo").await,
        Code::Unimplemented
    );
    assert_eq!(
        bench.status("/test.v1.Nobody/Say").await,
        Code::Unimplemented
    );
    let labels = "status_code=\"501\",grpc_status=\"UNIMPLEMENTED\"";
    assert!(bench.counted("/test.v1.Echo/{*method}", labels));
    assert!(bench.counted("{unmatched}", labels));
}

#[tokio::test]
async fn what_is_no_call_is_refused_as_http_does() {
    let bench = Bench::new();
    let request = Request::post("/test.v1.Echo/Say").header("content-type", "application/json");
    let request = request.body(Body::empty()).expect("a request");
    let Ok(response) = bench.router.clone().oneshot(request).await;
    assert_eq!(response.status(), StatusCode::UNSUPPORTED_MEDIA_TYPE);
}

#[tokio::test(start_paused = true)]
async fn a_call_ends_at_its_deadline_before_and_within_its_answer() {
    let bench = Bench::new();
    for method in ["Wait", "Hang"] {
        let path = format!("/test.v1.Echo/{method}");
        let began = tokio::time::Instant::now();
        let answer = bench
            .ask(&path, &[("grpc-timeout", "250m")], Body::empty())
            .await;
        assert_eq!(answer.code, Code::DeadlineExceeded);
        assert_eq!(began.elapsed(), Duration::from_millis(250));
        let labels = "status_code=\"504\",grpc_status=\"DEADLINE_EXCEEDED\"";
        assert!(bench.counted(&path, labels));
    }
    let answer = bench.ask(
        "/test.v1.Echo/Say",
        &[("grpc-timeout", "soon")],
        Body::empty(),
    );
    assert_eq!(answer.await.code, Code::InvalidArgument);
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_never_pauses_ends_at_the_deadline_too() {
    let bench = Bench::new();
    let headers = [("grpc-timeout", "250m")];
    let answer = bench.call("/test.v1.Echo/Talk", &headers, Body::empty());
    let mut body = answer.await.into_body();
    let first = body.frame().await.expect("a frame").expect("whole");
    assert!(first.is_data());
    tokio::time::advance(Duration::from_millis(250)).await;
    let last = body.frame().await.expect("a frame").expect("whole");
    let code = last.trailers_ref().and_then(Code::of_fields);
    assert_eq!(code, Some(Code::DeadlineExceeded));
}

#[tokio::test]
async fn a_panic_ends_the_call_and_says_nothing() {
    let bench = Bench::new();
    for method in ["Fall", "Fail"] {
        let path = format!("/test.v1.Echo/{method}");
        let answer = bench.ask(&path, &[], Body::empty()).await;
        assert_eq!(answer.code, Code::Internal);
        assert!(!answer.why.contains("it fell"), "{}", answer.why);
        let labels = "status_code=\"500\",grpc_status=\"INTERNAL\"";
        assert!(bench.counted(&path, labels));
    }
}

#[tokio::test]
async fn a_call_that_its_caller_leaves_is_cancelled() {
    let bench = Bench::new();
    let response = bench.call("/test.v1.Echo/Hang", &[], Body::empty()).await;
    drop(response);
    let labels = "status_code=\"499\",grpc_status=\"CANCELLED\"";
    assert!(bench.counted("/test.v1.Echo/Hang", labels));
}

#[tokio::test]
async fn a_message_that_is_too_large_is_refused_when_its_length_has_come() {
    let bench = Bench::new();
    let prefix = Prefix {
        is_compressed: false,
        length: 100 << 20,
    };
    // Nothing ever comes after the length.
    let frames = stream::iter([Ok::<_, Infallible>(Bytes::copy_from_slice(&prefix.write()))]);
    let body = Body::from_stream(frames.chain(stream::pending()));
    let answer = bench.ask(CHECK, &[], body).await;
    assert_eq!(answer.code, Code::ResourceExhausted);
    assert!(answer.why.contains("104857600"), "{}", answer.why);
}

#[tokio::test]
async fn a_compressed_message_is_not_unpacked() {
    let bench = Bench::new();
    let bomb = Body::from(&[1, 0, 0, 0, 1, 0][..]);
    let answer = bench.ask(CHECK, &[("grpc-encoding", "gzip")], bomb).await;
    assert_eq!(answer.code, Code::Unimplemented);
}

#[tokio::test]
async fn health_says_what_the_checks_say_and_is_not_counted() {
    let bench = Bench::new();
    let status = async |service: &str| {
        let answer = bench.ask(CHECK, &[], of(service)).await;
        let status = || {
            unframed::<HealthCheckResponse>(&answer.data)
                .status()
                .as_str_name()
        };
        (answer.code == Code::Ok).then(status).ok_or(answer.code)
    };
    assert_eq!(status("").await, Ok("SERVING"));
    assert_eq!(status("test.v1.Echo").await, Ok("SERVING"));
    assert_eq!(status("test.v1.Nobody").await, Err(Code::NotFound));
    bench
        .health
        .add("database", || async { Err("no such file") });
    assert_eq!(status("test.v1.Echo").await, Ok("NOT_SERVING"));
    assert!(!bench.metrics.encode().contains("grpc.health"));
    assert!(bench.spans.0.lock().expect("not poisoned").is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_watcher_is_told_of_changes_and_let_go_at_the_stop() {
    let bench = Bench::new();
    let mut body = bench.call(WATCH, &[], of("")).await.into_body();
    let mut next = async || {
        let frame = body.frame().await?.expect("a frame");
        match frame.into_data() {
            Ok(data) => Some(
                unframed::<HealthCheckResponse>(&data)
                    .status()
                    .as_str_name(),
            ),
            Err(frame) => {
                let end: &HeaderMap = frame.trailers_ref().expect("trailers");
                Some(Code::of_fields(end).expect("a status").name())
            }
        }
    };
    assert_eq!(next().await, Some("SERVING"));
    bench
        .health
        .add("database", || async { Err("no such file") });
    assert_eq!(next().await, Some("NOT_SERVING"));
    bench
        .health
        .add("database", || async { Ok::<_, Infallible>(()) });
    assert_eq!(next().await, Some("SERVING"));
    bench.health.not_ready();
    assert_eq!(next().await, Some("NOT_SERVING"));
    assert_eq!(next().await, Some("UNAVAILABLE"));
    assert_eq!(next().await, None);
}

#[tokio::test]
async fn reflection_lists_the_services_and_describes_them() {
    let bench = Bench::new();
    let ask = async |version: &str, asked: MessageRequest| {
        let path = format!("/grpc.reflection.{version}.ServerReflection/ServerReflectionInfo");
        let request = ServerReflectionRequest {
            message_request: Some(asked),
            ..ServerReflectionRequest::default()
        };
        let answer = bench.ask(&path, &[], framed(&request)).await;
        assert_eq!(answer.code, Code::Ok);
        let answer = unframed::<ServerReflectionResponse>(&answer.data);
        answer.message_response.expect("an answer")
    };
    for version in ["v1", "v1alpha"] {
        let listed = ask(version, MessageRequest::ListServices(String::new())).await;
        let MessageResponse::ListServicesResponse(listed) = listed else {
            panic!("{listed:?}");
        };
        let names: Vec<_> = listed
            .service
            .iter()
            .map(|service| &*service.name)
            .collect();
        let expected = [
            "test.v1.Echo",
            "grpc.health.v1.Health",
            "grpc.reflection.v1.ServerReflection",
            "grpc.reflection.v1alpha.ServerReflection",
        ];
        assert_eq!(names, expected);
        let symbol = MessageRequest::FileContainingSymbol("test.v1.Echo".to_owned());
        let MessageResponse::FileDescriptorResponse(files) = ask(version, symbol).await else {
            panic!("no file");
        };
        assert_eq!(files.file_descriptor_proto.len(), 1);
    }
}

#[test]
fn a_service_that_is_not_described_is_refused() {
    let services = Services::described_by(descriptors()).expect("descriptors");
    let refused = services.with("test.v1.Nobody", tower::service_fn(echo));
    assert!(
        refused
            .expect_err("refused")
            .to_string()
            .contains("test.v1.Nobody")
    );
    Services::described_by(b"\xff").expect_err("damaged");
}
