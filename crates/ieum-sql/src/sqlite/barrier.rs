//! The barrier of a saga's participant: every call of a step counts once, in any order.
//!
//! A participant is called again after a lost answer, cancelled before it was called, called after
//! it was cancelled, and called by an owner that was superseded. The barrier makes all of these
//! harmless, with one table in the participant's database that commits together with the effect:
//! - a repeated call is given the stored answer;
//! - an undo without a done do has nothing to undo: it is recorded and answered 200
//!   (null compensation), and its effect does not run;
//! - a do that comes after its undo is refused (409, code `cancelled`);
//! - a call of an earlier epoch than one that was seen is refused (409, code `superseded`).
//!
//! The idea is the sub-transaction barrier of dtm (Ye, 2021).

use ieum_base::Timestamp;
use rusqlite::{OptionalExtension, params};

use super::{Migration, Tx};
pub use crate::participant::{Answer, Call, Op};
use crate::participant::{Forgotten, Verdict};
use crate::{Error, Result};

/// The schema of the barrier.
pub const MIGRATIONS: &[Migration] = &[Migration {
    component: "barrier",
    version: 1,
    sql: "CREATE TABLE ieum_barrier (
              saga TEXT NOT NULL,
              step TEXT NOT NULL,
              round INTEGER NOT NULL,
              op TEXT NOT NULL,
              status INTEGER NOT NULL,
              body TEXT NOT NULL,
              epoch INTEGER NOT NULL,
              recorded_at INTEGER NOT NULL,
              PRIMARY KEY (saga, step, round, op)
          ) STRICT, WITHOUT ROWID;
          CREATE INDEX ieum_barrier_by_time ON ieum_barrier (recorded_at);
          CREATE TABLE ieum_barrier_epochs (
              saga TEXT PRIMARY KEY,
              epoch INTEGER NOT NULL,
              seen_at INTEGER NOT NULL
          ) STRICT, WITHOUT ROWID;
          CREATE INDEX ieum_barrier_epochs_by_time ON ieum_barrier_epochs (seen_at);",
}];

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
    if !note_epoch(tx, call)? {
        return Ok(call.superseded());
    }
    match call.judge(stored(tx, call, Op::Do)?, stored(tx, call, Op::Undo)?) {
        Verdict::Answered(answer) => Ok(answer),
        Verdict::Nothing(answer) => {
            store(tx, call, &answer)?;
            Ok(answer)
        }
        Verdict::Run => run_effect(tx, call, effect),
    }
}

/// Deletes at most `limit` answers from before `before`, and says how many.
///
/// A call that comes again later than that runs again, and an undo that comes later is taken for one
/// without a do: its effect does not run, and it is answered 200. Keep answers for as long as the
/// engine believes (its setting `participants-remember`, 30 days): what is older it parks instead.
pub fn forget_before(tx: &Tx<'_>, before: Timestamp, limit: usize) -> Result<usize> {
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    let deleted = tx.execute(
        "DELETE FROM ieum_barrier WHERE (saga, step, round, op) IN \
         (SELECT saga, step, round, op FROM ieum_barrier WHERE recorded_at < ?1 \
          ORDER BY recorded_at LIMIT ?2)",
        params![before.as_micros(), limit],
    )?;
    tx.execute(
        "DELETE FROM ieum_barrier_epochs WHERE saga IN \
         (SELECT saga FROM ieum_barrier_epochs e WHERE seen_at < ?1 AND NOT EXISTS \
          (SELECT 1 FROM ieum_barrier b WHERE b.saga = e.saga) ORDER BY seen_at LIMIT ?2)",
        params![before.as_micros(), limit],
    )?;
    Ok(deleted)
}

fn run_effect<E: From<Error>>(
    tx: &Tx<'_>,
    call: &Call,
    effect: impl FnOnce() -> Result<Answer, E>,
) -> Result<Answer, E> {
    let ran = tx.nested(|| match effect() {
        Ok(answer) if call.keeps(&answer) => {
            store(tx, call, &answer).map_err(|error| Forgotten::Failed(error.into()))?;
            Ok(answer)
        }
        Ok(answer) => Err(Forgotten::Answer(answer)),
        Err(error) => Err(Forgotten::Failed(error)),
    });
    match ran {
        Ok(answer) | Err(Forgotten::Answer(answer)) => Ok(answer),
        Err(Forgotten::Failed(error)) => Err(error),
    }
}

/// Remembers the highest epoch of the saga; false if the call's is lower.
fn note_epoch(tx: &Tx<'_>, call: &Call) -> Result<bool> {
    let epoch = i64::try_from(call.epoch).unwrap_or(i64::MAX);
    let highest: i64 = tx
        .prepare_cached(
            "INSERT INTO ieum_barrier_epochs (saga, epoch, seen_at) VALUES (?1, ?2, ?3) \
             ON CONFLICT (saga) DO UPDATE SET epoch = max(epoch, excluded.epoch), \
             seen_at = excluded.seen_at RETURNING epoch",
        )?
        .query_row(params![call.saga, epoch, tx.now().as_micros()], |row| {
            row.get(0)
        })?;
    Ok(highest == epoch)
}

fn stored(tx: &Tx<'_>, call: &Call, op: Op) -> Result<Option<Answer>> {
    let mut statement = tx.prepare_cached(
        "SELECT status, body FROM ieum_barrier \
         WHERE saga = ?1 AND step = ?2 AND round = ?3 AND op = ?4",
    )?;
    let row = statement
        .query_row(
            params![call.saga, call.step, call.round, op.as_str()],
            |row| Ok((row.get::<_, u16>(0)?, row.get::<_, String>(1)?)),
        )
        .optional()?;
    row.map(|(status, body)| Answer::from_row(status, &body))
        .transpose()
}

fn store(tx: &Tx<'_>, call: &Call, answer: &Answer) -> Result<()> {
    tx.prepare_cached(
        "INSERT INTO ieum_barrier (saga, step, round, op, status, body, epoch, recorded_at) \
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
    )?
    .execute(params![
        call.saga,
        call.step,
        call.round,
        call.op.as_str(),
        answer.status,
        answer.body_json(),
        i64::try_from(call.epoch).unwrap_or(i64::MAX),
        tx.now().as_micros()
    ])?;
    Ok(())
}
