//! Identify: who the caller is.
//!
//! Only a route that asks for a token looks at one; elsewhere `Authorization` is the upstream's own
//! affair and passes through unread.

use std::sync::Arc;

use http::HeaderMap;
use http::header::AUTHORIZATION;

use crate::config::Auth;
use crate::errors::{Code, Refusal};
use crate::identity::Identity;
use crate::table::{Route, Table};

/// The caller of a route that asks for a token; `None` for one that does not.
pub(super) fn caller(
    table: &Table,
    route: &Route,
    headers: &HeaderMap,
) -> Result<Option<Arc<Identity>>, Box<Refusal>> {
    if route.auth != Some(Auth::Jwt) {
        return Ok(None);
    }
    let mut given = headers.get_all(AUTHORIZATION).iter();
    let token = match (given.next(), given.next()) {
        (None, _) => return Err(missing()),
        (Some(_), Some(_)) => return Err(invalid("there is more than one `Authorization`")),
        (Some(value), None) => value.to_str().ok().and_then(bearer).ok_or_else(missing)?,
    };
    let Some(verifier) = &table.verifier else {
        // The configuration was refused if a route asked for tokens without keys.
        return Err(Refusal::new(
            Code::Internal,
            "there is nothing to verify tokens with",
        ));
    };
    verifier.verify(token).map(Some).map_err(invalid)
}

/// The token behind `Bearer`, a scheme whose case does not matter.
fn bearer(value: &str) -> Option<&str> {
    let (scheme, token) = value.split_once(' ')?;
    let token = token.trim();
    (scheme.eq_ignore_ascii_case("bearer") && !token.is_empty()).then_some(token)
}

fn missing() -> Box<Refusal> {
    Refusal::new(
        Code::TokenMissing,
        "this needs a bearer token in `Authorization`",
    )
}

fn invalid(why: &'static str) -> Box<Refusal> {
    Refusal::new(Code::TokenInvalid, why)
}
