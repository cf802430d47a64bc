//! The inbox: a message's effect happens once, however often it is delivered.
//!
//! The claim and the effect commit together. A message that comes again finds the claim and its
//! effect is skipped; a crash before the commit leaves neither.

use ieum_base::Timestamp;
use rusqlite::params;

use super::{Migration, Tx};
use crate::Result;

/// The schema of the inbox.
pub const MIGRATIONS: &[Migration] = &[Migration {
    component: "inbox",
    version: 1,
    sql: "CREATE TABLE ieum_inbox (
              consumer TEXT NOT NULL,
              source TEXT NOT NULL,
              id TEXT NOT NULL,
              received_at INTEGER NOT NULL,
              PRIMARY KEY (consumer, source, id)
          ) STRICT, WITHOUT ROWID;
          CREATE INDEX ieum_inbox_by_time ON ieum_inbox (received_at);",
}];

/// Claims the message `id` of `source` for `consumer`. True the first time: do the effect in the
/// same transaction. False: it was done before, acknowledge and go on.
pub fn claim(tx: &Tx<'_>, consumer: &str, source: &str, id: &str) -> Result<bool> {
    let inserted = tx
        .prepare_cached(
            "INSERT OR IGNORE INTO ieum_inbox (consumer, source, id, received_at) \
             VALUES (?1, ?2, ?3, ?4)",
        )?
        .execute(params![consumer, source, id, tx.now().as_micros()])?;
    Ok(inserted == 1)
}

/// Deletes at most `limit` claims from before `before`, and says how many. A message that comes
/// again later than that counts as new: keep claims longer than messages can be delivered again.
pub fn forget_before(tx: &Tx<'_>, before: Timestamp, limit: usize) -> Result<usize> {
    let deleted = tx.execute(
        "DELETE FROM ieum_inbox WHERE (consumer, source, id) IN \
         (SELECT consumer, source, id FROM ieum_inbox WHERE received_at < ?1 \
          ORDER BY received_at LIMIT ?2)",
        params![before.as_micros(), i64::try_from(limit).unwrap_or(i64::MAX)],
    )?;
    Ok(deleted)
}
