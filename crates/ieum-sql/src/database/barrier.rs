//! The barrier of a saga's participant: every call of a step counts once, in any order.
//!
//! As [`sqlite::barrier`], on any engine. Of two calls of one saga at once the second waits until
//! the first has ended.

use ieum_base::Timestamp;

#[cfg(feature = "postgres")]
use super::postgres::Session;
use super::tx::On;
use super::{Migration, Tx};
pub use crate::participant::{Answer, Call, Op};
#[cfg(feature = "postgres")]
use crate::postgres::{self, barrier::Begun};
use crate::{Error, Result, sqlite};

/// The schema of the barrier.
pub const MIGRATIONS: &[Migration] = &[Migration::of(
    &sqlite::barrier::MIGRATIONS[0],
    include_str!("../postgres/schema/barrier.sql"),
)];

/// Answers `call`, running `effect` only if this is the call's first time and it may happen.
///
/// What `effect` writes commits together with the stored answer. A final answer is stored and given
/// again, a refusal of a do (4xx) with what `effect` wrote about it. An answer that is not final
/// ([`Answer::is_final`]), an undo that was not a success, and an `Err` leave nothing behind, so that
/// the call can be made again.
pub fn run<E: From<Error>>(
    tx: &Tx<'_>,
    call: &Call,
    effect: impl FnOnce() -> Result<Answer, E>,
) -> Result<Answer, E> {
    match tx.engine() {
        On::Sqlite(tx) => sqlite::barrier::run(&tx, call, effect),
        #[cfg(feature = "postgres")]
        On::Postgres(session) => on_postgres(tx, session, call, effect),
    }
}

/// Deletes at most `limit` answers from before `before`, and says how many.
///
/// A call that comes again later than that runs again, and an undo that comes later is taken for one
/// without a do. Keep answers for as long as the engine believes (its setting
/// `participants-remember`, 30 days).
pub fn forget_before(tx: &Tx<'_>, before: Timestamp, limit: usize) -> Result<usize> {
    match tx.engine() {
        On::Sqlite(tx) => sqlite::barrier::forget_before(&tx, before, limit),
        #[cfg(feature = "postgres")]
        On::Postgres(session) => session.wait(postgres::barrier::forget_before(
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
    call: &Call,
    effect: impl FnOnce() -> Result<Answer, E>,
) -> Result<Answer, E> {
    let on = session.transaction;
    let begun = match session.wait(postgres::barrier::begin(on, tx.now(), call))? {
        Begun::Answered(answer) => return Ok(answer),
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
