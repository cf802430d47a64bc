//! The body of an answer, and what ends with it.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Response};
use http_body::{Body, Frame};
use ieum_base::Deadline;
use ieum_base::trace::Span;
use ieum_discovery::{Outcome, Picked};
use ieum_grpc::message::{self, GRPC_MESSAGE};
use ieum_grpc::{Code, GRPC_STATUS};
use ieum_http::BoxError;
use ieum_resilience::bulkhead::Permit;
use tokio::time::{Sleep, sleep_until};

/// The body of an answer: its messages, then trailers. An answer that breaks off, or whose time is
/// over, ends with trailers that say so; it never fails.
pub struct GrpcBody(Option<Box<Open>>);

/// What a call occupies until its answer has ended.
pub(super) struct Held {
    pub(super) picked: Picked,
    pub(super) span: Span,
    #[expect(dead_code, reason = "held for its drop")]
    pub(super) place: Permit,
}

struct Open {
    stream: Pin<Box<dyn Body<Data = Bytes, Error = BoxError> + Send>>,
    deadline: Option<Pin<Box<Sleep>>>,
    /// Until the end.
    held: Option<Held>,
    /// The code, if the head had one.
    in_head: Option<Code>,
}

/// Why there is no answer, or no more of one, as a status.
#[derive(Debug)]
pub(super) struct Refused {
    pub(super) code: Code,
    pub(super) message: String,
}

impl Refused {
    pub(super) fn new(code: Code, message: impl Into<String>) -> Self {
        let message = message.into();
        Self { code, message }
    }

    fn trailers(&self) -> HeaderMap {
        let mut fields = HeaderMap::with_capacity(4);
        fields.insert(GRPC_STATUS, self.code.field());
        fields.insert(GRPC_MESSAGE, message::encode(&self.message));
        fields
    }

    /// The answer that has trailers only.
    pub(super) fn into_response(self) -> Response<GrpcBody> {
        let mut response = Response::new(GrpcBody(None));
        *response.headers_mut() = self.trailers();
        let kind = HeaderValue::from_static("application/grpc");
        response
            .headers_mut()
            .insert(http::header::CONTENT_TYPE, kind);
        response
    }
}

impl GrpcBody {
    pub(super) fn new(
        stream: impl Body<Data = Bytes, Error = BoxError> + Send + 'static,
        in_head: Option<Code>,
        deadline: Option<Deadline>,
        held: Held,
    ) -> Self {
        let has_ended = stream.is_end_stream();
        let mut open = Open {
            stream: Box::pin(stream),
            deadline: deadline.map(|deadline| Box::pin(sleep_until(deadline.instant()))),
            held: Some(held),
            in_head,
        };
        match in_head {
            Some(code) if has_ended => {
                open.close(code);
                Self(None)
            }
            _ => Self(Some(Box::new(open))),
        }
    }
}

impl Open {
    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<Frame<Bytes>>> {
        // Before the answer, which may always have a next message.
        if let Some(deadline) = &mut self.deadline
            && deadline.as_mut().poll(cx).is_ready()
        {
            let refused = Refused::new(Code::DeadlineExceeded, "the deadline has passed");
            return Poll::Ready(Some(self.refuse(&refused)));
        }
        Poll::Ready(match ready!(self.stream.as_mut().poll_frame(cx)) {
            Some(Ok(frame)) => Some(match frame.trailers_ref().map(Code::of_fields) {
                Some(code) => {
                    self.close(code.or(self.in_head).unwrap_or(Code::Unknown));
                    frame
                }
                None => frame,
            }),
            Some(Err(error)) => {
                let refused =
                    Refused::new(Code::Unavailable, format!("the answer broke off: {error}"));
                Some(self.refuse(&refused))
            }
            None => match self.in_head {
                Some(code) => {
                    self.close(code);
                    None
                }
                None => {
                    let refused = Refused::new(Code::Internal, "the answer has no status");
                    Some(self.refuse(&refused))
                }
            },
        })
    }

    fn refuse(&mut self, refused: &Refused) -> Frame<Bytes> {
        self.close(refused.code);
        Frame::trailers(refused.trailers())
    }

    /// Tells the endpoint and the span how it went.
    fn close(&mut self, code: Code) {
        let Some(Held {
            picked, mut span, ..
        }) = self.held.take()
        else {
            return;
        };
        end_span(&mut span, code);
        picked.finish(outcome(code));
    }
}

impl Drop for Open {
    /// Without an end, the caller has left.
    fn drop(&mut self) {
        self.close(Code::Cancelled);
    }
}

/// What a code says about the health of who gave it.
pub(super) const fn outcome(code: Code) -> Outcome {
    match code {
        Code::Cancelled => Outcome::Unknown,
        code if code.is_failure() => Outcome::FAILURE,
        _ => Outcome::Success,
    }
}

/// Says in a span how its call ended.
pub(super) fn end_span(span: &mut Span, code: Code) {
    span.set("rpc.grpc.status_code", i64::from(code.number()));
    if !matches!(code, Code::Ok | Code::Cancelled) {
        span.fail(code.name());
    }
}

impl Body for GrpcBody {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let this = self.get_mut();
        let Some(open) = &mut this.0 else {
            return Poll::Ready(None);
        };
        let frame = ready!(open.poll_next(cx));
        if open.held.is_none() {
            this.0 = None;
        }
        Poll::Ready(frame.map(Ok))
    }

    fn is_end_stream(&self) -> bool {
        self.0.is_none()
    }
}

impl fmt::Debug for GrpcBody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = if self.0.is_some() { "open" } else { "ended" };
        write!(f, "GrpcBody({state})")
    }
}
