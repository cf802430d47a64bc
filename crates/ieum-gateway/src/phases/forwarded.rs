//! Who a peer speaks for: `X-Forwarded-*`, believed from trusted proxies only.

use std::fmt::Write as _;
use std::net::IpAddr;

use http::header::{FORWARDED, HOST};
use http::{HeaderMap, HeaderName, HeaderValue, Uri};

use crate::table::Table;

pub(super) const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
pub(super) const X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
pub(super) const X_FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");

/// The address that a request comes from: read from the right, the first that is no trusted proxy.
pub(super) fn client(table: &Table, peer: IpAddr, headers: &HeaderMap) -> IpAddr {
    if table.trusted.is_empty() || !table.trusts(peer) {
        return peer;
    }
    let mut client = peer;
    for value in headers.get_all(X_FORWARDED_FOR).iter().rev() {
        for hop in value.to_str().unwrap_or_default().rsplit(',') {
            match address(hop.trim()) {
                Some(hop) => client = hop,
                // What cannot be read cannot be followed any further.
                None => return client,
            }
            if !table.trusts(client) {
                return client;
            }
        }
    }
    client
}

fn address(hop: &str) -> Option<IpAddr> {
    let bare = hop.trim_start_matches('[').trim_end_matches(']');
    let parsed = bare.parse().ok();
    let with_port = || hop.parse::<std::net::SocketAddr>().ok().map(|a| a.ip());
    parsed.or_else(with_port).map(|a: IpAddr| a.to_canonical())
}

/// The host that a request asks for; an absolute target's own decides (RFC 9112, 3.2.2).
pub(super) fn host(uri: &Uri, headers: &HeaderMap) -> Option<HeaderValue> {
    let absolute = uri.authority();
    let absolute = absolute.and_then(|a| HeaderValue::from_str(a.as_str()).ok());
    absolute.or_else(|| headers.get(HOST).cloned())
}

/// Tells the upstream who asked. What an untrusted peer said is gone; a trusted one is added to.
pub(super) fn rebuild(
    table: &Table,
    peer: IpAddr,
    host: Option<HeaderValue>,
    headers: &mut HeaderMap,
) {
    let is_trusted = !table.trusted.is_empty() && table.trusts(peer);
    let mut hops = String::with_capacity(40);
    if is_trusted {
        for value in headers.get_all(X_FORWARDED_FOR) {
            hops.push_str(value.to_str().unwrap_or_default());
            hops.push_str(", ");
        }
    } else {
        headers.remove(FORWARDED);
        headers.remove(X_FORWARDED_PROTO);
        headers.remove(X_FORWARDED_HOST);
    }
    // Writing to a string cannot fail.
    let _ = write!(hops, "{peer}");
    if let Ok(hops) = HeaderValue::try_from(hops) {
        headers.insert(X_FORWARDED_FOR, hops);
    }
    if !headers.contains_key(X_FORWARDED_PROTO) {
        headers.insert(X_FORWARDED_PROTO, HeaderValue::from_static("http"));
    }
    if let Some(host) = host
        && !headers.contains_key(X_FORWARDED_HOST)
    {
        headers.insert(X_FORWARDED_HOST, host);
    }
}
