//! The outbox: messages that commit together with what they tell about.
//!
//! A service writes its state and its message in one transaction, so that neither exists without the
//! other; a relay sends what is unsent, in id order. Writing to the database *and* to a broker would
//! be two writes, of which one can be lost.

use std::time::Duration;

use async_trait::async_trait;
use ieum_base::Timestamp;
use ieum_messaging::{Message, OutboxRow, OutboxStore, Result};
use rusqlite::{Connection, params};
use tokio::sync::watch;

use super::{Database, Migration, Tx};
use crate::Error;
use crate::participant::{incoming, outgoing};

/// The schema of the outbox.
pub const MIGRATIONS: &[Migration] = &[Migration {
    component: "outbox",
    version: 1,
    sql: "CREATE TABLE ieum_outbox (
              id INTEGER PRIMARY KEY AUTOINCREMENT,
              topic TEXT NOT NULL,
              message TEXT NOT NULL,
              created_at INTEGER NOT NULL,
              sent_at INTEGER,
              error TEXT
          ) STRICT;
          CREATE INDEX ieum_outbox_pending ON ieum_outbox (id)
              WHERE sent_at IS NULL AND error IS NULL;
          CREATE INDEX ieum_outbox_sent ON ieum_outbox (sent_at) WHERE sent_at IS NOT NULL;",
}];

/// Writes `message` to the outbox, for `topic`; it is sent if and only if `tx` commits.
///
/// Answers the row's id. A message that no engine would take (see [`Message::validate`]) is refused
/// here, where its writer can still be told.
pub fn publish(tx: &Tx<'_>, topic: &str, message: &Message) -> crate::Result<i64> {
    let json = outgoing(topic, message)?;
    tx.prepare_cached("INSERT INTO ieum_outbox (topic, message, created_at) VALUES (?1, ?2, ?3)")?
        .execute(params![topic, json, tx.now().as_micros()])?;
    Ok(tx.last_insert_rowid())
}

/// The outbox of a database, as the relay sees it. Clones are the same outbox.
///
/// Sent rows are kept until somebody calls [`Store::forget_sent`].
#[derive(Clone, Debug)]
pub struct Store {
    database: Database,
    last: watch::Sender<i64>,
}

impl Store {
    /// The outbox of a database that was opened with [`MIGRATIONS`] among others.
    pub fn new(database: Database) -> Self {
        let last = watch::Sender::new(0);
        let seen = last.clone();
        database.after_commit(move |connection| {
            if let Ok(now) = last_id(connection) {
                seen.send_if_modified(|last| std::mem::replace(last, now) != now);
            }
        });
        Self { database, last }
    }

    /// Deletes at most `limit` rows that were sent before `before`, and says how many.
    pub async fn forget_sent(&self, before: Timestamp, limit: usize) -> crate::Result<usize> {
        self.database
            .write(move |tx| {
                let deleted = tx.execute(
                    "DELETE FROM ieum_outbox WHERE id IN \
                     (SELECT id FROM ieum_outbox WHERE sent_at < ?1 ORDER BY sent_at LIMIT ?2)",
                    params![before.as_micros(), i64::try_from(limit).unwrap_or(i64::MAX)],
                )?;
                Ok(deleted)
            })
            .await
    }

    /// The rows that can never be sent, oldest first, at most `limit`, with the reason.
    pub async fn unsendable(&self, limit: usize) -> crate::Result<Vec<(OutboxRow, String)>> {
        self.database
            .read(move |connection| {
                let mut statement = connection.prepare_cached(
                    "SELECT id, topic, message, error FROM ieum_outbox \
                     WHERE error IS NOT NULL ORDER BY id LIMIT ?1",
                )?;
                let rows = statement
                    .query_map([i64::try_from(limit).unwrap_or(i64::MAX)], |row| {
                        Ok((read_row(row), row.get::<_, String>(3)?))
                    })?;
                let mut unsendable = Vec::new();
                for row in rows {
                    let (row, reason) = row?;
                    if let Ok(row) = row? {
                        unsendable.push((row, reason));
                    }
                }
                Ok(unsendable)
            })
            .await
    }
}

#[async_trait]
impl OutboxStore for Store {
    async fn pending(&self, limit: usize) -> Result<Vec<OutboxRow>> {
        self.pending_besides(&[], limit).await
    }

    async fn pending_besides(&self, besides: &[String], limit: usize) -> Result<Vec<OutboxRow>> {
        let besides = besides.to_vec();
        let (rows, broken) = self
            .database
            .read(move |connection| pending(connection, &besides, limit))
            .await?;
        // A row that is no message would otherwise stand before all others for ever.
        for (id, reason) in broken {
            self.mark_unsendable(id, &reason).await?;
        }
        Ok(rows)
    }

    async fn mark_sent(&self, ids: &[i64]) -> Result<()> {
        let ids = ids.to_vec();
        self.database
            .write(move |tx| {
                let now = tx.now().as_micros();
                let mut statement = tx.prepare_cached(
                    "UPDATE ieum_outbox SET sent_at = ?2 WHERE id = ?1 AND sent_at IS NULL",
                )?;
                for id in ids {
                    statement.execute((id, now))?;
                }
                Ok::<_, Error>(())
            })
            .await?;
        Ok(())
    }

    async fn mark_unsendable(&self, id: i64, reason: &str) -> Result<()> {
        let reason = reason.to_owned();
        self.database
            .write(move |tx| {
                tx.execute(
                    "UPDATE ieum_outbox SET error = ?2 WHERE id = ?1 AND sent_at IS NULL",
                    (id, reason),
                )?;
                Ok::<_, Error>(())
            })
            .await?;
        Ok(())
    }

    async fn changed(&self, wait: Duration) {
        let mut last = self.last.subscribe();
        // Registered first, then looked: a row that commits in between is not missed (H10).
        let look = self.database.read(|connection| pending(connection, &[], 1));
        if look
            .await
            .is_ok_and(|(rows, broken)| !rows.is_empty() || !broken.is_empty())
        {
            return;
        }
        let _too_long = tokio::time::timeout(wait, last.changed()).await;
    }
}

type Pending = (Vec<OutboxRow>, Vec<(i64, String)>);

/// The unsent rows of other topics than `besides`, and those that are no messages.
fn pending(connection: &Connection, besides: &[String], limit: usize) -> crate::Result<Pending> {
    let mut statement = connection.prepare_cached(
        "SELECT id, topic, message FROM ieum_outbox \
         WHERE sent_at IS NULL AND error IS NULL \
         AND topic NOT IN (SELECT value FROM json_each(?2)) ORDER BY id LIMIT ?1",
    )?;
    let besides = serde_json::Value::from(besides).to_string();
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    let mut found = statement.query(params![limit, besides])?;
    let (mut rows, mut broken) = (Vec::new(), Vec::new());
    while let Some(row) = found.next()? {
        match read_row(row)? {
            Ok(row) => rows.push(row),
            Err(reason) => broken.push((row.get(0)?, reason)),
        }
    }
    Ok((rows, broken))
}

fn read_row(row: &rusqlite::Row<'_>) -> rusqlite::Result<Result<OutboxRow, String>> {
    let json: String = row.get(2)?;
    let (id, topic) = (row.get(0)?, row.get(1)?);
    Ok(incoming(id, topic, &json))
}

fn last_id(connection: &Connection) -> rusqlite::Result<i64> {
    connection
        .prepare_cached("SELECT coalesce(max(id), 0) FROM ieum_outbox")?
        .query_row([], |row| row.get(0))
}
