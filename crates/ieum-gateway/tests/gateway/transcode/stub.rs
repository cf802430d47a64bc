//! A server of gRPC that answers what a test tells it to, frame by frame: also what no library would.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, LazyLock, Mutex};
use std::task::{Context, Poll};

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response};
use http_body::{Body, Frame};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use ieum_base::{Stop, TaskKind, Tasks};
use ieum_grpc::{Code, Prefix, Reader};
use prost::Message;
use prost_reflect::{DescriptorPool, DynamicMessage};
use tokio::net::TcpListener;
use tokio::runtime::Runtime;

/// A running server; dropping it closes its connections.
pub(super) struct GrpcStub {
    address: SocketAddr,
    seen: Arc<Seen>,
    _runtime: Runtime,
}

#[derive(Default)]
struct Seen {
    calls: Mutex<Vec<Call>>,
    /// Answers that were neither finished nor dropped.
    running: AtomicUsize,
}

/// A call that it received.
#[derive(Clone)]
pub(super) struct Call {
    pub(super) path: String,
    pub(super) headers: HeaderMap,
    pub(super) messages: Vec<Bytes>,
}

/// What it answers.
#[derive(Clone, Default)]
pub(super) struct Answer {
    head: HeaderMap,
    pieces: Vec<Bytes>,
    trailers: Option<HeaderMap>,
    is_endless: bool,
    media_type: Option<&'static str>,
    status: Option<u16>,
}

impl GrpcStub {
    pub(super) fn start(answer: impl Fn(&Call) -> Answer + Send + Sync + 'static) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .expect("a runtime");
        let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0"));
        let listener = listener.expect("a port");
        let address = listener.local_addr().expect("an address");
        let seen = Arc::<Seen>::default();
        let _entered = runtime.enter();
        let tasks = Tasks::new(Stop::new());
        let (accepting, seen_by_all) = (tasks.clone(), Arc::clone(&seen));
        let answer = Arc::new(answer);
        tasks.spawn(TaskKind::Background, "stub", async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (answer, seen) = (Arc::clone(&answer), Arc::clone(&seen_by_all));
                let service = service_fn(move |request| {
                    let (answer, seen) = (Arc::clone(&answer), Arc::clone(&seen));
                    async move { Ok::<_, Infallible>(serve(request, &*answer, seen).await) }
                });
                let http = hyper::server::conn::http2::Builder::new(TokioExecutor::new());
                let connection = http.serve_connection(TokioIo::new(stream), service);
                accepting.spawn(TaskKind::Request, "stub-connection", async move {
                    // A client that leaves ends only its connection.
                    drop(connection.await);
                });
            }
        });
        drop(_entered);
        Self {
            address,
            seen,
            _runtime: runtime,
        }
    }

    pub(super) fn address(&self) -> String {
        self.address.to_string()
    }

    pub(super) fn calls(&self) -> Vec<Call> {
        self.seen.calls.lock().expect("not poisoned").clone()
    }

    /// Answers that somebody still takes.
    pub(super) fn running(&self) -> usize {
        self.seen.running.load(Ordering::Acquire)
    }
}

async fn serve(
    request: Request<Incoming>,
    answer: &(impl Fn(&Call) -> Answer + Send + Sync),
    seen: Arc<Seen>,
) -> Response<StubBody> {
    let (head, body) = request.into_parts();
    let body = body.collect().await.map(|body| body.to_bytes());
    let mut reader = Reader::new(u64::MAX);
    reader.push(&body.unwrap_or_default());
    let mut messages = Vec::new();
    while let Ok(Some((_, message))) = reader.next_message() {
        messages.push(message);
    }
    let call = Call {
        path: head.uri.path().to_owned(),
        headers: head.headers,
        messages,
    };
    let answer = answer(&call);
    seen.calls.lock().expect("not poisoned").push(call);
    answer.into_response(seen)
}

impl Call {
    /// The first message, in the text format.
    pub(super) fn text(&self) -> String {
        let message = self.messages.first().cloned().unwrap_or_default();
        decode(&message).to_string()
    }

    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }
}

impl Answer {
    /// Messages in the text format, and the status OK.
    pub(super) fn ok(messages: &[&str]) -> Self {
        Self::ended(messages, Code::Ok, "")
    }

    /// Messages, and a status in trailers.
    pub(super) fn ended(messages: &[&str], code: Code, text: &str) -> Self {
        Self {
            pieces: messages.iter().map(|message| framed(message)).collect(),
            trailers: Some(status(code, text)),
            ..Self::default()
        }
    }

    /// A status in the head, and nothing else.
    pub(super) fn only(code: Code, text: &str) -> Self {
        Self {
            head: status(code, text),
            ..Self::default()
        }
    }

    /// Messages, and then silence.
    pub(super) fn endless(messages: &[&str]) -> Self {
        Self {
            is_endless: true,
            ..Self::ok(messages)
        }
    }

    /// Bytes as they are, without a status.
    pub(super) fn raw(bytes: impl Into<Bytes>) -> Self {
        Self {
            pieces: vec![bytes.into()],
            ..Self::default()
        }
    }

    /// The same, in pieces.
    pub(super) fn in_pieces<'a>(pieces: impl Iterator<Item = &'a [u8]>) -> Self {
        Self {
            pieces: pieces.map(Bytes::copy_from_slice).collect(),
            ..Self::default()
        }
    }

    pub(super) fn header(mut self, name: &'static str, value: &str) -> Self {
        let value = value.parse().expect("a value");
        self.head.append(HeaderName::from_static(name), value);
        self
    }

    pub(super) fn trailer(mut self, name: &'static str, value: &str) -> Self {
        let value: HeaderValue = value.parse().expect("a value");
        let trailers = self.trailers.get_or_insert_default();
        trailers.append(HeaderName::from_static(name), value);
        self
    }

    /// Another status and media type than those of gRPC.
    pub(super) fn of_http(mut self, status: u16, media_type: &'static str) -> Self {
        self.status = Some(status);
        self.media_type = Some(media_type);
        self
    }

    fn into_response(self, seen: Arc<Seen>) -> Response<StubBody> {
        let mut frames: VecDeque<Frame<Bytes>> = self.pieces.into_iter().map(Frame::data).collect();
        if let Some(trailers) = self.trailers.filter(|_| !self.is_endless) {
            frames.push_back(Frame::trailers(trailers));
        }
        seen.running.fetch_add(1, Ordering::AcqRel);
        let mut response = Response::new(StubBody {
            frames,
            is_endless: self.is_endless,
            seen,
        });
        *response.status_mut() = self.status.unwrap_or(200).try_into().expect("a status");
        *response.headers_mut() = self.head;
        let media_type = HeaderValue::from_static(self.media_type.unwrap_or("application/grpc"));
        response.headers_mut().insert("content-type", media_type);
        response
    }
}

struct StubBody {
    frames: VecDeque<Frame<Bytes>>,
    is_endless: bool,
    seen: Arc<Seen>,
}

impl Body for StubBody {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        match self.frames.pop_front() {
            Some(frame) => Poll::Ready(Some(Ok(frame))),
            None if self.is_endless => Poll::Pending,
            None => Poll::Ready(None),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.frames.is_empty() && !self.is_endless
    }
}

impl Drop for StubBody {
    fn drop(&mut self) {
        self.seen.running.fetch_sub(1, Ordering::AcqRel);
    }
}

fn status(code: Code, text: &str) -> HeaderMap {
    let mut fields = HeaderMap::new();
    fields.insert("grpc-status", code.field());
    if !text.is_empty() {
        fields.insert("grpc-message", ieum_grpc::message::encode(text));
    }
    fields
}

/// `test.proto` of `ieum-grpc`, compiled with its imports; once, for all tests.
pub(super) fn descriptors() -> &'static [u8] {
    static SET: LazyLock<Vec<u8>> = LazyLock::new(|| {
        let crates = concat!(env!("CARGO_MANIFEST_DIR"), "/..");
        let own = format!("{crates}/ieum-grpc/testdata");
        let shared = format!("{crates}/../shop/proto");
        let mut compiler = protox::Compiler::new([own, shared]).expect("folders");
        compiler.include_imports(true);
        compiler
            .open_file("test.proto")
            .expect("a proto that compiles");
        compiler.encode_file_descriptor_set()
    });
    &SET
}

fn pool() -> &'static DescriptorPool {
    static POOL: LazyLock<DescriptorPool> =
        LazyLock::new(|| DescriptorPool::decode(descriptors()).expect("descriptors"));
    &POOL
}

fn decode(message: &[u8]) -> DynamicMessage {
    let kind = pool()
        .get_message_by_name("test.v1.Everything")
        .expect("a message");
    DynamicMessage::decode(kind, message).expect("a message")
}

/// A message of the text format, with its prefix.
pub(super) fn framed(text: &str) -> Bytes {
    let kind = pool()
        .get_message_by_name("test.v1.Everything")
        .expect("a message");
    let message = DynamicMessage::parse_text_format(kind, text).expect("a message's text");
    frame(&message.encode_to_vec())
}

/// Bytes with the prefix of a message.
pub(super) fn frame(message: &[u8]) -> Bytes {
    let prefix = Prefix {
        is_compressed: false,
        length: u32::try_from(message.len()).expect("small"),
    };
    [&prefix.write(), message].concat().into()
}
