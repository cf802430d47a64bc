//! The headers that say for whom a request is made.
//!
//! Inside the platform they are the truth: the gateway drops them when they come from outside and
//! sets them from the token; the client passes them on; the chassis reads them.

use http::HeaderName;

/// The header with the user's id.
pub const X_USER_ID: HeaderName = HeaderName::from_static("x-user-id");
/// The header with the user's roles, separated by commas.
pub const X_USER_ROLES: HeaderName = HeaderName::from_static("x-user-roles");
