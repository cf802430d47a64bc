//! Small statements that several tables share.

use ieum_base::Timestamp;
use tokio_postgres::Transaction;
use tokio_postgres::types::Type;

use crate::{Error, ErrorKind, Result};

/// Nobody else who locks `name` goes on until `tx` ends.
pub(crate) async fn lock(tx: &Transaction<'_>, name: &str) -> Result<()> {
    let sql = "SELECT pg_advisory_xact_lock(hashtextextended($1, 0))";
    tx.query_typed(sql, &[(&name, Type::TEXT)]).await?;
    Ok(())
}

/// A text for people, as it can be stored: PostgreSQL has no character NUL, and a reason that came
/// from somebody's message must not keep that message from being set aside.
pub(super) fn readable(text: &str) -> String {
    text.replace('\0', "\u{FFFD}")
}

/// Runs a deletion of at most `$2` rows from before `$1`, and says how many it deleted.
pub(super) async fn limited(
    tx: &Transaction<'_>,
    sql: &str,
    before: Timestamp,
    limit: usize,
) -> Result<usize> {
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    let deleted = tx
        .execute_typed(
            sql,
            &[(&before.as_micros(), Type::INT8), (&limit, Type::INT8)],
        )
        .await?;
    Ok(usize::try_from(deleted).unwrap_or(usize::MAX))
}

/// A stored status.
pub(super) fn status(stored: i64) -> Result<u16> {
    u16::try_from(stored)
        .map_err(|_| Error::new(ErrorKind::Corrupt, "a stored answer has no status"))
}
