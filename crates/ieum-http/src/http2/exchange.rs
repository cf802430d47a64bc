//! One request and its answer on a connection.
//!
//! An upload that does not end at once gets a task of its own, because it goes on while nobody reads
//! the answer. The exchange is over when its answer is: whoever drops that, or stops waiting for it,
//! has the upload's stream reset, also while the upload waits for the peer to take more.

use std::fmt;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use futures_util::task::AtomicWaker;
use h2::{Reason, RecvStream, SendStream};
use http::header::{CONNECTION, CONTENT_LENGTH, HOST, TE, TRANSFER_ENCODING, UPGRADE};
use http::uri::{PathAndQuery, Scheme};
use http::{HeaderMap, HeaderName, Request, Response, Uri, Version, request};
use http_body::{Body, Frame, SizeHint};
use ieum_base::{TaskKind, Tasks};

use super::broken;
use super::peer::Place;
use crate::{BoxError, Error, ErrorKind, Result, Target};

/// Sends a request and waits for the head of its answer.
pub(super) async fn run<B>(
    mut place: Place,
    target: &Target,
    request: Request<B>,
    tasks: &Tasks,
) -> Result<Response<Answer>>
where
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    let (head, body) = request.into_parts();
    let head = on_the_wire(target, head)?;
    let has_ended = body.is_end_stream();
    let (answer, stream) = place
        .sender()
        .send_request(head, has_ended)
        .map_err(|error| broken(target, error))?;
    let uploading = match has_ended {
        true => None,
        false => upload(stream, body, tasks).await,
    };
    let response = answer.await.map_err(|error| broken(target, error))?;
    place.answered();
    let length = response.headers().get(CONTENT_LENGTH);
    let length = length.and_then(|length| length.to_str().ok()?.parse().ok());
    Ok(response.map(|stream| Answer::new(stream, length, place, uploading)))
}

/// The head as HTTP/2 has it: the target in it, and nothing of a connection.
fn on_the_wire(target: &Target, mut head: request::Parts) -> Result<Request<()>> {
    let mut uri = head.uri.into_parts();
    uri.scheme = Some(if target.is_secure() {
        Scheme::HTTPS
    } else {
        Scheme::HTTP
    });
    uri.authority = Some(target.uri_authority());
    uri.path_and_query
        .get_or_insert(PathAndQuery::from_static("/"));
    let invalid = |error| Error::new(ErrorKind::Invalid, target.to_string()).caused_by(error);
    head.uri = Uri::from_parts(uri).map_err(invalid)?;
    head.version = Version::HTTP_2;
    for name in [HOST, CONNECTION, TRANSFER_ENCODING, UPGRADE]
        .iter()
        .chain(&MORE_OF_A_CONNECTION)
    {
        head.headers.remove(name);
    }
    if head.headers.get(TE).is_some_and(|te| te != "trailers") {
        head.headers.remove(TE);
    }
    Ok(Request::from_parts(head, ()))
}

/// Sends a body; what does not end at once goes on in a task, which ends with what is returned.
async fn upload<B>(stream: SendStream<Bytes>, body: B, tasks: &Tasks) -> Option<Uploading>
where
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    let cancel = Arc::<Cancel>::default();
    let mut upload = Upload {
        stream,
        body: Box::pin(body),
        waiting: None,
        cancel: Arc::clone(&cancel),
    };
    let has_ended = poll_fn(|cx| Poll::Ready(Pin::new(&mut upload).poll(cx).is_ready()));
    if has_ended.await {
        return None;
    }
    tasks.spawn(TaskKind::Request, "http2-upload", upload);
    Some(Uploading(cancel))
}

/// A body on its way to the peer.
struct Upload<B> {
    stream: SendStream<Bytes>,
    body: Pin<Box<B>>,
    /// A piece for which the peer has no room yet.
    waiting: Option<(Bytes, bool)>,
    cancel: Arc<Cancel>,
}

#[derive(Default)]
struct Cancel {
    is_wanted: AtomicBool,
    waker: AtomicWaker,
}

/// Keeps an upload going; dropped, it ends it.
struct Uploading(Arc<Cancel>);

impl Drop for Uploading {
    fn drop(&mut self) {
        self.0.is_wanted.store(true, Ordering::Release);
        self.0.waker.wake();
    }
}

impl<B> Future for Upload<B>
where
    B: Body<Data = Bytes>,
    B::Error: Into<BoxError>,
{
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let this = self.get_mut();
        this.cancel.waker.register(cx.waker());
        if this.cancel.is_wanted.load(Ordering::Acquire) {
            this.stream.send_reset(Reason::CANCEL);
            return Poll::Ready(());
        }
        let Err(why) = ready!(this.poll_sent(cx)) else {
            return Poll::Ready(());
        };
        match why {
            Unsent::Body(error) => {
                tracing::debug!(%error, "a request's body ended early");
                this.stream.send_reset(Reason::CANCEL);
            }
            // Whoever waits for the answer is told.
            Unsent::Stream => {}
        }
        Poll::Ready(())
    }
}

enum Unsent {
    /// The body ended early.
    Body(BoxError),
    /// The peer takes no more.
    Stream,
}

impl From<h2::Error> for Unsent {
    fn from(_: h2::Error) -> Self {
        Self::Stream
    }
}

impl<B> Upload<B>
where
    B: Body<Data = Bytes>,
    B::Error: Into<BoxError>,
{
    fn poll_sent(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Unsent>> {
        loop {
            if self.stream.poll_reset(cx)?.is_ready() {
                return Poll::Ready(Err(Unsent::Stream));
            }
            if let Some((_, is_last)) = self.waiting {
                ready!(self.poll_room(cx))?;
                let piece = self.waiting.take().map(|(piece, _)| piece);
                self.stream.send_data(piece.unwrap_or_default(), is_last)?;
                if is_last {
                    return Poll::Ready(Ok(()));
                }
            }
            // The piece first and room for it second: room that is kept for a body that says nothing
            // is missing to the other streams of the connection.
            let frame = match ready!(self.body.as_mut().poll_frame(cx)) {
                None => return Poll::Ready(Ok(self.stream.send_data(Bytes::new(), true)?)),
                Some(Err(error)) => return Poll::Ready(Err(Unsent::Body(error.into()))),
                Some(Ok(frame)) => frame,
            };
            match frame.into_data() {
                Ok(piece) => {
                    if !piece.is_empty() {
                        self.stream.reserve_capacity(1);
                    }
                    self.waiting = Some((piece, self.body.is_end_stream()));
                }
                Err(frame) => {
                    if let Ok(trailers) = frame.into_trailers() {
                        self.stream.reserve_capacity(0);
                        return Poll::Ready(Ok(self.stream.send_trailers(trailers)?));
                    }
                }
            }
        }
    }

    /// Ready when the peer takes at least one byte; h2 keeps the rest of the piece.
    fn poll_room(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Unsent>> {
        let needs_room = self
            .waiting
            .as_ref()
            .is_some_and(|(piece, _)| !piece.is_empty());
        while needs_room && self.stream.capacity() == 0 {
            match ready!(self.stream.poll_capacity(cx)) {
                Some(Ok(_)) => {}
                Some(Err(error)) => return Poll::Ready(Err(error.into())),
                None => return Poll::Ready(Err(Unsent::Stream)),
            }
        }
        Poll::Ready(Ok(()))
    }
}

/// The body of an answer. Its place on the connection is given back when it has ended.
pub(crate) struct Answer {
    stream: RecvStream,
    /// Until the end.
    occupied: Option<(Place, Option<Uploading>)>,
    is_in_trailers: bool,
    /// The bytes that are to come, if the head says so.
    left: Option<u64>,
}

impl Answer {
    fn new(
        stream: RecvStream,
        length: Option<u64>,
        place: Place,
        uploading: Option<Uploading>,
    ) -> Self {
        let has_ended = stream.is_end_stream();
        Self {
            stream,
            left: if has_ended { Some(0) } else { length },
            occupied: (!has_ended).then_some((place, uploading)),
            is_in_trailers: false,
        }
    }

    pub(crate) fn poll_frame(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, h2::Error>>> {
        let polled = ready!(self.poll_next(cx));
        if !matches!(polled, Some(Ok(_))) || self.is_end_stream() {
            self.occupied = None;
        }
        Poll::Ready(polled)
    }

    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, h2::Error>>> {
        if !self.is_in_trailers {
            match ready!(self.stream.poll_data(cx)) {
                Some(Ok(piece)) => {
                    // Who polls has taken what came before: as much more may come.
                    self.stream.flow_control().release_capacity(piece.len())?;
                    let came = piece.len() as u64;
                    self.left = self.left.map(|left| left.saturating_sub(came));
                    return Poll::Ready(Some(Ok(Frame::data(piece))));
                }
                Some(Err(error)) => return Poll::Ready(Some(Err(error))),
                None => self.is_in_trailers = true,
            }
        }
        let trailers = ready!(self.stream.poll_trailers(cx))?;
        Poll::Ready(trailers.map(|trailers: HeaderMap| Ok(Frame::trailers(trailers))))
    }

    pub(crate) fn is_end_stream(&self) -> bool {
        self.occupied.is_none() || self.stream.is_end_stream()
    }

    pub(crate) fn size_hint(&self) -> SizeHint {
        self.left
            .map_or_else(SizeHint::default, SizeHint::with_exact)
    }
}

impl fmt::Debug for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Answer")
            .field(&self.stream.stream_id())
            .finish()
    }
}

const MORE_OF_A_CONNECTION: [HeaderName; 2] = [
    HeaderName::from_static("keep-alive"),
    HeaderName::from_static("proxy-connection"),
];
