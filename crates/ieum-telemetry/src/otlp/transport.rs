//! One request of an export, and what its answer means.

use std::io::Write as _;
use std::time::Duration;

use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use http::header::{ACCEPT, CONTENT_ENCODING, CONTENT_TYPE, RETRY_AFTER, USER_AGENT};
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode};
use http_body_util::Full;
use ieum_base::Tasks;
use ieum_http::{HttpClient, body};
use prost::Message;
use serde::Serialize;

use super::grpc;
use super::settings::{Destination, Protocol};
use crate::proto::{ExportResponse, PartialSuccess};

/// What became of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Taken; so many items of it were not.
    Taken { rejected: u64 },
    /// To be sent again, not before this time has passed if the peer says so.
    Later(Option<Duration>),
    /// Not to be sent again.
    Never,
}

/// The way to one destination.
pub(super) enum Transport {
    Http { http: HttpClient, to: Destination },
    Grpc(Box<grpc::Client>),
}

impl Transport {
    pub(super) fn new(to: Destination, tasks: Tasks) -> Self {
        match to.protocol {
            Protocol::Grpc => Self::Grpc(Box::new(grpc::Client::new(to, tasks))),
            Protocol::HttpProtobuf | Protocol::HttpJson => Self::Http {
                http: HttpClient::new(tasks),
                to,
            },
        }
    }

    pub(super) async fn send<M: Message + Serialize>(&mut self, message: &M) -> Verdict {
        match self {
            Self::Grpc(client) => client.send(message).await,
            Self::Http { http, to } => {
                let Some(request) = request(to, message) else {
                    return Verdict::Never;
                };
                let sent = tokio::time::timeout(to.timeout, async {
                    let (head, answer) = http.send_to(&to.target, request).await?.into_parts();
                    let answer = body::collect(answer, LONGEST_ANSWER).await?;
                    Ok::<_, ieum_http::Error>(Response::from_parts(head, answer))
                });
                match sent.await {
                    Ok(Ok(response)) => verdict(&response),
                    Ok(Err(_)) | Err(_) => Verdict::Later(None),
                }
            }
        }
    }
}

/// `None` if the message cannot be written, which would not change by waiting.
fn request<M: Message + Serialize>(to: &Destination, message: &M) -> Option<Request<Full<Bytes>>> {
    let (bytes, media_type) = match to.protocol {
        Protocol::HttpJson => (serde_json::to_vec(message).ok()?, JSON),
        Protocol::HttpProtobuf | Protocol::Grpc => (message.encode_to_vec(), PROTOBUF),
    };
    let bytes = if to.gzip { gzip(&bytes)? } else { bytes };
    let mut request = Request::new(Full::new(Bytes::from(bytes)));
    *request.method_mut() = Method::POST;
    *request.uri_mut() = to.path.parse().ok()?;
    let headers = request.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(media_type));
    headers.insert(ACCEPT, HeaderValue::from_static(media_type));
    if to.gzip {
        headers.insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    }
    add_own(headers, to);
    Some(request)
}

/// The headers that every request has.
pub(super) fn add_own(headers: &mut HeaderMap, to: &Destination) {
    headers.insert(USER_AGENT, HeaderValue::from_static(AGENT));
    for (name, value) in &to.headers {
        headers.insert(name.clone(), value.expose().clone());
    }
}

pub(super) fn gzip(bytes: &[u8]) -> Option<Vec<u8>> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).ok()?;
    encoder.finish().ok()
}

fn verdict(response: &Response<Bytes>) -> Verdict {
    let status = response.status();
    if status.is_success() {
        let is_json = response.headers().get(CONTENT_TYPE);
        let is_json = is_json.is_some_and(|value| value.as_bytes().starts_with(JSON.as_bytes()));
        let answer = if is_json {
            serde_json::from_slice(response.body()).unwrap_or_default()
        } else {
            ExportResponse::decode(response.body().clone()).unwrap_or_default()
        };
        return taken(answer.partial_success);
    }
    // The statuses that OTLP/HTTP calls retryable.
    match status {
        StatusCode::TOO_MANY_REQUESTS
        | StatusCode::BAD_GATEWAY
        | StatusCode::SERVICE_UNAVAILABLE
        | StatusCode::GATEWAY_TIMEOUT => Verdict::Later(retry_after(response.headers())),
        _ => {
            tracing::debug!(%status, "an export was refused");
            Verdict::Never
        }
    }
}

pub(super) fn taken(partial: Option<PartialSuccess>) -> Verdict {
    let partial = partial.unwrap_or_default();
    if !partial.error_message.is_empty() {
        tracing::debug!(
            why = partial.error_message,
            "an export was taken with a remark"
        );
    }
    Verdict::Taken {
        rejected: u64::try_from(partial.rejected).unwrap_or(0),
    }
}

/// In seconds; a date is left to our own backoff.
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let seconds = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    seconds.parse().ok().map(Duration::from_secs)
}

const PROTOBUF: &str = "application/x-protobuf";
const JSON: &str = "application/json";
const AGENT: &str = concat!("ieum-otlp-exporter/", env!("CARGO_PKG_VERSION"));
/// The longest answer that is read, in bytes.
pub(super) const LONGEST_ANSWER: usize = 64 << 10;

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(status: u16, headers: &[(&str, &str)], body: &[u8]) -> Verdict {
        let mut response = Response::builder().status(status);
        for (name, value) in headers {
            response = response.header(*name, *value);
        }
        let response = response.body(Bytes::copy_from_slice(body));
        verdict(&response.expect("a response"))
    }

    #[test]
    fn what_may_be_sent_again_is_what_the_specification_says() {
        for status in [429, 502, 503, 504] {
            assert_eq!(answer(status, &[], b""), Verdict::Later(None), "{status}");
        }
        for status in [301, 400, 401, 404, 413, 500, 501] {
            assert_eq!(answer(status, &[], b""), Verdict::Never, "{status}");
        }
        let seven = Verdict::Later(Some(Duration::from_secs(7)));
        assert_eq!(answer(503, &[("retry-after", "7")], b""), seven);
    }

    #[test]
    fn what_was_not_taken_is_counted_in_both_encodings() {
        let json = br#"{"partialSuccess":{"rejectedDataPoints":"3","errorMessage":"old"}}"#;
        let typed = [("content-type", "application/json; charset=utf-8")];
        assert_eq!(answer(200, &typed, json), Verdict::Taken { rejected: 3 });
        let partial = PartialSuccess {
            rejected: 2,
            error_message: String::new(),
        };
        let protobuf = ExportResponse {
            partial_success: Some(partial),
        };
        let protobuf = protobuf.encode_to_vec();
        assert_eq!(answer(200, &[], &protobuf), Verdict::Taken { rejected: 2 });
        assert_eq!(answer(202, &[], b""), Verdict::Taken { rejected: 0 });
    }
}
