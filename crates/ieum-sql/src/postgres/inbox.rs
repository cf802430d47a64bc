//! The inbox: a message's effect happens once, however often it is delivered.
//!
//! The claim and the effect commit together. A message that comes again finds the claim and its
//! effect is skipped; a crash before the commit leaves neither. Of two deliveries at once the second
//! waits, by the table's key, until the first has ended.

use ieum_base::Timestamp;
use tokio_postgres::Transaction;
use tokio_postgres::types::Type;

use super::{Migration, limited};
use crate::Result;

/// The schema of the inbox.
pub const MIGRATIONS: &[Migration] = &[Migration {
    component: "inbox",
    version: 1,
    sql: include_str!("schema/inbox.sql"),
}];

/// Claims the message `id` of `source` for `consumer`. True the first time: do the effect in the
/// same transaction. False: it was done before, acknowledge and go on.
///
/// Waits while another transaction holds the claim. `now` is when it came, for [`forget_before`].
pub async fn claim(
    tx: &Transaction<'_>,
    now: Timestamp,
    consumer: &str,
    source: &str,
    id: &str,
) -> Result<bool> {
    let sql = "INSERT INTO ieum_inbox (consumer, source, id, received_at) VALUES ($1, $2, $3, $4) \
               ON CONFLICT DO NOTHING";
    let inserted = tx
        .execute_typed(
            sql,
            &[
                (&consumer, Type::TEXT),
                (&source, Type::TEXT),
                (&id, Type::TEXT),
                (&now.as_micros(), Type::INT8),
            ],
        )
        .await?;
    Ok(inserted == 1)
}

/// Deletes at most `limit` claims from before `before`, and says how many. A message that comes
/// again later than that counts as new: keep claims longer than messages can be delivered again.
pub async fn forget_before(tx: &Transaction<'_>, before: Timestamp, limit: usize) -> Result<usize> {
    let sql = "WITH old AS MATERIALIZED ( \
                   SELECT consumer, source, id FROM ieum_inbox WHERE received_at < $1 \
                   ORDER BY received_at LIMIT $2 FOR UPDATE SKIP LOCKED) \
               DELETE FROM ieum_inbox i USING old \
               WHERE i.consumer = old.consumer AND i.source = old.source AND i.id = old.id";
    limited(tx, sql, before, limit).await
}
