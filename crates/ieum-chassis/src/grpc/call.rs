//! Around every call: its span, its figures, its line in the log, and no way out but a status.
//!
//! A call ends with its trailers, which come after its messages, so span and status are kept until
//! then. Messages of a stream are made while the answer is read: they are made under the call's trace
//! too, and a panic among them ends the call and nothing else.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::Body;
use axum::extract::{MatchedPath, Request};
use axum::middleware::Next;
use axum::response::Response;
use bytes::Bytes;
use futures_util::FutureExt;
use http::HeaderMap;
use http_body::{Body as HttpBody, Frame, SizeHint};
use ieum_base::redact;
use ieum_base::trace::{self, Span, SpanKind, TraceContext};
use ieum_grpc::Code;
use ieum_http::propagation;
use tokio::time::Instant;

use super::refusal::{is_grpc, refuse, trailers};
use crate::observe::{Observer, UNMATCHED, name_user};
use crate::telemetry::names::{RequestLabels, method_label};

/// True if a request is a call of gRPC.
pub(crate) fn is_call(headers: &HeaderMap) -> bool {
    is_grpc(headers)
}

/// As for a request of HTTP, with the names and statuses of gRPC.
pub(crate) async fn observe(observer: Arc<Observer>, mut request: Request, next: Next) -> Response {
    let began = Instant::now();
    let id = propagation::request_id(request.headers(), &observer.clock);
    let named = request.headers_mut();
    named.insert(propagation::X_REQUEST_ID, id.clone());
    let mut call = Call::begin(observer, &request);
    let context = call.span.context().clone();
    let handled = trace::scope(context, next.run(request));
    let mut response = match AssertUnwindSafe(handled).catch_unwind().await {
        Ok(response) => as_grpc(response),
        Err(_) => call.panicked(),
    };
    let named = response.headers_mut();
    named.insert(propagation::X_REQUEST_ID, id);
    call.took = Some(began.elapsed());
    match Code::of_fields(response.headers()) {
        Some(code) => {
            call.end(code);
            response
        }
        None => response.map(|inner| {
            let call = Some(call);
            Body::new(Observed { inner, call })
        }),
    }
}

/// A call that has not ended. One that is dropped was taken back by its caller.
struct Call {
    observer: Arc<Observer>,
    span: Span,
    labels: RequestLabels,
    path: String,
    /// From the request's head to the answer's head.
    took: Option<Duration>,
    code: Code,
}

impl Call {
    fn begin(observer: Arc<Observer>, request: &Request) -> Self {
        let route = request.extensions().get::<MatchedPath>();
        let route = route.map_or(UNMATCHED, MatchedPath::as_str).to_owned();
        let rpc = route.trim_start_matches('/').to_owned();
        let span = observer.tracer.span(rpc.clone()).kind(SpanKind::Server);
        let mut span = propagation::below(span, request.headers()).start();
        if let Some((service, method)) = rpc.split_once('/').filter(|_| span.is_recorded()) {
            span.set("rpc.system", "grpc");
            span.set("rpc.service", service.to_owned());
            span.set("rpc.method", method.to_owned());
            name_user(&mut span, request.headers());
        }
        Self {
            span,
            labels: RequestLabels {
                method: method_label(request.method()),
                path: route,
                status_code: 0,
                grpc_status: None,
            },
            path: redact::path(request.uri().path()).into_owned(),
            took: None,
            code: Code::Cancelled,
            observer,
        }
    }

    fn end(mut self, code: Code) {
        self.code = code;
    }

    fn panicked(&mut self) -> Response {
        self.note_panic();
        refuse(Code::Internal, FAILED)
    }

    fn note_panic(&mut self) {
        let trace_id = self.span.context().trace_id;
        tracing::error!(%trace_id, route = self.labels.path, "a handler panicked");
        self.span.fail("the handler panicked");
    }
}

impl Drop for Call {
    fn drop(&mut self) {
        let Self { span, code, .. } = self;
        span.set("rpc.grpc.status_code", i64::from(code.number()));
        if code.is_failure() || *code == Code::Unimplemented {
            span.fail(code.name());
        }
        self.labels.status_code = code.http_status().as_u16();
        self.labels.grpc_status = Some(code.name());
        let took = self.took.unwrap_or_default();
        let (labels, path) = (&self.labels, &self.path);
        let context = self.span.context().clone();
        trace::sync_scope(context, || self.observer.tell(labels, path, took));
    }
}

/// What is no answer of gRPC, such as that of a path that leads nowhere, becomes one.
fn as_grpc(response: Response) -> Response {
    if is_grpc(response.headers()) {
        return response;
    }
    let status = response.status();
    let why = match status.as_u16() {
        404 => "there is no such method",
        _ => status.canonical_reason().unwrap_or("refused"),
    };
    refuse(Code::of_refusal(status), why)
}

/// An answer's body, whose end is the call's.
struct Observed {
    inner: Body,
    call: Option<Call>,
}

impl Observed {
    fn end(&mut self, code: Code) {
        if let Some(call) = self.call.take() {
            call.end(code);
        }
    }

    fn context(&self) -> Option<TraceContext> {
        let call = self.call.as_ref()?;
        Some(call.span.context().clone())
    }
}

impl HttpBody for Observed {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let Some(context) = self.context() else {
            return Poll::Ready(None);
        };
        let poll = || Pin::new(&mut self.inner).poll_frame(cx);
        let Ok(polled) = catch_unwind(AssertUnwindSafe(|| trace::sync_scope(context, poll))) else {
            if let Some(call) = &mut self.call {
                call.note_panic();
            }
            self.end(Code::Internal);
            let end = trailers(Code::Internal, FAILED);
            return Poll::Ready(Some(Ok(Frame::trailers(end))));
        };
        match &polled {
            Poll::Ready(Some(Ok(frame))) => {
                if let Some(trailers) = frame.trailers_ref() {
                    self.end(Code::of_fields(trailers).unwrap_or(Code::Unknown));
                }
            }
            Poll::Ready(Some(Err(_))) => self.end(Code::Internal),
            Poll::Ready(None) => self.end(Code::Unknown),
            Poll::Pending => {}
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.call.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

const FAILED: &str = "the service failed; its log has the reason under this call's trace id";
