//! Who asks: the identity that the gateway established.
//!
//! The gateway drops these headers when they come from outside and sets them from the token. The
//! service still decides for itself who may see what: a gateway cannot know whose order it is.

use axum::extract::{FromRequestParts, OptionalFromRequestParts};
use http::HeaderMap;
use http::request::Parts;
use ieum_http::Problem;
use ieum_http::identity::{X_USER_ID, X_USER_ROLES};

use crate::problems::{forbidden, not_yours, unauthorized};

/// The role that may do everything.
pub const ADMIN: &str = "admin";

/// The user on whose behalf a request is made. As an extractor it refuses requests without one with
/// 401; `Option<Identity>` accepts them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// The user's id.
    pub user_id: String,
    /// The user's roles.
    pub roles: Vec<String>,
}

impl Identity {
    /// The identity in these headers. Two ids are none: it would be a guess which one counts.
    pub fn from_headers(headers: &HeaderMap) -> Option<Self> {
        let mut ids = headers.get_all(X_USER_ID).iter();
        let (id, None) = (ids.next()?.to_str().ok()?.trim(), ids.next()) else {
            return None;
        };
        let roles = headers
            .get_all(X_USER_ROLES)
            .iter()
            .filter_map(|value| value.to_str().ok())
            .flat_map(|value| value.split(','))
            .map(str::trim)
            .filter(|role| !role.is_empty())
            .map(str::to_owned)
            .collect();
        (!id.is_empty()).then(|| Self {
            user_id: id.to_owned(),
            roles,
        })
    }

    /// True if the user has the role.
    pub fn has_role(&self, role: &str) -> bool {
        self.roles.iter().any(|has| has == role)
    }

    /// True if the user is an administrator.
    pub fn is_admin(&self) -> bool {
        self.has_role(ADMIN)
    }

    /// Refuses users without the role.
    ///
    /// # Errors
    /// A problem with 403.
    pub fn require_role(&self, role: &str) -> Result<(), Problem> {
        if self.has_role(role) {
            Ok(())
        } else {
            Err(forbidden(role))
        }
    }

    /// Refuses everybody but the owner and administrators.
    ///
    /// # Errors
    /// A problem with 403.
    pub fn require_owner(&self, owner: &str) -> Result<(), Problem> {
        if self.user_id == owner || self.is_admin() {
            Ok(())
        } else {
            Err(not_yours())
        }
    }
}

impl<S: Sync> FromRequestParts<S> for Identity {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        Self::from_headers(&parts.headers).ok_or_else(unauthorized)
    }
}

impl<S: Sync> OptionalFromRequestParts<S> for Identity {
    type Rejection = std::convert::Infallible;

    async fn from_request_parts(
        parts: &mut Parts,
        _: &S,
    ) -> Result<Option<Self>, std::convert::Infallible> {
        Ok(Self::from_headers(&parts.headers))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderName;

    fn identity(pairs: &[(&str, &str)]) -> Option<Identity> {
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            let name = name.parse::<HeaderName>().expect("a name");
            headers.append(name, value.parse().expect("a value"));
        }
        Identity::from_headers(&headers)
    }

    #[test]
    fn the_gateways_headers_name_user_and_roles() {
        let ada = identity(&[("x-user-id", "u-1"), ("x-user-roles", "admin, buyer,,")]);
        let ada = ada.expect("an identity");
        assert_eq!((&*ada.user_id, ada.roles.len()), ("u-1", 2));
        assert!(ada.is_admin() && ada.require_role("buyer").is_ok());
    }

    #[test]
    fn no_id_an_empty_one_or_two_are_no_identity() {
        assert_eq!(identity(&[("x-user-roles", "admin")]), None);
        assert_eq!(identity(&[("x-user-id", " ")]), None);
        assert_eq!(identity(&[("x-user-id", "a"), ("x-user-id", "b")]), None);
    }

    #[test]
    fn only_the_owner_and_administrators_pass() {
        let (user, admin) = (
            identity(&[("x-user-id", "u-1")]).expect("an identity"),
            identity(&[("x-user-id", "u-2"), ("x-user-roles", "admin")]).expect("an identity"),
        );
        assert!(user.require_owner("u-1").is_ok() && admin.require_owner("u-1").is_ok());
        assert_eq!(user.require_owner("u-3").expect_err("refused").status, 403);
        assert_eq!(user.require_role("admin").expect_err("refused").status, 403);
    }
}
