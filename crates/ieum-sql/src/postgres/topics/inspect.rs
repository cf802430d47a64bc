//! What an operator sees: topics, groups with their lag, dead letters.

use async_trait::async_trait;
use ieum_base::Timestamp;
use ieum_messaging::{
    DeadLetter, DeadLetterFilter, DeadLetterReason, Epoch, GroupState, Inspect, Result, TopicState,
};
use tokio_postgres::Row;
use tokio_postgres::types::ToSql;

use super::Topics;
use crate::postgres::log::{self, unsigned};
use crate::topics::{log_error, to_message};

const TOPICS: &str = "\
SELECT t.name, count(e.position), coalesce(max(e.position), 0)
FROM ieum_topics t LEFT JOIN ieum_events e ON e.category = t.name
GROUP BY t.name ORDER BY t.name";

const GROUPS: &str = "\
SELECT g.topic, g.name, g.member, g.epoch, g.position,
       (SELECT count(*) FROM ieum_events e WHERE e.category = g.topic AND e.position > g.position),
       (SELECT count(*) FROM ieum_dead_letters d WHERE d.topic = g.topic AND d.name = g.name)
FROM ieum_groups g ORDER BY g.topic, g.name";

/// A message that retention took from the log is no letter any more.
const LETTERS: &str = "\
SELECT d.topic, d.name, d.behind, d.reason, d.recorded_at, COLUMNS
FROM ieum_dead_letters d JOIN ieum_events v ON v.position = d.position
WHERE ($1::text IS NULL OR d.topic = $1) AND ($2::text IS NULL OR d.name = $2)
ORDER BY d.topic, d.name, d.position LIMIT $3";

/// Where the event's columns begin in a row of [`LETTERS`].
const EVENT: usize = 5;

#[async_trait]
impl Inspect for Topics {
    async fn topics(&self) -> Result<Vec<TopicState>> {
        let rows = self.rows(TOPICS, &[]).await?;
        let state = |row: &Row| TopicState {
            topic: row.get(0),
            messages: unsigned(row.get(1)),
            head: unsigned(row.get(2)),
        };
        Ok(rows.iter().map(state).collect())
    }

    async fn groups(&self) -> Result<Vec<GroupState>> {
        let rows = self.rows(GROUPS, &[]).await?;
        let state = |row: &Row| GroupState {
            topic: row.get(0),
            group: row.get(1),
            member: row.get(2),
            epoch: Epoch(unsigned(row.get(3))),
            checkpoint: unsigned(row.get(4)),
            lag: unsigned(row.get(5)),
            dead_letters: unsigned(row.get(6)),
        };
        Ok(rows.iter().map(state).collect())
    }

    async fn dead_letters(
        &self,
        filter: &DeadLetterFilter,
        limit: usize,
    ) -> Result<Vec<DeadLetter>> {
        let sql = LETTERS.replace("COLUMNS", log::COLUMNS);
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        let values: [&(dyn ToSql + Sync); 3] = [&filter.topic, &filter.group, &limit];
        let rows = self.rows(&sql, &values).await?;
        rows.iter().map(letter).collect()
    }
}

fn letter(row: &Row) -> Result<DeadLetter> {
    let event = log::event_of(row, EVENT).map_err(log_error)?;
    let message = to_message(&event);
    let (behind, reason): (Option<i64>, Option<String>) = (row.get(2), row.get(3));
    Ok(DeadLetter {
        topic: row.get(0),
        group: row.get(1),
        position: event.position.0,
        key: message.ordering_key().to_owned(),
        reason: match behind {
            Some(first) => DeadLetterReason::Behind(unsigned(first)),
            None => DeadLetterReason::GaveUp(reason.unwrap_or_default()),
        },
        recorded_at: Timestamp::from_micros(row.get(4)),
        message,
    })
}
