//! Topics and consumer groups over the log.
//!
//! A topic is a category of the log, a key a stream of it, a message an event, and a group a
//! checkpoint over the category: nothing is stored twice. Several processes may work on one log, so
//! a group's lease is a counter in its row that its worker raises while it lives. Who wants to take
//! a group over must have seen the counter stand still for a lease on its own monotonic clock: no
//! time is ever stored or compared (H16).

mod bells;
mod group;
mod groups;
mod inspect;
mod operator;
mod publish;

use std::collections::{HashMap, HashSet};
use std::error::Error as _;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use ieum_base::{Stop, TaskKind, Tasks};
use ieum_messaging::{Error, ErrorKind, GroupSubscriber, Result, Subscriber, Subscription};
use tokio::time::Instant;

pub use crate::topics::{Config, stream_of, to_event, to_message};

use self::bells::Bells;
use self::group::Name;
use super::{Log, Migration};

/// The schema of groups and dead letters, beside that of the log.
pub const MIGRATIONS: &[Migration] = &[Migration {
    component: "topics",
    version: 1,
    sql: include_str!("schema.sql"),
}];

/// Topics over a log: `Publisher`, `Groups`, `Subscriber`, `Inspect` and `Operate`. Clones are the
/// same topics; the last one ends its background work.
#[derive(Clone, Debug)]
pub struct Topics {
    log: Log,
    config: Config,
    shared: Arc<Shared>,
}

/// What this process remembers. Bounded by the numbers of topics and groups.
#[derive(Debug)]
struct Shared {
    tasks: Tasks,
    bells: Arc<Bells>,
    /// The topics that are known to be noted.
    topics: Mutex<HashSet<String>>,
    /// How each group's row last stood, and since when it stands so on this process's clock.
    seen: Mutex<HashMap<Name, Seen>>,
    /// When this process last raised the counter of each group that it works for.
    renewed: Mutex<HashMap<Name, Instant>>,
}

/// A group's row as it was seen.
#[derive(Clone, Copy, Debug)]
struct Seen {
    epoch: i64,
    renewals: i64,
    since: Instant,
}

impl Topics {
    /// Topics over `log`, whose database was opened with [`MIGRATIONS`] among others. Within a tokio
    /// runtime: a task wakes those who wait for messages.
    pub fn new(log: Log, config: Config) -> Self {
        let (tasks, bells) = (Tasks::new(Stop::new()), Arc::<Bells>::default());
        let ringing = Arc::clone(&bells).ring_for(log.clone());
        let stop = tasks.stop().clone();
        tasks.spawn(TaskKind::Background, "topic-bells", async move {
            stop.unless_requested(ringing).await;
        });
        let shared = Shared {
            tasks,
            bells,
            topics: Mutex::default(),
            seen: Mutex::default(),
            renewed: Mutex::default(),
        };
        Self {
            log,
            config,
            shared: Arc::new(shared),
        }
    }

    /// The log under the topics.
    pub const fn log(&self) -> &Log {
        &self.log
    }

    /// True if another process may still work for the group: its row moved within a lease, or was
    /// never seen before.
    fn is_held(&self, name: &Name, (epoch, renewals): (i64, i64), now: Instant) -> bool {
        let mut seen = lock(&self.shared.seen);
        let stood = |known: &&Seen| (known.epoch, known.renewals) == (epoch, renewals);
        if let Some(known) = seen.get(name).filter(stood) {
            return now.saturating_duration_since(known.since) < self.config.lease;
        }
        let first = Seen {
            epoch,
            renewals,
            since: now,
        };
        seen.insert(name.clone(), first);
        true
    }

    /// Remembers that a category is a topic.
    async fn note_topic(&self, topic: &str) -> Result<()> {
        if lock(&self.shared.topics).contains(topic) {
            return Ok(());
        }
        let most = i64::try_from(self.config.topics).unwrap_or(i64::MAX);
        self.call("SELECT ieum_note_topic($1, $2)", &[&topic, &most])
            .await?;
        lock(&self.shared.topics).insert(topic.to_owned());
        Ok(())
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

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Drop for Shared {
    fn drop(&mut self) {
        self.tasks.stop().request();
    }
}

/// What the database refused, in the words of messaging: what a function of the schema raised has a
/// meaning here.
fn refused(error: crate::Error) -> Error {
    let cause = error.source();
    let raised = cause
        .and_then(|cause| cause.downcast_ref::<tokio_postgres::Error>())
        .and_then(tokio_postgres::Error::as_db_error);
    let kind = match raised.map(|raised| raised.code().code()) {
        Some("IE001") => ErrorKind::Superseded,
        Some("IE002") => ErrorKind::Full,
        Some("IE003") => ErrorKind::Invalid,
        _ => return error.into(),
    };
    Error::new(kind, raised.map_or("", |raised| raised.message()))
}
