//! Which calls reach a server, how large their messages may be, and how long they may take.
//!
//! A server that tonic generates bounds neither a call's time nor, with the status that the protocol
//! has for it, its messages. A message that is too large is refused when its length has come, before
//! the message itself.

use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::Response;
use bytes::Bytes;
use http::{HeaderMap, StatusCode};
use http_body::{Body as HttpBody, Frame, SizeHint};
use ieum_grpc::timeout::{self, GRPC_TIMEOUT};
use ieum_grpc::{Code, FrameError, Meter};
use ieum_http::BoxError;
use pin_project_lite::pin_project;
use tokio::time::{Instant, Sleep};
use tonic::Status;

use super::refusal::{is_grpc, refuse, trailers};
use crate::problems::malformed;

/// Lets a call through with at most `most` bytes per message, until its deadline.
pub(super) async fn admit(State(most): State<u64>, request: Request, next: Next) -> Response {
    if !is_grpc(request.headers()) {
        let status = StatusCode::UNSUPPORTED_MEDIA_TYPE;
        return malformed(status, "a method of gRPC is called with application/grpc")
            .into_response();
    }
    let Ok(deadline) = deadline(request.headers()) else {
        return refuse(Code::InvalidArgument, "grpc-timeout is malformed");
    };
    let meter = Meter::new(most);
    let request = request.map(|inner| Body::new(Metered { inner, meter }));
    let Some(deadline) = deadline else {
        return next.run(request).await;
    };
    match tokio::time::timeout_at(deadline, next.run(request)).await {
        Err(_) => refuse(Code::DeadlineExceeded, TOO_LATE),
        Ok(response) => response.map(|inner| {
            let until = tokio::time::sleep_until(deadline);
            let is_over = false;
            Body::new(Timed {
                inner,
                until,
                is_over,
            })
        }),
    }
}

/// When the caller stops waiting, if it says so.
fn deadline(headers: &HeaderMap) -> Result<Option<Instant>, timeout::TimeoutError> {
    let Some(left) = headers.get(GRPC_TIMEOUT) else {
        return Ok(None);
    };
    let left = timeout::parse(left)?.min(LONGEST);
    Ok(Instant::now().checked_add(left))
}

/// A request's body, whose messages are not larger than allowed.
struct Metered {
    inner: Body,
    meter: Meter,
}

impl HttpBody for Metered {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let frame = match ready!(Pin::new(&mut self.inner).poll_frame(cx)) {
            Some(Ok(frame)) => frame,
            other => return Poll::Ready(other.map(|frame| frame.map_err(Into::into))),
        };
        let passed = frame
            .data_ref()
            .map_or(Ok(()), |data| self.meter.pass(data));
        Poll::Ready(Some(match passed {
            Ok(()) => Ok(frame),
            Err(error) => Err(status(error).into()),
        }))
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

/// The server answers with the status that it finds in the body's error.
fn status(error: FrameError) -> Status {
    match error {
        FrameError::TooLarge { .. } => Status::resource_exhausted(error.to_string()),
        _ => Status::internal(error.to_string()),
    }
}

pin_project! {
    /// An answer's body, which ends at the deadline.
    struct Timed {
        #[pin]
        inner: Body,
        #[pin]
        until: Sleep,
        is_over: bool,
    }
}

impl HttpBody for Timed {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let this = self.project();
        if *this.is_over {
            return Poll::Ready(None);
        }
        // Before the answer, which may always have a next message.
        if this.until.poll(cx).is_pending() {
            return this.inner.poll_frame(cx);
        }
        *this.is_over = true;
        let end = trailers(Code::DeadlineExceeded, TOO_LATE);
        Poll::Ready(Some(Ok(Frame::trailers(end))))
    }

    fn is_end_stream(&self) -> bool {
        self.is_over || self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

const TOO_LATE: &str = "the call's deadline has passed";
/// Longer deadlines are as good as none; timers need not reach so far.
const LONGEST: Duration = Duration::from_secs(365 * 24 * 3_600);
