//! The attempts of one call.

use std::time::Duration;

use bytes::Bytes;
use http::header::TE;
use http::{HeaderMap, HeaderValue, Method, Request, Response, Uri};
use http_body::Body;
use ieum_base::trace::{Span, SpanKind};
use ieum_base::{Deadline, Rng};
use ieum_discovery::{EndpointId, Outcome, Picked};
use ieum_grpc::Code;
use ieum_grpc::timeout::{self, GRPC_TIMEOUT};
use ieum_http::pool::{PooledBody, SendError};
use ieum_http::{BoxError, Error, ErrorKind, Sent, Target, propagation};
use ieum_resilience::bulkhead::Permit;

use super::body::{GrpcBody, Held, Refused, end_span, outcome};
use super::channel::GrpcChannel;
use super::replay::{Attempt, Replay};

/// The attempts of one call.
pub(super) struct Tries<B> {
    channel: GrpcChannel,
    path: Uri,
    headers: HeaderMap,
    body: Replay<B>,
    place: Permit,
    /// The end of the whole call, if it has one.
    deadline: Option<Deadline>,
    /// The end of waiting for its head.
    head_by: Deadline,
    is_idempotent: bool,
    tried: Vec<EndpointId>,
}

type Answer<B> = Response<PooledBody<Attempt<B>>>;

/// An attempt that was answered.
struct Answered<B> {
    answer: Answer<B>,
    picked: Picked,
    span: Span,
}

/// An attempt that brought nothing, or nothing but a wish to be made again.
struct Failed<B> {
    refused: Refused,
    /// What is answered if there is no other attempt.
    answered: Option<Box<Answered<B>>>,
    /// Whether another attempt makes sense, and after which pause.
    again: Option<Duration>,
}

impl<B> Tries<B>
where
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    /// Takes a place in the service's bulkhead.
    pub(super) async fn begin(channel: GrpcChannel, request: Request<B>) -> Result<Self, Refused> {
        let (head, body) = request.into_parts();
        let asked = head.headers.get(GRPC_TIMEOUT).map(timeout::parse);
        let asked = asked
            .transpose()
            .map_err(|error| Refused::new(Code::InvalidArgument, error.to_string()))?;
        let within = asked.into_iter().chain(channel.timeout).min();
        let deadline = within.map(Deadline::after);
        let patience = channel.service.timeout();
        let head_by = deadline.map_or_else(
            || Deadline::after(patience),
            |deadline| deadline.at_most(patience),
        );
        let bulkhead = channel.service.protections().bulkhead().clone();
        let place = bulkhead.acquire().await;
        let place = place.map_err(|full| Refused::new(Code::Unavailable, full.to_string()))?;
        channel.service.protections().budget().deposit();
        let mut headers = head.headers;
        headers.extend(channel.metadata.clone());
        headers.insert(TE, HeaderValue::from_static("trailers"));
        Ok(Self {
            is_idempotent: channel.is_idempotent(head.uri.path()),
            path: origin_form(head.uri),
            headers,
            body: Replay::new(body, RETAINED),
            place,
            deadline,
            head_by,
            tried: Vec::new(),
            channel,
        })
    }

    /// Makes attempts until one is answered, or none is left.
    pub(super) async fn run(mut self) -> Result<Response<GrpcBody>, Refused> {
        loop {
            let failed = match self.attempt().await {
                Ok(answered) => return Ok(self.answered(*answered)),
                Err(failed) => failed,
            };
            match (failed.again, failed.answered) {
                (Some(wait), _) if self.may_try_again(wait) => tokio::time::sleep(wait).await,
                (_, Some(answered)) => return Ok(self.answered(*answered)),
                _ => return Err(failed.refused),
            }
        }
    }

    async fn attempt(&mut self) -> Result<Box<Answered<B>>, Failed<B>> {
        let service = self.channel.service.discovered();
        let limit = self.limit();
        let mut span = self.span();
        let policy = self.channel.service.config().balance;
        let picked = service.pick_within(limit.left(), policy, &self.tried).await;
        let mut picked = picked.map_err(|absence| {
            end_span(&mut span, Code::Unavailable);
            failed(Refused::new(
                Code::Unavailable,
                format!("`{}`: {absence}", service.name()),
            ))
        })?;
        self.tried.push(picked.endpoint().id());
        span.set("server.address", picked.authority().to_string());
        let sent = tokio::time::timeout_at(limit.instant(), self.send(&picked, &span)).await;
        match sent {
            Ok(Ok(answer)) => {
                picked.answered();
                self.judge(Box::new(Answered {
                    answer,
                    picked,
                    span,
                }))
            }
            Ok(Err(error)) => Err(self.broken(&error, picked, span)),
            Err(_) => {
                end_span(&mut span, Code::DeadlineExceeded);
                picked.finish(Outcome::FAILURE);
                let text = format!("`{}` did not answer in time", self.channel.service.name());
                let refused = Refused::new(Code::DeadlineExceeded, text);
                Err(Failed {
                    again: self.can_repeat().then(|| self.pause()),
                    ..failed(refused)
                })
            }
        }
    }

    async fn send(&self, picked: &Picked, span: &Span) -> Result<Answer<B>, Error> {
        let target = Target::http(picked.authority().as_str())?;
        let mut request = Request::new(self.body.next());
        *request.method_mut() = Method::POST;
        *request.uri_mut() = self.path.clone();
        let mut headers = self.headers.clone();
        if let Some(deadline) = self.deadline {
            headers.insert(GRPC_TIMEOUT, timeout::format(deadline.left()));
        }
        let formats = self.channel.service.tracer().propagators();
        propagation::inject_as(&mut headers, span.context(), formats);
        *request.headers_mut() = headers;
        let http2 = self.channel.service.http().http2();
        let sent = http2.send(&target, Box::new(request)).await;
        sent.map_err(|SendError { error, .. }| error)
    }

    /// An answer is final, unless it says that another attempt may help.
    fn judge(&self, answered: Box<Answered<B>>) -> Result<Box<Answered<B>>, Failed<B>> {
        let in_head = Code::of_fields(answered.answer.headers());
        if in_head == Some(Code::Unavailable) && self.can_repeat() {
            let again = Some(self.pause());
            let refused = Refused::new(Code::Unavailable, "the service is not available");
            return Err(Failed {
                refused,
                answered: Some(answered),
                again,
            });
        }
        Ok(answered)
    }

    fn broken(&self, error: &Error, picked: Picked, mut span: Span) -> Failed<B> {
        end_span(&mut span, Code::Unavailable);
        picked.finish(match error.kind() {
            ErrorKind::Invalid | ErrorKind::Forbidden | ErrorKind::Busy => Outcome::Unknown,
            _ => Outcome::FAILURE,
        });
        let again = match error.sent() {
            Sent::NotSent if self.body.is_whole() => Some(Duration::ZERO),
            Sent::Sent if self.can_repeat() => Some(self.pause()),
            _ => None,
        };
        let text = format!("`{}`: {error}", self.channel.service.name());
        Failed {
            again,
            ..failed(Refused::new(Code::Unavailable, text))
        }
    }

    fn answered(self, answered: Answered<B>) -> Response<GrpcBody> {
        let Answered {
            answer,
            picked,
            mut span,
        } = answered;
        let in_head = Code::of_fields(answer.headers());
        let is_grpc = answer.headers().get(http::header::CONTENT_TYPE);
        let is_grpc = is_grpc.is_some_and(|kind| kind.as_bytes().starts_with(b"application/grpc"));
        if in_head.is_none() && !is_grpc {
            let code = Code::of_http(answer.status());
            end_span(&mut span, code);
            picked.finish(outcome(code));
            let text = format!("answered HTTP {} and not gRPC", answer.status());
            return Refused::new(code, text).into_response();
        }
        let held = Held {
            picked,
            span,
            place: self.place,
        };
        let deadline = self.deadline;
        answer.map(|stream| GrpcBody::new(stream, in_head, deadline, held))
    }

    /// Until when this attempt may wait: all that is left if no other can follow.
    fn limit(&self) -> Deadline {
        let retries = self.channel.service.config().retry.retries;
        if self.is_idempotent && self.tried.len() < retries as usize {
            let share = self.channel.service.timeout() / retries.saturating_add(1);
            self.head_by.at_most(share)
        } else {
            self.head_by
        }
    }

    fn can_repeat(&self) -> bool {
        self.is_idempotent && self.body.is_whole()
    }

    fn may_try_again(&self, wait: Duration) -> bool {
        let service = &self.channel.service;
        let is_left = self.tried.len() <= service.config().retry.retries as usize;
        is_left && wait < self.head_by.left() && service.protections().budget().try_withdraw()
    }

    fn pause(&self) -> Duration {
        let made = u32::try_from(self.tried.len()).unwrap_or(u32::MAX);
        let backoff = self.channel.service.config().retry.backoff();
        backoff.delay(made, &Rng::system())
    }

    fn span(&self) -> Span {
        let name = self.path.path().trim_start_matches('/');
        let tracer = self.channel.service.tracer();
        let mut span = tracer.span(name.to_owned()).kind(SpanKind::Client).start();
        if span.is_recorded() {
            span.set("rpc.system", "grpc");
            span.set("peer.service", self.channel.service.name().to_owned());
            if let Some((service, method)) = name.split_once('/') {
                span.set("rpc.service", service.to_owned());
                span.set("rpc.method", method.to_owned());
            }
        }
        span
    }
}

fn failed<B>(refused: Refused) -> Failed<B> {
    Failed {
        refused,
        answered: None,
        again: None,
    }
}

/// Generated clients write an origin in front of the path; the endpoint is chosen here.
fn origin_form(uri: Uri) -> Uri {
    let path = uri.into_parts().path_and_query;
    path.map_or_else(Uri::default, Uri::from)
}

/// As much of a body is kept for another attempt as the gateway keeps.
const RETAINED: usize = 64 << 10;
