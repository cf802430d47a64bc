//! The outbox: messages that commit together with what they tell about.
//!
//! As [`sqlite::outbox`], on any engine.

use std::time::Duration;

use async_trait::async_trait;
use ieum_base::Timestamp;
use ieum_messaging::{Message, OutboxRow, OutboxStore};

use super::tx::On;
use super::{Migration, Tx};
#[cfg(feature = "postgres")]
use crate::postgres;
use crate::{Result, sqlite};

/// The schema of the outbox.
pub const MIGRATIONS: &[Migration] = &[Migration::of(
    &sqlite::outbox::MIGRATIONS[0],
    include_str!("../postgres/schema/outbox.sql"),
)];

/// Writes `message` to the outbox, for `topic`; it is sent if and only if `tx` commits.
///
/// Answers the row's id. A message that no engine would take (see [`Message::validate`]) is refused
/// here, where its writer can still be told. Messages of one key are sent in the order in which their
/// transactions commit: on PostgreSQL two transactions that publish for one key wait for each other.
pub fn publish(tx: &Tx<'_>, topic: &str, message: &Message) -> Result<i64> {
    match tx.engine() {
        On::Sqlite(tx) => sqlite::outbox::publish(&tx, topic, message),
        #[cfg(feature = "postgres")]
        On::Postgres(session) => {
            let on = session.transaction;
            let id = session.wait(postgres::outbox::publish(on, tx.now(), topic, message))?;
            session.has_published.set(true);
            Ok(id)
        }
    }
}

/// The outbox of a database, as the relay sees it. Clones are the same outbox.
///
/// Sent rows are kept until somebody calls [`Store::forget_sent`].
#[derive(Clone, Debug)]
pub struct Store(Kept);

#[derive(Clone, Debug)]
enum Kept {
    Sqlite(sqlite::outbox::Store),
    #[cfg(feature = "postgres")]
    Postgres(postgres::outbox::Store),
}

impl Store {
    pub(super) fn sqlite(database: &sqlite::Database) -> Self {
        Self(Kept::Sqlite(sqlite::outbox::Store::new(database.clone())))
    }

    #[cfg(feature = "postgres")]
    pub(super) fn postgres(store: &postgres::outbox::Store) -> Self {
        Self(Kept::Postgres(store.clone()))
    }

    /// Deletes at most `limit` rows that were sent before `before`, and says how many.
    pub async fn forget_sent(&self, before: Timestamp, limit: usize) -> Result<usize> {
        match &self.0 {
            Kept::Sqlite(store) => store.forget_sent(before, limit).await,
            #[cfg(feature = "postgres")]
            Kept::Postgres(store) => store.forget_sent(before, limit).await,
        }
    }

    /// The rows that can never be sent, oldest first, at most `limit`, with the reason.
    pub async fn unsendable(&self, limit: usize) -> Result<Vec<(OutboxRow, String)>> {
        match &self.0 {
            Kept::Sqlite(store) => store.unsendable(limit).await,
            #[cfg(feature = "postgres")]
            Kept::Postgres(store) => store.unsendable(limit).await,
        }
    }

    fn port(&self) -> &dyn OutboxStore {
        match &self.0 {
            Kept::Sqlite(store) => store,
            #[cfg(feature = "postgres")]
            Kept::Postgres(store) => store,
        }
    }
}

#[async_trait]
impl OutboxStore for Store {
    async fn pending(&self, limit: usize) -> ieum_messaging::Result<Vec<OutboxRow>> {
        self.port().pending(limit).await
    }

    async fn pending_besides(
        &self,
        besides: &[String],
        limit: usize,
    ) -> ieum_messaging::Result<Vec<OutboxRow>> {
        self.port().pending_besides(besides, limit).await
    }

    async fn mark_sent(&self, ids: &[i64]) -> ieum_messaging::Result<()> {
        self.port().mark_sent(ids).await
    }

    async fn mark_unsendable(&self, id: i64, reason: &str) -> ieum_messaging::Result<()> {
        self.port().mark_unsendable(id, reason).await
    }

    async fn changed(&self, wait: Duration) {
        self.port().changed(wait).await;
    }
}
