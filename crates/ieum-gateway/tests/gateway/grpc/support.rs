//! A service and a caller of gRPC whose every frame the test decides.

use std::time::Duration;

use bytes::Bytes;
use h2::client::SendRequest;
use h2::server::SendResponse;
use h2::{RecvStream, SendStream};
use http::{HeaderMap, Request, Response};
use ieum_base::{Stop, TaskKind, Tasks};
use ieum_grpc::{Code, Prefix, message};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use crate::support::{World, gateway};

/// A service that hands over what it is asked.
pub(super) struct Service {
    asked: UnboundedReceiver<Asked>,
}

/// A call as the service sees it.
pub(super) struct Asked {
    pub(super) head: http::request::Parts,
    pub(super) body: RecvStream,
    respond: SendResponse<Bytes>,
}

/// A call as the caller sees it.
pub(super) struct Call {
    pub(super) response: h2::client::ResponseFuture,
    pub(super) upload: SendStream<Bytes>,
}

/// What a caller got in the end.
#[derive(Debug)]
pub(super) struct Ended {
    pub(super) head: HeaderMap,
    pub(super) body: Vec<u8>,
    pub(super) trailers: HeaderMap,
}

impl Service {
    fn start(listener: std::net::TcpListener, tasks: &Tasks) -> Self {
        let listener = TcpListener::from_std(listener).expect("a listener");
        let (ask, asked) = unbounded_channel();
        let all = tasks.clone();
        tasks.spawn(TaskKind::Background, "service", async move {
            while let Ok((stream, _)) = listener.accept().await {
                all.spawn(TaskKind::Request, "connection", serve(stream, ask.clone()));
            }
        });
        Self { asked }
    }

    /// The next call that reaches it.
    pub(super) async fn asked(&mut self) -> Asked {
        let asked = tokio::time::timeout(PATIENCE, self.asked.recv()).await;
        asked.expect("asked in time").expect("it runs")
    }

    /// True if no call has reached it that nobody knows of.
    pub(super) fn is_quiet(&self) -> bool {
        self.asked.is_empty()
    }
}

async fn serve(stream: TcpStream, ask: UnboundedSender<Asked>) {
    let Ok(mut connection) = h2::server::handshake(stream).await else {
        return;
    };
    while let Some(Ok((request, respond))) = connection.accept().await {
        let (head, body) = request.into_parts();
        let _ = ask.send(Asked {
            head,
            body,
            respond,
        });
    }
}

impl Asked {
    /// Answers with a head, after which messages may come.
    pub(super) fn begin(&mut self) -> SendStream<Bytes> {
        let response = Response::builder().header("content-type", "application/grpc");
        let response = response.header("x-head", "yes").body(()).expect("valid");
        self.respond.send_response(response, false).expect("open")
    }

    /// Answers with trailers only.
    pub(super) fn end(mut self, code: Code) {
        let response = Response::builder()
            .header("content-type", "application/grpc")
            .header("grpc-status", code.field());
        let response = response.body(()).expect("valid");
        self.respond.send_response(response, true).expect("open");
    }

    /// Answers one message and a status.
    pub(super) fn answer(mut self, text: &str, code: Code) {
        let mut stream = self.begin();
        stream.send_data(framed(text), false).expect("open");
        finish(&mut stream, code);
    }

    /// Answers as one who does not speak gRPC.
    pub(super) fn answer_http(mut self, status: u16) {
        let response = Response::builder().status(status);
        let response = response.body(()).expect("valid");
        self.respond.send_response(response, true).expect("open");
    }

    pub(super) fn reset(mut self, reason: h2::Reason) {
        self.respond.send_reset(reason);
    }

    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.head.headers.get(name)?.to_str().ok()
    }

    /// Resolves when the caller has reset a call that was not answered yet.
    pub(super) async fn is_reset(&mut self) -> h2::Reason {
        let reset = std::future::poll_fn(|cx| self.respond.poll_reset(cx));
        let reset = tokio::time::timeout(PATIENCE, reset).await;
        reset.expect("reset in time").expect("a reset")
    }
}

/// Resolves when the caller has reset a call whose answer had begun.
pub(super) async fn is_reset(answer: &mut SendStream<Bytes>) -> h2::Reason {
    let reset = std::future::poll_fn(|cx| answer.poll_reset(cx));
    let reset = tokio::time::timeout(PATIENCE, reset).await;
    reset.expect("reset in time").expect("a reset")
}

/// Ends a stream with a status.
pub(super) fn finish(stream: &mut SendStream<Bytes>, code: Code) {
    let mut trailers = HeaderMap::new();
    trailers.insert("grpc-status", code.field());
    trailers.insert("x-tail", "yes".parse().expect("valid"));
    stream.send_trailers(trailers).expect("open");
}

/// A message with its prefix.
pub(super) fn framed(text: &str) -> Bytes {
    let prefix = Prefix {
        is_compressed: false,
        length: u32::try_from(text.len()).expect("short"),
    };
    [&prefix.write(), text.as_bytes()].concat().into()
}

/// Takes the next piece of a body.
pub(super) async fn piece(body: &mut RecvStream) -> Bytes {
    let piece = tokio::time::timeout(PATIENCE, body.data()).await;
    let piece = piece.expect("in time").expect("a piece").expect("whole");
    let _ = body.flow_control().release_capacity(piece.len());
    piece
}

/// A caller's connection to the gateway.
pub(super) async fn connect(world: &World, tasks: &Tasks) -> SendRequest<Bytes> {
    let stream = TcpStream::connect(world.handle.addr()).await;
    let shaken = h2::client::handshake(stream.expect("connected")).await;
    let (sender, connection) = shaken.expect("a handshake");
    tasks.spawn(TaskKind::Background, "caller", async move {
        let _ = connection.await;
    });
    sender.ready().await.expect("ready")
}

/// Begins a call, with these headers beside those of gRPC.
pub(super) fn call(sender: &mut SendRequest<Bytes>, path: &str, headers: &[(&str, &str)]) -> Call {
    let request = Request::post(format!("http://shop.example{path}"));
    let mut request = request.body(()).expect("valid");
    let all = [
        ("content-type", "application/grpc+proto"),
        ("te", "trailers"),
    ];
    for (name, value) in all.iter().chain(headers) {
        let name: http::HeaderName = name.parse().expect("a name");
        request
            .headers_mut()
            .insert(name, value.parse().expect("a value"));
    }
    let (response, upload) = sender.send_request(request, false).expect("open");
    Call { response, upload }
}

/// Makes a call with one message.
pub(super) fn ask(sender: &mut SendRequest<Bytes>, path: &str, headers: &[(&str, &str)]) -> Call {
    let mut call = call(sender, path, headers);
    // It may have been refused already.
    let _ = call.upload.send_data(framed("question"), true);
    call
}

impl Call {
    /// The head, and the body that follows.
    pub(super) async fn head(self) -> (http::response::Parts, RecvStream) {
        let response = tokio::time::timeout(PATIENCE, self.response).await;
        response.expect("in time").expect("answered").into_parts()
    }

    /// The whole answer.
    pub(super) async fn ended(self) -> Ended {
        let (head, body) = self.head().await;
        assert_eq!(head.status, 200);
        rest(head.headers, body).await
    }
}

/// What is left of an answer.
pub(super) async fn rest(head: HeaderMap, mut stream: RecvStream) -> Ended {
    let mut body = Vec::new();
    while let Some(piece) = stream.data().await {
        let piece = piece.expect("whole");
        let _ = stream.flow_control().release_capacity(piece.len());
        body.extend_from_slice(&piece);
    }
    let trailers = stream.trailers().await.expect("whole");
    Ended {
        head,
        body,
        trailers: trailers.unwrap_or_default(),
    }
}

impl Ended {
    /// The code, from wherever it stands.
    pub(super) fn code(&self) -> Option<Code> {
        Code::of_fields(&self.trailers).or(Code::of_fields(&self.head))
    }

    fn field(&self, name: &str) -> Option<&http::HeaderValue> {
        self.trailers.get(name).or(self.head.get(name))
    }

    /// The status and the code of ours.
    #[track_caller]
    pub(super) fn assert_refused(&self, code: Code, ours: &str) {
        let text = self.field("grpc-message").map(message::decode);
        assert_eq!(self.code(), Some(code), "{self:?}");
        assert_eq!(
            self.field("ieum-code").map(|v| v.as_bytes()),
            Some(ours.as_bytes()),
            "{text:?}"
        );
        assert!(text.is_some_and(|text| text.ends_with(&format!("({ours})"))));
    }
}

/// Runs a test with a gateway that has a route to a service, with these settings, and a caller.
pub(super) fn with(extra: &str, test: impl AsyncFnOnce(&World, Service, SendRequest<Bytes>)) {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    listener.set_nonblocking(true).expect("a socket");
    let address = listener.local_addr().expect("bound");
    let world = open(&address.to_string(), extra);
    world.runtime.block_on(async {
        let tasks = Tasks::new(Stop::new());
        let service = Service::start(listener, &tasks);
        let caller = connect(&world, &tasks).await;
        test(&world, service, caller).await;
    });
}

/// A gateway with one route to `address`, and more of its settings.
pub(super) fn open(address: &str, extra: &str) -> World {
    gateway(&format!(
        "[[gateway.routes]]\nname = 'users'\npath = '/shop.v1.Users'\nauth = 'none'\ngrpc = true\n\
         url = 'http://{address}'\n{extra}\n"
    ))
}

pub(super) const METHOD: &str = "/shop.v1.Users/Get";
const PATIENCE: Duration = Duration::from_secs(10);
