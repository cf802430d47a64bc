//! A request's body on its way to an upstream.
//!
//! A body is streamed from the client. While it is short enough, what went by is kept, so that the
//! request can be sent again; the parts that were kept are sent first, then the stream goes on. Only
//! the newest try may read on: an earlier one that still lives in a closing connection gets an error.

use std::fmt;
use std::future::poll_fn;
use std::mem;
use std::pin::Pin;
use std::sync::atomic::{AtomicU8, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use ieum_grpc::{FrameError, Meter};

use super::idle::Idle;

/// Where the bodies of a request's tries come from.
#[derive(Clone, Debug)]
pub(crate) enum Source {
    /// There is none.
    Empty,
    /// All of it is here.
    Whole(Bytes),
    /// It is streamed from the client.
    Client(Arc<Shared>),
}

/// The body of one try.
#[derive(Debug)]
pub(crate) struct RequestBody(Kind);

#[derive(Debug)]
enum Kind {
    Empty,
    Whole(Option<Bytes>),
    Client {
        shared: Arc<Shared>,
        turn: u32,
        next: usize,
    },
}

/// Why a body ended early.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum RequestBodyError {
    /// It is larger than allowed.
    #[error("the request's body is larger than allowed")]
    TooLarge,
    /// A message of gRPC in it is larger than allowed.
    #[error("a message is larger than allowed")]
    MessageTooLarge,
    /// It is not made of gRPC's messages.
    #[error("the request's body is not made of messages")]
    Damaged,
    /// The client said nothing for too long.
    #[error("the request's body did not arrive in time")]
    Silent,
    /// The client left, or its framing is wrong.
    #[error("the request's body broke off")]
    Broken,
    /// A later try has taken over.
    #[error("another try has taken over")]
    Superseded,
}

/// How far the client's body is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Progress {
    /// More is to come, and the client is waited for.
    Arriving,
    /// More is to come, but the upstream has not asked for it since it took so many parts.
    Taken(u32),
    /// All of it went by.
    Complete,
    /// It ended early; that is the client's fault, not the upstream's.
    Failed(RequestBodyError),
}

/// The client's body, shared by the tries.
pub(crate) struct Shared {
    progress: AtomicU8,
    /// How many parts were taken by upstreams.
    taken: AtomicU32,
    stream: Mutex<Stream>,
}

struct Stream {
    incoming: Incoming,
    idle: Idle,
    /// From the first wait to the last byte: one that trickles is never silent.
    whole: Idle,
    /// Bytes that may still come.
    allowed: u64,
    /// Follows the messages of gRPC.
    messages: Option<Box<Meter>>,
    /// True once the answer has begun, after which a client may listen in silence.
    is_answered: bool,
    /// What went by, as long as it is short enough.
    kept: Vec<Bytes>,
    /// Bytes that may still be kept; `None` once the body cannot be sent again.
    room: Option<usize>,
    turn: u32,
}

/// How much a client may send, and how slowly.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bounds {
    /// Bytes that may come.
    pub(crate) most: u64,
    /// Bytes that are kept for another try.
    pub(crate) room: usize,
    /// The longest silence.
    pub(crate) silence: Duration,
    /// The longest time until the last byte.
    pub(crate) whole: Duration,
}

impl Source {
    /// The body of `incoming` within `bounds`, and that of the first try.
    pub(crate) fn new(incoming: Incoming, bounds: Bounds) -> (Self, RequestBody) {
        if incoming.is_end_stream() {
            return (Self::Empty, RequestBody::EMPTY);
        }
        let shared = Arc::new(Shared {
            progress: AtomicU8::new(TAKEN),
            taken: AtomicU32::new(0),
            stream: Mutex::new(Stream {
                incoming,
                idle: Idle::new(bounds.silence),
                whole: Idle::new(bounds.whole),
                allowed: bounds.most,
                messages: None,
                is_answered: false,
                kept: Vec::new(),
                room: Some(bounds.room),
                turn: 1,
            }),
        });
        let first = RequestBody(Kind::Client {
            shared: Arc::clone(&shared),
            turn: 1,
            next: 0,
        });
        (Self::Client(shared), first)
    }

    /// As [`Self::new`], for a body of gRPC whose messages have at most `most` bytes each.
    pub(crate) fn of_messages(
        incoming: Incoming,
        bounds: Bounds,
        most: u64,
    ) -> (Self, RequestBody) {
        let (source, body) = Self::new(incoming, bounds);
        if let Self::Client(shared) = &source {
            shared.stream().messages = Some(Box::new(Meter::new(most)));
        }
        (source, body)
    }

    /// The answer has begun: from now on whoever watches the answer bounds the silence of both sides.
    pub(crate) fn answered(&self) {
        if let Self::Client(shared) = self {
            let mut stream = shared.stream();
            stream.is_answered = true;
            // Nothing is sent again any more. A later try may still be at what was kept for it.
            if stream.turn == 1 {
                stream.room = None;
                drop(mem::take(&mut stream.kept));
            }
        }
    }

    /// How many parts were taken so far.
    pub(crate) fn taken(&self) -> u32 {
        match self {
            Self::Empty | Self::Whole(_) => 0,
            Self::Client(shared) => shared.taken.load(Ordering::Acquire),
        }
    }

    /// The body of the next try; `None` if too much went by to send it again.
    pub(crate) fn next(&self) -> Option<RequestBody> {
        let shared = match self {
            Self::Empty => return Some(RequestBody::EMPTY),
            Self::Whole(bytes) => return Some(RequestBody::from(bytes.clone())),
            Self::Client(shared) => shared,
        };
        let mut stream = shared.stream();
        stream.room?;
        stream.turn += 1;
        Some(RequestBody(Kind::Client {
            shared: Arc::clone(shared),
            turn: stream.turn,
            next: 0,
        }))
    }

    /// True if nothing that went by is lost: another try can have all of it.
    pub(crate) fn is_whole(&self) -> bool {
        match self {
            Self::Empty | Self::Whole(_) => true,
            Self::Client(shared) => shared.stream().room.is_some(),
        }
    }

    /// How far the client's body is.
    pub(crate) fn progress(&self) -> Progress {
        match self {
            Self::Empty | Self::Whole(_) => Progress::Complete,
            Self::Client(shared) => match shared.progress.load(Ordering::Acquire) {
                ARRIVING => Progress::Arriving,
                TAKEN => Progress::Taken(shared.taken.load(Ordering::Acquire)),
                COMPLETE => Progress::Complete,
                TOO_LARGE => Progress::Failed(RequestBodyError::TooLarge),
                SILENT => Progress::Failed(RequestBodyError::Silent),
                MESSAGE_TOO_LARGE => Progress::Failed(RequestBodyError::MessageTooLarge),
                DAMAGED => Progress::Failed(RequestBodyError::Damaged),
                _ => Progress::Failed(RequestBodyError::Broken),
            },
        }
    }
}

impl RequestBody {
    /// No body.
    pub(crate) const EMPTY: Self = Self(Kind::Empty);

    /// All of it, read within the bounds that it was made with.
    pub(crate) async fn collect(mut self) -> Result<Bytes, RequestBodyError> {
        let mut first = Bytes::new();
        let mut whole = BytesMut::new();
        while let Some(frame) = poll_fn(|cx| Pin::new(&mut self).poll_frame(cx)).await {
            let Ok(data) = frame?.into_data() else {
                continue;
            };
            // Mostly there is one part, which is then not copied.
            if first.is_empty() && whole.is_empty() {
                first = data;
                continue;
            }
            whole.extend_from_slice(&mem::take(&mut first));
            whole.extend_from_slice(&data);
        }
        Ok(if whole.is_empty() {
            first
        } else {
            whole.freeze()
        })
    }
}

/// A body of the gateway's own making.
impl From<Bytes> for RequestBody {
    fn from(bytes: Bytes) -> Self {
        Self(Kind::Whole((!bytes.is_empty()).then_some(bytes)))
    }
}

impl Shared {
    fn stream(&self) -> MutexGuard<'_, Stream> {
        self.stream.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn fail(&self, error: RequestBodyError) -> RequestBodyError {
        let mark = match error {
            RequestBodyError::TooLarge => TOO_LARGE,
            RequestBodyError::Silent => SILENT,
            RequestBodyError::MessageTooLarge => MESSAGE_TOO_LARGE,
            RequestBodyError::Damaged => DAMAGED,
            RequestBodyError::Broken | RequestBodyError::Superseded => BROKEN,
        };
        self.progress.store(mark, Ordering::Release);
        error
    }

    /// A part goes to the upstream; what was complete stays so.
    fn take(&self) {
        self.taken.fetch_add(1, Ordering::AcqRel);
        if self.progress.load(Ordering::Acquire) == ARRIVING {
            self.progress.store(TAKEN, Ordering::Release);
        }
    }

    fn poll_next(
        &self,
        turn: u32,
        next: &mut usize,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, RequestBodyError>>> {
        let mut stream = self.stream();
        if stream.turn != turn {
            return Poll::Ready(Some(Err(RequestBodyError::Superseded)));
        }
        if let Some(kept) = stream.kept.get(*next) {
            *next += 1;
            self.take();
            return Poll::Ready(Some(Ok(Frame::data(kept.clone()))));
        }
        let Poll::Ready(polled) = stream.poll(cx) else {
            self.progress.store(ARRIVING, Ordering::Release);
            return Poll::Pending;
        };
        match polled {
            Some(Ok(frame)) => {
                self.take();
                if stream.incoming.is_end_stream() {
                    self.progress.store(COMPLETE, Ordering::Release);
                }
                *next = stream.kept.len();
                Poll::Ready(Some(Ok(frame)))
            }
            Some(Err(error)) => Poll::Ready(Some(Err(self.fail(error)))),
            None => {
                self.progress.store(COMPLETE, Ordering::Release);
                Poll::Ready(None)
            }
        }
    }
}

impl Stream {
    fn poll(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, RequestBodyError>>> {
        let Poll::Ready(polled) = Pin::new(&mut self.incoming).poll_frame(cx) else {
            // Both, so that either wakes.
            let (silence, whole) = (self.idle.poll_silence(cx), self.whole.poll_silence(cx));
            if silence.is_pending() || self.is_answered {
                ready!(whole);
            }
            return Poll::Ready(Some(Err(RequestBodyError::Silent)));
        };
        self.idle.heard();
        let frame = match polled {
            None => return Poll::Ready(None),
            Some(Err(_)) => return Poll::Ready(Some(Err(RequestBodyError::Broken))),
            Some(Ok(frame)) => frame,
        };
        if let Some(data) = frame.data_ref() {
            match self.allowed.checked_sub(data.len() as u64) {
                Some(left) => self.allowed = left,
                None => return Poll::Ready(Some(Err(RequestBodyError::TooLarge))),
            }
            if let Some(Err(error)) = self.messages.as_mut().map(|messages| messages.pass(data)) {
                return Poll::Ready(Some(Err(error.into())));
            }
            self.keep(data);
        } else {
            // Trailers are not kept, so that the body cannot be sent again.
            self.room = None;
            drop(mem::take(&mut self.kept));
        }
        Poll::Ready(Some(Ok(frame)))
    }

    fn keep(&mut self, data: &Bytes) {
        // Each piece costs more than its bytes: a body of crumbs is not kept.
        let room = self.room.filter(|_| self.kept.len() < MOST_PIECES);
        self.room = room.and_then(|room| room.checked_sub(data.len()));
        match self.room {
            Some(_) => self.kept.push(data.clone()),
            None => drop(mem::take(&mut self.kept)),
        }
    }
}

impl Body for RequestBody {
    type Data = Bytes;
    type Error = RequestBodyError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, RequestBodyError>>> {
        match &mut self.get_mut().0 {
            Kind::Empty => Poll::Ready(None),
            Kind::Whole(bytes) => Poll::Ready(bytes.take().map(|bytes| Ok(Frame::data(bytes)))),
            Kind::Client { shared, turn, next } => shared.poll_next(*turn, next, cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.0 {
            Kind::Empty => true,
            Kind::Whole(bytes) => bytes.is_none(),
            Kind::Client { shared, next, .. } => {
                let stream = shared.stream();
                *next >= stream.kept.len() && stream.incoming.is_end_stream()
            }
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.0 {
            Kind::Empty => SizeHint::with_exact(0),
            Kind::Whole(bytes) => SizeHint::with_exact(bytes.as_ref().map_or(0, Bytes::len) as u64),
            Kind::Client { shared, next, .. } => {
                let stream = shared.stream();
                let kept: usize = stream.kept.iter().skip(*next).map(Bytes::len).sum();
                match stream.incoming.size_hint().exact() {
                    Some(rest) => SizeHint::with_exact(rest + kept as u64),
                    None => SizeHint::default(),
                }
            }
        }
    }
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Shared")
    }
}

impl From<FrameError> for RequestBodyError {
    fn from(error: FrameError) -> Self {
        match error {
            FrameError::TooLarge { .. } => Self::MessageTooLarge,
            _ => Self::Damaged,
        }
    }
}

/// The most pieces of a body that are kept for another try.
const MOST_PIECES: usize = 1_024;

const ARRIVING: u8 = 0;
const COMPLETE: u8 = 1;
const TOO_LARGE: u8 = 2;
const SILENT: u8 = 3;
const BROKEN: u8 = 4;
const TAKEN: u8 = 5;
const MESSAGE_TOO_LARGE: u8 = 6;
const DAMAGED: u8 = 7;
