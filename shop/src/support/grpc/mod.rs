//! The little that services over gRPC share: who calls, how they say no, and answers that go on.

mod status;

use std::sync::Arc;

use futures_util::StreamExt;
use futures_util::stream::BoxStream;
use ieum::chassis::Identity;
use ieum::sql::Reader;
use tonic::metadata::MetadataMap;
use tonic::{Request, Status};

use super::failure::{Failure, Reply};
use super::service::Service;
use super::watch;

/// Messages that are sent one after the other.
pub(crate) type Answers<M> = BoxStream<'static, Result<M, Status>>;

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

/// What `read` says now and at each change, see [`watch::changes`].
///
/// # Errors
/// `NOT_FOUND`, naming `what`; `RESOURCE_EXHAUSTED` beyond the most watchers.
pub(crate) async fn changes<M, R>(
    service: &Arc<Service>,
    what: &str,
    read: R,
) -> Result<Answers<M>, Status>
where
    M: Clone + PartialEq + Send + 'static,
    R: Fn(&Reader<'_>) -> Reply<Option<M>> + Clone + Send + 'static,
{
    let changes = watch::changes(service, what, None, read).await?;
    Ok(changes.map(|change| change.map_err(Status::from)).boxed())
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
