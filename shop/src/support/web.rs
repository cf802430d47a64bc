//! What handlers take from a request: a strict body, who asks, and whether it comes from inside.

use axum::Json;
use axum::extract::rejection::JsonRejection;
use axum::extract::{FromRequest, FromRequestParts, Request};
use http::request::Parts;
use http::{HeaderMap, StatusCode};
use serde::de::DeserializeOwned;

use super::failure::{Failure, Reply};

/// A JSON body. What does not fit its type exactly is refused, with the place.
pub(crate) struct Body<T>(pub(crate) T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for Body<T> {
    type Rejection = Failure;

    async fn from_request(request: Request, state: &S) -> Result<Self, Failure> {
        match Json::<T>::from_request(request, state).await {
            Ok(Json(body)) => Ok(Self(body)),
            Err(JsonRejection::JsonDataError(error)) => Err(Failure::invalid(error.body_text())),
            Err(error) => Err(Failure::new(error.status(), "invalid-body", error.body_text())),
        }
    }
}

/// Who asks, as the gateway established it. A request without an identity is answered 401.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Caller {
    /// The user's id.
    pub(crate) user_id: String,
    /// What the user may do beside using the shop: `admin`.
    pub(crate) roles: Vec<String>,
}

/// The header with the user's id, set by the gateway only.
const USER_ID: &str = "x-user-id";
/// The header with the user's roles, separated by commas, set by the gateway only.
const USER_ROLES: &str = "x-user-roles";

impl Caller {
    fn of(headers: &HeaderMap) -> Option<Self> {
        let text = |name| headers.get(name).and_then(|value| value.to_str().ok());
        let user_id = text(USER_ID).filter(|id| !id.is_empty())?.to_owned();
        let roles = text(USER_ROLES).unwrap_or_default().split(',');
        let roles = roles.map(str::trim).filter(|role| !role.is_empty());
        Some(Self {
            user_id,
            roles: roles.map(str::to_owned).collect(),
        })
    }

    /// True for the shop's staff.
    pub(crate) fn is_admin(&self) -> bool {
        self.roles.iter().any(|role| role == "admin")
    }

    /// True if `owner` may see and change what belongs to `owner`.
    pub(crate) fn may_act_for(&self, owner: &str) -> bool {
        self.user_id == owner || self.is_admin()
    }

    /// Refuses everybody but the staff.
    pub(crate) fn must_be_admin(&self) -> Reply<()> {
        if self.is_admin() {
            return Ok(());
        }
        Err(Failure::new(
            StatusCode::FORBIDDEN,
            "forbidden",
            "this needs the role `admin`",
        ))
    }

    /// The headers that pass the caller's identity on to another service.
    pub(crate) fn headers(&self) -> [(&'static str, String); 2] {
        [(USER_ID, self.user_id.clone()), (USER_ROLES, self.roles.join(","))]
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Caller {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Failure> {
        Self::of(&parts.headers).ok_or_else(|| {
            Failure::new(StatusCode::UNAUTHORIZED, "unauthorized", "sign in first")
        })
    }
}

/// Proof that a request comes from another service and not, through the gateway, from a user: the
/// gateway names the user in every request that it lets through.
pub(crate) struct Internal;

impl<S: Send + Sync> FromRequestParts<S> for Internal {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Failure> {
        if Caller::of(&parts.headers).is_some() {
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

    fn caller(id: &str, roles: &str) -> Option<Caller> {
        let mut headers = HeaderMap::new();
        headers.insert(USER_ID, id.parse().expect("a header"));
        headers.insert(USER_ROLES, roles.parse().expect("a header"));
        Caller::of(&headers)
    }

    #[test]
    fn only_the_owner_and_the_staff_may_act() {
        let kim = caller("kim", "").expect("a caller");
        assert!(kim.may_act_for("kim") && !kim.may_act_for("lee"));
        assert!(kim.must_be_admin().is_err());
        let admin = caller("root", "clerk, admin").expect("a caller");
        assert!(admin.may_act_for("lee") && admin.must_be_admin().is_ok());
        assert_eq!(caller("", "admin"), None);
    }

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
        assert_eq!(Page { limit: Some(1_000), ..Page::default() }.limit(), 100);
    }
}
