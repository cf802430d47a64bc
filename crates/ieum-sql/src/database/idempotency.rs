//! Idempotency keys: one key, one effect, one answer.
//!
//! As [`sqlite::idempotency`], on any engine. Of two requests at once the second waits until the
//! first has ended, and is given its answer (H33).

use ieum_base::Timestamp;

use super::reader::Engine;
use super::tx::On;
use super::{Migration, Reader, Tx};
pub use crate::participant::{Answer, Outcome};
use crate::{Error, Result, sqlite};

/// The schema of the records.
pub const MIGRATIONS: &[Migration] = &[Migration::of(
    &sqlite::idempotency::MIGRATIONS[0],
    include_str!("../postgres/schema/idempotency.sql"),
)];

/// Answers the request `key` within `scope`, running `effect` only the first time.
///
/// A key belongs to its `scope`: tenant, subject and route, joined by the caller. `fingerprint`
/// stands for the request's content. A final answer ([`Answer::is_final`]) is stored together with
/// what `effect` wrote; another one, and an `Err`, leave nothing behind.
pub fn run<E: From<Error>>(
    tx: &Tx<'_>,
    scope: &str,
    key: &str,
    fingerprint: &str,
    effect: impl FnOnce() -> Result<Answer, E>,
) -> Result<Outcome, E> {
    match tx.engine() {
        On::Sqlite(tx) => sqlite::idempotency::run(&tx, scope, key, fingerprint, effect),
    }
}

/// What is recorded for `key`: `Replayed` or `KeyReused`, or `None` if it was never used. Saves a
/// handler its preparations; only [`run`] decides.
pub fn find(
    reader: &Reader<'_>,
    scope: &str,
    key: &str,
    fingerprint: &str,
) -> Result<Option<Outcome>> {
    match reader.engine {
        Engine::Sqlite(connection) => {
            sqlite::idempotency::find(connection, scope, key, fingerprint)
        }
    }
}

/// Deletes at most `limit` records from before `before`, and says how many.
pub fn forget_before(tx: &Tx<'_>, before: Timestamp, limit: usize) -> Result<usize> {
    match tx.engine() {
        On::Sqlite(tx) => sqlite::idempotency::forget_before(&tx, before, limit),
    }
}
