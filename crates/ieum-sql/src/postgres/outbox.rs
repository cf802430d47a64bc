//! The outbox: messages that commit together with what they tell about.
//!
//! A service writes its state and its message in one transaction; a relay sends what is unsent, in id
//! order. Two things are not as in SQLite, because transactions run beside each other:
//! - [`publish`] locks the message's key before it draws the row's id, so that of two transactions
//!   with one key the second draws after the first has committed: order per key is commit order. A
//!   row with a smaller id and another key may still appear later, and is sent then (H01).
//! - Several relays may look at one outbox, one in each copy of a service. One of them at a time gets
//!   rows, the one that holds the lease: see [`Store`].

use std::time::Duration;

use async_trait::async_trait;
use ieum_base::Timestamp;
use ieum_messaging::{Message, OutboxRow, OutboxStore};
use tokio::sync::watch;
use tokio::time::Instant;
use tokio_postgres::types::Type;
use tokio_postgres::{GenericClient, Row, Transaction};

use super::relay_lease::Lease;
use super::{Migration, Pool, limited, readable};
use crate::Result;
use crate::participant::{incoming, outgoing};

/// The schema of the outbox.
pub const MIGRATIONS: &[Migration] = &[Migration {
    component: "outbox",
    version: 1,
    sql: include_str!("schema/outbox.sql"),
}];

/// Writes `message` to the outbox, for `topic`; it is sent if and only if `tx` commits.
///
/// Answers the row's id. A message that no engine would take (see [`Message::validate`]) is refused
/// here, where its writer can still be told. Its key stays locked until `tx` ends: publish late in a
/// transaction, and several keys in sorted order, or two transactions wait for each other and one is
/// told `Busy`.
pub async fn publish(
    tx: &Transaction<'_>,
    now: Timestamp,
    topic: &str,
    message: &Message,
) -> Result<i64> {
    let json = outgoing(topic, message)?;
    let key = format!(
        "ieum_outbox {}:{topic}{}",
        topic.len(),
        message.ordering_key()
    );
    // The lock is taken before the id is drawn: the row is made from the answer to the lock.
    let sql = "WITH locked AS MATERIALIZED ( \
                   SELECT pg_advisory_xact_lock(hashtextextended($4, 0))) \
               INSERT INTO ieum_outbox (topic, message, created_at) \
               SELECT $1, $2, $3 FROM locked RETURNING id";
    let row = tx
        .query_typed_one(
            sql,
            &[
                (&topic, Type::TEXT),
                (&json, Type::TEXT),
                (&now.as_micros(), Type::INT8),
                (&key, Type::TEXT),
            ],
        )
        .await?;
    Ok(row.try_get(0)?)
}

/// The outbox of a database, as the relay sees it. Clones are the same outbox and the same relay.
///
/// Another store on the same database, in this process or another one, gets no rows while this one
/// holds the lease. The lease is a lock of a session: it ends with the relay's process, with its
/// connection, and when it was not used for [`Config::lease`]. Somebody who held it and does not know that it
/// ended can do no more than publish again what was published, under the same ids.
///
/// Sent rows are kept until somebody calls [`Store::forget_sent`].
#[derive(Clone, Debug)]
pub struct Store {
    pool: Pool,
    lease: Lease,
    poll: Duration,
    woken: watch::Sender<u64>,
}

/// The settings of an outbox's relay.
#[derive(Clone, Debug)]
pub struct Config {
    /// How long a relay that does not look keeps the lease: longer than it waits between two looks
    /// and takes to publish a batch. Default 15 s.
    pub lease: Duration,
    /// How often a relay that waits looks for rows of other processes. Default 200 ms.
    pub poll: Duration,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            lease: Duration::from_secs(15),
            poll: Duration::from_millis(200),
        }
    }
}

impl Store {
    /// The outbox of a database that was opened with [`MIGRATIONS`] among others.
    pub fn new(pool: Pool, config: &Config) -> Self {
        Self {
            lease: Lease::new(pool.clone(), config.lease),
            poll: config.poll,
            woken: watch::Sender::new(0),
            pool,
        }
    }

    /// Says that a row was committed: a relay that waits in this process looks at once, one in
    /// another process within [`Config::poll`].
    pub fn wake(&self) {
        self.woken.send_modify(|count| *count += 1);
    }

    /// Deletes at most `limit` rows that were sent before `before`, and says how many.
    pub async fn forget_sent(&self, before: Timestamp, limit: usize) -> Result<usize> {
        let mut client = self.pool.get().await?;
        let tx = client.transaction().await?;
        let sql = "DELETE FROM ieum_outbox WHERE id = ANY (ARRAY( \
                       SELECT id FROM ieum_outbox WHERE sent_at < $1 \
                       ORDER BY sent_at LIMIT $2 FOR UPDATE SKIP LOCKED))";
        let deleted = limited(&tx, sql, before, limit).await?;
        tx.commit().await?;
        Ok(deleted)
    }

    /// The rows that can never be sent, oldest first, at most `limit`, with the reason.
    pub async fn unsendable(&self, limit: usize) -> Result<Vec<(OutboxRow, String)>> {
        let client = self.pool.get().await?;
        let sql = "SELECT id, topic, message, error FROM ieum_outbox \
                   WHERE error IS NOT NULL ORDER BY id LIMIT $1";
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        let mut unsendable = Vec::new();
        for row in client.query_typed(sql, &[(&limit, Type::INT8)]).await? {
            if let Ok(message) = read(&row)? {
                unsendable.push((message, row.try_get(3)?));
            }
        }
        Ok(unsendable)
    }

    async fn find_pending(&self, besides: &[String], limit: usize) -> Result<Pending> {
        let mut held = self.lease.hold().await?;
        let Some(session) = held.session() else {
            return Ok(Pending::default());
        };
        let found = pending(session, besides, limit).await;
        if found.is_err() {
            held.give_up();
        }
        found
    }

    /// True if the relay has something to send.
    async fn has_pending(&self) -> Result<bool> {
        if !self.lease.is_held() {
            return Ok(false);
        }
        let client = self.pool.get().await?;
        let sql = "SELECT EXISTS (SELECT 1 FROM ieum_outbox \
                   WHERE sent_at IS NULL AND error IS NULL)";
        Ok(client.query_typed_one(sql, &[]).await?.try_get(0)?)
    }

    async fn mark(&self, ids: &[i64]) -> Result<()> {
        let client = self.pool.get().await?;
        let sql = "UPDATE ieum_outbox SET sent_at = $2 WHERE id = ANY ($1) AND sent_at IS NULL";
        let now = self.pool.clock().now().as_micros();
        client
            .execute_typed(sql, &[(&ids, Type::INT8_ARRAY), (&now, Type::INT8)])
            .await?;
        Ok(())
    }

    async fn set_aside(&self, id: i64, reason: &str) -> Result<()> {
        let client = self.pool.get().await?;
        let sql = "UPDATE ieum_outbox SET error = $2 WHERE id = $1 AND sent_at IS NULL";
        let reason = readable(reason);
        client
            .execute_typed(sql, &[(&id, Type::INT8), (&reason, Type::TEXT)])
            .await?;
        Ok(())
    }
}

#[async_trait]
impl OutboxStore for Store {
    async fn pending(&self, limit: usize) -> ieum_messaging::Result<Vec<OutboxRow>> {
        self.pending_besides(&[], limit).await
    }

    async fn pending_besides(
        &self,
        besides: &[String],
        limit: usize,
    ) -> ieum_messaging::Result<Vec<OutboxRow>> {
        let Pending { rows, broken } = self.find_pending(besides, limit).await?;
        // A row that is no message would otherwise stand before all others for ever.
        for (id, reason) in broken {
            self.set_aside(id, &reason).await?;
        }
        Ok(rows)
    }

    async fn mark_sent(&self, ids: &[i64]) -> ieum_messaging::Result<()> {
        Ok(self.mark(ids).await?)
    }

    async fn mark_unsendable(&self, id: i64, reason: &str) -> ieum_messaging::Result<()> {
        Ok(self.set_aside(id, reason).await?)
    }

    async fn changed(&self, wait: Duration) {
        // Registered first, then looked: a row that commits in between is not missed (H10).
        let mut woken = self.woken.subscribe();
        let end = Instant::now() + wait;
        loop {
            if self.has_pending().await.unwrap_or(false) || Instant::now() >= end {
                return;
            }
            let next = end.min(Instant::now() + self.poll);
            let _too_long = tokio::time::timeout_at(next, woken.changed()).await;
        }
    }
}

/// The unsent rows, and those that are no messages, with the reason.
#[derive(Default)]
struct Pending {
    rows: Vec<OutboxRow>,
    broken: Vec<(i64, String)>,
}

async fn pending(client: &impl GenericClient, besides: &[String], limit: usize) -> Result<Pending> {
    let sql = "SELECT id, topic, message FROM ieum_outbox \
               WHERE sent_at IS NULL AND error IS NULL AND topic <> ALL ($2) \
               ORDER BY id LIMIT $1";
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    let found = client
        .query_typed(sql, &[(&limit, Type::INT8), (&besides, Type::TEXT_ARRAY)])
        .await?;
    let mut pending = Pending::default();
    for row in found {
        match read(&row)? {
            Ok(row) => pending.rows.push(row),
            Err(reason) => pending.broken.push((row.try_get(0)?, reason)),
        }
    }
    Ok(pending)
}

fn read(row: &Row) -> Result<Result<OutboxRow, String>> {
    Ok(incoming(row.try_get(0)?, row.try_get(1)?, row.try_get(2)?))
}
