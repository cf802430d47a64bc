//! Proxy: to one upstream and back, once more if that is safe, and the fallback if it is no use.

use std::time::Duration;

use http::{Request, Response, StatusCode};
use hyper::upgrade::OnUpgrade;
use ieum_base::trace::{Span, SpanKind};
use ieum_discovery::{EndpointId, Picked};
use ieum_grpc::Code as GrpcCode;
use ieum_http::pool::PooledBody;
use ieum_http::propagation;

use super::accept::Exchange;
use super::transform::{Kept, Outgoing};
use super::{balance, connect, grpc, respond, transform, tunnel};
use crate::body::{Held, RequestBody, ResponseBody, Source};
use crate::errors::{Code, Refusal};
use crate::table::{Fallback, Protocol, Route, Rules, Table};
use crate::telemetry::MethodLabel;
use crate::upstream::Upstream;

/// How an upstream is to be called.
pub(super) struct Call<'a> {
    pub(super) table: &'a Table,
    pub(super) exchange: &'a Exchange,
    pub(super) upstream: &'a Upstream,
    pub(super) rules: Rules,
}

/// An upstream's answer.
pub(super) struct Answered {
    pub(super) response: Response<PooledBody<RequestBody>>,
    pub(super) held: Held,
    pub(super) tries: u32,
    /// The span of a call by gRPC, which ends with its trailers.
    pub(super) span: Option<Box<Span>>,
}

/// No answer, after so many tries.
pub(super) struct Unanswered {
    pub(super) refusal: Box<Refusal>,
    pub(super) tries: u32,
}

/// Forwards the request of a route.
pub(super) async fn forward(
    table: &Table,
    exchange: &mut Exchange,
    route: &Route,
    upstream: &Upstream,
    outgoing: Outgoing,
) -> Result<Response<ResponseBody>, Box<Refusal>> {
    let Outgoing {
        request,
        kept,
        source,
        upgrade,
    } = outgoing;
    let call = Call {
        table,
        exchange,
        upstream,
        rules: route.rules,
    };
    let outcome = run(&call, request, kept.as_deref(), &source).await;
    exchange.tries = match &outcome {
        Ok(answered) => answered.tries,
        Err(unanswered) => unanswered.tries,
    };
    let fallback = match finish(table, exchange, route, outcome, &source, upgrade) {
        Ok(answer) => return answer,
        Err(fallback) => fallback,
    };
    exchange.fell_back = true;
    let fall_back = fall_back(table, exchange, route, fallback, kept, &source);
    Box::pin(fall_back).await
}

/// What the client is answered, or the fallback that is asked instead. Not in [`forward`], whose
/// state would have to have room for all of it.
fn finish<'r>(
    table: &Table,
    exchange: &Exchange,
    route: &'r Route,
    outcome: Result<Answered, Unanswered>,
    source: &Source,
    upgrade: Option<OnUpgrade>,
) -> Result<Result<Response<ResponseBody>, Box<Refusal>>, &'r Fallback> {
    let is_upstreams_fault = match &outcome {
        Ok(answered) => is_outage(answered.response.status()),
        Err(unanswered) => is_upstreams(unanswered.refusal.code),
    };
    let fallback = route.fallback.as_ref().filter(|_| is_upstreams_fault);
    if let Some(fallback) = fallback.filter(|fallback| fallback.can_serve(source)) {
        return Err(fallback);
    }
    Ok(match outcome {
        Err(unanswered) => Err(unanswered.refusal),
        Ok(answered) if is_switch(&answered) => tunnel::open(exchange, answered, upgrade),
        Ok(answered) => Ok(respond::upstream(table, answered)),
    })
}

impl Fallback {
    /// Another upstream needs the whole request.
    fn can_serve(&self, source: &Source) -> bool {
        matches!(self, Self::Answer(_)) || source.is_whole()
    }
}

const fn is_upstreams(code: Code) -> bool {
    matches!(code.row().fault, ieum_base::Fault::Upstream)
}

fn is_switch(answered: &Answered) -> bool {
    answered.response.status() == StatusCode::SWITCHING_PROTOCOLS
}

fn is_outage(status: StatusCode) -> bool {
    matches!(
        status,
        StatusCode::BAD_GATEWAY | StatusCode::SERVICE_UNAVAILABLE | StatusCode::GATEWAY_TIMEOUT
    )
}

async fn fall_back(
    table: &Table,
    exchange: &Exchange,
    route: &Route,
    fallback: &Fallback,
    kept: Option<Box<Kept>>,
    source: &Source,
) -> Result<Response<ResponseBody>, Box<Refusal>> {
    let again = kept.zip(source.next());
    match (fallback, again) {
        (Fallback::Upstream(upstream), Some((kept, body))) => {
            exchange.worker.telemetry.fell_back(&route.name);
            let rules = Rules {
                retries: 0,
                ..route.rules
            };
            let call = Call {
                table,
                exchange,
                upstream,
                rules,
            };
            let request = kept.request(table, exchange, upstream, body);
            match run(&call, request, None, source).await {
                Ok(answered) if is_switch(&answered) => Err(tunnel::unasked()),
                Ok(answered) => Ok(respond::upstream(table, answered)),
                Err(unanswered) => Err(unanswered.refusal),
            }
        }
        (Fallback::Answer(answer), _) => {
            exchange.worker.telemetry.fell_back(&route.name);
            Ok(respond::fixed(answer))
        }
        (Fallback::Upstream(_), None) => Err(Refusal::new(
            Code::Internal,
            "the request was not kept for its fallback",
        )),
    }
}

/// Calls an upstream: a place in its bulkhead, then tries until one is answered or none is left.
pub(super) async fn run(
    call: &Call<'_>,
    request: Box<Request<RequestBody>>,
    kept: Option<&Kept>,
    source: &Source,
) -> Result<Answered, Unanswered> {
    let upstream = call.upstream;
    let place = match upstream.bulkhead.try_acquire() {
        Some(place) => Ok(place),
        None => Box::pin(upstream.bulkhead.acquire()).await,
    };
    let place = place.map_err(|full| Unanswered {
        refusal: Refusal::new(Code::BulkheadFull, format!("`{}`: {full}", upstream.name))
            .retry_after(Duration::from_secs(1)),
        tries: 0,
    })?;
    upstream.budget.deposit_at(call.exchange.started);
    let mut tries = Tries::new(call, request, kept, source);
    loop {
        let next = tries.next().await;
        match next {
            Some(Ok(Success {
                response,
                picked,
                span,
            })) => {
                return Ok(Answered {
                    response,
                    held: Held { picked, place },
                    tries: tries.made,
                    span,
                });
            }
            Some(Err(refusal)) => {
                return Err(Unanswered {
                    refusal,
                    tries: tries.made,
                });
            }
            None => {}
        }
    }
}

/// The tries of one call.
struct Tries<'a> {
    call: &'a Call<'a>,
    source: &'a Source,
    /// The request of the next try, if it is there: the first, or one that never left.
    request: Option<Box<Request<RequestBody>>>,
    /// What further tries are made of, if there may be any.
    kept: Option<&'a Kept>,
    may_repeat: bool,
    made: u32,
    tried: Vec<EndpointId>,
    /// Why the last try failed; what a try that finds no endpoint any more would hide.
    failure: Option<Box<Refusal>>,
}

type Tried = Result<Success, Box<Refusal>>;

/// A try that was answered.
struct Success {
    response: Response<PooledBody<RequestBody>>,
    picked: Picked,
    span: Option<Box<Span>>,
}

impl<'a> Tries<'a> {
    fn new(
        call: &'a Call<'a>,
        request: Box<Request<RequestBody>>,
        kept: Option<&'a Kept>,
        source: &'a Source,
    ) -> Self {
        let rules = call.rules;
        let is_harmless = transform::may_repeat(&request, rules.idempotent)
            || kept.is_some_and(Kept::is_harmless);
        Self {
            call,
            source,
            may_repeat: rules.retries > 0 && kept.is_some() && is_harmless,
            kept,
            request: Some(request),
            made: 0,
            tried: Vec::new(),
            failure: None,
        }
    }

    /// One try; `None` if it failed and another is due.
    async fn next(&mut self) -> Option<Tried> {
        let Call {
            upstream,
            rules,
            exchange,
            ..
        } = *self.call;
        let mut picked = match balance::pick(upstream, rules.balance, &self.tried).await {
            Ok(picked) => picked,
            Err(refusal) => return Some(Err(self.failure.take().unwrap_or(refusal))),
        };
        let Some(mut request) = self.request() else {
            return Some(Err(Refusal::new(
                Code::Internal,
                "the request was not kept",
            )));
        };
        let mut span = self.span(&request, &picked);
        let formats = exchange.worker.tracer.propagators();
        propagation::inject_as(request.headers_mut(), span.context(), formats);
        self.made += 1;
        let tries = if self.may_repeat {
            rules.retries + 1
        } else {
            1
        };
        let timeout = rules.timeout / tries;
        let (worker, source) = (&exchange.worker, self.source);
        let sent = match rules.protocol {
            Protocol::Http => {
                connect::send(worker, upstream, &mut picked, request, source, timeout).await
            }
            // Boxed, so that what waits for HTTP has no room for it.
            Protocol::Grpc => {
                let (picked, deadline) = (&mut picked, exchange.deadline);
                let send = connect::send_grpc(
                    worker, upstream, picked, request, source, timeout, deadline,
                );
                Box::pin(send).await
            }
        };
        let wait = match sent {
            Ok(response) => match self.judge(&response, &mut span) {
                None => {
                    let span = (rules.protocol == Protocol::Grpc).then(|| Box::new(span));
                    return Some(Ok(Success {
                        response,
                        picked,
                        span,
                    }));
                }
                Some(wait) => wait,
            },
            Err(failed) => match self.failed(failed, &mut span) {
                Err(refusal) => return Some(Err(refusal)),
                Ok(wait) => wait,
            },
        };
        self.tried.push(picked.endpoint().id());
        drop(picked);
        if !wait.is_zero() {
            // Boxed: a timer is large, and this one rare.
            Box::pin(tokio::time::sleep(wait)).await;
        }
        None
    }

    /// The request of the next try: the one that is there, or one more.
    fn request(&mut self) -> Option<Box<Request<RequestBody>>> {
        if let Some(request) = self.request.take() {
            return Some(request);
        }
        let (kept, body) = self.kept.zip(self.source.next())?;
        let Call {
            table,
            exchange,
            upstream,
            ..
        } = *self.call;
        Some(kept.request(table, exchange, upstream, body))
    }

    fn span(&self, request: &Request<RequestBody>, picked: &Picked) -> Span {
        let span = self
            .call
            .exchange
            .worker
            .tracer
            .span("call")
            .kind(SpanKind::Client);
        let mut span = span
            .parent(Some(self.call.exchange.span.context().clone()))
            .start();
        if span.is_recorded() {
            let name = &self.call.upstream.name;
            let method = MethodLabel::from(request.method()).as_str();
            let own = self.kept.and_then(Kept::span_name);
            span.rename(own.map_or_else(|| format!("{method} {name}"), str::to_owned));
            span.set("http.request.method", method);
            span.set("server.address", picked.authority().to_string());
            span.set("peer.service", name.to_string());
            if self.call.rules.protocol == Protocol::Grpc {
                grpc::describe(&mut span, request.uri().path());
            }
            if self.made > 0 {
                span.set("http.request.resend_count", i64::from(self.made));
            }
        }
        span
    }

    /// An answer is final, unless it says that another try may help: then the time to wait before.
    fn judge(
        &self,
        response: &Response<PooledBody<RequestBody>>,
        span: &mut Span,
    ) -> Option<Duration> {
        if self.call.rules.protocol == Protocol::Grpc {
            return self.judge_grpc(response, span);
        }
        let status = response.status();
        if span.is_recorded() {
            span.set("http.response.status_code", i64::from(status.as_u16()));
            if status.is_server_error() {
                span.fail(status.to_string());
            }
        }
        if !is_outage(status) && status != StatusCode::TOO_MANY_REQUESTS {
            return None;
        }
        let asked = connect::retry_after(response);
        let is_told = status != StatusCode::TOO_MANY_REQUESTS || asked.is_some();
        let wait = self.backoff().max(asked.unwrap_or_default());
        let fits = self.call.exchange.started.elapsed() + wait < self.call.rules.timeout;
        let may_repeat = self.can_repeat() && is_told && fits && self.may_try_again();
        may_repeat.then_some(wait)
    }

    /// As [`Self::judge`], by the code in an answer of trailers only. Any other has begun to be the
    /// caller's.
    fn judge_grpc(
        &self,
        response: &Response<PooledBody<RequestBody>>,
        span: &mut Span,
    ) -> Option<Duration> {
        let code = grpc::code_in_head(response)?;
        if code != GrpcCode::Unavailable {
            return None;
        }
        let wait = self.backoff();
        let fits = self.call.exchange.started.elapsed() + wait < self.call.rules.timeout;
        let may_repeat = fits && self.can_repeat() && self.may_try_again();
        if may_repeat {
            grpc::end_span(span, code);
        }
        may_repeat.then_some(wait)
    }

    /// The time to wait before the next try, or why there is none.
    fn failed(
        &mut self,
        failed: connect::Failed,
        span: &mut Span,
    ) -> Result<Duration, Box<Refusal>> {
        let connect::Failed {
            refusal,
            is_unsent,
            unsent,
        } = failed;
        span.fail(refusal.code.row().title);
        let name = &self.call.upstream.name;
        let telemetry = &self.call.exchange.worker.telemetry;
        telemetry.upstream_failed(name, refusal.code);
        // HTTP/2 tells of a request that was not processed after having taken it.
        let can_be_made_again = is_unsent && self.kept.is_some() && self.source.is_whole();
        let is_safe = unsent.is_some()
            || can_be_made_again
            || self.can_repeat() && is_upstreams(refusal.code);
        if !is_safe || !self.may_try_again() {
            return Err(refusal);
        }
        self.request = unsent;
        self.failure = Some(refusal);
        Ok(if is_unsent {
            Duration::ZERO
        } else {
            self.backoff()
        })
    }

    /// True if the request is harmless to repeat, and all of it is still here.
    fn can_repeat(&self) -> bool {
        self.may_repeat && self.source.is_whole()
    }

    /// True if a try is left, and paid for.
    fn may_try_again(&self) -> bool {
        if self.made > self.call.rules.retries {
            return false;
        }
        let telemetry = &self.call.exchange.worker.telemetry;
        let upstream = self.call.upstream;
        let is_paid = upstream.budget.try_withdraw();
        if is_paid {
            telemetry.retried(&upstream.name);
        } else {
            telemetry.over_budget(&upstream.name);
        }
        is_paid
    }

    fn backoff(&self) -> Duration {
        let worker = &self.call.exchange.worker;
        worker.backoff.delay(self.made, &worker.rng)
    }
}
