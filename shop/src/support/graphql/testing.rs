//! What tests of subgraphs need.

use async_graphql::Request;
use ieum::chassis::{ADMIN, Identity};

use super::Entities;
use super::answer::Caller;

/// The request as a member of staff makes it, for tests that execute a schema without HTTP.
pub(crate) fn by_staff(request: Request) -> Request {
    let staff = Identity {
        user_id: "boss".to_owned(),
        roles: vec![ADMIN.to_owned()],
    };
    request.data(Caller(Some(staff))).data(Entities::default())
}
