//! Connect: one try at one endpoint, on a pooled connection or a new one.

use std::pin::Pin;
use std::time::Duration;

use http::header::{HOST, TE};
use http::{HeaderValue, Request, Response, StatusCode};
use ieum_discovery::{Outcome, Picked};
use ieum_grpc::timeout::GRPC_TIMEOUT;
use ieum_http::pool::{PooledBody, SendError};
use ieum_http::{ErrorKind, Sent};
use tokio::time::Instant;

use super::grpc;
use crate::body::{Progress, RequestBody, RequestBodyError, Source};
use crate::errors::{Code, Refusal};
use crate::upstream::Upstream;
use crate::worker::Worker;

/// Why a try brought no answer.
pub(crate) struct Failed {
    pub(crate) refusal: Box<Refusal>,
    pub(super) is_unsent: bool,
    /// The request, if it certainly never left.
    pub(super) unsent: Option<Box<Request<RequestBody>>>,
}

type Answer = Result<Response<PooledBody<RequestBody>>, SendError<RequestBody>>;

/// Sends a request and waits for the head of its answer; tells the endpoint how that went.
pub(crate) async fn send(
    worker: &Worker,
    upstream: &Upstream,
    picked: &mut Picked,
    mut request: Box<Request<RequestBody>>,
    source: &Source,
    timeout: Duration,
) -> Result<Response<PooledBody<RequestBody>>, Failed> {
    let target = match worker.target(picked.endpoint(), upstream.is_secure) {
        Ok(target) => target,
        Err(error) => return Err(failed(upstream, picked, &error, None)),
    };
    request.headers_mut().insert(HOST, target.host_header());
    let send = std::pin::pin!(worker.pool.send(&target, request));
    let sent = head_within(send, source, timeout).await;
    heard(upstream, picked, source, timeout, sent).inspect(|response| {
        picked.record(judge(response));
    })
}

/// What became of a try, if not an answer.
fn heard(
    upstream: &Upstream,
    picked: &mut Picked,
    source: &Source,
    timeout: Duration,
    sent: Option<Answer>,
) -> Result<Response<PooledBody<RequestBody>>, Failed> {
    match sent {
        Some(Ok(response)) => Ok(response),
        Some(Err(SendError { error, request })) => match source.progress() {
            // The client broke off, not the upstream.
            Progress::Failed(why) if error.sent() == Sent::Sent => {
                picked.record(Outcome::Unknown);
                Err(clients_fault(why))
            }
            _ => Err(failed(upstream, picked, &error, request)),
        },
        None => {
            picked.record(Outcome::FAILURE);
            let within = ieum_base::HumanDuration(timeout);
            let detail = format!("`{}` did not answer within {within}", upstream.name);
            Err(Failed {
                refusal: Refusal::new(Code::Timeout, detail),
                is_unsent: false,
                unsent: None,
            })
        }
    }
}

/// As [`send`], by gRPC: over HTTP/2, with what is left of the caller's deadline, and judged by
/// `grpc-status`. If that comes in trailers, the endpoint is told by whoever reads them.
pub(crate) async fn send_grpc(
    worker: &Worker,
    upstream: &Upstream,
    picked: &mut Picked,
    mut request: Box<Request<RequestBody>>,
    source: &Source,
    timeout: Duration,
    deadline: Option<Instant>,
) -> Result<Response<PooledBody<RequestBody>>, Failed> {
    let target = match worker.target(picked.endpoint(), upstream.is_secure) {
        Ok(target) => target,
        Err(error) => return Err(failed(upstream, picked, &error, None)),
    };
    let headers = request.headers_mut();
    headers.insert(TE, HeaderValue::from_static("trailers"));
    if let Some(deadline) = deadline {
        let left = deadline.saturating_duration_since(Instant::now());
        headers.insert(GRPC_TIMEOUT, ieum_grpc::timeout::format(left));
    }
    let send = std::pin::pin!(worker.http2.send(&target, request));
    let head = head_within(send, source, timeout);
    let (sent, is_late) = match deadline {
        None => (head.await, false),
        // Nobody waits for it any more: it is not even sent.
        Some(deadline) if deadline <= Instant::now() => (None, true),
        // It passes for a caller who is still uploading too.
        Some(deadline) => match tokio::time::timeout_at(deadline, head).await {
            Ok(sent) => (sent, false),
            Err(_) => (None, true),
        },
    };
    if is_late {
        picked.record(Outcome::Unknown);
        return Err(Failed {
            refusal: grpc::deadline_passed(),
            is_unsent: false,
            unsent: None,
        });
    }
    let response = heard(upstream, picked, source, timeout, sent)?;
    picked.answered();
    if let Some(code) = grpc::code_in_head(&response) {
        picked.record(grpc::outcome(code, deadline.is_some()));
    }
    Ok(response)
}

/// The time runs from the end of the request: a client that is slow to upload is not a service that
/// is slow to answer (its silence is bounded elsewhere). A service that takes no more of it is.
async fn head_within(
    mut send: Pin<&mut impl Future<Output = Answer>>,
    source: &Source,
    timeout: Duration,
) -> Option<Answer> {
    let mut sleep = std::pin::pin!(tokio::time::sleep(timeout));
    loop {
        let before = source.progress();
        tokio::select! {
            biased;
            answered = &mut send => return Some(answered),
            () = &mut sleep => {
                if before != Progress::Arriving && before == source.progress() {
                    return None;
                }
                sleep.as_mut().reset(Instant::now() + timeout);
            }
        }
    }
}

/// What an answer says about the health of who gave it: a 4xx is an answer, and so are "I never
/// do that" (501) and "not in this version" (505).
fn judge(response: &Response<PooledBody<RequestBody>>) -> Outcome {
    match response.status() {
        StatusCode::NOT_IMPLEMENTED | StatusCode::HTTP_VERSION_NOT_SUPPORTED => Outcome::Success,
        status if status.is_server_error() => Outcome::Failure {
            retry_after: retry_after(response),
        },
        _ => Outcome::Success,
    }
}

/// `Retry-After` in seconds; a date is not looked at.
pub(super) fn retry_after<B>(response: &Response<B>) -> Option<Duration> {
    let value = response.headers().get(http::header::RETRY_AFTER)?;
    let seconds = value.to_str().ok()?.trim().parse().ok()?;
    Some(Duration::from_secs(seconds))
}

fn failed(
    upstream: &Upstream,
    picked: &mut Picked,
    error: &ieum_http::Error,
    unsent: Option<Box<Request<RequestBody>>>,
) -> Failed {
    picked.record(match error.kind() {
        // There were too many of us.
        ErrorKind::Busy => Outcome::Unknown,
        _ => Outcome::FAILURE,
    });
    let is_unsent = error.sent() == Sent::NotSent;
    let (code, what) = match error.kind() {
        ErrorKind::Busy => (Code::BulkheadFull, "takes no more requests at once"),
        ErrorKind::Connect | ErrorKind::Tls | ErrorKind::Forbidden | ErrorKind::Invalid => {
            (Code::Unreachable, "cannot be reached")
        }
        ErrorKind::Timeout => (Code::Timeout, "did not answer in time"),
        _ => (Code::BadGateway, "broke off"),
    };
    tracing::debug!(upstream = %upstream.name, endpoint = %picked.authority(), %error, "a try failed");
    Failed {
        refusal: Refusal::new(code, format!("`{}` {what}", upstream.name)),
        is_unsent,
        unsent,
    }
}

pub(crate) fn clients_fault(why: RequestBodyError) -> Failed {
    let code = match why {
        RequestBodyError::TooLarge => Code::BodyTooLarge,
        RequestBodyError::MessageTooLarge => Code::MessageTooLarge,
        RequestBodyError::Silent => Code::BodyTimeout,
        RequestBodyError::Damaged | RequestBodyError::Broken | RequestBodyError::Superseded => {
            Code::BadRequest
        }
    };
    Failed {
        refusal: Refusal::new(code, why.to_string()),
        is_unsent: false,
        unsent: None,
    }
}
