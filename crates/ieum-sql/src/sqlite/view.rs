//! The checkpoints of views: a view's rows and its checkpoint move in one transaction.
//!
//! They live in the *view's* database, whatever log the view is folded from. A crash between rows and
//! checkpoint is impossible, and of two runners of one view the slower one is told.

use ieum_eventstore::{Checkpoint, Error, ErrorKind, Position, Result};
use rusqlite::{Connection, OptionalExtension, params};

use super::log::{Failure, incarnation_of, signed, unsigned};
use super::{Migration, Tx};

/// The schema of the checkpoints.
pub const MIGRATIONS: &[Migration] = &[Migration {
    component: "view",
    version: 1,
    sql: "CREATE TABLE ieum_views (
              name TEXT PRIMARY KEY,
              incarnation BLOB NOT NULL,
              position INTEGER NOT NULL
          ) STRICT, WITHOUT ROWID;",
}];

/// How far the view `name` has come; `None` if it has not begun.
pub fn checkpoint(connection: &Connection, name: &str) -> Result<Option<Checkpoint>> {
    Ok(find(connection, name)?)
}

/// Moves the checkpoint of `name` from `expected` to `to`, together with what else `tx` does.
/// `Fenced` if it is not at `expected`: another runner was faster, and this one stops.
pub fn advance(
    tx: &Tx<'_>,
    name: &str,
    expected: Option<Checkpoint>,
    to: Checkpoint,
) -> Result<()> {
    let stored = find(tx, name)?;
    if stored != expected {
        let actual = stored.map_or(0, |checkpoint| checkpoint.position.0);
        let context = format!("view `{name}` was moved to {actual} by another runner");
        return Err(Error::new(ErrorKind::Fenced { actual }, context));
    }
    tx.prepare_cached(
        "INSERT INTO ieum_views (name, incarnation, position) VALUES (?1, ?2, ?3) \
         ON CONFLICT (name) DO UPDATE SET incarnation = excluded.incarnation, \
         position = excluded.position",
    )
    .and_then(|mut statement| {
        let incarnation = to.incarnation.as_bytes().as_slice();
        statement.execute(params![name, incarnation, signed(to.position.0)])
    })
    .map_err(Failure::from)?;
    Ok(())
}

/// Forgets the checkpoint of `name`, so that the view is built anew; delete its rows in the same
/// transaction.
pub fn forget(tx: &Tx<'_>, name: &str) -> Result<()> {
    tx.execute("DELETE FROM ieum_views WHERE name = ?1", [name])
        .map_err(Failure::from)?;
    Ok(())
}

fn find(connection: &Connection, name: &str) -> Result<Option<Checkpoint>, Failure> {
    let stored = connection
        .prepare_cached("SELECT incarnation, position FROM ieum_views WHERE name = ?1")?
        .query_row([name], |row| {
            Ok((row.get::<_, Vec<u8>>(0)?, row.get::<_, i64>(1)?))
        })
        .optional()?;
    let Some((incarnation, position)) = stored else {
        return Ok(None);
    };
    Ok(Some(Checkpoint {
        incarnation: incarnation_of(&incarnation)?,
        position: Position(unsigned(position)),
    }))
}
