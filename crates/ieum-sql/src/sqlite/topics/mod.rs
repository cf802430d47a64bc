//! Topics and consumer groups over the log.
//!
//! A topic is a category of the log, a key a stream of it, a message an event, and a group a
//! checkpoint over the category: nothing is stored twice. A group's term (its epoch) and checkpoint
//! are rows and checked in each write; the lease is only memory, because it is compared with this
//! process's own monotonic clock and never with a stored time (H16).

mod group;
mod groups;
mod inspect;
mod operator;
mod publish;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use ieum_messaging::{
    Capabilities, Deduplicates, Durable, Error, ErrorKind, GroupSubscriber, Result, Subscriber,
    Subscription,
};
use rusqlite::Connection;
use tokio::sync::watch;
use tokio::time::Instant;

pub use crate::topics::{Config, stream_of, to_event, to_message};

use self::group::Name;
use super::log::Failure;
use super::{Log, Migration, Tx};
use crate::topics::log_error;

/// The schema of groups and dead letters, beside that of the log.
pub const MIGRATIONS: &[Migration] = &[Migration {
    component: "topics",
    version: 1,
    sql: include_str!("schema.sql"),
}];

/// What topics on SQLite promise.
pub const CAPABILITIES: Capabilities = Capabilities {
    engine: "SQLite",
    durable: Durable::Synced,
    deduplicates: Deduplicates::Always,
    retains_history: true,
    parks_keys: true,
    looks_ahead: true,
    caveats: &[],
};

/// Topics over a log: `Publisher`, `Groups`, `Subscriber` and `Inspect`. Clones are the same topics.
#[derive(Clone, Debug)]
pub struct Topics {
    log: Log,
    config: Config,
    leases: Arc<Leases>,
    waiting: Arc<Waiting>,
}

/// When each group's worker was last seen. Bounded by the number of groups.
#[derive(Debug)]
struct Leases {
    /// After a restart every worker counts as seen just now: it may still be at work.
    started: Instant,
    seen: Mutex<HashMap<Name, Instant>>,
}

/// The topics that somebody waits at, each with a bell. Bounded by the number of topics.
type Waiting = Mutex<HashMap<String, watch::Sender<i64>>>;

impl Topics {
    /// Topics over `log`, which was opened with [`MIGRATIONS`], as [`Log::open`] does.
    pub fn new(log: Log, config: Config) -> Self {
        let waiting = Arc::<Waiting>::default();
        let bells = Arc::clone(&waiting);
        let mut seen = None;
        log.database().after_commit(move |connection| {
            if let Err(error) = ring(connection, &bells, &mut seen) {
                tracing::warn!(%error, "subscribers were not woken; they look by themselves");
            }
        });
        Self {
            log,
            config,
            leases: Arc::new(Leases {
                started: Instant::now(),
                seen: Mutex::default(),
            }),
            waiting,
        }
    }

    /// The log under the topics.
    pub const fn log(&self) -> &Log {
        &self.log
    }

    /// True if the group's worker was seen within the lease.
    fn is_held(&self, name: &Name, now: Instant) -> bool {
        let seen = lock(&self.leases.seen).get(name).copied();
        let seen = seen.unwrap_or(self.leases.started);
        now.saturating_duration_since(seen) < self.config.lease
    }

    fn renew(&self, name: Name, now: Instant) {
        lock(&self.leases.seen).insert(name, now);
    }

    /// Changes after each commit with messages of `topic`.
    fn published(&self, topic: &str) -> watch::Receiver<i64> {
        let mut waiting = lock(&self.waiting);
        match waiting.get(topic) {
            Some(bell) => bell.subscribe(),
            None => {
                // Topics that nobody waits at any more make room.
                waiting.retain(|_, bell| bell.receiver_count() > 0);
                let bell = waiting.entry(topic.to_owned()).or_default();
                bell.subscribe()
            }
        }
    }
}

#[async_trait]
impl Subscriber for Topics {
    async fn subscribe(
        &self,
        topic: &str,
        group: &str,
        member: &str,
    ) -> Result<Box<dyn Subscription>> {
        GroupSubscriber::new(Arc::new(self.clone()))
            .subscribe(topic, group, member)
            .await
    }
}

/// Wakes those who wait at the topics of the events since the last commit; everybody after the
/// first, because where the log stood before it is not known.
fn ring(
    connection: &Connection,
    waiting: &Waiting,
    seen: &mut Option<i64>,
) -> rusqlite::Result<()> {
    let head: i64 = connection
        .prepare_cached("SELECT position FROM ieum_log")?
        .query_row([], |row| row.get(0))?;
    let before = seen.replace(head);
    let waiting = lock(waiting);
    if before == Some(head) || waiting.is_empty() {
        return Ok(());
    }
    let Some(before) = before else {
        for bell in waiting.values() {
            bell.send_replace(head);
        }
        return Ok(());
    };
    let mut statement = connection.prepare_cached(
        "SELECT DISTINCT category FROM ieum_events NOT INDEXED WHERE position > ?1",
    )?;
    let categories = statement.query_map([before], |row| row.get::<_, String>(0))?;
    for category in categories {
        if let Some(bell) = waiting.get(&category?) {
            bell.send_replace(head);
        }
    }
    Ok(())
}

/// Remembers that a category is a topic.
fn note_topic(tx: &Tx<'_>, topic: &str, most: usize) -> Result<()> {
    let added = tx
        .prepare_cached("INSERT OR IGNORE INTO ieum_topics (name) VALUES (?1)")
        .and_then(|mut statement| statement.execute([topic]))
        .map_err(sql_error)?;
    if added > 0 && group::count(tx, "SELECT count(*) FROM ieum_topics", &[])? > most {
        let doing = format!("there are at most {most} topics");
        return Err(Error::new(ErrorKind::Full, doing));
    }
    Ok(())
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn sql_error(error: rusqlite::Error) -> Error {
    crate::Error::from(error).into()
}

fn failed(failure: Failure) -> Error {
    log_error(failure.into())
}
