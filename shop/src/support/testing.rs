//! A bench for what services do inside a transaction: a database in memory with a service's schema.

use ieum::base::Secret;
use ieum::messaging::{Message, OutboxStore};
use ieum::sql::sqlite::{Database, Location, outbox};
use rusqlite::types::ValueRef;

use super::failure::Reply;
use super::sabotage::Sabotage;
use super::service::{Spec, migrations};
use super::work::Work;

/// A service's database, without the service.
pub(crate) struct Bench {
    spec: Spec,
    database: Database,
    sabotage: Option<Sabotage>,
}

impl Bench {
    /// An empty database of this service.
    pub(crate) fn of(spec: Spec) -> Self {
        let database = Database::open(Location::Memory, &migrations(&spec)).expect("a database");
        Self {
            spec,
            database,
            sabotage: None,
        }
    }

    /// The same with a defect planted.
    pub(crate) fn with(mut self, sabotage: Sabotage) -> Self {
        self.sabotage = Some(sabotage);
        self
    }

    /// Does `work` in a transaction.
    pub(crate) async fn work<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Work<'_>) -> Reply<T> + Send + 'static,
    ) -> Reply<T> {
        let (spec, sabotage) = (self.spec, self.sabotage);
        let transaction = self
            .database
            .write(move |tx| work(&Work::new(tx, &spec, None, sabotage)));
        transaction.await
    }

    /// One number.
    pub(crate) async fn number(&self, sql: &'static str) -> i64 {
        let number = self.work(move |work| Ok(work.query_row(sql, [], |row| row.get(0))?));
        number.await.expect("a number")
    }

    /// The tables that have a row with `text` in it, in any column; by name, once per such table.
    pub(crate) async fn rows_with(&self, text: &'static str) -> Vec<String> {
        let tables = self.work(move |work| {
            let mut tables =
                work.prepare("SELECT name FROM sqlite_schema WHERE type = 'table' ORDER BY name")?;
            let tables = tables.query_map([], |row| row.get::<_, String>(0))?;
            let mut found = Vec::new();
            for table in tables {
                let table = table?;
                if has_text(work, &table, text)? {
                    found.push(table);
                }
            }
            Ok(found)
        });
        tables.await.expect("tables")
    }

    /// What the service told the others, oldest first.
    pub(crate) async fn told(&self) -> Vec<Message> {
        let store = outbox::Store::new(self.database.clone());
        let rows = store.pending(100).await.expect("an outbox");
        rows.into_iter().map(|row| row.message).collect()
    }

    /// The types of what the service told the others.
    pub(crate) async fn kinds(&self) -> Vec<String> {
        self.told()
            .await
            .into_iter()
            .map(|message| message.kind)
            .collect()
    }
}

fn has_text(work: &Work<'_>, table: &str, text: &str) -> Reply<bool> {
    let mut statement = work.prepare(&format!("SELECT * FROM {table}"))?;
    let columns = statement.column_count();
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        for column in 0..columns {
            let (ValueRef::Text(bytes) | ValueRef::Blob(bytes)) = row.get_ref(column)? else {
                continue;
            };
            if String::from_utf8_lossy(bytes).contains(text) {
                return Ok(true);
            }
        }
    }
    Ok(false)
}

/// An event as it comes in.
pub(crate) fn event(source: &str, kind: &str, data: &serde_json::Value) -> Message {
    let id = ieum::base::Uuid::new_v4().to_string();
    Message::new(source, id, kind, data).expect("a message")
}

/// A secret from text.
pub(crate) fn secret(text: &str) -> Secret {
    Secret::new(text.to_owned())
}
