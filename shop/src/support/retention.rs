//! What is forgotten, and when: sent messages, claims and stored answers do not grow for ever.
//!
//! The auditor compares outboxes with what arrived, so it can be believed for this long back.

use std::sync::Arc;
use std::time::Duration;

use ieum::base::{Stop, TaskKind, Tasks, Timestamp};
use ieum::sql::{Database, Error, Result, barrier, idempotency, inbox, outbox};

/// How long records are kept: far longer than a saga lives or a message can come again.
const KEPT: Duration = Duration::from_secs(30 * 24 * 3_600);
/// The time between two rounds.
const ROUND: Duration = Duration::from_secs(3_600);
/// The most records of one kind that are deleted in one transaction.
const AT_ONCE: usize = 1_000;

/// Deletes what is older than 30 days, from now on and once an hour.
pub(super) fn keep(database: &Database, outbox: &Arc<outbox::Store>, tasks: &Tasks) {
    let (database, outbox) = (database.clone(), Arc::clone(outbox));
    let stop: Stop = tasks.stop().clone();
    tasks.spawn(TaskKind::Background, "retention", async move {
        let rounds = async {
            loop {
                let before = Timestamp::from_micros(
                    database.clock().now().as_micros() - KEPT.as_micros() as i64,
                );
                if let Err(error) = forget(&database, &outbox, before).await {
                    tracing::warn!(%error, "old records could not be deleted");
                }
                database.clock().sleep(ROUND).await;
            }
        };
        stop.unless_requested(rounds).await;
    });
}

/// Deletes what is older than `before`, a piece at a time.
async fn forget(database: &Database, outbox: &outbox::Store, before: Timestamp) -> Result<()> {
    while outbox.forget_sent(before, AT_ONCE).await? == AT_ONCE {}
    loop {
        let deleted = database.write(move |tx| {
            let inbox = inbox::forget_before(tx, before, AT_ONCE)?;
            let barrier = barrier::forget_before(tx, before, AT_ONCE)?;
            let keys = idempotency::forget_before(tx, before, AT_ONCE)?;
            Ok::<_, Error>(inbox.max(barrier).max(keys))
        });
        if deleted.await? < AT_ONCE {
            return Ok(());
        }
    }
}
