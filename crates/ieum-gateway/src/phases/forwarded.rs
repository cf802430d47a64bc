//! Who a peer speaks for: `X-Forwarded-*`, believed from trusted proxies only.

use std::net::IpAddr;

use http::header::{FORWARDED, HOST};
use http::{HeaderMap, HeaderName, HeaderValue, Uri};

use crate::table::Table;

pub(super) const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
pub(super) const X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
pub(super) const X_FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");

/// The other end of a connection. Its address is needed with each request, as a header too.
#[derive(Clone, Debug)]
pub(crate) struct Peer {
    pub(crate) address: IpAddr,
    header: HeaderValue,
}

impl Peer {
    pub(super) fn new(address: IpAddr) -> Self {
        let header = HeaderValue::try_from(address.to_string());
        Self {
            address,
            // An address consists of characters that a header may have.
            header: header.unwrap_or_else(|_| HeaderValue::from_static("unknown")),
        }
    }
}

/// The address that a request comes from: read from the right, the first that is no trusted proxy.
pub(super) fn client(table: &Table, peer: &Peer, headers: &HeaderMap) -> IpAddr {
    let mut client = peer.address;
    if !is_trusted(table, peer) {
        return client;
    }
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

/// Tells the upstream who asked. What an untrusted peer said was dropped before; a trusted one is
/// added to.
pub(super) fn rebuild(
    table: &Table,
    peer: &Peer,
    host: Option<HeaderValue>,
    headers: &mut HeaderMap,
) {
    if is_trusted(table, peer) {
        return add(peer.address, host, headers);
    }
    headers.insert(X_FORWARDED_FOR, peer.header.clone());
    headers.insert(X_FORWARDED_PROTO, HeaderValue::from_static("http"));
    if let Some(host) = host {
        headers.insert(X_FORWARDED_HOST, host);
    }
}

/// True if what `peer` says about others is believed.
pub(super) fn is_trusted(table: &Table, peer: &Peer) -> bool {
    !table.trusted.is_empty() && table.trusts(peer.address)
}

/// True for the headers in which a peer says for whom it speaks.
pub(super) fn is_forwarding(name: &HeaderName) -> bool {
    *name == FORWARDED
        || *name == X_FORWARDED_FOR
        || *name == X_FORWARDED_PROTO
        || *name == X_FORWARDED_HOST
}

fn add(peer: IpAddr, host: Option<HeaderValue>, headers: &mut HeaderMap) {
    let mut hops = String::with_capacity(40);
    for value in headers.get_all(X_FORWARDED_FOR) {
        hops.push_str(value.to_str().unwrap_or_default());
        hops.push_str(", ");
    }
    hops.push_str(&peer.to_string());
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
