//! The little that services over gRPC share: who calls, how they say no, and answers that go on.

mod status;
mod watch;

use ieum::chassis::Identity;
use tonic::metadata::MetadataMap;
use tonic::{Request, Status};

use super::failure::Failure;

pub(crate) use watch::{Answers, Watches, changes};

/// The most things that are asked for at once.
pub(crate) const MOST_AT_ONCE: usize = 100;

/// Who calls, as the gateway said.
///
/// # Errors
/// `UNAUTHENTICATED` without an identity.
pub(crate) fn caller<T>(request: &Request<T>) -> Result<Identity, Status> {
    let metadata: &MetadataMap = request.metadata();
    Identity::from_headers(metadata.as_ref())
        .ok_or_else(|| Status::unauthenticated("the call has to come through the gateway"))
}

/// Refuses lists that are too long.
///
/// # Errors
/// `INVALID_ARGUMENT`.
pub(crate) fn not_too_many(ids: &[String]) -> Result<(), Failure> {
    if ids.len() <= MOST_AT_ONCE {
        return Ok(());
    }
    let detail = format!("at most {MOST_AT_ONCE} are asked for at once");
    Err(Failure::invalid(detail))
}
