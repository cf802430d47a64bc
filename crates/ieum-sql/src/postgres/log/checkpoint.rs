//! Checkpoints and epochs. Checkpoints stay off the appends' path: they lock no head.

use async_trait::async_trait;
use ieum_base::Uuid;
use ieum_eventstore::{Checkpoint, Checkpoints, Error, ErrorKind, Fence, Fences, Position, Result};
use tokio_postgres::types::ToSql;

use super::Log;
use super::read::{self, unfit};
use super::row::{signed, unsigned};

const LOAD: &str = "SELECT l.incarnation, l.position, k.incarnation, k.position \
                    FROM ieum_log l LEFT JOIN ieum_checkpoints k ON k.name = $1";

const MOVE: &str = "SELECT outcome, actual_incarnation, actual_position \
                    FROM ieum_move_checkpoint($1, $2, $3, $4, $5, $6, $7)";

#[async_trait]
impl Checkpoints for Log {
    async fn load(&self, name: &str) -> Result<Option<Checkpoint>> {
        let rows = self.pool().query(LOAD, &[&name]).await?;
        let head = read::head_in(rows.first())?;
        let Some(row) = rows.first() else {
            return Ok(None);
        };
        let incarnation: Option<Uuid> = row.try_get(2).map_err(unfit)?;
        let position: Option<i64> = row.try_get(3).map_err(unfit)?;
        let stored = checkpoint(incarnation, position);
        if let Some(checkpoint) = stored {
            head.accept(checkpoint)?;
        }
        Ok(stored)
    }

    async fn store(&self, name: &str, expected: Option<Checkpoint>, to: Checkpoint) -> Result<()> {
        move_checkpoint(self, name, expected, to, None).await
    }

    async fn store_fenced(
        &self,
        name: &str,
        expected: Option<Checkpoint>,
        to: Checkpoint,
        fence: &Fence,
    ) -> Result<()> {
        move_checkpoint(self, name, expected, to, Some(fence)).await
    }
}

#[async_trait]
impl Fences for Log {
    async fn raise(&self, name: &str) -> Result<Fence> {
        let rows = self.pool().query("SELECT ieum_raise($1)", &[&name]).await?;
        let missing = || Error::new(ErrorKind::Internal, "raising an epoch has no answer");
        let epoch: i64 = rows
            .first()
            .ok_or_else(missing)?
            .try_get(0)
            .map_err(unfit)?;
        Ok(Fence {
            name: name.to_owned(),
            epoch: unsigned(epoch),
        })
    }
}

/// Moves a checkpoint. A move whose answer was lost is asked for again, and finding the checkpoint
/// where it was to go is then the answer.
async fn move_checkpoint(
    log: &Log,
    name: &str,
    expected: Option<Checkpoint>,
    to: Checkpoint,
    fence: Option<&Fence>,
) -> Result<()> {
    let from = expected.map(|checkpoint| checkpoint.incarnation);
    let from_position = expected.map(|checkpoint| signed(checkpoint.position.0));
    let (fence_name, epoch) = (
        fence.map(|fence| &fence.name),
        fence.map(|fence| signed(fence.epoch)),
    );
    let position = signed(to.position.0);
    let parameters: [&(dyn ToSql + Sync); 7] = [
        &name,
        &from,
        &from_position,
        &to.incarnation,
        &position,
        &fence_name,
        &epoch,
    ];
    let (rows, repeated) = log.pool().query_telling(MOVE, &parameters).await?;
    let missing = || Error::new(ErrorKind::Internal, "moving a checkpoint has no answer");
    let row = rows.first().ok_or_else(missing)?;
    let outcome: i32 = row.try_get(0).map_err(unfit)?;
    let incarnation: Option<Uuid> = row.try_get(1).map_err(unfit)?;
    let place: Option<i64> = row.try_get(2).map_err(unfit)?;
    let actual = checkpoint(incarnation, place);
    match (outcome, fence) {
        (0, _) => Ok(()),
        (2, Some(fence)) => {
            let actual = unsigned(place.unwrap_or(0));
            let context = format!("writing as `{}` in epoch {}", fence.name, fence.epoch);
            Err(Error::new(ErrorKind::Fenced { actual }, context))
        }
        (5, _) => {
            let context = format!("checkpoint `{name}` to {}", to.position);
            Err(Error::new(ErrorKind::ForeignCheckpoint, context))
        }
        _ if repeated && actual == Some(to) => Ok(()),
        _ => {
            let actual = actual.map_or(0, |checkpoint| checkpoint.position.0);
            let context = format!("checkpoint `{name}` was moved to {actual} by another reader");
            Err(Error::new(ErrorKind::Fenced { actual }, context))
        }
    }
}

fn checkpoint(incarnation: Option<Uuid>, position: Option<i64>) -> Option<Checkpoint> {
    Some(Checkpoint {
        incarnation: incarnation?,
        position: Position(unsigned(position?)),
    })
}
