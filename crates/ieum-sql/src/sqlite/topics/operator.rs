//! What an operator does to a group: move its checkpoint, let a parked key go on.

use async_trait::async_trait;
use ieum_eventstore::Position;
use ieum_messaging::{Epoch, Error, ErrorKind, Operate, Result};
use rusqlite::params;

use super::group::{self, Name};
use super::{Topics, sql_error};
use crate::sqlite::Tx;
use crate::sqlite::log::{signed, unsigned};

impl Topics {
    /// Sets the group's checkpoint, forwards (skip) or back (replay), and begins a term that nobody
    /// works in: its worker is superseded, joins again and goes on from there.
    ///
    /// What is replayed is delivered again; inboxes keep its effects from happening twice. It is also
    /// the way on for a group whose checkpoint belongs to another incarnation of the log.
    pub async fn seek(&self, topic: &str, group: &str, to: Position) -> Result<Epoch> {
        let name = Name::new(topic, group);
        self.log
            .database()
            .write(move |tx| seek(tx, &name, to))
            .await
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
        let stream = super::stream_of(topic, key)?;
        let name = Name::new(topic, group);
        self.log
            .database()
            .write(move |tx| {
                let forgotten = tx.execute(
                    "DELETE FROM ieum_dead_letters WHERE topic = ?1 AND name = ?2 AND key = ?3",
                    params![name.topic, name.group, stream.id()],
                );
                let forgotten = forgotten.map_err(sql_error)?;
                if forgotten > 0 {
                    let sql =
                        "UPDATE ieum_groups SET epoch = epoch + 1 WHERE topic = ?1 AND name = ?2";
                    tx.execute(sql, params![name.topic, name.group])
                        .map_err(sql_error)?;
                }
                Ok(forgotten)
            })
            .await
    }
}

#[async_trait]
impl Operate for Topics {
    async fn replay(&self, topic: &str, group: &str, key: &str) -> Result<usize> {
        let stream = super::stream_of(topic, key)?;
        let name = Name::new(topic, group);
        self.log
            .database()
            .write(move |tx| replay(tx, &name, stream.id()))
            .await
    }

    async fn skip(&self, topic: &str, group: &str, key: &str) -> Result<usize> {
        self.forget_dead_letters(topic, group, key).await
    }
}

/// Forgets what was set aside and goes back to the first of it, in one transaction: in between, the
/// worker would pass it over for good.
fn replay(tx: &Tx<'_>, name: &Name, key: &str) -> Result<usize> {
    let of_key = params![name.topic, name.group, key];
    let first = "SELECT min(position) FROM ieum_dead_letters \
                 WHERE topic = ?1 AND name = ?2 AND key = ?3";
    let first: Option<i64> = tx
        .query_row(first, of_key, |row| row.get(0))
        .map_err(sql_error)?;
    let Some(first) = first else { return Ok(0) };
    let forget = "DELETE FROM ieum_dead_letters WHERE topic = ?1 AND name = ?2 AND key = ?3";
    let forgotten = tx.execute(forget, of_key).map_err(sql_error)?;
    seek(tx, name, Position(unsigned(first).saturating_sub(1)))?;
    Ok(forgotten)
}

fn seek(tx: &Tx<'_>, name: &Name, to: Position) -> Result<Epoch> {
    let head = group::head(tx)?;
    if to > head.position {
        let why = format!("position {to} lies beyond the end of the log");
        return Err(Error::new(ErrorKind::Invalid, why));
    }
    let incarnation = head.incarnation.as_bytes().as_slice();
    let mut statement = tx
        .prepare_cached(
            "UPDATE ieum_groups SET position = ?3, incarnation = ?4, epoch = epoch + 1 \
             WHERE topic = ?1 AND name = ?2 RETURNING epoch",
        )
        .map_err(sql_error)?;
    let values = params![name.topic, name.group, signed(to.0), incarnation];
    let mut rows = statement.query(values).map_err(sql_error)?;
    let Some(row) = rows.next().map_err(sql_error)? else {
        let why = format!("topic `{}` has no group `{}`", name.topic, name.group);
        return Err(Error::new(ErrorKind::Invalid, why));
    };
    Ok(Epoch(unsigned(row.get(0).map_err(sql_error)?)))
}
