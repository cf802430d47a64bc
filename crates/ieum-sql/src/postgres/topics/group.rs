//! One look at a group and its topic, in one statement.

use ieum_base::Uuid;
use ieum_eventstore::Position;
use ieum_messaging::{Delivery, Epoch, Error, ErrorKind, Result};
use tokio_postgres::Row;
use tokio_postgres::types::ToSql;

use super::{Topics, refused};
use crate::postgres::log::{self, signed, unsigned};
use crate::topics::{log_error, to_message};

/// How many messages of parked keys one look passes over at most.
const LOOK: usize = 1_000;

/// Which group of which topic.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Name {
    pub(super) topic: String,
    pub(super) group: String,
}

impl Name {
    pub(super) fn new(topic: &str, group: &str) -> Self {
        Self {
            topic: topic.to_owned(),
            group: group.to_owned(),
        }
    }
}

/// What a look after the checkpoint found.
#[derive(Default)]
pub(super) struct Found {
    pub(super) deliveries: Vec<Delivery>,
    /// The messages up to here are all parked: the checkpoint can pass them.
    pub(super) passed: Option<Position>,
}

/// The group's row beside each of the next events, once without one if there is none: the term, the
/// checkpoint and the events are of one snapshot (H07). A group of another term yields no row.
const NEXT: &str = "\
SELECT g.position AS checkpoint, g.incarnation, l.incarnation, l.position AS head, e.*
FROM ieum_groups g
CROSS JOIN ieum_log l
LEFT JOIN LATERAL (
    SELECT COLUMNS,
           EXISTS (SELECT 1 FROM ieum_dead_letters d
                   WHERE d.topic = g.topic AND d.name = g.name
                     AND d.key = substr(v.stream, length(g.topic) + 2)) AS parked
    FROM ieum_events v
    WHERE v.category = g.topic AND v.position > greatest(g.position, $4)
    ORDER BY v.position LIMIT $5
) e ON true
WHERE g.topic = $1 AND g.name = $2 AND g.epoch = $3
ORDER BY e.position";

/// Where the event's columns begin in a row of [`NEXT`].
const EVENT: usize = 4;

impl Topics {
    /// The messages after the checkpoint, and after `after`, without parked keys, at most `max`.
    pub(super) async fn look(
        &self,
        name: &Name,
        epoch: Epoch,
        after: Position,
        max: usize,
    ) -> Result<Found> {
        let mut found = Found::default();
        let mut after = after;
        let mut is_front = None;
        let page = max.max(1);
        for _ in 0..LOOK.div_ceil(page) {
            let rows = self.next(name, epoch, after, max).await?;
            let checkpoint = check_term(name, &rows)?;
            let is_front = *is_front.get_or_insert(after <= checkpoint);
            let mut count = 0;
            for row in &rows {
                let Some(position) = row.get::<_, Option<i64>>(EVENT) else {
                    break;
                };
                count += 1;
                after = Position(unsigned(position));
                if row.get::<_, bool>("parked") {
                    if is_front && found.deliveries.is_empty() {
                        found.passed = Some(after);
                    }
                    continue;
                }
                let event = log::event_of(row, EVENT).map_err(log_error)?;
                found.deliveries.push(Delivery {
                    position: after.0,
                    message: to_message(&event),
                });
                if found.deliveries.len() == max {
                    return Ok(found);
                }
            }
            if count < page {
                break;
            }
        }
        Ok(found)
    }

    async fn next(
        &self,
        name: &Name,
        epoch: Epoch,
        after: Position,
        max: usize,
    ) -> Result<Vec<Row>> {
        let sql = NEXT.replace("COLUMNS", log::COLUMNS);
        let (epoch, after) = (signed(epoch.0), signed(after.0));
        let most = i64::try_from(max).unwrap_or(i64::MAX);
        let values: [&(dyn ToSql + Sync); 5] = [&name.topic, &name.group, &epoch, &after, &most];
        self.rows(&sql, &values).await
    }

    /// Runs one statement, again if the connection was lost: each may be repeated.
    pub(super) async fn rows(&self, sql: &str, values: &[&(dyn ToSql + Sync)]) -> Result<Vec<Row>> {
        self.log.pool().query(sql, values).await.map_err(refused)
    }

    /// Calls a function of the schema that answers nothing.
    pub(super) async fn call(&self, sql: &str, values: &[&(dyn ToSql + Sync)]) -> Result<()> {
        self.rows(sql, values).await.map(drop)
    }

    /// Calls a function of the schema that answers one row.
    pub(super) async fn ask(&self, sql: &str, values: &[&(dyn ToSql + Sync)]) -> Result<Row> {
        let row = self.rows(sql, values).await?.pop();
        row.ok_or_else(|| Error::new(ErrorKind::Internal, "a function answered nothing"))
    }
}

/// The checkpoint, if the group is in the term that was asked for and its checkpoint is of this log.
fn check_term(name: &Name, rows: &[Row]) -> Result<Position> {
    let Some(row) = rows.first() else {
        let context = format!("group `{}`", name.group);
        return Err(Error::new(ErrorKind::Superseded, context));
    };
    let (checkpoint, head): (i64, i64) = (row.get(0), row.get(3));
    if row.get::<_, Uuid>(1) == row.get::<_, Uuid>(2) && checkpoint <= head {
        return Ok(Position(unsigned(checkpoint)));
    }
    let why = format!(
        "group `{}` has come to {checkpoint} in another incarnation of the log: set its checkpoint anew",
        name.group
    );
    Err(Error::new(ErrorKind::Invalid, why))
}
