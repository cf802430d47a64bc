//! The checkpoints of views: a view's rows and its checkpoint move in one transaction.
//!
//! As [`sqlite::view`], on any engine.

use ieum_eventstore::{Checkpoint, Result};

use super::reader::Engine;
use super::tx::On;
use super::{Migration, Reader, Tx};
#[cfg(feature = "postgres")]
use crate::postgres;
use crate::sqlite;

/// The schema of the checkpoints.
pub const MIGRATIONS: &[Migration] = &[Migration::of(
    &sqlite::view::MIGRATIONS[0],
    include_str!("../postgres/schema/view.sql"),
)];

/// How far the view `name` has come; `None` if it has not begun.
pub fn checkpoint(reader: &Reader<'_>, name: &str) -> Result<Option<Checkpoint>> {
    match reader.engine {
        Engine::Sqlite(connection) => sqlite::view::checkpoint(connection, name),
        #[cfg(feature = "postgres")]
        Engine::Postgres(session) => {
            session.wait_for(postgres::view::checkpoint(session.transaction, name))
        }
    }
}

/// Moves the checkpoint of `name` from `expected` to `to`, together with what else `tx` does.
/// `Fenced` if it is not at `expected`: another runner was faster, and this one stops.
pub fn advance(
    tx: &Tx<'_>,
    name: &str,
    expected: Option<Checkpoint>,
    to: Checkpoint,
) -> Result<()> {
    match tx.engine() {
        On::Sqlite(tx) => sqlite::view::advance(&tx, name, expected, to),
        #[cfg(feature = "postgres")]
        On::Postgres(session) => session.wait_for(postgres::view::advance(
            session.transaction,
            name,
            expected,
            to,
        )),
    }
}

/// Forgets the checkpoint of `name`, so that the view is built anew; delete its rows in the same
/// transaction.
pub fn forget(tx: &Tx<'_>, name: &str) -> Result<()> {
    match tx.engine() {
        On::Sqlite(tx) => sqlite::view::forget(&tx, name),
        #[cfg(feature = "postgres")]
        On::Postgres(session) => {
            session.wait_for(postgres::view::forget(session.transaction, name))
        }
    }
}
