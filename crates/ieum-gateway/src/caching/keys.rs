//! Where answers are kept: digests, so that a key says nothing of who asked for what.

use aws_lc_rs::digest::{Context, SHA256};
use http::HeaderMap;

/// What a request asks for: scheme, authority, target.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Target {
    scheme: String,
    authority: String,
    target: String,
}

/// Where the answers to a target are kept, for one identity and in one generation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Place(String);

impl Target {
    pub(crate) fn new(scheme: &str, authority: &str, path: &str, query: Option<&str>) -> Self {
        let query = query.map(|query| format!("?{query}")).unwrap_or_default();
        Self {
            scheme: scheme.to_ascii_lowercase(),
            authority: authority.to_ascii_lowercase(),
            target: format!("{path}{query}"),
        }
    }

    /// The same authority's other target, that `Location` or `Content-Location` names; `None` for one
    /// of somebody else.
    pub(crate) fn beside(&self, location: &str) -> Option<Self> {
        let uri: http::Uri = location.parse().ok()?;
        let is_ours = match (uri.scheme_str(), uri.authority()) {
            (None, None) => location.starts_with('/') && !location.starts_with("//"),
            (Some(scheme), Some(authority)) => {
                self.scheme.eq_ignore_ascii_case(scheme)
                    && self.authority.eq_ignore_ascii_case(authority.as_str())
            }
            _ => false,
        };
        is_ours.then(|| Self::new(&self.scheme, &self.authority, uri.path(), uri.query()))
    }

    /// The key of its generation.
    pub(crate) fn key(&self) -> String {
        let parts = [&*self.scheme, &*self.authority, &*self.target];
        format!("target:{}", digest(parts))
    }
}

impl Place {
    pub(super) fn new(target: &Target, generation: &[u8], identity: &str) -> Self {
        let generation = String::from_utf8_lossy(generation);
        Self(digest([&*target.key(), &*generation, identity]))
    }

    pub(super) fn key(&self) -> String {
        format!("answer:{}", self.0)
    }

    /// The key of the answer to requests that agree with `headers` in these names.
    pub(super) fn variant(&self, names: &[String], headers: &HeaderMap) -> String {
        let mut parts = vec![self.0.clone()];
        for name in names {
            parts.push(name.clone());
            for value in headers.get_all(name) {
                parts.push(String::from_utf8_lossy(value.as_bytes()).trim().to_owned());
            }
        }
        format!("answer:{}", digest(parts.iter().map(String::as_str)))
    }
}

/// SHA-256 of parts that cannot run into each other.
fn digest<'a>(parts: impl IntoIterator<Item = &'a str>) -> String {
    let mut context = Context::new(&SHA256);
    for part in parts {
        context.update(&(part.len() as u64).to_be_bytes());
        context.update(part.as_bytes());
    }
    let bytes = context.finish();
    bytes
        .as_ref()
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_differs_is_kept_apart() {
        let target = |authority, path, query| Target::new("http", authority, path, query);
        let one = target("shop", "/a", None);
        assert_eq!(one, target("SHOP", "/a", None));
        for other in [
            target("shop2", "/a", None),
            target("shop", "/A", None),
            target("shop", "/a", Some("")),
            target("shop", "/a", Some("x")),
            Target::new("https", "shop", "/a", None),
        ] {
            assert_ne!(one.key(), other.key());
        }
        let place = Place::new(&one, b"1", "ann");
        assert_ne!(place, Place::new(&one, b"2", "ann"));
        assert_ne!(place, Place::new(&one, b"1", "bob"));
    }

    #[test]
    fn only_targets_of_the_same_authority_lie_beside() {
        let one = Target::new("http", "shop", "/a", None);
        let b = Some(Target::new("http", "shop", "/b", Some("x=1")));
        assert_eq!(one.beside("/b?x=1"), b);
        assert_eq!(one.beside("http://SHOP/b?x=1"), b);
        for other in ["https://shop/b", "http://evil/b", "//evil/b", "b", ""] {
            assert_eq!(one.beside(other), None, "{other}");
        }
    }

    #[test]
    fn a_variant_is_what_its_headers_say() {
        let place = Place::new(&Target::new("http", "shop", "/a", None), b"1", "");
        let names = ["accept".to_owned(), "accept-language".to_owned()];
        let of = |pairs: &[(&'static str, &'static str)]| {
            let mut headers = HeaderMap::new();
            for (name, value) in pairs {
                headers.append(*name, http::HeaderValue::from_static(value));
            }
            place.variant(&names, &headers)
        };
        let korean = of(&[("accept-language", "ko")]);
        assert_eq!(korean, of(&[("accept-language", "ko"), ("x-other", "y")]));
        assert_ne!(korean, of(&[("accept-language", "en")]));
        assert_ne!(korean, of(&[("accept", "ko")]));
        assert_ne!(korean, of(&[]));
    }
}
