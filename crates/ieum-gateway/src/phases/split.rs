//! Split: on which side of a route a request is, the old one or the new one.
//!
//! It is decided once, before the request is made ready: further tries stay on their side.

use http::HeaderMap;
use http::header::COOKIE;
use ieum_discovery::Absence;

use super::accept::Exchange;
use crate::table::{Side, Split, SplitKey, point_of_key};
use crate::upstream::Upstream;

/// The upstream of a request, `old` or the split's.
pub(super) fn upstream<'t>(
    split: &'t Split,
    old: &'t Upstream,
    exchange: &mut Exchange,
    headers: &HeaderMap,
) -> &'t Upstream {
    let key = key(&split.key, exchange, headers);
    let point = key.map_or_else(|| split.next_turn(), point_of_key);
    let side = match split.share.has(point) {
        false => Side::Old,
        true if split.old_if_absent && is_absent(&split.upstream) => Side::Absent,
        true => Side::New,
    };
    split.counts.count(side);
    if exchange.span.is_recorded() {
        exchange.span.set("ieum.split.side", side.name());
    }
    match side {
        Side::New => &split.upstream,
        Side::Old | Side::Absent => old,
    }
}

/// True if there is no instance, or none that takes requests. A registry that has not answered yet is
/// waited for as always.
fn is_absent(upstream: &Upstream) -> bool {
    match upstream.service.absence() {
        Absence::Unresolved => false,
        Absence::AllOpen { retry_after } => !retry_after.is_zero(),
        _ => true,
    }
}

/// What the request is recognised by, if it has that.
fn key<'r>(key: &SplitKey, exchange: &'r Exchange, headers: &'r HeaderMap) -> Option<&'r [u8]> {
    let identity = exchange.identity.as_deref();
    let key = match key {
        SplitKey::Turn => return None,
        SplitKey::User => identity?.user.as_bytes(),
        SplitKey::Told(name) => {
            let mut told = identity?.headers.iter();
            told.find(|(told, _)| told == name)?.1.as_bytes()
        }
        SplitKey::Header(name) => headers.get(name)?.as_bytes(),
        SplitKey::Cookie(name) => cookie(headers, name)?.as_bytes(),
    };
    (!key.is_empty()).then_some(key)
}

/// The value of the first cookie of this name.
fn cookie<'r>(headers: &'r HeaderMap, name: &str) -> Option<&'r str> {
    let fields = headers.get_all(COOKIE).iter();
    let fields = fields.filter_map(|field| field.to_str().ok());
    let mut cookies = fields.flat_map(|field| field.split(';'));
    cookies.find_map(|cookie| {
        let (found, value) = cookie.trim().split_once('=')?;
        (found == name).then_some(value)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cookie_is_found_by_its_whole_name() {
        let mut headers = HeaderMap::new();
        for field in ["xsid=1; SID=2", "theme=dark;  sid=a=b ; sid=4"] {
            headers.append(COOKIE, field.parse().expect("a value"));
        }
        assert_eq!(cookie(&headers, "sid"), Some("a=b"));
        assert_eq!(cookie(&headers, "theme"), Some("dark"));
        assert_eq!(cookie(&headers, "id"), None);
    }
}
