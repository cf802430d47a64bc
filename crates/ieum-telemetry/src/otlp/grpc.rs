//! One unary call of gRPC: a frame of five bytes and a message over HTTP/2, a status in the trailers
//! (github.com/grpc/grpc, "gRPC over HTTP2").

use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use bytes::{BufMut, Bytes, BytesMut};
use http::header::{CONTENT_TYPE, TE};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Uri, Version};
use http_body_util::{BodyExt, Full, Limited};
use hyper::client::conn::http2::{self, SendRequest};
use hyper_util::rt::TokioIo;
use ieum_base::{TaskKind, Tasks};
use ieum_http::{BoxError, Connector, connector};
use prost::Message;

use super::settings::Destination;
use super::transport::{LONGEST_ANSWER, Verdict, add_own, gzip, taken};
use crate::proto::ExportResponse;

/// Calls one method of one peer, over one connection that is opened when it is needed.
pub(super) struct Client {
    to: Destination,
    connector: Connector,
    tasks: Tasks,
    connection: Option<SendRequest<Full<Bytes>>>,
}

impl Client {
    pub(super) fn new(to: Destination, tasks: Tasks) -> Self {
        Self {
            to,
            connector: Connector::http2(connector::Config::default()),
            tasks,
            connection: None,
        }
    }

    pub(super) async fn send<M: Message>(&mut self, message: &M) -> Verdict {
        let Some(request) = request(&self.to, message) else {
            return Verdict::Never;
        };
        match tokio::time::timeout(self.to.timeout, self.call(request)).await {
            Ok(Ok(verdict)) => verdict,
            Ok(Err(_)) | Err(_) => {
                // Whatever it was, a new connection is the way out.
                self.connection = None;
                Verdict::Later(None)
            }
        }
    }

    async fn call(&mut self, request: Request<Full<Bytes>>) -> Result<Verdict, BoxError> {
        let mut connection = self.connection().await?;
        let (head, answer) = connection.send_request(request).await?.into_parts();
        if !head.status.is_success() {
            return Ok(not_grpc(head.status.as_u16()));
        }
        let answer = Limited::new(answer, LONGEST_ANSWER).collect().await?;
        // A failure without a message has its status among the headers.
        let trailers = answer.trailers().unwrap_or(&head.headers).clone();
        Ok(verdict(&trailers, &answer.to_bytes()))
    }

    async fn connection(&mut self) -> Result<SendRequest<Full<Bytes>>, BoxError> {
        if let Some(connection) = self.connection.as_ref().filter(|c| !c.is_closed()) {
            return Ok(connection.clone());
        }
        let io = TokioIo::new(self.connector.connect(&self.to.target).await?);
        let executor = Streams(self.tasks.clone());
        let (sender, connection) = http2::Builder::new(executor).handshake(io).await?;
        self.tasks
            .spawn(TaskKind::Background, "otlp-connection", async {
                // Its end shows at the next call.
                let _ = connection.await;
            });
        self.connection = Some(sender.clone());
        Ok(sender)
    }
}

/// Runs what hyper wants to run as tasks of the tree.
#[derive(Clone)]
struct Streams(Tasks);

impl<F> hyper::rt::Executor<F> for Streams
where
    F: Future<Output = ()> + Send + 'static,
{
    fn execute(&self, work: F) {
        self.0.spawn(TaskKind::Background, "otlp-stream", work);
    }
}

fn request<M: Message>(to: &Destination, message: &M) -> Option<Request<Full<Bytes>>> {
    let plain = message.encode_to_vec();
    let bytes = if to.gzip { gzip(&plain)? } else { plain };
    let mut frame = BytesMut::with_capacity(bytes.len() + 5);
    frame.put_u8(u8::from(to.gzip));
    frame.put_u32(u32::try_from(bytes.len()).ok()?);
    frame.extend_from_slice(&bytes);
    let scheme = if to.target.is_secure() {
        "https"
    } else {
        "http"
    };
    let uri = Uri::builder()
        .scheme(scheme)
        .authority(to.target.authority());
    let mut request = Request::new(Full::new(frame.freeze()));
    *request.method_mut() = Method::POST;
    *request.uri_mut() = uri.path_and_query(&*to.path).build().ok()?;
    *request.version_mut() = Version::HTTP_2;
    let headers = request.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
    headers.insert(TE, HeaderValue::from_static("trailers"));
    if to.gzip {
        headers.insert(GRPC_ENCODING, HeaderValue::from_static("gzip"));
    }
    let timeout = format!("{}m", to.timeout.as_millis().min(MOST_TIMEOUT));
    headers.insert(GRPC_TIMEOUT, HeaderValue::try_from(timeout).ok()?);
    add_own(headers, to);
    Some(request)
}

/// What an HTTP status without gRPC means ("HTTP to gRPC Status Code Mapping").
fn not_grpc(status: u16) -> Verdict {
    match status {
        429 | 502 | 503 | 504 => Verdict::Later(None),
        _ => Verdict::Never,
    }
}

fn verdict(trailers: &HeaderMap, answer: &[u8]) -> Verdict {
    let code = trailers.get(GRPC_STATUS).and_then(|v| v.to_str().ok());
    match code.and_then(|code| code.parse::<u32>().ok()) {
        Some(0) => {
            // We accept no compressed answer, so none comes.
            let message = answer.get(5..).unwrap_or_default();
            taken(
                ExportResponse::decode(message)
                    .unwrap_or_default()
                    .partial_success,
            )
        }
        // Cancelled, deadline exceeded, aborted, out of range, unavailable, data loss.
        Some(1 | 4 | 10 | 11 | 14 | 15) => Verdict::Later(retry_delay(trailers)),
        // Resource exhausted: only if the peer says when.
        Some(8) => {
            retry_delay(trailers).map_or(Verdict::Never, |pause| Verdict::Later(Some(pause)))
        }
        code => {
            tracing::debug!(code, "an export was refused");
            Verdict::Never
        }
    }
}

/// The delay that the peer asks for with `google.rpc.RetryInfo` in the details of its status.
fn retry_delay(trailers: &HeaderMap) -> Option<Duration> {
    let details = trailers.get(GRPC_DETAILS)?.to_str().ok()?;
    let details = STANDARD_NO_PAD.decode(details.trim_end_matches('=')).ok()?;
    let details = Status::decode(&*details).ok()?.details;
    let info = details
        .iter()
        .find(|detail| detail.type_url.ends_with("/google.rpc.RetryInfo"))?;
    let delay = RetryInfo::decode(&*info.value).ok()?.retry_delay?;
    Some(Duration::new(
        u64::try_from(delay.seconds).ok()?,
        u32::try_from(delay.nanos).ok()?,
    ))
}

/// `google.rpc.Status`.
#[derive(Clone, PartialEq, Message)]
struct Status {
    #[prost(message, repeated, tag = "3")]
    details: Vec<Any>,
}

/// `google.protobuf.Any`.
#[derive(Clone, PartialEq, Message)]
struct Any {
    #[prost(string, tag = "1")]
    type_url: String,
    #[prost(bytes = "vec", tag = "2")]
    value: Vec<u8>,
}

/// `google.rpc.RetryInfo`.
#[derive(Clone, PartialEq, Message)]
struct RetryInfo {
    #[prost(message, optional, tag = "1")]
    retry_delay: Option<Pause>,
}

/// `google.protobuf.Duration`.
#[derive(Clone, Copy, PartialEq, Message)]
struct Pause {
    #[prost(int64, tag = "1")]
    seconds: i64,
    #[prost(int32, tag = "2")]
    nanos: i32,
}

const GRPC_STATUS: HeaderName = HeaderName::from_static("grpc-status");
const GRPC_DETAILS: HeaderName = HeaderName::from_static("grpc-status-details-bin");
const GRPC_ENCODING: HeaderName = HeaderName::from_static("grpc-encoding");
const GRPC_TIMEOUT: HeaderName = HeaderName::from_static("grpc-timeout");
/// A timeout has at most eight digits.
const MOST_TIMEOUT: u128 = 99_999_999;

#[cfg(test)]
mod tests {
    use super::*;

    fn answered(code: &'static str, details: Option<Status>) -> Verdict {
        let mut trailers = HeaderMap::new();
        trailers.insert(GRPC_STATUS, HeaderValue::from_static(code));
        if let Some(details) = details {
            let text = STANDARD_NO_PAD.encode(details.encode_to_vec());
            trailers.insert(GRPC_DETAILS, text.parse().expect("base64"));
        }
        verdict(&trailers, &[0, 0, 0, 0, 0])
    }

    fn retry_in(seconds: i64) -> Status {
        let retry_delay = Some(Pause { seconds, nanos: 0 });
        Status {
            details: vec![Any {
                type_url: "type.googleapis.com/google.rpc.RetryInfo".to_owned(),
                value: RetryInfo { retry_delay }.encode_to_vec(),
            }],
        }
    }

    #[test]
    fn codes_are_retried_as_the_specification_says() {
        assert_eq!(answered("0", None), Verdict::Taken { rejected: 0 });
        for code in ["1", "4", "10", "11", "14", "15"] {
            assert_eq!(answered(code, None), Verdict::Later(None), "{code}");
        }
        for code in ["2", "3", "5", "6", "7", "8", "9", "12", "13", "16", "text"] {
            assert_eq!(answered(code, None), Verdict::Never, "{code}");
        }
        let soon = Verdict::Later(Some(Duration::from_secs(3)));
        assert_eq!(answered("8", Some(retry_in(3))), soon);
        assert_eq!(answered("14", Some(retry_in(3))), soon);
        assert_eq!(answered("14", Some(retry_in(-1))), Verdict::Later(None));
    }
}
