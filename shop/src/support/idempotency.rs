//! Requests that happen once, however often they are sent: the header `Idempotency-Key`.

use aws_lc_rs::digest;
use axum::extract::FromRequestParts;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::StatusCode;
use http::request::Parts;
use ieum::chassis::Identity;
use ieum::http::Problem;
use serde::Serialize;

use super::failure::{Failure, Reply};

/// The key of a request, if it has one.
pub(crate) struct Key(Option<String>);

/// A request that is to happen once: whose it is, its key, and what stands for its content.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Request {
    pub(super) scope: String,
    pub(super) key: String,
    pub(super) fingerprint: String,
    /// Where it was sent.
    path: String,
}

impl Request {
    /// The answer if its key was used for another request: that cannot be meant.
    pub(super) fn reused(&self) -> Problem {
        Problem::new(StatusCode::UNPROCESSABLE_ENTITY)
            .code("idempotency-key-reused")
            .title("The idempotency key was used for another request")
            .detail("an Idempotency-Key belongs to one request and its body; send this one with a new key")
            .instance(&self.path)
    }
}

impl Key {
    /// The request of `caller` to `route` (its method and its path) with this body; `None` if it has no key and happens each
    /// time that it is sent.
    pub(crate) fn of<T: Serialize>(
        self,
        caller: &Identity,
        route: &str,
        body: &T,
    ) -> Reply<Option<Request>> {
        let Some(key) = self.0 else {
            return Ok(None);
        };
        let path = route.split_once(' ').map_or(route, |(_, path)| path);
        let content = digest::digest(&digest::SHA256, &serde_json::to_vec(body)?);
        Ok(Some(Request {
            scope: format!("{} {route}", caller.user_id),
            key,
            fingerprint: URL_SAFE_NO_PAD.encode(content.as_ref()),
            path: path.to_owned(),
        }))
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Key {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Reply<Self> {
        let Some(key) = parts.headers.get("idempotency-key") else {
            return Ok(Self(None));
        };
        let key = key.to_str().unwrap_or_default().trim();
        if key.is_empty() || key.len() > 255 {
            return Err(Failure::invalid(
                "an Idempotency-Key has 1 to 255 printable characters",
            ));
        }
        Ok(Self(Some(key.to_owned())))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(user: &str, body: &str) -> Option<Request> {
        let caller = Identity {
            user_id: user.to_owned(),
            roles: Vec::new(),
        };
        Key(Some("k-1".into()))
            .of(&caller, "POST /orders", &body)
            .expect("hashed")
    }

    #[test]
    fn a_key_belongs_to_its_user_and_its_content() {
        assert_eq!(request("kim", "a"), request("kim", "a"));
        let (kim, lee) = (
            request("kim", "a").expect("one"),
            request("lee", "a").expect("one"),
        );
        assert_ne!(kim.scope, lee.scope);
        assert_ne!(
            kim.fingerprint,
            request("kim", "b").expect("one").fingerprint
        );
    }

    #[test]
    fn the_problem_of_a_reused_key_is_complete() {
        let problem = request("kim", "a").expect("one").reused();
        let problem = serde_json::to_value(problem).expect("json");
        assert_eq!(
            (&problem["status"], &problem["code"]),
            (&422.into(), &"idempotency-key-reused".into())
        );
        assert_eq!(problem["instance"], "/orders");
        for member in ["type", "title", "detail"] {
            assert!(problem[member].is_string(), "{member}");
        }
    }

    #[test]
    fn a_request_without_a_key_happens_each_time() {
        let caller = Identity {
            user_id: "kim".into(),
            roles: Vec::new(),
        };
        assert_eq!(
            Key(None).of(&caller, "POST /orders", &"a").expect("hashed"),
            None
        );
    }
}
