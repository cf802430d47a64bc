//! A response's body on its way to a client, and what ends with it.

use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use ieum_discovery::Picked;
use ieum_http::BoxError;
use ieum_http::pool::PooledBody;
use ieum_resilience::bulkhead;

use super::grpc::GrpcAnswer;
use super::idle::Idle;
use super::request::RequestBody;
use super::translated::Translated;
use crate::caching::Recorder;
use crate::phases::respond::Observation;

/// The body of an answer. When it is dropped, sent or not, the request is over: it is counted,
/// logged, and its places are given back. Boxed: it is moved a dozen times on its way out.
pub(crate) struct ResponseBody(Box<Inner>);

struct Inner {
    kind: Kind,
    observation: Option<Observation>,
    /// Writes the body down, if it is to be kept.
    recorder: Option<Box<Recorder>>,
}

enum Kind {
    Whole(Option<Bytes>),
    Upstream {
        body: PooledBody<RequestBody>,
        idle: Idle,
        held: Held,
    },
    Translated(Box<Translated>),
    Grpc(Box<GrpcAnswer>),
}

/// What an answer that is still streaming occupies.
#[derive(Debug)]
pub(crate) struct Held {
    /// The endpoint, on which the request is in flight.
    pub(crate) picked: Picked,
    /// The place in the upstream's bulkhead.
    #[expect(dead_code, reason = "held for its drop")]
    pub(crate) place: bulkhead::Permit,
}

impl ResponseBody {
    /// A body that is streamed from an upstream.
    pub(crate) fn upstream(body: PooledBody<RequestBody>, silence: Duration, held: Held) -> Self {
        Self(Box::new(Inner {
            kind: Kind::Upstream {
                body,
                idle: Idle::new(silence),
                held,
            },
            observation: None,
            recorder: None,
        }))
    }

    /// A body that is translated from a stream of messages.
    pub(crate) fn translated(stream: Translated) -> Self {
        Self(Box::new(Inner {
            kind: Kind::Translated(Box::new(stream)),
            observation: None,
            recorder: None,
        }))
    }

    /// The answer to a call of gRPC.
    pub(crate) fn grpc(answer: GrpcAnswer) -> Self {
        Self(Box::new(Inner {
            kind: Kind::Grpc(Box::new(answer)),
            observation: None,
            recorder: None,
        }))
    }

    /// The endpoint that it comes from.
    pub(crate) fn endpoint(&self) -> Option<&str> {
        match &self.0.kind {
            Kind::Upstream { held, .. } => Some(held.picked.authority().as_str()),
            Kind::Translated(stream) => stream.endpoint(),
            Kind::Grpc(answer) => answer.endpoint(),
            Kind::Whole(_) => None,
        }
    }

    /// Writes the body down while it passes.
    pub(crate) fn record(&mut self, mut recorder: Recorder) {
        if self.is_end_stream() {
            recorder.end();
        } else {
            self.0.recorder = Some(Box::new(recorder));
        }
    }

    /// Keeps what is to be told at the body's end.
    pub(crate) fn observe(&mut self, observation: Observation) {
        self.0.observation = Some(observation);
    }
}

impl From<Bytes> for ResponseBody {
    fn from(bytes: Bytes) -> Self {
        Self(Box::new(Inner {
            kind: Kind::Whole((!bytes.is_empty()).then_some(bytes)),
            observation: None,
            recorder: None,
        }))
    }
}

impl Body for ResponseBody {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let this = &mut *self.get_mut().0;
        let polled = match &mut this.kind {
            Kind::Whole(bytes) => bytes.take().map(|bytes| Ok(Frame::data(bytes))),
            Kind::Upstream { body, idle, .. } => ready!(poll_upstream(body, idle, cx)),
            Kind::Grpc(answer) => ready!(answer.poll_next(cx)).map(Ok),
            Kind::Translated(stream) => ready!(stream.poll_next(cx)).map(Ok),
        };
        if let Some(recorder) = &mut this.recorder {
            match &polled {
                Some(Ok(frame)) => match frame.data_ref() {
                    Some(piece) => recorder.data(piece),
                    None => recorder.give_up(),
                },
                Some(Err(_)) => recorder.give_up(),
                None => recorder.end(),
            }
            // Nobody asks again for a body that says that it has ended.
            if matches!(&this.kind, Kind::Upstream { body, .. } if body.is_end_stream()) {
                recorder.end();
            }
        }
        if let Some(observation) = &mut this.observation {
            let end = match &mut this.kind {
                Kind::Grpc(answer) => answer.take_end(),
                Kind::Translated(stream) => stream.take_end(),
                _ => None,
            };
            if let Some((code, why)) = end {
                observation.ended(code, why);
            }
            match &polled {
                Some(Ok(frame)) => {
                    observation.bytes += frame.data_ref().map_or(0, Bytes::len) as u64;
                }
                Some(Err(_)) => observation.broke_off = true,
                None => {}
            }
        }
        Poll::Ready(polled)
    }

    fn is_end_stream(&self) -> bool {
        match &self.0.kind {
            Kind::Whole(bytes) => bytes.is_none(),
            Kind::Upstream { body, .. } => body.is_end_stream(),
            Kind::Translated(stream) => stream.has_ended(),
            Kind::Grpc(answer) => answer.has_ended(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.0.kind {
            Kind::Whole(bytes) => SizeHint::with_exact(bytes.as_ref().map_or(0, Bytes::len) as u64),
            Kind::Upstream { body, .. } => body.size_hint(),
            Kind::Translated(_) => SizeHint::default(),
            Kind::Grpc(answer) if answer.has_ended() => SizeHint::with_exact(0),
            Kind::Grpc(_) => SizeHint::default(),
        }
    }
}

fn poll_upstream(
    body: &mut PooledBody<RequestBody>,
    idle: &mut Idle,
    cx: &mut Context<'_>,
) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
    if let Poll::Ready(polled) = Pin::new(body).poll_frame(cx) {
        idle.heard();
        return Poll::Ready(polled);
    }
    ready!(idle.poll_silence(cx));
    Poll::Ready(Some(Err(
        "the upstream fell silent inside its answer".into()
    )))
}
