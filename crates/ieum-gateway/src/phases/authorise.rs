//! Authorise: whether the caller may.

use crate::config::Auth;
use crate::errors::{Code, Refusal};
use crate::identity::Identity;
use crate::table::Route;

/// Refuses callers without a needed role, and everybody where nobody said who may.
pub(super) fn check(route: &Route, identity: Option<&Identity>) -> Result<(), Box<Refusal>> {
    match route.auth {
        None => {
            let detail = "this route does not say who may call it, so nobody may";
            Err(Refusal::new(Code::PolicyMissing, detail))
        }
        Some(Auth::None) => Ok(()),
        Some(Auth::Jwt) => {
            let roles = identity.map_or(&[][..], |identity| &identity.roles);
            let has_one = route.roles.iter().any(|needed| roles.contains(needed));
            if route.roles.is_empty() || has_one {
                Ok(())
            } else {
                Err(Refusal::new(
                    Code::RoleMissing,
                    "the caller has none of the roles that may",
                ))
            }
        }
    }
}
