//! Idempotency keys: one key, one effect, one answer.
//!
//! As [`sqlite::idempotency`], on any engine. Of two requests at once the second waits until the
//! first has ended, and is given its answer (H33).

use ieum_base::Timestamp;

#[cfg(feature = "postgres")]
use super::postgres::Session;
use super::reader::Engine;
use super::tx::On;
use super::{Migration, Reader, Tx};
pub use crate::participant::{Answer, Outcome};
#[cfg(feature = "postgres")]
use crate::postgres::{self, idempotency::Begun};
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
        #[cfg(feature = "postgres")]
        On::Postgres(session) => on_postgres(tx, session, (scope, key, fingerprint), effect),
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
        #[cfg(feature = "postgres")]
        Engine::Postgres(session) => {
            let found = postgres::idempotency::find(session.transaction, scope, key, fingerprint);
            session.wait(found)
        }
    }
}

/// Deletes at most `limit` records from before `before`, and says how many.
pub fn forget_before(tx: &Tx<'_>, before: Timestamp, limit: usize) -> Result<usize> {
    match tx.engine() {
        On::Sqlite(tx) => sqlite::idempotency::forget_before(&tx, before, limit),
        #[cfg(feature = "postgres")]
        On::Postgres(session) => session.wait(postgres::idempotency::forget_before(
            session.transaction,
            before,
            limit,
        )),
    }
}

#[cfg(feature = "postgres")]
fn on_postgres<E: From<Error>>(
    tx: &Tx<'_>,
    session: &Session<'_>,
    request: (&str, &str, &str),
    effect: impl FnOnce() -> Result<Answer, E>,
) -> Result<Outcome, E> {
    let on = session.transaction;
    let begun = match session.wait(postgres::idempotency::begin(on, tx.now(), request))? {
        Begun::Known(outcome) => return Ok(outcome),
        Begun::Run(begun) => begun,
    };
    match session.effect(effect) {
        Ok(answer) => Ok(session.wait(begun.finish(on, answer))?),
        Err(error) => {
            session.wait(begun.abandon(on))?;
            session.recovered();
            Err(error)
        }
    }
}
