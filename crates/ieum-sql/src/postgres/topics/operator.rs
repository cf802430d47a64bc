//! What an operator does to a group: move its checkpoint, let a parked key go on.

use async_trait::async_trait;
use ieum_eventstore::Position;
use ieum_messaging::{Epoch, Operate, Result};

use super::{Topics, stream_of};
use crate::postgres::log::{signed, unsigned};

impl Topics {
    /// Sets the group's checkpoint, forwards (skip) or back (replay), and begins a term that nobody
    /// works in: its worker is superseded, joins again and goes on from there.
    ///
    /// What is replayed is delivered again; inboxes keep its effects from happening twice. It is also
    /// the way on for a group whose checkpoint belongs to another incarnation of the log.
    pub async fn seek(&self, topic: &str, group: &str, to: Position) -> Result<Epoch> {
        let sql = "SELECT ieum_group_seek($1, $2, $3)";
        let row = self.ask(sql, &[&topic, &group, &signed(to.0)]).await?;
        Ok(Epoch(unsigned(row.get(0))))
    }

    /// Forgets the dead letters of `key` and what waits behind them, and says how many those were:
    /// later messages of the key are delivered again. To deliver the forgotten ones too, [`seek`]
    /// back to before the first of them.
    ///
    /// It begins a term, as [`seek`] does: a worker that was given messages with this key left out
    /// could otherwise acknowledge past the ones that were left out.
    ///
    /// [`seek`]: Self::seek
    pub async fn forget_dead_letters(&self, topic: &str, group: &str, key: &str) -> Result<usize> {
        self.release((topic, group), key, false).await
    }

    async fn release(&self, (topic, group): (&str, &str), key: &str, again: bool) -> Result<usize> {
        let stream = stream_of(topic, key)?;
        let sql = "SELECT ieum_group_release($1, $2, $3, $4)";
        let row = self
            .ask(sql, &[&topic, &group, &stream.id(), &again])
            .await?;
        Ok(usize::try_from(row.get::<_, i64>(0)).unwrap_or(0))
    }
}

#[async_trait]
impl Operate for Topics {
    async fn replay(&self, topic: &str, group: &str, key: &str) -> Result<usize> {
        self.release((topic, group), key, true).await
    }

    async fn skip(&self, topic: &str, group: &str, key: &str) -> Result<usize> {
        self.forget_dead_letters(topic, group, key).await
    }
}
