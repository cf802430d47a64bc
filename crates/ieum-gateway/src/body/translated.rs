//! A stream of messages on its way to a client, as lines of JSON or events.
//!
//! One message is here at a time: the next is read when the client has taken the one before. What goes
//! wrong after the first byte is told at the end, inside the body, because the status has been sent.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http::HeaderMap;
use http_body::{Body, Frame};
use ieum_grpc::transcode::{Match, StreamForm, Transcoder};
use ieum_grpc::{Code as GrpcCode, Reader, Status};
use ieum_http::Problem;
use ieum_http::pool::PooledBody;

use super::idle::Idle;
use super::request::RequestBody;
use crate::errors::{Code, Refusal};
use crate::phases::transcode::problem;
use crate::phases::transcode::rpc::{self, ReadError, Running};

/// What becomes of each message.
pub(crate) struct Translate {
    /// The service, as people know it.
    pub(crate) upstream: Arc<str>,
    pub(crate) transcoder: Arc<Transcoder>,
    pub(crate) found: Match,
    pub(crate) form: StreamForm,
}

/// The translated stream.
pub(crate) struct Translated {
    body: PooledBody<RequestBody>,
    idle: Idle,
    reader: Reader,
    translate: Translate,
    /// Until the end.
    running: Option<Running>,
    /// How it ended, and why if that is the gateway's word; taken once.
    end: Option<(GrpcCode, Option<Code>)>,
}

/// What comes next.
enum Next {
    Message(Bytes),
    Piece(Bytes),
    Ended(Status),
    Failed(Box<Refusal>),
}

impl Translated {
    /// The stream that is in `body`, with messages and silences of at most this.
    pub(crate) fn new(
        body: PooledBody<RequestBody>,
        translate: Translate,
        running: Running,
        (most, silence): (u64, Duration),
    ) -> Self {
        Self {
            body,
            idle: Idle::new(silence),
            reader: Reader::new(most),
            translate,
            running: Some(running),
            end: None,
        }
    }

    /// The endpoint that it comes from, while it does.
    pub(super) fn endpoint(&self) -> Option<&str> {
        self.running.as_ref().map(Running::endpoint)
    }

    /// How it has ended, once.
    pub(super) const fn take_end(&mut self) -> Option<(GrpcCode, Option<Code>)> {
        self.end.take()
    }

    pub(super) const fn has_ended(&self) -> bool {
        self.running.is_none()
    }

    /// The next piece for the client.
    pub(super) fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<Frame<Bytes>>> {
        while !self.has_ended() {
            let refusal = match ready!(self.poll_read(cx)) {
                Next::Piece(piece) => {
                    self.reader.push(&piece);
                    continue;
                }
                Next::Message(message) => match self.translate.message(&message) {
                    Ok(json) => return Poll::Ready(Some(Frame::data(json))),
                    Err(refusal) => refusal,
                },
                Next::Ended(status) => return Poll::Ready(self.ended(&status)),
                Next::Failed(refusal) => refusal,
            };
            return Poll::Ready(Some(self.failed(&refusal)));
        }
        Poll::Ready(None)
    }

    /// By the service's own word.
    fn ended(&mut self, status: &Status) -> Option<Frame<Bytes>> {
        if let Some(mut running) = self.running.take() {
            running.ended(status.code);
        }
        if status.code == GrpcCode::Ok {
            self.end = Some((GrpcCode::Ok, None));
            return None;
        }
        self.end = Some((status.code, None));
        let problem = self.translate.problem(status);
        Some(Frame::data(self.translate.error(&problem)))
    }

    /// By the gateway's.
    fn failed(&mut self, refusal: &Refusal) -> Frame<Bytes> {
        let code = refusal.grpc_code();
        if let Some(mut running) = self.running.take() {
            running.failed(code);
        }
        self.end = Some((code, Some(refusal.code)));
        Frame::data(self.translate.error(&refusal.problem()))
    }

    fn poll_read(&mut self, cx: &mut Context<'_>) -> Poll<Next> {
        match rpc::next_message(&mut self.reader) {
            Ok(Some(message)) => return Poll::Ready(Next::Message(message)),
            Ok(None) => {}
            Err(error) => return Poll::Ready(self.broken(&error)),
        }
        let Poll::Ready(polled) = Pin::new(&mut self.body).poll_frame(cx) else {
            ready!(self.idle.poll_silence(cx));
            let detail = format!(
                "`{}` fell silent inside its stream",
                self.translate.upstream
            );
            return Poll::Ready(Next::Failed(Refusal::new(Code::Timeout, detail)));
        };
        self.idle.heard();
        Poll::Ready(match polled {
            Some(Ok(frame)) => match frame.into_data() {
                Ok(piece) => Next::Piece(piece),
                Err(frame) => self.trailers(&frame.into_trailers().unwrap_or_default()),
            },
            Some(Err(_)) | None => self.broken(&ReadError::Broken),
        })
    }

    fn trailers(&self, trailers: &HeaderMap) -> Next {
        match Status::of_fields(trailers) {
            Some(status) if status.code == GrpcCode::Ok => match self.reader.end() {
                Ok(()) => Next::Ended(status),
                Err(error) => self.broken(&error.into()),
            },
            Some(status) => Next::Ended(status),
            None => self.broken(&ReadError::Broken),
        }
    }

    fn broken(&self, error: &ReadError) -> Next {
        let detail = format!("`{}`: {error}", self.translate.upstream);
        Next::Failed(Refusal::new(Code::BadGateway, detail))
    }
}

impl Translate {
    fn message(&self, message: &[u8]) -> Result<Bytes, Box<Refusal>> {
        match self.transcoder.answer(&self.found, message) {
            Ok(answer) => Ok(self.form.message(&answer.body)),
            Err(error) => Err(Refusal::new(Code::BadGateway, error.to_string())),
        }
    }

    fn problem(&self, status: &Status) -> Problem {
        problem::of_status(status, self.transcoder.descriptors())
    }

    fn error(&self, problem: &Problem) -> Bytes {
        // A problem is always JSON; should it be none, the stream still ends with an error.
        let json = serde_json::to_vec(problem).unwrap_or_else(|_| b"{}".to_vec());
        self.form.error(&json)
    }
}

impl fmt::Debug for Translated {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Translated").field(&self.body).finish()
    }
}
