//! The body of an answer by gRPC: messages that pass, and the trailers that say how it went.
//!
//! Every end is an end by trailers. Where the upstream breaks off, falls silent or sends too much, or
//! the caller's deadline passes, the gateway says so in the status that a caller understands, instead
//! of breaking off too. The endpoint hears how it went when the trailers are here: a call that fails
//! has a good head mostly.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http::HeaderMap;
use http_body::{Body, Frame};
use ieum_base::trace::Span;
use ieum_base::{ByteSize, HumanDuration};
use ieum_discovery::Outcome;
use ieum_grpc::{Code as GrpcCode, FrameError, Meter};
use ieum_http::pool::PooledBody;
use tokio::time::{Instant, Sleep, sleep_until};

use super::idle::Idle;
use super::request::{Progress, RequestBody, RequestBodyError, Source};
use super::response::Held;
use crate::errors::{Code, Refusal};
use crate::phases::{connect, grpc};

/// What an answer belongs to, and what bounds it.
pub(crate) struct GrpcCall {
    pub(crate) upstream: Arc<str>,
    /// The code, if the head was trailers too.
    pub(crate) in_head: Option<GrpcCode>,
    /// The client's side of the stream.
    pub(crate) source: Source,
    /// When the caller's patience ends.
    pub(crate) deadline: Option<Instant>,
    /// The longest silence of both sides.
    pub(crate) silence: Duration,
    /// A stream that has lasted this long, with messages, is a success whatever comes.
    pub(crate) settled_after: Duration,
    pub(crate) meter: Meter,
    /// The largest message, in bytes.
    pub(crate) most: u64,
    /// The span of the call.
    pub(crate) span: Option<Box<Span>>,
    pub(crate) held: Held,
}

/// The body of an answer by gRPC.
pub(crate) struct GrpcAnswer {
    open: Option<Open>,
    /// How it ended, and why if that is the gateway's word; taken once.
    end: Option<(GrpcCode, Option<Code>)>,
}

struct Open {
    body: PooledBody<RequestBody>,
    call: GrpcCall,
    idle: Idle,
    deadline: Option<Pin<Box<Sleep>>>,
    /// What the client had sent when the upstream fell silent.
    taken: u32,
    began: Instant,
}

enum Next {
    Piece(Bytes),
    /// The upstream's own end.
    Trailers(HeaderMap, GrpcCode),
    /// An end that the gateway gives it, and what that says about the endpoint.
    Refused(Box<Refusal>, Outcome),
    /// The head was the end.
    Over(GrpcCode),
}

impl GrpcAnswer {
    pub(crate) fn new(body: PooledBody<RequestBody>, call: GrpcCall) -> Self {
        let mut answer = Self {
            open: None,
            end: None,
        };
        let deadline = call.deadline;
        let mut open = Open {
            idle: Idle::new(call.silence),
            deadline: deadline.map(|deadline| Box::pin(sleep_until(deadline))),
            taken: call.source.taken(),
            began: Instant::now(),
            body,
            call,
        };
        match open.call.in_head {
            Some(code) if open.body.is_end_stream() => {
                open.close(code);
                answer.end = Some((code, None));
            }
            _ => answer.open = Some(open),
        }
        answer
    }

    /// The endpoint that it comes from, while it does.
    pub(crate) fn endpoint(&self) -> Option<&str> {
        let open = self.open.as_ref()?;
        Some(open.call.held.picked.authority().as_str())
    }

    /// How it has ended, once.
    pub(crate) fn take_end(&mut self) -> Option<(GrpcCode, Option<Code>)> {
        self.end.take()
    }

    pub(crate) const fn has_ended(&self) -> bool {
        self.open.is_none()
    }

    pub(crate) fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<Frame<Bytes>>> {
        let Some(open) = &mut self.open else {
            return Poll::Ready(None);
        };
        let (code, why, trailers) = match ready!(open.poll_next(cx)) {
            Next::Piece(piece) => return Poll::Ready(Some(Frame::data(piece))),
            Next::Trailers(trailers, code) => (code, None, Some(trailers)),
            Next::Over(code) => (code, None, None),
            Next::Refused(refusal, outcome) => {
                // Before the code, which would say less.
                open.call.held.picked.record(outcome);
                let code = refusal.grpc_code();
                (code, Some(refusal.code), Some(refusal.trailers()))
            }
        };
        if let Some(mut open) = self.open.take() {
            open.close(code);
        }
        self.end = Some((code, why));
        Poll::Ready(trailers.map(Frame::trailers))
    }
}

impl Open {
    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Next> {
        // Before the answer, which may always have a next message.
        if let Some(deadline) = &mut self.deadline
            && deadline.as_mut().poll(cx).is_ready()
        {
            return Poll::Ready(Next::Refused(grpc::deadline_passed(), Outcome::Unknown));
        }
        let Poll::Ready(polled) = Pin::new(&mut self.body).poll_frame(cx) else {
            return self.poll_patience(cx);
        };
        self.idle.heard();
        Poll::Ready(match polled {
            Some(Ok(frame)) => match frame.into_data() {
                Ok(piece) => self.piece(piece),
                Err(frame) => self.trailers(frame.into_trailers().unwrap_or_default()),
            },
            Some(Err(_)) => self.broken("broke off"),
            None => match self.call.in_head {
                Some(code) => Next::Over(code),
                None => self.broken("ended its answer without a status"),
            },
        })
    }

    fn piece(&mut self, piece: Bytes) -> Next {
        match self.call.meter.pass(&piece) {
            Err(FrameError::TooLarge { length, .. }) => {
                let (length, most) = (ByteSize(length.into()), ByteSize(self.call.most));
                let detail = format!("the answer has a message of {length}, above {most}");
                let refusal = Refusal::new(Code::MessageTooLarge, detail);
                Next::Refused(refusal, Outcome::Unknown)
            }
            Err(_) => self.broken("does not send messages"),
            Ok(()) => {
                if self.began.elapsed() >= self.call.settled_after {
                    self.call.held.picked.record(Outcome::Success);
                }
                Next::Piece(piece)
            }
        }
    }

    fn trailers(&self, trailers: HeaderMap) -> Next {
        match GrpcCode::of_fields(&trailers).or(self.call.in_head) {
            Some(code) => Next::Trailers(trailers, code),
            None => self.broken("ended its answer without a status"),
        }
    }

    /// The upstream is at fault, unless the client was before it.
    fn broken(&self, how: &str) -> Next {
        if let Progress::Failed(why) = self.call.source.progress() {
            return Next::Refused(self.clients_fault(why), Outcome::Unknown);
        }
        let detail = format!("`{}` {how}", self.call.upstream);
        Next::Refused(Refusal::new(Code::BadGateway, detail), Outcome::FAILURE)
    }

    fn clients_fault(&self, why: RequestBodyError) -> Box<Refusal> {
        match why {
            RequestBodyError::MessageTooLarge => grpc::message_too_large(self.call.most),
            why => connect::clients_fault(why).refusal,
        }
    }

    /// Nothing came: the silence of both sides may have lasted too long.
    fn poll_patience(&mut self, cx: &mut Context<'_>) -> Poll<Next> {
        loop {
            ready!(self.idle.poll_silence(cx));
            let taken = self.call.source.taken();
            if taken == self.taken {
                let silence = HumanDuration(self.call.silence);
                let detail = format!("nothing was said on the stream for {silence}");
                let refusal = Refusal::new(Code::Timeout, detail);
                let refusal = refusal.status(GrpcCode::Unavailable);
                return Poll::Ready(Next::Refused(refusal, Outcome::Unknown));
            }
            // The client has spoken meanwhile.
            self.taken = taken;
            self.idle.heard();
        }
    }

    /// Tells the endpoint and the span how it went.
    fn close(&mut self, code: GrpcCode) {
        let outcome = grpc::outcome(code, self.call.deadline.is_some());
        self.call.held.picked.record(outcome);
        if let Some(mut span) = self.call.span.take() {
            grpc::end_span(&mut span, code);
        }
    }
}

impl Drop for Open {
    /// Without an end, the client has left.
    fn drop(&mut self) {
        if let Some(mut span) = self.call.span.take() {
            grpc::end_span(&mut span, GrpcCode::Cancelled);
        }
    }
}
