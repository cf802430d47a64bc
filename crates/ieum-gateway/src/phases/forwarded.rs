//! Who a peer speaks for: `X-Forwarded-*`, believed from trusted proxies only.

use std::net::IpAddr;

use http::header::{FORWARDED, HOST};
use http::{HeaderMap, HeaderName, HeaderValue, Uri};

use crate::table::Table;

pub(super) const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
pub(super) const X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
pub(super) const X_FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");

/// The address that a request comes from: read from the right, the first that is no trusted proxy.
pub(super) fn client(table: &Table, peer: IpAddr, headers: &HeaderMap) -> IpAddr {
    if !is_trusted(table, peer) {
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

/// Tells the upstream who asked. What an untrusted peer said was dropped before; a trusted one is
/// added to.
pub(super) fn rebuild(
    table: &Table,
    peer: IpAddr,
    host: Option<HeaderValue>,
    headers: &mut HeaderMap,
) {
    if is_trusted(table, peer) {
        return add(peer, host, headers);
    }
    if let Some(peer) = text(peer) {
        headers.insert(X_FORWARDED_FOR, peer);
    }
    headers.insert(X_FORWARDED_PROTO, HeaderValue::from_static("http"));
    if let Some(host) = host {
        headers.insert(X_FORWARDED_HOST, host);
    }
}

/// True if what `peer` says about others is believed.
pub(super) fn is_trusted(table: &Table, peer: IpAddr) -> bool {
    !table.trusted.is_empty() && table.trusts(peer)
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

/// An address as a header. Most are IPv4, for which the formatting machinery would take longer than
/// all else that is done here.
fn text(address: IpAddr) -> Option<HeaderValue> {
    let IpAddr::V4(v4) = address else {
        return HeaderValue::try_from(address.to_string()).ok();
    };
    let mut text = [0; 15];
    let mut length = 0;
    for (index, octet) in v4.octets().into_iter().enumerate() {
        let digits = [octet / 100, octet / 10 % 10, octet % 10];
        let skipped = digits[..2].iter().take_while(|digit| **digit == 0).count();
        if index > 0 {
            text[length] = b'.';
            length += 1;
        }
        for digit in &digits[skipped..] {
            text[length] = b'0' + digit;
            length += 1;
        }
    }
    HeaderValue::from_bytes(&text[..length]).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_written_as_the_standard_library_writes_them() {
        for address in [
            "0.0.0.0",
            "127.0.0.1",
            "10.20.30.40",
            "192.168.100.205",
            "255.255.255.255",
            "::1",
        ] {
            let parsed: IpAddr = address.parse().expect("an address");
            assert_eq!(text(parsed).expect("a value"), address);
        }
    }
}
