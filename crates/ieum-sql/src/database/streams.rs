//! A service's own streams: events that commit together with its rows, its outbox, its inbox.

use ieum_eventstore::{Append, Appended, Event, Result, StreamName, Version};

use super::reader::Engine;
use super::tx::On;
use super::{Migration, Reader, Tx};
#[cfg(feature = "postgres")]
use crate::postgres;
use crate::sqlite;

/// The schema of the log that the streams are kept in.
pub const MIGRATIONS: &[Migration] = &[
    Migration::of(
        &sqlite::log::MIGRATIONS[0],
        concat!(
            include_str!("../postgres/log/schema.sql"),
            include_str!("../postgres/log/append.sql"),
            include_str!("../postgres/log/owners.sql")
        ),
    ),
    Migration::of(&sqlite::log::MIGRATIONS[1], ""),
];

/// Appends in the caller's transaction, so that events and the caller's own rows commit together.
///
/// The promises are those of [`EventStore::append`](ieum_eventstore::EventStore::append); durable
/// once the write has answered.
pub fn append_in(tx: &Tx<'_>, append: &Append) -> Result<Appended> {
    match tx.engine() {
        On::Sqlite(tx) => sqlite::log::append_in(&tx, append),
        #[cfg(feature = "postgres")]
        On::Postgres(session) => {
            let on = session.transaction;
            session.wait_for(postgres::log::append_in(on, append, tx.clock()))
        }
    }
}

/// Reads at most `limit` events of `stream` with a version above `after`, in order, inside the
/// caller's own transaction or snapshot.
pub fn read_in(
    reader: &Reader<'_>,
    stream: &StreamName,
    after: Version,
    limit: usize,
) -> Result<Vec<Event>> {
    match reader.engine {
        Engine::Sqlite(connection) => sqlite::log::read_in(connection, stream, after, limit),
        #[cfg(feature = "postgres")]
        Engine::Postgres(session) => {
            let on = session.transaction;
            session.wait_for(postgres::log::read_in(on, stream, after, limit))
        }
    }
}
