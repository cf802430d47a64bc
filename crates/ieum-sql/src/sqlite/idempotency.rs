//! Idempotency keys: one key, one effect, one answer (IETF draft "Idempotency-Key header field").
//!
//! The record commits together with the effect, so there is no claim that a crash could leave
//! behind: of two requests at once the writer runs one, and the other is given its answer (H33).

use ieum_base::Timestamp;
use rusqlite::{Connection, OptionalExtension, params};

use super::{Migration, Tx};
use crate::participant::Forgotten;
pub use crate::participant::{Answer, Outcome};
use crate::{Error, Result};

/// The schema of the records.
pub const MIGRATIONS: &[Migration] = &[Migration {
    component: "idempotency",
    version: 1,
    sql: "CREATE TABLE ieum_idempotency (
              scope TEXT NOT NULL,
              key TEXT NOT NULL,
              fingerprint TEXT NOT NULL,
              status INTEGER NOT NULL,
              body TEXT NOT NULL,
              recorded_at INTEGER NOT NULL,
              PRIMARY KEY (scope, key)
          ) STRICT, WITHOUT ROWID;
          CREATE INDEX ieum_idempotency_by_time ON ieum_idempotency (recorded_at);",
}];

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
    if let Some(outcome) = find(tx, scope, key, fingerprint)? {
        return Ok(outcome);
    }
    let ran = tx.nested(|| match effect() {
        Ok(answer) if answer.is_final() => {
            store(tx, (scope, key, fingerprint), &answer)?;
            Ok(answer)
        }
        Ok(answer) => Err(Forgotten::Answer(answer)),
        Err(error) => Err(Forgotten::Failed(error)),
    });
    match ran {
        Ok(answer) | Err(Forgotten::Answer(answer)) => Ok(Outcome::Fresh(answer)),
        Err(Forgotten::Failed(error)) => Err(error),
    }
}

/// What is recorded for `key`: `Replayed` or `KeyReused`, or `None` if it was never used. Saves a
/// handler its preparations; only [`run`] decides.
pub fn find(
    connection: &Connection,
    scope: &str,
    key: &str,
    fingerprint: &str,
) -> Result<Option<Outcome>> {
    let mut statement = connection.prepare_cached(
        "SELECT fingerprint, status, body FROM ieum_idempotency WHERE scope = ?1 AND key = ?2",
    )?;
    let row = statement
        .query_row([scope, key], |row| {
            Ok((
                row.get::<_, String>(0)?,
                row.get::<_, u16>(1)?,
                row.get::<_, String>(2)?,
            ))
        })
        .optional()?;
    row.map(|(recorded, status, body)| Outcome::recorded(fingerprint, &recorded, status, &body))
        .transpose()
}

/// Deletes at most `limit` records from before `before`, and says how many.
pub fn forget_before(tx: &Tx<'_>, before: Timestamp, limit: usize) -> Result<usize> {
    let deleted = tx.execute(
        "DELETE FROM ieum_idempotency WHERE (scope, key) IN \
         (SELECT scope, key FROM ieum_idempotency WHERE recorded_at < ?1 \
          ORDER BY recorded_at LIMIT ?2)",
        params![before.as_micros(), i64::try_from(limit).unwrap_or(i64::MAX)],
    )?;
    Ok(deleted)
}

fn store(
    tx: &Tx<'_>,
    (scope, key, fingerprint): (&str, &str, &str),
    answer: &Answer,
) -> Result<()> {
    tx.prepare_cached(
        "INSERT INTO ieum_idempotency (scope, key, fingerprint, status, body, recorded_at) \
         VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
    )?
    .execute(params![
        scope,
        key,
        fingerprint,
        answer.status,
        answer.body_json(),
        tx.now().as_micros()
    ])?;
    Ok(())
}
