//! The services that take part in sagas, called over HTTP.
//!
//! One attempt of the engine is one request on the wire: the client's own retries are off, because
//! each attempt is written down before it is made. What matters here is to tell a request that was
//! certainly not sent from one whose fate is unknown; the client keeps that apart to the byte.

use async_trait::async_trait;
use http::Method;
use ieum_base::trace::{self, Tracer};
use ieum_base::{ByteSize, Retry, Tasks};
use ieum_client::{Client, Response, ServiceClient};
use ieum_discovery::Resolver;
use ieum_http::Sent;
use ieum_saga::definition;
use ieum_saga::port::{Answered, Call, CallResult};

/// Calls participants by the names under which they are registered.
#[derive(Clone, Debug)]
pub(crate) struct Participants {
    client: Client,
    resolver: Resolver,
}

impl Participants {
    /// Participants that `resolver` finds. An answer above `max_answer` is too large to keep.
    pub(crate) fn new(
        resolver: Resolver,
        max_answer: ByteSize,
        tracer: Tracer,
        tasks: Tasks,
    ) -> Self {
        let mut config = ieum_client::Config {
            max_answer,
            ..ieum_client::Config::default()
        };
        config.retry.retries = 0;
        Self {
            client: Client::new(resolver.clone(), config, tracer, tasks),
            resolver,
        }
    }
}

#[async_trait]
impl ieum_saga::port::Participants for Participants {
    async fn call(&self, call: Call) -> CallResult {
        let service = self.client.service(&call.service);
        match call.trace.clone() {
            Some(context) => trace::scope(context, send(&service, call)).await,
            None => send(&service, call).await,
        }
    }

    fn absence(&self, service: &str) -> Option<String> {
        let service = self.resolver.service(service);
        let mut endpoints = service.endpoints().into_iter();
        let unresolved = service.index() == 0;
        let reachable = endpoints.any(|endpoint| endpoint.breaker().is_available());
        (!unresolved && !reachable).then(|| service.absence().to_string())
    }

    fn presence(&self, service: &str) -> u64 {
        self.resolver.service(service).index()
    }

    async fn presence_changed(&self, service: &str, known: u64) -> u64 {
        self.resolver.service(service).changed(known).await
    }
}

async fn send(service: &ServiceClient, call: Call) -> CallResult {
    let mut request = service
        .request(method(call.method), &call.path)
        .timeout(call.deadline.left());
    for (name, value) in &call.headers {
        request = request.header(*name, value.as_str());
    }
    if let Some(body) = &call.body {
        request = request.json(body);
    }
    match request.send_any().await {
        Ok(response) => answered(response, call.max_answer),
        Err(error) => {
            let why = describe(&error);
            match error.sent() {
                _ if is_too_large(&error) => CallResult::TooLarge { why },
                Sent::NotSent => CallResult::NotSent {
                    why,
                    after: match error.retry() {
                        Retry::After(wait) => Some(wait),
                        _ => None,
                    },
                },
                _ => CallResult::Unknown { why },
            }
        }
    }
}

fn answered(response: Response, max_answer: usize) -> CallResult {
    let (head, body) = response.into_http().into_parts();
    if body.len() > max_answer {
        let why = format!(
            "the answer has {} bytes, the limit is {max_answer}",
            body.len()
        );
        return CallResult::TooLarge { why };
    }
    let text = |value: &http::HeaderValue| value.to_str().ok().map(str::to_owned);
    let headers = head.headers.iter();
    CallResult::Answered(Answered {
        status: head.status.as_u16(),
        headers: headers
            .filter_map(|(name, value)| Some((name.as_str().to_owned(), text(value)?)))
            .collect(),
        body,
    })
}

/// True if the answer was given up because of its size.
fn is_too_large(error: &ieum_client::Error) -> bool {
    let source = std::error::Error::source(error);
    let source = source.and_then(|source| source.downcast_ref::<ieum_http::Error>());
    source.is_some_and(|source| source.kind() == ieum_http::ErrorKind::TooLarge)
}

/// The error with its causes: an operator reads it in the saga's history.
fn describe(error: &ieum_client::Error) -> String {
    let mut text = error.to_string();
    let mut source = std::error::Error::source(error);
    while let Some(cause) = source {
        text.push_str(&format!(": {cause}"));
        source = cause.source();
    }
    text
}

const fn method(method: definition::Method) -> Method {
    match method {
        definition::Method::Get => Method::GET,
        definition::Method::Post => Method::POST,
        definition::Method::Put => Method::PUT,
        definition::Method::Patch => Method::PATCH,
        definition::Method::Delete => Method::DELETE,
    }
}
