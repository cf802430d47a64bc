//! What handlers ask of a request: whose it is, whether it comes from inside, which page.

use axum::extract::FromRequestParts;
use http::request::Parts;
use http::{HeaderMap, StatusCode};
use ieum::chassis::Identity;
use ieum::http::identity::X_USER_ID;

use super::failure::Failure;

/// True if what belongs to `owner` is the caller's to see and to change.
pub(crate) fn may_act_for(caller: &Identity, owner: &str) -> bool {
    caller.require_owner(owner).is_ok()
}

/// Proof that a request comes from another service and not, through the gateway, from a user: the
/// gateway names the user in every request that it lets through. Two names are none for
/// [`Identity`], and still not from inside.
pub(crate) struct Internal;

impl<S: Send + Sync> FromRequestParts<S> for Internal {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Failure> {
        if parts.headers.contains_key(X_USER_ID) {
            let detail = "this is for services, not for users";
            return Err(Failure::new(StatusCode::FORBIDDEN, "forbidden", detail));
        }
        Ok(Self)
    }
}

/// Pages of a list.
#[derive(Debug, Default, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Page {
    /// The most entries, 1 to 100; 20 by default.
    limit: Option<u32>,
    /// The id of the last entry of the page before.
    pub(crate) after: Option<String>,
    /// Text to search for.
    pub(crate) q: Option<String>,
}

impl Page {
    /// The most entries of a page.
    pub(crate) fn limit(&self) -> u32 {
        self.limit.unwrap_or(20).clamp(1, 100)
    }

    /// The header that leads to the page after `shown` entries, the last of which has the id `last`
    /// (RFC 8288). None after a page that is not full.
    pub(crate) fn next(&self, path: &str, last: Option<&str>, shown: usize) -> HeaderMap {
        let mut headers = HeaderMap::new();
        let full = u32::try_from(shown).is_ok_and(|shown| shown == self.limit());
        let Some(last) = last.filter(|_| full) else {
            return headers;
        };
        let mut target = format!("{path}?limit={}&after={last}", self.limit());
        if let Some(q) = &self.q {
            target.push_str(&format!("&q={}", percent_encoded(q)));
        }
        if let Ok(link) = format!("<{target}>; rel=\"next\"").parse() {
            headers.insert(http::header::LINK, link);
        }
        headers
    }
}

/// Percent-encodes everything but RFC 3986's unreserved characters: safe in a path segment or query.
pub(crate) fn percent_encoded(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            encoded.push_str(&format!("%{byte:02X}"));
        }
    }
    encoded
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_page_links_to_the_next() {
        let page = Page {
            limit: Some(2),
            after: None,
            q: Some("신발".into()),
        };
        let headers = page.next("/products", Some("p-2"), 2);
        let link = "</products?limit=2&after=p-2&q=%EC%8B%A0%EB%B0%9C>; rel=\"next\"";
        assert_eq!(headers["link"], link);
        assert!(page.next("/products", Some("p-2"), 1).is_empty());
        assert_eq!(
            Page {
                limit: Some(1_000),
                ..Page::default()
            }
            .limit(),
            100
        );
    }
}
