//! What was published is sent: while the service lives, and once more when it stops.

use std::sync::Arc;
use std::time::Duration;

use ieum::base::{HumanDuration, TaskKind, Tasks};
use ieum::messaging::{OutboxStore, Publisher, consumer, relay};
use ieum::sql::{Database, Error};

/// The longest pause until a consumer tries again what failed: it is mostly the platform's return
/// that every open order waits for.
const LONGEST_PAUSE: Duration = Duration::from_secs(1);
/// How long a service that stops sends what is left. A platform that is away costs nothing: what is
/// not sent is sent at the next start.
const FLUSH: Duration = Duration::from_secs(5);

/// Sends what is in the outbox, as a task of `tasks`, until its stop; then what was added last.
pub(super) fn start(
    store: &Arc<dyn OutboxStore>,
    publisher: &Arc<dyn Publisher>,
    tasks: &Tasks,
) -> relay::Handle {
    let [relay, last] = [(); 2].map(|()| {
        let config = relay::Config::default();
        relay::Service::new(Arc::clone(store), Arc::clone(publisher), config)
    });
    let (stop, handle) = (tasks.stop().clone(), relay.handle());
    tasks.spawn(TaskKind::Essential, "outbox relay", async move {
        relay.run(stop).await;
        // An error says that the platform is away, or that the time is over: see `FLUSH`.
        let _ = tokio::time::timeout(FLUSH, flush(&last)).await;
    });
    handle
}

/// How consumers try again: as often as the relay does, and for as long as by default.
pub(super) fn patience() -> consumer::Config {
    let usual = consumer::Config::default();
    let shorter = usual.longest_pause.0.as_secs_f64() / LONGEST_PAUSE.as_secs_f64();
    consumer::Config {
        attempts: (f64::from(usual.attempts) * shorter.max(1.0)) as u32,
        longest_pause: HumanDuration(LONGEST_PAUSE),
        ..usual
    }
}

async fn flush(relay: &relay::Service) -> ieum::messaging::Result<()> {
    while relay.round().await? > 0 {}
    Ok(())
}

/// How many messages were not sent yet.
pub(super) async fn unsent(database: &Database) -> usize {
    let sql = "SELECT count(*) FROM ieum_outbox WHERE sent_at IS NULL AND error IS NULL";
    let count = database.read(move |db| {
        let count = db.row(sql, (), |row| row.get::<i64>(0))?;
        Ok::<_, Error>(count.unwrap_or(0))
    });
    // What cannot be counted is not lost either.
    count.await.map_or(0, |count| count.unsigned_abs() as usize)
}
