//! Appending inside a service's own transaction.

use ieum_base::Clock;
use ieum_eventstore::{Append, Appended, Error, ErrorKind, Result};
use tokio_postgres::Transaction;

use super::batch::{self, Batch};

/// Appends in the caller's transaction, so that events and the caller's own rows (its outbox, its
/// inbox) commit together. The database was opened with [`MIGRATIONS`](super::MIGRATIONS).
///
/// It is the same function as the platform's log calls, and it locks the log until the transaction
/// ends: append last, and commit at once. The promises are those of
/// [`EventStore::append`](ieum_eventstore::EventStore::append); durable once the commit has answered.
/// A refusal (`Conflict`, `Fenced`, …) leaves the transaction usable. `Invalid` also says that the
/// transaction is not READ COMMITTED, and then it is broken.
pub async fn append_in(
    transaction: &Transaction<'_>,
    append: &Append,
    clock: &Clock,
) -> Result<Appended> {
    batch::check(append)?;
    let batch = Batch::of([append], clock.now(), true)?;
    let row = transaction
        .query_one(batch::CALL, &batch.parameters())
        .await
        .map_err(crate::Error::from)?;
    let answer = batch.answers(&row)?.pop();
    answer.unwrap_or_else(|| Err(Error::new(ErrorKind::Internal, "an append has no answer")))
}
