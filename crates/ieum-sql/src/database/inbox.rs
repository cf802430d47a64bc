//! The inbox: a message's effect happens once, however often it is delivered.
//!
//! As [`sqlite::inbox`], on any engine. Of two deliveries at once the second waits until the first
//! has ended.

use ieum_base::Timestamp;

use super::tx::On;
use super::{Migration, Tx};
#[cfg(feature = "postgres")]
use crate::postgres;
use crate::{Result, sqlite};

/// The schema of the inbox.
pub const MIGRATIONS: &[Migration] = &[Migration::of(
    &sqlite::inbox::MIGRATIONS[0],
    include_str!("../postgres/schema/inbox.sql"),
)];

/// Claims the message `id` of `source` for `consumer`. True the first time: do the effect in the
/// same transaction. False: it was done before, acknowledge and go on.
pub fn claim(tx: &Tx<'_>, consumer: &str, source: &str, id: &str) -> Result<bool> {
    match tx.engine() {
        On::Sqlite(tx) => sqlite::inbox::claim(&tx, consumer, source, id),
        #[cfg(feature = "postgres")]
        On::Postgres(session) => {
            let claimed =
                postgres::inbox::claim(session.transaction, tx.now(), consumer, source, id);
            session.wait(claimed)
        }
    }
}

/// Deletes at most `limit` claims from before `before`, and says how many. A message that comes
/// again later than that counts as new: keep claims longer than messages can be delivered again.
pub fn forget_before(tx: &Tx<'_>, before: Timestamp, limit: usize) -> Result<usize> {
    match tx.engine() {
        On::Sqlite(tx) => sqlite::inbox::forget_before(&tx, before, limit),
        #[cfg(feature = "postgres")]
        On::Postgres(session) => session.wait(postgres::inbox::forget_before(
            session.transaction,
            before,
            limit,
        )),
    }
}
