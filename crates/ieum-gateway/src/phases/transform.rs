//! Transform: from the request that came to the one that goes inside.
//!
//! The security floor for headers: what carries identity or rewrites the target never comes from
//! outside, in no spelling; hop-by-hop headers end here; and what we add is added last, so that a
//! client's `Connection` cannot name it away.

use std::net::IpAddr;

use http::header::{
    CONNECTION, EXPECT, HOST, PROXY_AUTHENTICATE, PROXY_AUTHORIZATION, TE, TRANSFER_ENCODING,
    UPGRADE,
};
use http::uri::PathAndQuery;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request};
use hyper::body::Incoming;
use hyper::upgrade::OnUpgrade;
use ieum_http::propagation::X_REQUEST_ID;

use super::accept::Exchange;
use super::forwarded;
use crate::body::Source;
use crate::errors::{Code, Refusal};
use crate::table::{Route, Table};

/// A request on its way inside.
#[derive(Debug)]
pub(crate) struct Head {
    pub(crate) method: Method,
    pub(crate) target: PathAndQuery,
    pub(crate) headers: HeaderMap,
}

/// What is kept of a request in case that it is sent again. A copy of the header map would cost
/// several times as much, for each request and in favour of few.
#[derive(Debug)]
pub(super) struct Spare {
    method: Method,
    target: PathAndQuery,
    headers: Vec<(HeaderName, HeaderValue)>,
}

impl Head {
    pub(super) fn spare(&self) -> Spare {
        let mut headers = Vec::with_capacity(self.headers.len());
        headers.extend(self.headers.iter().map(|(n, v)| (n.clone(), v.clone())));
        Spare {
            method: self.method.clone(),
            target: self.target.clone(),
            headers,
        }
    }
}

impl Spare {
    pub(super) fn head(&self) -> Head {
        let mut headers = HeaderMap::with_capacity(self.headers.len() + 1);
        for (name, value) in &self.headers {
            headers.append(name.clone(), value.clone());
        }
        Head {
            method: self.method.clone(),
            target: self.target.clone(),
            headers,
        }
    }
}

/// A request on its way inside, with what belongs to this one client.
pub(super) struct Outgoing {
    pub(super) head: Head,
    pub(super) source: Source,
    /// The client's end of a tunnel that it asked for.
    pub(super) upgrade: Option<OnUpgrade>,
}

/// Rewrites the path and the headers.
pub(super) fn request(
    table: &Table,
    exchange: &Exchange,
    route: &Route,
    path: &str,
    mut request: Request<Incoming>,
) -> Result<Outgoing, Box<Refusal>> {
    let target = target(&exchange.target, &route.rewrite.apply(path, &route.pattern))?;
    let wants_tunnel = route.upgrade && asks_for_websocket(&request);
    let upgrade = wants_tunnel.then(|| hyper::upgrade::on(&mut request));
    let (parts, body) = request.into_parts();
    let mut headers = parts.headers;
    let host = forwarded::host(&parts.uri, &headers);
    clean(table, exchange.peer, &mut headers);
    forwarded::rebuild(table, exchange.peer, host, &mut headers);
    add(exchange, &mut headers);
    if wants_tunnel {
        headers.insert(CONNECTION, HeaderValue::from_static("upgrade"));
        headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
    }
    let limits = &table.config.limits;
    let room = usize::try_from(limits.retained_body.0).unwrap_or(usize::MAX);
    let silence = table.config.timeouts.idle.0;
    Ok(Outgoing {
        source: Source::new(body, route.max_body, room, silence),
        head: Head {
            method: parts.method,
            target,
            headers,
        },
        upgrade,
    })
}

/// The headers that each part of a composed answer is asked with: identity and request id, and the
/// caller's language.
pub(super) fn for_parts(table: &Table, exchange: &Exchange, from: &HeaderMap) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for name in [http::header::ACCEPT_LANGUAGE, http::header::USER_AGENT] {
        if let Some(value) = from.get(&name) {
            headers.insert(name, value.clone());
        }
    }
    let accept = HeaderValue::from_static("application/json");
    headers.insert(http::header::ACCEPT, accept);
    let host = from.get(HOST).cloned();
    forwarded::rebuild(table, exchange.peer, host, &mut headers);
    add(exchange, &mut headers);
    headers
}

/// The path inside with the query that came.
fn target(came: &PathAndQuery, path: &str) -> Result<PathAndQuery, Box<Refusal>> {
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

/// Identity and request id; the trace is added to each try.
fn add(exchange: &Exchange, headers: &mut HeaderMap) {
    headers.insert(X_REQUEST_ID, exchange.request_id.clone());
    if let Some(identity) = &exchange.identity {
        for (name, value) in &identity.headers {
            headers.insert(name.clone(), value.clone());
        }
    }
}

/// Drops what must not go inside: one look at each header.
fn clean(table: &Table, peer: IpAddr, headers: &mut HeaderMap) {
    let believes = forwarded::is_trusted(table, peer);
    let is_internal = |name: &HeaderName| table.internal_headers.iter().any(|h| same(h, name));
    drop_where(headers, |name| {
        is_hop_by_hop(name)
            || is_identity(name.as_str())
            || !believes && forwarded::is_forwarding(name)
            || is_internal(name)
    });
}

/// Drops the hop-by-hop headers (RFC 9110, 7.6.1), with those that `Connection` names.
pub(super) fn drop_hop_by_hop(headers: &mut HeaderMap) {
    drop_where(headers, is_hop_by_hop);
}

fn drop_where(headers: &mut HeaderMap, is_dropped: impl Fn(&HeaderName) -> bool) {
    let found: Vec<HeaderName> = headers.keys().filter(|n| is_dropped(n)).cloned().collect();
    for name in found {
        if name == CONNECTION {
            for named in named_by_connection(headers) {
                headers.remove(named);
            }
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
    *name == CONNECTION
        || *name == TE
        || *name == TRANSFER_ENCODING
        || *name == UPGRADE
        || *name == EXPECT
        || *name == PROXY_AUTHORIZATION
        || *name == PROXY_AUTHENTICATE
        || matches!(name.as_str(), "keep-alive" | "proxy-connection")
}

fn asks_for_websocket(request: &Request<Incoming>) -> bool {
    let names = |name: HeaderName, token: &str| {
        let values = request.headers().get_all(name);
        let mut tokens = values
            .iter()
            .flat_map(|v| v.to_str().unwrap_or_default().split(','));
        tokens.any(|t| t.trim().eq_ignore_ascii_case(token))
    };
    request.version() == http::Version::HTTP_11
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
