//! Cache: an answer that is kept, instead of another from the upstream.
//!
//! Its rules are in [`caching`](crate::caching); this is where they meet a request.

use std::borrow::Cow;
use std::sync::Arc;

use bytes::Bytes;
use http::header::{
    AGE, AUTHORIZATION, CACHE_CONTROL, CONNECTION, CONTENT_LENGTH, CONTENT_LOCATION, COOKIE, DATE,
    ETAG, EXPIRES, IF_MATCH, IF_RANGE, IF_UNMODIFIED_SINCE, LOCATION, RANGE, VARY,
};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode};
use http_body::Body;
use ieum_base::TaskKind;

use super::accept::Exchange;
use super::{forwarded, normalise, transform};
use crate::body::ResponseBody;
use crate::caching::{Asked, Caching, Directives, Entry, Place, Recorder, Target, is_modified};
use crate::config::RouteCacheConfig;
use crate::table::{Route, Table};
use crate::telemetry::CacheOutcome;
use crate::worker::Worker;

/// The rules of one route, and where its answers are kept.
#[derive(Clone, Debug)]
pub(crate) struct RouteCache {
    pub(crate) caching: Arc<Caching>,
    pub(crate) config: RouteCacheConfig,
}

/// What the cache says of a request.
pub(super) enum Looked {
    /// The answer.
    Hit(Box<Response<ResponseBody>>),
    /// The upstream must be asked; its answer may be kept.
    Miss(Box<Pending>),
    /// The upstream must be asked, and nothing is kept.
    Past,
}

/// What is needed to keep the answer to a request.
pub(super) struct Pending {
    place: Place,
    headers: HeaderMap,
    asked: Asked,
}

/// A request on its way that may change its target. If it is dropped without an answer, as when its
/// caller leaves, nobody knows whether the upstream has changed it: then it is forgotten too.
pub(super) struct Writer {
    table: Arc<Table>,
    worker: Arc<Worker>,
    target: Option<Target>,
}

/// The writer that a request is, where anything is kept.
pub(super) fn writer<B>(
    table: &Arc<Table>,
    exchange: &Exchange,
    request: &Request<B>,
) -> Option<Box<Writer>> {
    if table.caching.is_none() || is_safe(&exchange.method) {
        return None;
    }
    let path = normalise::request(exchange.target.path()).ok()?;
    Some(Box::new(Writer {
        table: Arc::clone(table),
        worker: Arc::clone(&exchange.worker),
        target: Some(target(exchange, &path, request)),
    }))
}

/// What a request asks for, as it is kept.
fn target<B>(exchange: &Exchange, path: &str, request: &Request<B>) -> Target {
    let host = forwarded::host(request.uri(), request.headers());
    let host = host.as_ref().and_then(|host| host.to_str().ok());
    Target::new(
        "http",
        host.unwrap_or_default(),
        path,
        exchange.target.query(),
    )
}

/// Looks whether an answer to the request is kept.
pub(super) async fn look_up<B: Body>(
    table: &Table,
    cache: &RouteCache,
    route: &Route,
    exchange: &Exchange,
    path: &str,
    request: &Request<B>,
) -> Looked {
    let count = |outcome| {
        route.metrics.cache(outcome).inc();
    };
    let directives = Directives::of(request.headers());
    if !may_ask_the_cache(exchange, request) || directives.no_store {
        count(CacheOutcome::Bypass);
        return Looked::Past;
    }
    let target = target(exchange, path, request);
    let headers = &chosen_by(request.headers());
    let told = told(table, exchange, headers);
    let place = cache.caching.place(&target, &told).await;
    let now = exchange.worker.clock.now();
    if !directives.no_cache
        && let Some(entry) = cache.caching.find(&place, headers).await
        && entry.freshness.serves(now, &directives)
    {
        count(CacheOutcome::Hit);
        return Looked::Hit(Box::new(answer(exchange, headers, entry)));
    }
    count(CacheOutcome::Miss);
    if exchange.method != Method::GET {
        return Looked::Past;
    }
    Looked::Miss(Box::new(Pending {
        place,
        headers: headers.clone().into_owned(),
        asked: Asked {
            at: now,
            with_credentials: has_credentials(request.headers()),
            ttl: cache.config.ttl.map(|ttl| ttl.0),
        },
    }))
}

/// Arranges for an upstream's answer to be kept when it has passed, if it may be.
pub(super) fn keep(
    cache: &RouteCache,
    route: &Route,
    exchange: &Exchange,
    pending: Box<Pending>,
    mut answer: Response<ResponseBody>,
) -> Response<ResponseBody> {
    let now = exchange.worker.clock.now();
    let (status, headers) = (answer.status(), answer.headers());
    let most = cache.config.max_size.0;
    let fits = answer.body().size_hint().lower() <= most;
    let freshness = pending.asked.freshness(status, headers, now);
    let entry = freshness.and_then(|freshness| Entry::new(status, headers, freshness));
    let Some(entry) = entry.filter(|_| fits && !exchange.fell_back) else {
        return answer;
    };
    let (worker, caching) = (Arc::clone(&exchange.worker), Arc::clone(&cache.caching));
    let kept = route.metrics.cache(CacheOutcome::Kept);
    let recorder = Recorder::new(usize::try_from(most).unwrap_or(usize::MAX), move |body| {
        worker
            .tasks
            .spawn(TaskKind::Request, "cache-keep", async move {
                let entry = Entry { body, ..entry };
                if caching.keep(&pending.place, &pending.headers, entry).await {
                    kept.inc();
                }
            });
    });
    answer.body_mut().record(recorder);
    answer
}

impl Writer {
    /// What it made stale: its target, and those of the same authority that its answer names
    /// (RFC 9111, section 4.4).
    pub(super) fn made_stale(&self, answer: &Response<ResponseBody>) -> Vec<Target> {
        // An error of the caller's says that nothing was changed; of a 5xx nobody knows.
        let target = self.target.as_ref();
        let Some(target) = target.filter(|_| !answer.status().is_client_error()) else {
            return Vec::new();
        };
        let headers = answer.headers();
        let named = [LOCATION, CONTENT_LOCATION].into_iter();
        let named = named.filter_map(|name| headers.get(name)?.to_str().ok());
        let mut stale: Vec<_> = named.filter_map(|named| target.beside(named)).collect();
        stale.push(target.clone());
        stale
    }

    /// Forgets what is kept of these targets, before it is answered.
    pub(super) async fn forget(mut self: Box<Self>, targets: Vec<Target>) {
        if let Some(caching) = &self.table.caching {
            for target in targets {
                caching.forget(&target).await;
            }
        }
        self.target = None;
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        let Some(target) = self.target.take() else {
            return;
        };
        // A process that ends drops what it has left outside of everything.
        if tokio::runtime::Handle::try_current().is_err() {
            return;
        }
        let table = Arc::clone(&self.table);
        let tasks = &self.worker.tasks;
        tasks.spawn(TaskKind::Request, "cache-forget", async move {
            if let Some(caching) = &table.caching {
                caching.forget(&target).await;
            }
        });
    }
}

/// True for methods that change nothing (RFC 9110, section 9.2.1).
fn is_safe(method: &Method) -> bool {
    [Method::GET, Method::HEAD, Method::OPTIONS, Method::TRACE].contains(method)
}

/// True for requests that a kept answer may answer. An upstream may answer by a body, which is no
/// part of where an answer is kept.
fn may_ask_the_cache<B: Body>(exchange: &Exchange, request: &Request<B>) -> bool {
    let headers = request.headers();
    [Method::GET, Method::HEAD].contains(&exchange.method)
        && request.body().is_end_stream()
        && !PAST.iter().any(|name| headers.contains_key(name))
}

fn has_credentials(headers: &HeaderMap) -> bool {
    headers.contains_key(AUTHORIZATION) || headers.contains_key(COOKIE)
}

/// The headers that reach the upstream: those that the caller's `Connection` names do not, and an
/// answer that was made without them is not the answer to who sends them.
fn chosen_by(headers: &HeaderMap) -> Cow<'_, HeaderMap> {
    if !headers.contains_key(CONNECTION) {
        return Cow::Borrowed(headers);
    }
    let mut left = headers.clone();
    transform::drop_hop_by_hop(&mut left);
    Cow::Owned(left)
}

/// Whose answers are kept together: what the upstream is told of the caller, and in headers by which
/// upstreams make answers although no `Vary` names them. Whoever could send one of those unnoticed
/// would choose what others are answered.
fn told(table: &Table, exchange: &Exchange, headers: &HeaderMap) -> String {
    let mut text = String::new();
    if let Some(identity) = &exchange.identity {
        text = format!("{:?} {:?}", identity.user, identity.roles);
        for (name, value) in &identity.headers {
            text.push_str(&format!("\n{name}: {}", value.as_bytes().escape_ascii()));
        }
    }
    let believes = forwarded::is_trusted(table, &exchange.peer);
    let told = headers
        .iter()
        .filter(|(name, _)| changes_answers(name) && (believes || !forwarded::is_forwarding(name)));
    for (name, value) in told {
        text.push_str(&format!("\n{name}: {}", value.as_bytes().escape_ascii()));
    }
    text
}

/// True for headers that say what was really asked for. Not for the caller's address: an answer that
/// depends on it says so (`Vary`, `private`).
fn changes_answers(name: &HeaderName) -> bool {
    let name = name.as_str();
    name.starts_with("x-forwarded-") && name != "x-forwarded-for" || TELLING.contains(&name)
}

/// A kept answer, or that the caller has it already.
fn answer(exchange: &Exchange, asked: &HeaderMap, entry: Entry) -> Response<ResponseBody> {
    let age = entry.freshness.age(exchange.worker.clock.now());
    let is_known = entry.status == StatusCode::OK && !is_modified(asked, &entry.headers);
    let (status, mut headers, body) = if is_known {
        let told = entry.headers.iter().filter(|(name, _)| TOLD.contains(name));
        let told = told.map(|(name, value)| (name.clone(), value.clone()));
        (StatusCode::NOT_MODIFIED, told.collect(), Bytes::new())
    } else {
        (entry.status, entry.headers, entry.body)
    };
    headers.insert(AGE, age.into());
    headers.insert(CACHE_STATUS, HeaderValue::from_static("ieum; hit"));
    let is_head = exchange.method == Method::HEAD;
    if is_head && !headers.contains_key(CONTENT_LENGTH) {
        headers.insert(CONTENT_LENGTH, body.len().into());
    }
    let body = if is_head { Bytes::new() } else { body };
    let mut answer = Response::new(ResponseBody::from(body));
    *answer.status_mut() = status;
    *answer.headers_mut() = headers;
    answer
}

/// Says that an answer came from here (RFC 9211).
const CACHE_STATUS: HeaderName = HeaderName::from_static("cache-status");

/// Requests with these are for the upstream alone.
const PAST: [HeaderName; 4] = [RANGE, IF_RANGE, IF_MATCH, IF_UNMODIFIED_SINCE];

/// Headers beside `X-Forwarded-*` by which upstreams take a request for another one.
const TELLING: [&str; 8] = [
    "forwarded",
    "x-host",
    "x-original-host",
    "x-original-url",
    "x-rewrite-url",
    "x-http-method",
    "x-http-method-override",
    "x-method-override",
];

/// What a 304 repeats (RFC 9110, section 15.4.5).
const TOLD: [HeaderName; 6] = [CACHE_CONTROL, CONTENT_LOCATION, DATE, ETAG, EXPIRES, VARY];
