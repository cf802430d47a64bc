//! A call of gRPC that the gateway makes itself: the headers of its request, the messages and the
//! status of its answer, and who is told how it went.

use std::future::poll_fn;
use std::pin::Pin;

use bytes::Bytes;
use http::header::{CONTENT_TYPE, TE};
use http::{HeaderMap, HeaderName, HeaderValue, Response};
use http_body::Body;
use ieum_base::trace::Span;
use ieum_discovery::Outcome;
use ieum_grpc::{Code, FrameError, Reader, Status};
use ieum_http::pool::PooledBody;

use crate::body::{Held, RequestBody};
use crate::phases::grpc;

/// Why an answer of gRPC cannot be read.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ReadError {
    /// It is not gRPC.
    #[error("it did not answer in gRPC")]
    Foreign,
    /// Its messages are damaged or too large.
    #[error(transparent)]
    Frame(#[from] FrameError),
    /// A message is compressed, although nobody said that it may be.
    #[error("a message is compressed, which was not asked for")]
    Compressed,
    /// It has more messages than one.
    #[error("it answered more than one message")]
    TooMany,
    /// Who reads it cannot use a message.
    #[error("{0}")]
    Refused(String),
    /// It has none, and has to have one.
    #[error("it answered no message")]
    NoMessage,
    /// The connection broke, or the answer ended without a status.
    #[error("it broke off")]
    Broken,
}

/// What a call occupies while it is answered, and its span. Dropped before its end, the client has
/// left.
pub(crate) struct Running {
    held: Held,
    span: Option<Box<Span>>,
}

impl Running {
    pub(crate) const fn new(held: Held, span: Option<Box<Span>>) -> Self {
        Self { held, span }
    }

    /// The endpoint that answers.
    pub(crate) fn endpoint(&self) -> &str {
        self.held.picked.authority().as_str()
    }

    /// The service has said how it went.
    pub(crate) fn ended(&mut self, code: Code) {
        self.held.picked.record(grpc::outcome(code, false));
        self.end_span(code);
    }

    /// The service broke off, fell silent, or said what cannot be understood.
    pub(crate) fn failed(&mut self, code: Code) {
        self.held.picked.record(Outcome::FAILURE);
        self.end_span(code);
    }

    fn end_span(&mut self, code: Code) {
        if let Some(mut span) = self.span.take() {
            grpc::end_span(&mut span, code);
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.end_span(Code::Cancelled);
    }
}

/// Says in the headers of a request that it is a call of gRPC.
pub(crate) fn describe(headers: &mut HeaderMap) {
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
    headers.insert(TE, HeaderValue::from_static("trailers"));
    headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("identity"));
}

/// What the head of an answer says.
pub(crate) enum Head {
    /// Messages follow, and a status.
    Messages,
    /// It is all.
    Status(Status),
}

/// Reads the head. Somebody between who does not speak gRPC is understood by the HTTP status, as
/// clients of gRPC do.
pub(crate) fn head<B>(response: &Response<B>) -> Result<Head, ReadError> {
    if let Some(status) = Status::of_fields(response.headers()) {
        return Ok(Head::Status(status));
    }
    let http = response.status();
    if !http.is_success() {
        let code = Code::of_http(http);
        let message = format!("the service answered with HTTP status {}", http.as_u16());
        return Ok(Head::Status(Status::new(code, message)));
    }
    let media_type = response.headers().get(CONTENT_TYPE);
    let is_grpc = media_type.is_some_and(|kind| kind.as_bytes().starts_with(b"application/grpc"));
    if is_grpc {
        Ok(Head::Messages)
    } else {
        Err(ReadError::Foreign)
    }
}

/// Reads an answer to its end and gives each message, of at most `most` bytes, to `take`; the status.
pub(crate) async fn read(
    response: Response<PooledBody<RequestBody>>,
    most: u64,
    mut take: impl FnMut(Bytes) -> Result<(), ReadError>,
) -> Result<Status, ReadError> {
    if let Head::Status(status) = head(&response)? {
        return Ok(status);
    }
    let mut body = response.into_body();
    let mut reader = Reader::new(most);
    while let Some(frame) = poll_fn(|cx| Pin::new(&mut body).poll_frame(cx)).await {
        let frame = frame.map_err(|_| ReadError::Broken)?;
        match frame.into_data() {
            Ok(piece) => reader.push(&piece),
            Err(frame) => {
                let trailers = frame.into_trailers().unwrap_or_default();
                let status = Status::of_fields(&trailers).ok_or(ReadError::Broken)?;
                if status.code == Code::Ok {
                    reader.end()?;
                }
                return Ok(status);
            }
        }
        while let Some(message) = next_message(&mut reader)? {
            take(message)?;
        }
    }
    Err(ReadError::Broken)
}

/// The next message that is complete.
pub(crate) fn next_message(reader: &mut Reader) -> Result<Option<Bytes>, ReadError> {
    match reader.next_message()? {
        Some((prefix, _)) if prefix.is_compressed => Err(ReadError::Compressed),
        Some((_, message)) => Ok(Some(message)),
        None => Ok(None),
    }
}

const ACCEPT_ENCODING: HeaderName = HeaderName::from_static("grpc-accept-encoding");
