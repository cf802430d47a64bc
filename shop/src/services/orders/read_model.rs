//! The read side of orders: a table folded from the events, for lists.
//!
//! The projection moves the rows and its checkpoint in one transaction, so that a crash neither skips
//! an event nor applies one twice. It can be thrown away and built again: delete the rows and the
//! checkpoint.

use std::sync::Arc;
use std::time::Duration;

use ieum::base::{TaskKind, Timestamp};
use ieum::eventstore::decider::decode;
use ieum::eventstore::{Decider, Event as Recorded, Filter, Position};
use ieum::sql::database::List;
use ieum::sql::{Migration, Reader, Row, Tx};

use super::domain::{Event, Order, Rules};
use super::store::{self, CATEGORY, View};
use crate::support::failure::{Failure, Reply};
use crate::support::service::Service;
use crate::support::work::Work;

/// The schema of the read side.
pub(super) const TABLES: Migration = Migration {
    component: "orders",
    version: 1,
    sqlite: SQLITE,
    postgres: POSTGRES,
};

const SQLITE: &str = "
    CREATE TABLE order_view (
        id TEXT PRIMARY KEY,
        user_id TEXT NOT NULL,
        status TEXT NOT NULL,
        total INTEGER NOT NULL,
        state TEXT NOT NULL,
        created_at INTEGER NOT NULL
    ) STRICT, WITHOUT ROWID;
    CREATE INDEX order_view_by_user ON order_view (user_id, id);
    CREATE TABLE order_view_checkpoint (
        only INTEGER PRIMARY KEY CHECK (only = 1),
        position INTEGER NOT NULL
    ) STRICT;
    INSERT INTO order_view_checkpoint VALUES (1, 0);";

const POSTGRES: &str = r#"
    CREATE TABLE order_view (
        id TEXT COLLATE "C" PRIMARY KEY,
        user_id TEXT COLLATE "C" NOT NULL,
        status TEXT NOT NULL,
        total BIGINT NOT NULL,
        state TEXT NOT NULL,
        created_at BIGINT NOT NULL
    );
    CREATE INDEX order_view_by_user ON order_view (user_id, id);
    CREATE TABLE order_view_checkpoint (
        only_one BIGINT PRIMARY KEY CHECK (only_one = 1),
        position BIGINT NOT NULL
    );
    INSERT INTO order_view_checkpoint VALUES (1, 0);"#;

/// How many events are folded in one transaction.
const BATCH: usize = 256;
/// How long to wait for news before looking again.
const POLL: Duration = Duration::from_secs(5);
/// How long to wait after a failure.
const PAUSE: Duration = Duration::from_millis(500);

/// Keeps the table up to date until the service stops.
pub(super) fn project(service: &Arc<Service>) {
    let work = Arc::clone(service);
    service
        .tasks()
        .spawn(TaskKind::Essential, "projection order_view", async move {
            let stop = work.tasks().stop().clone();
            stop.unless_requested(follow(&work)).await;
        });
}

async fn follow(service: &Service) {
    loop {
        if let Err(failure) = catch_up(service).await {
            tracing::warn!(%failure, "the read model of orders is behind");
            service.clock().sleep(PAUSE).await;
        }
    }
}

/// Folds a batch, or waits for one.
pub(super) async fn catch_up(service: &Service) -> Reply<()> {
    let after = service.read(checkpoint).await?;
    let filter = Filter::category(CATEGORY);
    let page = service
        .log()
        .read_all(after, &filter, BATCH)
        .await
        .map_err(Failure::internal)?;
    if page.scanned_to > after {
        let to = page.scanned_to;
        return service
            .write(move |work| advance(work, after, to, &page.events))
            .await;
    }
    service
        .log()
        .wait(after, POLL)
        .await
        .map_err(Failure::internal)?;
    Ok(())
}

/// Moves rows and checkpoint together, by compare-and-set: of two projections one stops.
fn advance(work: &Work<'_>, from: Position, to: Position, events: &[Recorded]) -> Reply<()> {
    let sql = "UPDATE order_view_checkpoint SET position = $2 WHERE position = $1";
    let moved = work.execute(sql, (signed(from), signed(to)))?;
    if moved != 1 {
        return Err(Failure::internal("another projection moved the checkpoint"));
    }
    for event in events {
        apply(work, event)?;
    }
    Ok(())
}

fn apply(tx: &Tx<'_>, stored: &Recorded) -> Reply<()> {
    let id = stored.stream.id();
    let (order, created_at) = row(tx, id)?.unwrap_or((Order::default(), stored.recorded_at));
    let event: Event = decode(stored).map_err(Failure::internal)?;
    let order = Rules.evolve(order, &event);
    let state = serde_json::to_string(&order)?;
    let user_id = order
        .created
        .as_ref()
        .map(|created| created.user_id.as_str());
    tx.execute(
        "INSERT INTO order_view VALUES ($1, $2, $3, $4, $5, $6)
         ON CONFLICT (id) DO UPDATE SET status = excluded.status, total = excluded.total,
             state = excluded.state",
        (
            id,
            user_id.unwrap_or_default(),
            order.status.as_str(),
            order.total(),
            state,
            created_at,
        ),
    )?;
    Ok(())
}

fn row(db: &Reader<'_>, id: &str) -> Reply<Option<(Order, Timestamp)>> {
    let sql = "SELECT state, created_at FROM order_view WHERE id = $1";
    let row = db.row(sql, [id], |row| {
        Ok((row.get::<String>(0)?, row.get::<Timestamp>(1)?))
    })?;
    row.map(|(state, at)| Ok((serde_json::from_str(&state)?, at)))
        .transpose()
}

/// A customer's orders, latest first; `after` is the id of the last one seen.
pub(super) fn of_user(
    db: &Reader<'_>,
    user_id: &str,
    after: Option<&str>,
    limit: u32,
) -> Reply<Vec<View>> {
    of_users(db, &[user_id], after, limit)
}

/// The orders of each of these customers, latest first, one customer's after the other's: one
/// statement, which reads `limit` rows for each, however many there are.
pub(super) fn of_users<T: AsRef<str>>(
    db: &Reader<'_>,
    user_ids: &[T],
    after: Option<&str>,
    limit: u32,
) -> Reply<Vec<View>> {
    let sql = "SELECT listed.id, listed.state, listed.created_at
         FROM ieum_list($1) AS customer
         JOIN order_view AS listed ON listed.id IN (
             SELECT id FROM order_view
             WHERE user_id = customer.value AND ($2 IS NULL OR id < $2)
             ORDER BY id DESC LIMIT $3)
         ORDER BY customer.key, listed.id DESC";
    views(db.rows(sql, (List::of(user_ids), after, limit), stored)?)
}

/// The orders with these ids that the projection has seen.
pub(super) fn find_all(db: &Reader<'_>, ids: &[String]) -> Reply<Vec<View>> {
    let sql = "SELECT id, state, created_at FROM order_view
         WHERE id IN (SELECT value FROM ieum_list($1))";
    views(db.rows(sql, [List::of(ids)], stored)?)
}

/// An order as its row has it: id, state, and when it was placed.
type Stored = (String, String, Timestamp);

fn stored(row: &Row<'_>) -> ieum::sql::Result<Stored> {
    Ok((row.get(0)?, row.get(1)?, row.get(2)?))
}

fn views(rows: Vec<Stored>) -> Reply<Vec<View>> {
    let mut views = Vec::with_capacity(rows.len());
    for (id, state, created_at) in rows {
        views.extend(store::view(&id, serde_json::from_str(&state)?, created_at));
    }
    Ok(views)
}

fn checkpoint(db: &Reader<'_>) -> Reply<Position> {
    let sql = "SELECT position FROM order_view_checkpoint";
    let position = db.row(sql, (), |row| row.get::<i64>(0))?;
    let position = position.ok_or_else(|| Failure::internal("the checkpoint is missing"))?;
    Ok(Position(u64::try_from(position).unwrap_or(0)))
}

fn signed(position: Position) -> i64 {
    i64::try_from(position.0).unwrap_or(i64::MAX)
}
