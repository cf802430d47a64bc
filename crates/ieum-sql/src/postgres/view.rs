//! The checkpoints of views: a view's rows and its checkpoint move in one transaction.
//!
//! They live in the *view's* database, whatever log the view is folded from. A crash between rows and
//! checkpoint is impossible, and of two runners of one view the slower one is told: the checkpoint
//! moves by one conditional statement, which waits for the faster one to end.

use ieum_base::Uuid;
use ieum_eventstore::{Checkpoint, Error, ErrorKind, Position, Result};
use tokio_postgres::types::Type;
use tokio_postgres::{GenericClient, Transaction};

use super::Migration;

/// The schema of the checkpoints.
pub const MIGRATIONS: &[Migration] = &[Migration {
    component: "view",
    version: 1,
    sql: include_str!("schema/view.sql"),
}];

/// How far the view `name` has come; `None` if it has not begun.
pub async fn checkpoint(client: &impl GenericClient, name: &str) -> Result<Option<Checkpoint>> {
    let sql = "SELECT incarnation, position FROM ieum_views WHERE name = $1";
    let row = client.query_typed_opt(sql, &[(&name, Type::TEXT)]).await;
    let Some(row) = row.map_err(failed)? else {
        return Ok(None);
    };
    let incarnation: &[u8] = row.try_get(0).map_err(failed)?;
    let position: i64 = row.try_get(1).map_err(failed)?;
    let damaged = |_| {
        Error::new(
            ErrorKind::Corrupt,
            format!("the checkpoint of view `{name}`"),
        )
    };
    Ok(Some(Checkpoint {
        incarnation: Uuid::from_slice(incarnation).map_err(damaged)?,
        position: Position(u64::try_from(position).unwrap_or(0)),
    }))
}

/// Moves the checkpoint of `name` from `expected` to `to`, together with what else `tx` does.
/// `Fenced` if it is not at `expected`: another runner was faster, and this one stops.
pub async fn advance(
    tx: &Transaction<'_>,
    name: &str,
    expected: Option<Checkpoint>,
    to: Checkpoint,
) -> Result<()> {
    let incarnation = to.incarnation.as_bytes().as_slice();
    let position = signed(to.position);
    let moved = match &expected {
        None => {
            let sql = "INSERT INTO ieum_views (name, incarnation, position) VALUES ($1, $2, $3) \
                       ON CONFLICT (name) DO NOTHING";
            tx.execute_typed(
                sql,
                &[
                    (&name, Type::TEXT),
                    (&incarnation, Type::BYTEA),
                    (&position, Type::INT8),
                ],
            )
            .await
        }
        Some(expected) => {
            let sql = "UPDATE ieum_views SET incarnation = $2, position = $3 \
                       WHERE name = $1 AND incarnation = $4 AND position = $5";
            tx.execute_typed(
                sql,
                &[
                    (&name, Type::TEXT),
                    (&incarnation, Type::BYTEA),
                    (&position, Type::INT8),
                    (&expected.incarnation.as_bytes().as_slice(), Type::BYTEA),
                    (&signed(expected.position), Type::INT8),
                ],
            )
            .await
        }
    };
    if moved.map_err(failed)? == 1 {
        return Ok(());
    }
    let stored = checkpoint(tx, name).await?;
    let actual = stored.map_or(0, |checkpoint| checkpoint.position.0);
    let context = format!("view `{name}` was moved to {actual} by another runner");
    Err(Error::new(ErrorKind::Fenced { actual }, context))
}

/// Forgets the checkpoint of `name`, so that the view is built anew; delete its rows in the same
/// transaction.
pub async fn forget(tx: &Transaction<'_>, name: &str) -> Result<()> {
    let sql = "DELETE FROM ieum_views WHERE name = $1";
    let deleted = tx.execute_typed(sql, &[(&name, Type::TEXT)]).await;
    deleted.map(drop).map_err(failed)
}

fn failed(error: tokio_postgres::Error) -> Error {
    crate::Error::from(error).into()
}

fn signed(position: Position) -> i64 {
    i64::try_from(position.0).unwrap_or(i64::MAX)
}
