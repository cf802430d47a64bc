//! The rows of consumer groups: terms, checkpoints, parked keys. All of it inside a transaction.

use ieum_eventstore::{Head, Position};
use ieum_messaging::{Delivery, Epoch, Error, ErrorKind, Result};
use rusqlite::{Connection, OptionalExtension, params};

use super::{failed, sql_error};
use crate::sqlite::Tx;
use crate::sqlite::log::{self, Failure, signed, unsigned};
use crate::topics::{log_error, to_message};

/// How many messages of parked keys one look passes over at most.
const LOOK: usize = 1_000;

/// A group's row.
pub(super) struct Row {
    pub(super) member: String,
    pub(super) epoch: u64,
    pub(super) position: Position,
    incarnation: uuid::Uuid,
}

/// Which group of which topic.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Name {
    pub(super) topic: String,
    pub(super) group: String,
}

/// What a look after the checkpoint found.
pub(super) struct Found {
    pub(super) deliveries: Vec<Delivery>,
    /// The messages up to here are all parked: the checkpoint can pass them.
    pub(super) passed: Option<Position>,
}

impl Name {
    pub(super) fn new(topic: &str, group: &str) -> Self {
        Self {
            topic: topic.to_owned(),
            group: group.to_owned(),
        }
    }

    /// The row, if the group exists.
    pub(super) fn row(&self, connection: &Connection) -> Result<Option<Row>> {
        let mut statement = connection
            .prepare_cached(
                "SELECT member, epoch, position, incarnation FROM ieum_groups \
                 WHERE topic = ?1 AND name = ?2",
            )
            .map_err(sql_error)?;
        let row = statement
            .query_row([&self.topic, &self.group], |row| {
                Ok((
                    row.get::<_, String>(0)?,
                    row.get::<_, i64>(1)?,
                    row.get::<_, i64>(2)?,
                    row.get::<_, Vec<u8>>(3)?,
                ))
            })
            .optional()
            .map_err(sql_error)?;
        let Some((member, epoch, position, incarnation)) = row else {
            return Ok(None);
        };
        Ok(Some(Row {
            member,
            epoch: unsigned(epoch),
            position: Position(unsigned(position)),
            incarnation: log::incarnation_of(&incarnation).map_err(failed)?,
        }))
    }

    /// The row, if `epoch` is the group's term and its checkpoint belongs to this log.
    pub(super) fn current(&self, connection: &Connection, epoch: Epoch) -> Result<Row> {
        let row = self.row(connection)?.filter(|row| row.epoch == epoch.0);
        let superseded = || Error::new(ErrorKind::Superseded, format!("group `{}`", self.group));
        let row = row.ok_or_else(superseded)?;
        let head = head(connection)?;
        if row.incarnation == head.incarnation && row.position <= head.position {
            return Ok(row);
        }
        let why = format!(
            "group `{}` has come to {} in another incarnation of the log: set its checkpoint anew",
            self.group, row.position
        );
        Err(Error::new(ErrorKind::Invalid, why))
    }

    /// Begins the next term, with `member` as the worker. A new group begins at the first message.
    pub(super) fn begin_term(&self, tx: &Tx<'_>, member: &str, most: usize) -> Result<Epoch> {
        let head = head(tx)?;
        let epoch: i64 = tx
            .prepare_cached(
                "INSERT INTO ieum_groups (topic, name, member, epoch, incarnation, position) \
                 VALUES (?1, ?2, ?3, 1, ?4, 0) ON CONFLICT (topic, name) DO UPDATE SET \
                 member = excluded.member, epoch = epoch + 1 RETURNING epoch",
            )
            .and_then(|mut statement| {
                let incarnation = head.incarnation.as_bytes().as_slice();
                let values = params![self.topic, self.group, member, incarnation];
                statement.query_row(values, |row| row.get(0))
            })
            .map_err(sql_error)?;
        if epoch == 1 {
            let groups = count(
                tx,
                "SELECT count(*) FROM ieum_groups WHERE topic = ?1",
                &[&self.topic],
            )?;
            if groups > most {
                let doing = format!("topic `{}` takes at most {most} groups", self.topic);
                return Err(Error::new(ErrorKind::Full, doing));
            }
        }
        Ok(Epoch(unsigned(epoch)))
    }

    /// The messages after the checkpoint, and after `after`, without parked keys, at most `max`.
    pub(super) fn look(
        &self,
        connection: &Connection,
        row: &Row,
        after: Position,
        max: usize,
    ) -> Result<Found> {
        let has_parked = self.letters(connection)? > 0;
        let mut found = Found {
            deliveries: Vec::new(),
            passed: None,
        };
        if max == 0 {
            return Ok(found);
        }
        let mut position = row.position.max(after);
        let is_front = position == row.position;
        for _ in 0..LOOK.div_ceil(max) {
            let events =
                log::category_events(connection, &self.topic, position, max).map_err(failed)?;
            let is_last = events.len() < max;
            for event in &events {
                position = event.position;
                if has_parked && self.parked_behind(connection, event.stream.id())?.is_some() {
                    if is_front && found.deliveries.is_empty() {
                        found.passed = Some(position);
                    }
                    continue;
                }
                found.deliveries.push(Delivery {
                    position: position.0,
                    message: to_message(event),
                });
                if found.deliveries.len() == max {
                    return Ok(found);
                }
            }
            if is_last {
                break;
            }
        }
        Ok(found)
    }

    /// Moves the checkpoint, never back, and parks what it passes on parked keys.
    pub(super) fn advance(&self, tx: &Tx<'_>, row: &Row, to: Position, most: usize) -> Result<()> {
        if to > head(tx)?.position {
            let why = format!("position {to} lies beyond the end of the log");
            return Err(Error::new(ErrorKind::Invalid, why));
        }
        if to <= row.position {
            return Ok(());
        }
        let parked = tx
            .prepare_cached(
                "INSERT OR IGNORE INTO ieum_dead_letters \
                 (topic, name, position, key, behind, recorded_at) \
                 SELECT ?1, ?2, e.position, k.key, k.first, ?5 FROM \
                 (SELECT key, min(position) AS first FROM ieum_dead_letters \
                  WHERE topic = ?1 AND name = ?2 GROUP BY key) k \
                 JOIN ieum_events e ON e.stream = ?1 || '-' || k.key \
                 WHERE e.position > ?3 AND e.position <= ?4",
            )
            .and_then(|mut statement| {
                let (from, to) = (signed(row.position.0), signed(to.0));
                let now = tx.now().as_micros();
                statement.execute(params![self.topic, self.group, from, to, now])
            })
            .map_err(sql_error)?;
        if parked > 0 {
            self.check_room(tx, most)?;
        }
        tx.prepare_cached(
            "UPDATE ieum_groups SET position = ?3 WHERE topic = ?1 AND name = ?2 AND position < ?3",
        )
        .and_then(|mut statement| statement.execute(params![self.topic, self.group, signed(to.0)]))
        .map_err(sql_error)?;
        Ok(())
    }

    /// Keeps the message at `at` as a dead letter, parks its key, and moves the checkpoint past it.
    pub(super) fn give_up(
        &self,
        tx: &Tx<'_>,
        row: &Row,
        (at, reason): (Position, &str),
        most: usize,
    ) -> Result<()> {
        let event = log::event_at(tx, at).map_err(failed)?;
        let event = event.filter(|event| event.stream.category() == self.topic);
        let Some(event) = event else {
            let why = format!("there is no message at {at} in `{}`", self.topic);
            return Err(Error::new(ErrorKind::Invalid, why));
        };
        if at <= row.position {
            return Ok(());
        }
        self.advance(tx, row, at, most)?;
        let key = event.stream.id();
        let behind = self.parked_behind(tx, key)?;
        let reason = behind.is_none().then_some(reason);
        tx.prepare_cached(
            "INSERT OR IGNORE INTO ieum_dead_letters \
             (topic, name, position, key, behind, reason, recorded_at) \
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
        )
        .and_then(|mut statement| {
            let (at, now) = (signed(at.0), tx.now().as_micros());
            let behind = behind.map(|position| signed(position.0));
            statement.execute(params![
                self.topic, self.group, at, key, behind, reason, now
            ])
        })
        .map_err(sql_error)?;
        self.check_room(tx, most)
    }

    /// The message behind which `key` waits.
    fn parked_behind(&self, connection: &Connection, key: &str) -> Result<Option<Position>> {
        let first: Option<i64> = connection
            .prepare_cached(
                "SELECT min(position) FROM ieum_dead_letters \
                 WHERE topic = ?1 AND name = ?2 AND key = ?3",
            )
            .and_then(|mut s| s.query_row([&self.topic, &self.group, key], |row| row.get(0)))
            .map_err(sql_error)?;
        Ok(first.map(|position| Position(unsigned(position))))
    }

    fn letters(&self, connection: &Connection) -> Result<usize> {
        let sql = "SELECT count(*) FROM ieum_dead_letters WHERE topic = ?1 AND name = ?2";
        count(connection, sql, &[&self.topic, &self.group])
    }

    fn check_room(&self, tx: &Tx<'_>, most: usize) -> Result<()> {
        if self.letters(tx)? <= most {
            return Ok(());
        }
        let doing = format!(
            "group `{}` of `{}` has {most} dead letters and parked messages, which is the limit",
            self.group, self.topic
        );
        Err(Error::new(ErrorKind::Full, doing))
    }
}

/// The head of the log.
pub(super) fn head(connection: &Connection) -> Result<Head> {
    log::head(connection).map_err(|failure: Failure| log_error(failure.into()))
}

/// The one number that `sql` selects.
pub(super) fn count(connection: &Connection, sql: &str, of: &[&str]) -> Result<usize> {
    let number: i64 = connection
        .prepare_cached(sql)
        .and_then(|mut s| s.query_row(rusqlite::params_from_iter(of), |row| row.get(0)))
        .map_err(sql_error)?;
    Ok(usize::try_from(number).unwrap_or(0))
}
