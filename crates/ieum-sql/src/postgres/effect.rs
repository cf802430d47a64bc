//! The savepoint around an effect whose writes may have to be forgotten.
//!
//! Each step is sent together with the statements beside it: one round trip, and still one after the
//! other at the server.

use futures_util::future::join;
use tokio_postgres::Transaction;

use crate::Result;

/// Begins what may have to be forgotten.
pub(super) async fn open(tx: &Transaction<'_>) -> Result<()> {
    Ok(tx.batch_execute("SAVEPOINT ieum_effect").await?)
}

/// Keeps it, together with what `stored` writes.
pub(super) async fn keep(
    tx: &Transaction<'_>,
    stored: impl Future<Output = Result<u64>>,
) -> Result<()> {
    let released = tx.batch_execute("RELEASE ieum_effect");
    let (stored, released) = join(stored, released).await;
    stored?;
    Ok(released?)
}

/// Forgets it, also after one of its statements failed.
pub(super) async fn forget(tx: &Transaction<'_>) -> Result<()> {
    let sql = "ROLLBACK TO ieum_effect; RELEASE ieum_effect";
    Ok(tx.batch_execute(sql).await?)
}
