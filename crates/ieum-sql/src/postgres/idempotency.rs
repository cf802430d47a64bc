//! Idempotency keys: one key, one effect, one answer (IETF draft "Idempotency-Key header field").
//!
//! Its rules are those of [`sqlite::idempotency`](crate::sqlite::idempotency). A transaction-level
//! advisory lock on scope and key makes the second of two requests at once wait until the first has
//! ended, and gives it the first one's answer (H33); a crash gives the lock back by itself.
//!
//! [`run`] takes the effect as a closure; [`begin`] and [`Effect::finish`] are its halves.

use futures_util::future::join3;
use ieum_base::Timestamp;
use tokio_postgres::types::Type;
use tokio_postgres::{GenericClient, Transaction};

use super::{Migration, effect, limited, lock};
pub use crate::participant::{Answer, Outcome};
use crate::{Error, Result};

/// The schema of the records.
pub const MIGRATIONS: &[Migration] = &[Migration {
    component: "idempotency",
    version: 1,
    sql: include_str!("schema/idempotency.sql"),
}];

/// What is to be done with a request.
#[derive(Debug)]
pub enum Begun {
    /// It is known: see the outcome.
    Known(Outcome),
    /// Do the effect, and say how it ended.
    Run(Effect),
}

/// An effect that has begun.
#[derive(Debug)]
#[must_use = "an effect that is not finished is not recorded and would be done again"]
pub struct Effect {
    scope: String,
    key: String,
    fingerprint: String,
    now: Timestamp,
}

/// Answers the request `key` within `scope`, running `effect` only the first time.
///
/// A key belongs to its `scope`: tenant, subject and route, joined by the caller. `fingerprint`
/// stands for the request's content. A final answer ([`Answer::is_final`]) is stored together with
/// what `effect` wrote; another one, and an `Err`, leave nothing behind.
pub async fn run<E: From<Error>>(
    tx: &Transaction<'_>,
    now: Timestamp,
    (scope, key, fingerprint): (&str, &str, &str),
    effect: impl AsyncFnOnce() -> Result<Answer, E>,
) -> Result<Outcome, E> {
    let begun = match begin(tx, now, (scope, key, fingerprint)).await? {
        Begun::Known(outcome) => return Ok(outcome),
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

/// The first half of [`run`]: waits for the key, and says what is to be done.
pub async fn begin(
    tx: &Transaction<'_>,
    now: Timestamp,
    (scope, key, fingerprint): (&str, &str, &str),
) -> Result<Begun> {
    let name = format!("ieum_idempotency {}:{scope}{key}", scope.len());
    let (locked, found, opened) = join3(
        lock(tx, &name),
        find(tx, scope, key, fingerprint),
        effect::open(tx),
    )
    .await;
    // In the order of the statements: what fails first is the cause of what fails then.
    locked?;
    let found = found?;
    opened?;
    Ok(found.map_or_else(
        || {
            Begun::Run(Effect {
                scope: scope.to_owned(),
                key: key.to_owned(),
                fingerprint: fingerprint.to_owned(),
                now,
            })
        },
        Begun::Known,
    ))
}

impl Effect {
    /// The second half of [`run`]: stores `answer`, or forgets what the effect wrote if it is not
    /// final.
    pub async fn finish(self, tx: &Transaction<'_>, answer: Answer) -> Result<Outcome> {
        if answer.is_final() {
            effect::keep(tx, self.store(tx, &answer)).await?;
        } else {
            effect::forget(tx).await?;
        }
        Ok(Outcome::Fresh(answer))
    }

    /// The effect failed: forgets what it wrote. The transaction can go on.
    pub async fn abandon(self, tx: &Transaction<'_>) -> Result<()> {
        effect::forget(tx).await
    }

    async fn store(&self, tx: &Transaction<'_>, answer: &Answer) -> Result<u64> {
        let sql = "INSERT INTO ieum_idempotency \
                   (scope, key, fingerprint, status, body, recorded_at) \
                   VALUES ($1, $2, $3, $4, $5, $6)";
        let stored = tx
            .execute_typed(
                sql,
                &[
                    (&self.scope, Type::TEXT),
                    (&self.key, Type::TEXT),
                    (&self.fingerprint, Type::TEXT),
                    (&i64::from(answer.status), Type::INT8),
                    (&answer.body_json(), Type::TEXT),
                    (&self.now.as_micros(), Type::INT8),
                ],
            )
            .await?;
        Ok(stored)
    }
}

/// What is recorded for `key`: `Replayed` or `KeyReused`, or `None` if it was never used. Saves a
/// handler its preparations; only [`run`] decides.
pub async fn find(
    client: &impl GenericClient,
    scope: &str,
    key: &str,
    fingerprint: &str,
) -> Result<Option<Outcome>> {
    let sql =
        "SELECT fingerprint, status, body FROM ieum_idempotency WHERE scope = $1 AND key = $2";
    let row = client
        .query_typed_opt(sql, &[(&scope, Type::TEXT), (&key, Type::TEXT)])
        .await?;
    let Some(row) = row else {
        return Ok(None);
    };
    let status = super::status(row.try_get(1)?)?;
    Outcome::recorded(fingerprint, row.try_get(0)?, status, row.try_get(2)?).map(Some)
}

/// Deletes at most `limit` records from before `before`, and says how many.
pub async fn forget_before(tx: &Transaction<'_>, before: Timestamp, limit: usize) -> Result<usize> {
    let sql = "WITH old AS MATERIALIZED ( \
                   SELECT scope, key FROM ieum_idempotency WHERE recorded_at < $1 \
                   ORDER BY recorded_at LIMIT $2 FOR UPDATE SKIP LOCKED) \
               DELETE FROM ieum_idempotency i USING old \
               WHERE i.scope = old.scope AND i.key = old.key";
    limited(tx, sql, before, limit).await
}
