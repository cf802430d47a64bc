//! What an operator sees: topics, groups with their lag, dead letters.

use async_trait::async_trait;
use ieum_base::Timestamp;
use ieum_eventstore::Position;
use ieum_messaging::{
    DeadLetter, DeadLetterFilter, DeadLetterReason, Epoch, GroupState, Inspect, Result, TopicState,
};
use rusqlite::{Connection, params};

use super::{Topics, failed, sql_error};
use crate::sqlite::log::{self, signed, unsigned};
use crate::topics::to_message;

#[async_trait]
impl Inspect for Topics {
    async fn topics(&self) -> Result<Vec<TopicState>> {
        let read = |connection: &Connection| -> rusqlite::Result<Vec<TopicState>> {
            let mut statement = connection.prepare_cached(
                "SELECT t.name, \
                 (SELECT count(*) FROM ieum_events e WHERE e.category = t.name), \
                 (SELECT coalesce(max(e.position), 0) FROM ieum_events e \
                  WHERE e.category = t.name) FROM ieum_topics t ORDER BY t.name",
            )?;
            let rows = statement.query_map([], |row| {
                Ok(TopicState {
                    topic: row.get(0)?,
                    messages: unsigned(row.get(1)?),
                    head: unsigned(row.get(2)?),
                })
            })?;
            rows.collect()
        };
        self.log
            .database()
            .read(move |connection| read(connection).map_err(sql_error))
            .await
    }

    async fn groups(&self) -> Result<Vec<GroupState>> {
        let read = |connection: &Connection| -> rusqlite::Result<Vec<GroupState>> {
            let mut statement = connection.prepare_cached(
                "SELECT g.topic, g.name, g.member, g.epoch, g.position, \
                 (SELECT count(*) FROM ieum_events e \
                  WHERE e.category = g.topic AND e.position > g.position), \
                 (SELECT count(*) FROM ieum_dead_letters d \
                  WHERE d.topic = g.topic AND d.name = g.name) \
                 FROM ieum_groups g ORDER BY g.topic, g.name",
            )?;
            let rows = statement.query_map([], |row| {
                Ok(GroupState {
                    topic: row.get(0)?,
                    group: row.get(1)?,
                    member: row.get(2)?,
                    epoch: Epoch(unsigned(row.get(3)?)),
                    checkpoint: unsigned(row.get(4)?),
                    lag: unsigned(row.get(5)?),
                    dead_letters: unsigned(row.get(6)?),
                })
            })?;
            rows.collect()
        };
        self.log
            .database()
            .read(move |connection| read(connection).map_err(sql_error))
            .await
    }

    async fn dead_letters(
        &self,
        filter: &DeadLetterFilter,
        limit: usize,
    ) -> Result<Vec<DeadLetter>> {
        let filter = filter.clone();
        self.log
            .database()
            .read(move |connection| dead_letters(connection, &filter, limit))
            .await
    }
}

/// A dead letter as it is stored: topic, group, position, behind, reason, time.
type Stored = (String, String, i64, Option<i64>, Option<String>, i64);

fn dead_letters(
    connection: &Connection,
    filter: &DeadLetterFilter,
    limit: usize,
) -> Result<Vec<DeadLetter>> {
    let mut letters = Vec::new();
    for (topic, group, position, behind, reason, at) in
        stored(connection, filter, limit).map_err(sql_error)?
    {
        // A message that retention took from the log is no letter any more.
        let place = Position(unsigned(position));
        let Some(event) = log::event_at(connection, place).map_err(failed)? else {
            continue;
        };
        let message = to_message(&event);
        letters.push(DeadLetter {
            topic,
            group,
            position: place.0,
            key: message.ordering_key().to_owned(),
            reason: match behind {
                Some(first) => DeadLetterReason::Behind(unsigned(first)),
                None => DeadLetterReason::GaveUp(reason.unwrap_or_default()),
            },
            recorded_at: Timestamp::from_micros(at),
            message,
        });
    }
    Ok(letters)
}

fn stored(
    connection: &Connection,
    filter: &DeadLetterFilter,
    limit: usize,
) -> rusqlite::Result<Vec<Stored>> {
    let mut statement = connection.prepare_cached(
        "SELECT topic, name, position, behind, reason, recorded_at FROM ieum_dead_letters \
         WHERE (?1 IS NULL OR topic = ?1) AND (?2 IS NULL OR name = ?2) \
         ORDER BY topic, name, position LIMIT ?3",
    )?;
    let rows = statement.query_map(
        params![filter.topic, filter.group, signed(limit as u64)],
        |row| {
            Ok((
                row.get(0)?,
                row.get(1)?,
                row.get(2)?,
                row.get(3)?,
                row.get(4)?,
                row.get(5)?,
            ))
        },
    )?;
    rows.collect()
}
