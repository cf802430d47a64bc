//! The barrier of a saga's participant: every call of a step counts once, in any order.
//!
//! Its rules are those of [`sqlite::barrier`](crate::sqlite::barrier). What SQLite's one writer does
//! there, the row of the saga's epoch does here: a call updates it first, so that of two calls of
//! one saga at once the second waits until the first has ended, and then sees what it stored.
//!
//! [`run`] takes the effect as a closure; [`begin`] and [`Effect::finish`] are its halves, for
//! effects that are no closure.

use futures_util::future::join3;
use ieum_base::Timestamp;
use tokio_postgres::Transaction;
use tokio_postgres::types::Type;

use super::{Migration, effect, limited};
use crate::participant::Verdict;
pub use crate::participant::{Answer, Call, Op};
use crate::{Error, Result};

/// The schema of the barrier.
pub const MIGRATIONS: &[Migration] = &[Migration {
    component: "barrier",
    version: 1,
    sql: include_str!("schema/barrier.sql"),
}];

/// What is to be done with a call.
#[derive(Debug)]
pub enum Begun {
    /// Give this answer. (Commit: an answer may have been stored.)
    Answered(Answer),
    /// Do the effect, and say how it ended.
    Run(Effect),
}

/// An effect that has begun.
#[derive(Debug)]
#[must_use = "an effect that is not finished is not recorded and would be done again"]
pub struct Effect {
    call: Call,
    now: Timestamp,
}

/// Answers `call`, running `effect` only if this is the call's first time and it may happen.
///
/// What `effect` writes commits together with the stored answer. A final answer is stored and given
/// again, a refusal of a do (4xx) with what `effect` wrote about it. An answer that is not final
/// ([`Answer::is_final`]), an undo that was not a success, and an `Err` leave nothing behind, so that
/// the call can be made again.
pub async fn run<E: From<Error>>(
    tx: &Transaction<'_>,
    now: Timestamp,
    call: &Call,
    effect: impl AsyncFnOnce() -> Result<Answer, E>,
) -> Result<Answer, E> {
    let begun = match begin(tx, now, call).await? {
        Begun::Answered(answer) => return Ok(answer),
        Begun::Run(begun) => begun,
    };
    match effect().await {
        Ok(answer) => Ok(begun.finish(tx, answer).await?),
        Err(error) => {
            begun.abandon(tx).await?;
            Err(error)
        }
    }
}

/// The first half of [`run`]: notes the call, and says what is to be done.
pub async fn begin(tx: &Transaction<'_>, now: Timestamp, call: &Call) -> Result<Begun> {
    let (noted, stored, opened) = join3(
        note_epoch(tx, now, call),
        stored(tx, call),
        effect::open(tx),
    )
    .await;
    // In the order of the statements: what fails first is the cause of what fails then.
    let (is_current, (done, undone)) = (noted?, stored?);
    opened?;
    let answer = match (is_current, call.judge(done, undone)) {
        (false, _) => call.superseded(),
        (true, Verdict::Answered(answer)) => answer,
        (true, Verdict::Nothing(answer)) => {
            store(tx, now, call, &answer).await?;
            answer
        }
        (true, Verdict::Run) => {
            let call = call.clone();
            return Ok(Begun::Run(Effect { call, now }));
        }
    };
    Ok(Begun::Answered(answer))
}

impl Effect {
    /// The second half of [`run`]: stores `answer`, or forgets what the effect wrote if it is not to
    /// be stored. Answers `answer`.
    pub async fn finish(self, tx: &Transaction<'_>, answer: Answer) -> Result<Answer> {
        if self.call.keeps(&answer) {
            effect::keep(tx, store(tx, self.now, &self.call, &answer)).await?;
        } else {
            effect::forget(tx).await?;
        }
        Ok(answer)
    }

    /// The effect failed: forgets what it wrote. The transaction can go on.
    pub async fn abandon(self, tx: &Transaction<'_>) -> Result<()> {
        effect::forget(tx).await
    }
}

/// Deletes at most `limit` answers from before `before`, and says how many.
///
/// A call that comes again later than that runs again, and an undo that comes later is taken for one
/// without a do: its effect does not run, and it is answered 200. Keep answers for as long as the
/// engine believes (its setting `participants-remember`, 30 days): what is older it parks instead.
pub async fn forget_before(tx: &Transaction<'_>, before: Timestamp, limit: usize) -> Result<usize> {
    let answers = "WITH old AS MATERIALIZED ( \
                       SELECT saga, step, round, op FROM ieum_barrier WHERE recorded_at < $1 \
                       ORDER BY recorded_at LIMIT $2 FOR UPDATE SKIP LOCKED) \
                   DELETE FROM ieum_barrier b USING old WHERE b.saga = old.saga \
                   AND b.step = old.step AND b.round = old.round AND b.op = old.op";
    let deleted = limited(tx, answers, before, limit).await?;
    let epochs = "WITH old AS MATERIALIZED ( \
                      SELECT saga FROM ieum_barrier_epochs e WHERE seen_at < $1 AND NOT EXISTS \
                      (SELECT 1 FROM ieum_barrier b WHERE b.saga = e.saga) \
                      ORDER BY seen_at LIMIT $2 FOR UPDATE SKIP LOCKED) \
                  DELETE FROM ieum_barrier_epochs e USING old WHERE e.saga = old.saga";
    limited(tx, epochs, before, limit).await?;
    Ok(deleted)
}

/// Remembers the highest epoch of the saga; false if the call's is lower. Its row stays locked until
/// the transaction ends.
async fn note_epoch(tx: &Transaction<'_>, now: Timestamp, call: &Call) -> Result<bool> {
    let sql = "INSERT INTO ieum_barrier_epochs AS known (saga, epoch, seen_at) VALUES ($1, $2, $3) \
               ON CONFLICT (saga) DO UPDATE SET epoch = greatest(known.epoch, excluded.epoch), \
               seen_at = excluded.seen_at RETURNING epoch";
    let epoch = epoch_of(call);
    let row = tx
        .query_typed_one(
            sql,
            &[
                (&call.saga, Type::TEXT),
                (&epoch, Type::INT8),
                (&now.as_micros(), Type::INT8),
            ],
        )
        .await?;
    let highest: i64 = row.try_get(0)?;
    Ok(highest == epoch)
}

/// The stored answers to the do and to the undo.
async fn stored(tx: &Transaction<'_>, call: &Call) -> Result<(Option<Answer>, Option<Answer>)> {
    let sql = "SELECT op, status, body FROM ieum_barrier \
               WHERE saga = $1 AND step = $2 AND round = $3 ORDER BY op";
    let rows = tx
        .query_typed(
            sql,
            &[
                (&call.saga, Type::TEXT),
                (&call.step, Type::TEXT),
                (&i64::from(call.round), Type::INT8),
            ],
        )
        .await?;
    let (mut done, mut undone) = (None, None);
    for row in rows {
        let (op, status, body): (&str, i64, &str) =
            (row.try_get(0)?, row.try_get(1)?, row.try_get(2)?);
        let answer = Answer::from_row(super::status(status)?, body)?;
        if op == Op::Do.as_str() {
            done = Some(answer);
        } else {
            undone = Some(answer);
        }
    }
    Ok((done, undone))
}

async fn store(tx: &Transaction<'_>, now: Timestamp, call: &Call, answer: &Answer) -> Result<u64> {
    let sql = "INSERT INTO ieum_barrier \
               (saga, step, round, op, status, body, epoch, recorded_at) \
               VALUES ($1, $2, $3, $4, $5, $6, $7, $8)";
    let stored = tx
        .execute_typed(
            sql,
            &[
                (&call.saga, Type::TEXT),
                (&call.step, Type::TEXT),
                (&i64::from(call.round), Type::INT8),
                (&call.op.as_str(), Type::TEXT),
                (&i64::from(answer.status), Type::INT8),
                (&answer.body_json(), Type::TEXT),
                (&epoch_of(call), Type::INT8),
                (&now.as_micros(), Type::INT8),
            ],
        )
        .await?;
    Ok(stored)
}

fn epoch_of(call: &Call) -> i64 {
    i64::try_from(call.epoch).unwrap_or(i64::MAX)
}
