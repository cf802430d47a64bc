//! Transform: from the request that came to the one that goes inside.
//!
//! The security floor for headers: what carries identity or rewrites the target never comes from
//! outside, in no spelling; hop-by-hop headers end here; and what we add is added last, so that a
//! client's `Connection` cannot name it away.

use http::header::{
    ACCEPT, ACCEPT_LANGUAGE, CONNECTION, CONTENT_LENGTH, CONTENT_TYPE, HOST, TRANSFER_ENCODING,
    UPGRADE, USER_AGENT,
};
use http::uri::PathAndQuery;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Version};
use hyper::body::Incoming;
use hyper::upgrade::OnUpgrade;
use ieum_http::propagation::{X_REQUEST_ID, is_b3};

use super::accept::Exchange;
use super::forwarded::{self, Peer};
use crate::body::{Bounds, RequestBody, Source};
use crate::errors::{Code, Refusal};
use crate::table::{Fallback, Route, Table};
use crate::upstream::Upstream;

/// What is kept of a client's request in case that it is sent again: what passed the cleaning, as a
/// list. What we add is added anew; a copy of the whole header map would cost several times as
/// much, for each request and in favour of few.
#[derive(Debug)]
pub(super) struct Kept {
    method: Method,
    target: PathAndQuery,
    headers: Vec<(HeaderName, HeaderValue)>,
    host: Option<HeaderValue>,
    /// What a request that the gateway made up knows of itself.
    ours: Option<Ours>,
}

#[derive(Debug)]
struct Ours {
    /// The name of its spans.
    span: String,
    /// True if it may be repeated, whatever its method.
    is_harmless: bool,
}

impl Kept {
    /// A request of ours on behalf of a client, for one part of a composed answer: its identity and
    /// request id go along, and its language.
    pub(super) fn for_part(target: PathAndQuery, from: &HeaderMap) -> Self {
        let passed = [ACCEPT_LANGUAGE, USER_AGENT].into_iter();
        let mut headers: Vec<_> = passed
            .filter_map(|name| from.get(&name).cloned().map(|value| (name, value)))
            .collect();
        headers.push((ACCEPT, HeaderValue::from_static("application/json")));
        Self {
            method: Method::GET,
            target,
            headers,
            host: from.get(HOST).cloned(),
            ours: None,
        }
    }

    /// A request of ours to a subgraph, on behalf of a client whose identity, request id and language
    /// go along. One that `reads` and does nothing else may be repeated, although it is a `POST`.
    pub(super) fn for_subgraph(
        name: &str,
        target: PathAndQuery,
        from: &HeaderMap,
        host: Option<HeaderValue>,
        reads: bool,
    ) -> Self {
        let accepted = "application/graphql-response+json, application/json;q=0.9";
        let kept = Self::for_part(target, from);
        let mut headers = kept.headers;
        headers.retain(|(name, _)| name != ACCEPT);
        headers.push((ACCEPT, HeaderValue::from_static(accepted)));
        let json = HeaderValue::from_static("application/json");
        headers.push((CONTENT_TYPE, json));
        Self {
            method: Method::POST,
            headers,
            host,
            ours: Some(Ours {
                span: format!("graphql {name}"),
                is_harmless: reads,
            }),
            ..kept
        }
    }

    /// A call of gRPC on behalf of a client, with those of its headers that may go inside. One that
    /// `reads` and does nothing else may be repeated, although it is a `POST`.
    pub(super) fn for_rpc(
        table: &Table,
        peer: &Peer,
        target: PathAndQuery,
        mut headers: HeaderMap,
        host: Option<HeaderValue>,
        reads: bool,
    ) -> Self {
        clean(table, peer, &mut headers);
        let span = target.path().trim_start_matches('/').to_owned();
        let headers = headers.iter().map(|(n, v)| (n.clone(), v.clone()));
        Self {
            method: Method::POST,
            target,
            headers: headers.collect(),
            host,
            ours: Some(Ours {
                span,
                is_harmless: reads,
            }),
        }
    }

    /// The same with headers of ours.
    pub(super) fn with(mut self, ours: &HeaderMap) -> Self {
        for (name, value) in ours {
            self.headers.retain(|(known, _)| known != name);
            self.headers.push((name.clone(), value.clone()));
        }
        self
    }

    /// The name of the spans of a request that the gateway made up.
    pub(super) fn span_name(&self) -> Option<&str> {
        self.ours.as_ref().map(|ours| &*ours.span)
    }

    /// True for a request that the gateway made up and knows to be harmless.
    pub(super) fn is_harmless(&self) -> bool {
        self.ours.as_ref().is_some_and(|ours| ours.is_harmless)
    }

    /// The request, complete.
    pub(super) fn request(
        &self,
        table: &Table,
        exchange: &Exchange,
        upstream: &Upstream,
        body: RequestBody,
    ) -> Box<Request<RequestBody>> {
        let mut request = Box::new(Request::new(body));
        *request.method_mut() = self.method.clone();
        *request.uri_mut() = upstream.uri(&self.target);
        let mut headers = HeaderMap::with_capacity(self.headers.len() + ADDED);
        for (name, value) in &self.headers {
            headers.append(name.clone(), value.clone());
        }
        add(table, exchange, self.host.clone(), &mut headers);
        *request.headers_mut() = headers;
        request
    }
}

/// A request on its way inside, with what belongs to this one client.
pub(super) struct Outgoing {
    pub(super) request: Box<Request<RequestBody>>,
    /// What another try or another upstream would be asked with, if there may be any.
    pub(super) kept: Option<Box<Kept>>,
    pub(super) source: Source,
    /// The client's end of a tunnel that it asked for.
    pub(super) upgrade: Option<OnUpgrade>,
}

/// Rewrites the path and the headers.
pub(super) fn request(
    table: &Table,
    exchange: &Exchange,
    route: &Route,
    upstream: &Upstream,
    path: &str,
    mut request: Request<Incoming>,
) -> Result<Outgoing, Box<Refusal>> {
    let target = target(&exchange.target, &route.rewrite.apply(path, &route.pattern))?;
    let wants_tunnel = route.upgrade && asks_for_websocket(&request);
    let upgrade = wants_tunnel.then(|| hyper::upgrade::on(&mut request));
    let host = forwarded::host(request.uri(), request.headers());
    let (mut request, source) = with_body(table, route, request);
    clean(table, &exchange.peer, request.headers_mut());
    let kept = may_be_sent_again(route, &request).then(|| {
        let headers = request.headers().iter();
        Box::new(Kept {
            method: request.method().clone(),
            target: target.clone(),
            headers: headers.map(|(n, v)| (n.clone(), v.clone())).collect(),
            host: host.clone(),
            ours: None,
        })
    });
    *request.uri_mut() = upstream.uri(&target);
    let headers = request.headers_mut();
    add(table, exchange, host, headers);
    if wants_tunnel {
        headers.insert(CONNECTION, HeaderValue::from_static("upgrade"));
        headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
    }
    Ok(Outgoing {
        request,
        kept,
        source,
        upgrade,
    })
}

/// The client's request with a body that may be sent more than once, as far as that is kept.
fn with_body(
    table: &Table,
    route: &Route,
    request: Request<Incoming>,
) -> (Box<Request<RequestBody>>, Source) {
    let room = table.config.limits.retained_body.0;
    let bounds = Bounds {
        most: route.max_body,
        room: usize::try_from(room).unwrap_or(usize::MAX),
        silence: table.config.timeouts.idle.0,
        whole: route.upload,
    };
    let (head, incoming) = request.into_parts();
    let (source, body) = Source::new(incoming, bounds);
    let mut request = Box::new(Request::from_parts(head, body));
    *request.version_mut() = Version::HTTP_11;
    // What the server found out about the client's connection means nothing on ours.
    request.extensions_mut().clear();
    (request, source)
}

fn may_be_sent_again(route: &Route, request: &Request<RequestBody>) -> bool {
    let repeats = route.rules.retries > 0 && may_repeat(request, route.rules.idempotent);
    repeats || matches!(route.fallback, Some(Fallback::Upstream(_)))
}

/// True if it is harmless to send a request twice: its method is idempotent (RFC 9110, 9.2.2), or
/// the route and the client together declare it so.
pub(super) fn may_repeat<B>(request: &Request<B>, route_is_idempotent: bool) -> bool {
    let by_method = matches!(
        *request.method(),
        Method::GET | Method::HEAD | Method::PUT | Method::DELETE | Method::OPTIONS | Method::TRACE
    );
    by_method || route_is_idempotent && request.headers().contains_key(IDEMPOTENCY_KEY)
}

/// The path inside with the query that came.
pub(super) fn target(came: &PathAndQuery, path: &str) -> Result<PathAndQuery, Box<Refusal>> {
    if path == came.path() {
        return Ok(came.clone());
    }
    let joined = match came.query() {
        Some(query) => format!("{path}?{query}"),
        None => path.to_owned(),
    };
    let refused = |_| Refusal::new(Code::AmbiguousPath, "the path cannot be rewritten");
    PathAndQuery::try_from(joined).map_err(refused)
}

/// What we say ourselves: for whom we speak, the request id, the identity. The trace and the
/// endpoint's name are added to each try.
fn add(table: &Table, exchange: &Exchange, host: Option<HeaderValue>, headers: &mut HeaderMap) {
    forwarded::rebuild(table, &exchange.peer, host, headers);
    headers.insert(X_REQUEST_ID, exchange.request_id.clone());
    if let Some(identity) = &exchange.identity {
        for (name, value) in &identity.headers {
            headers.insert(name.clone(), value.clone());
        }
    }
}

/// Drops what must not go inside: one look at each header.
fn clean(table: &Table, peer: &Peer, headers: &mut HeaderMap) {
    let believes = forwarded::is_trusted(table, peer);
    let is_internal = |name: &HeaderName| table.internal_headers.iter().any(|h| same(h, name));
    drop_where(headers, |name| {
        is_hop_by_hop(name)
            || is_identity(name.as_str())
            || !believes && forwarded::is_forwarding(name)
            || is_internal(name)
            || is_b3(name)
    });
}

/// Drops the hop-by-hop headers (RFC 9110, 7.6.1), with those that `Connection` names. A length beside
/// a transfer coding goes too: it is not the body's, which would be cut off there (RFC 9112, 6.3).
pub(super) fn drop_hop_by_hop(headers: &mut HeaderMap) {
    drop_where(headers, is_hop_by_hop);
}

/// Drops the headers of these names, with those that `Connection` names if it is one of them.
pub(super) fn drop_where(headers: &mut HeaderMap, is_dropped: impl Fn(&HeaderName) -> bool) {
    let mut found = headers.keys().filter(|n| is_dropped(n)).cloned();
    // Mostly there is at most one, `Connection`, which needs no list.
    let (first, others) = (found.next(), found.collect::<Vec<_>>());
    for name in first.into_iter().chain(others) {
        if name == CONNECTION {
            for named in named_by_connection(headers) {
                headers.remove(named);
            }
        } else if name == TRANSFER_ENCODING {
            headers.remove(CONTENT_LENGTH);
        }
        headers.remove(name);
    }
}

/// The headers that `Connection` names. What it says most is no name of a header that would be here.
fn named_by_connection(headers: &HeaderMap) -> Vec<HeaderName> {
    let mut named = Vec::new();
    for value in headers.get_all(CONNECTION) {
        if matches!(value.as_bytes(), b"keep-alive" | b"close") {
            continue;
        }
        let names = value.to_str().unwrap_or_default().split(',');
        named.extend(names.filter_map(|name| name.trim().parse::<HeaderName>().ok()));
    }
    named
}

fn is_hop_by_hop(name: &HeaderName) -> bool {
    // `Expect` was answered by the server. (`Host` is replaced by the endpoint's with each try.)
    matches!(
        name.as_str(),
        "connection"
            | "te"
            | "transfer-encoding"
            | "upgrade"
            | "expect"
            | "keep-alive"
            | "proxy-authenticate"
            | "proxy-authorization"
            | "proxy-connection"
    )
}

fn asks_for_websocket(request: &Request<Incoming>) -> bool {
    let names = |name: HeaderName, token: &str| {
        let values = request.headers().get_all(name);
        let mut tokens = values
            .iter()
            .flat_map(|v| v.to_str().unwrap_or_default().split(','));
        tokens.any(|t| t.trim().eq_ignore_ascii_case(token))
    };
    request.version() == Version::HTTP_11
        && names(CONNECTION, "upgrade")
        && names(UPGRADE, "websocket")
}

/// The same name, whether it is written with `-`, `_` or `.`: many frameworks read them as one.
fn same(one: &HeaderName, other: &HeaderName) -> bool {
    let (one, other) = (one.as_str().bytes(), other.as_str().bytes());
    one.len() == other.len() && one.zip(other).all(|(a, b)| dash(a) == dash(b))
}

const fn dash(byte: u8) -> u8 {
    match byte {
        b'_' | b'.' => b'-',
        other => other,
    }
}

/// True for headers that carry identity inside or rewrite the target. They never come from outside.
pub(crate) fn is_identity(name: &str) -> bool {
    // Header names are lower case; none of ours begins otherwise.
    if !matches!(
        name.as_bytes().first(),
        Some(b'x' | b'u' | b't' | b'i' | b'r' | b's' | b'c')
    ) {
        return false;
    }
    let mut canonical = [0; LONGEST_NAME];
    let length = name.len().min(LONGEST_NAME);
    for (to, from) in canonical.iter_mut().zip(name.bytes()) {
        *to = dash(from);
    }
    let canonical = &canonical[..length];
    let is_exact = name.len() <= LONGEST_NAME && IDENTITY.iter().any(|n| n.as_bytes() == canonical);
    is_exact
        || IDENTITY_PREFIXES
            .iter()
            .any(|p| canonical.starts_with(p.as_bytes()))
}

const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");
/// About as many headers are added.
const ADDED: usize = 8;
const LONGEST_NAME: usize = 32;

const IDENTITY: [&str; 32] = [
    "userid",
    "username",
    "x-real-ip",
    "x-client-ip",
    "true-client-ip",
    "cf-connecting-ip",
    "x-forwarded-port",
    "x-forwarded-scheme",
    "x-forwarded-server",
    "x-forwarded-ssl",
    "x-original-host",
    "user-id",
    "user-roles",
    "x-user",
    "x-userid",
    "x-username",
    "x-role",
    "x-roles",
    "x-tenant",
    "x-email",
    "tenant-id",
    "remote-user",
    "x-remote-user",
    "x-forwarded-user",
    "x-forwarded-email",
    "x-forwarded-groups",
    "x-forwarded-preferred-username",
    "x-original-url",
    "x-original-uri",
    "x-rewrite-url",
    "client-cert",
    "x-http-method-override",
];

const IDENTITY_PREFIXES: [&str; 14] = [
    "x-amzn-oidc-",
    "x-webauth-",
    "x-goog-authenticated-",
    "x-user-",
    "x-tenant-",
    "x-auth-request-",
    "x-authenticated-",
    "x-client-cert",
    "x-forwarded-client-cert",
    "x-forwarded-prefix",
    "x-ssl-client",
    "ssl-client-",
    "x-ieum-",
    "ieum-",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn identity_is_known_in_every_spelling() {
        for name in [
            "x-user-id",
            "x_user_id",
            "user-id",
            "user_id",
            "x-user_id",
            "x-user-anything",
            "x-tenant-id",
            "x_tenant_id",
            "x-forwarded-user",
            "x-original-url",
            "x-rewrite-url",
            "x-client-cert",
            "x_client_cert",
            "x-client-cert-chain",
            "ieum-saga-id",
            "x-user-0123456789012345678901234567890123456789",
            "x-user.id",
            "userid",
            "x-real-ip",
            "x-forwarded-port",
            "x-amzn-oidc-identity",
        ] {
            assert!(is_identity(name), "{name}");
        }
        for name in [
            "host",
            "accept",
            "user-agent",
            "x-request-id",
            "x-forwarded-for",
            "content-type",
            "cookie",
            "x-users",
            "idempotency-key",
            "traceparent",
            "x-custom",
        ] {
            assert!(!is_identity(name), "{name}");
        }
    }

    #[test]
    fn hop_by_hop_headers_end_here_and_connection_names_more() {
        let mut headers = HeaderMap::new();
        for (name, value) in [
            ("connection", "keep-alive, x-secret-hop"),
            ("keep-alive", "timeout=5"),
            ("te", "trailers"),
            ("upgrade", "h2c"),
            ("transfer-encoding", "chunked"),
            ("x-secret-hop", "1"),
            ("accept", "*/*"),
        ] {
            headers.insert(name, HeaderValue::from_static(value));
        }
        drop_hop_by_hop(&mut headers);
        assert_eq!(headers.keys().collect::<Vec<_>>(), ["accept"]);
    }

    #[test]
    fn header_names_are_compared_whatever_joins_their_words() {
        let name = HeaderName::from_static;
        assert!(same(&name("x-shop-key"), &name("x_shop_key")));
        assert!(!same(&name("x-shop-key"), &name("x-shop-keys")));
    }
}
