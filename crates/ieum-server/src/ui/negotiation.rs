//! Which bytes a browser wants, and whether it has them already (RFC 9110, sections 12.5.3 and 13.1.2).

use std::hash::{DefaultHasher, Hash, Hasher};

use axum::http::HeaderMap;
use axum::http::header::{ACCEPT_ENCODING, AsHeaderName, IF_NONE_MATCH};

/// The part of an entity tag that changes with the content.
pub(super) fn tag(content: &[u8]) -> String {
    let mut hasher = DefaultHasher::new();
    content.hash(&mut hasher);
    format!("{:016x}", hasher.finish())
}

/// True if the caller has what `tag` stands for.
pub(super) fn is_known(headers: &HeaderMap, tag: &str) -> bool {
    let weak = |known: &str| known.strip_prefix("W/").unwrap_or(known) == tag;
    members(headers, IF_NONE_MATCH).any(|known| known == "*" || weak(known))
}

/// True if the caller takes gzip; what it says of gzip counts more than what it says of everything.
pub(super) fn takes_gzip(headers: &HeaderMap) -> bool {
    let mut everything = false;
    for member in members(headers, ACCEPT_ENCODING) {
        let (coding, weight) = member.split_once(';').unwrap_or((member, ""));
        let weight = weight.trim().trim_start_matches(['q', 'Q']).trim_start();
        let weight = weight.strip_prefix('=').unwrap_or("1").trim().parse();
        let wanted = weight.is_ok_and(|weight: f32| weight > 0.0);
        match coding.trim() {
            "*" => everything = wanted,
            coding if coding.eq_ignore_ascii_case("gzip") => return wanted,
            _ => {}
        }
    }
    everything
}

/// The members of a list that may stand in several headers.
fn members(headers: &HeaderMap, name: impl AsHeaderName) -> impl Iterator<Item = &str> {
    let values = headers.get_all(name).iter();
    let lists = values.filter_map(|value| value.to_str().ok());
    lists.flat_map(|list| list.split(',')).map(str::trim)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gzip_is_sent_to_who_takes_it() {
        for (accepted, expected) in [
            ("", false),
            ("gzip", true),
            ("br, GZIP;q=0.8", true),
            ("gzip;q=0", false),
            ("gzip;q=0.0, *", false),
            ("*", true),
            ("*;q=0", false),
            ("deflate, br", false),
            ("gzip;q=much", false),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(ACCEPT_ENCODING, accepted.parse().expect("a value"));
            assert_eq!(takes_gzip(&headers), expected, "{accepted}");
        }
        assert!(!takes_gzip(&HeaderMap::new()));
    }

    #[test]
    fn a_tag_is_known_in_a_list_and_weakened() {
        for (known, expected) in [
            ("\"a\"", true),
            ("\"b\", \"a\"", true),
            ("W/\"a\"", true),
            ("*", true),
            ("\"b\"", false),
            ("a", false),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(IF_NONE_MATCH, known.parse().expect("a value"));
            assert_eq!(is_known(&headers, "\"a\""), expected, "{known}");
        }
    }

    #[test]
    fn another_content_has_another_tag() {
        assert_eq!(tag(b"a"), tag(b"a"));
        assert_ne!(tag(b"a"), tag(b"b"));
    }
}
