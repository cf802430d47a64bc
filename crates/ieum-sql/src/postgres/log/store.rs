//! The log's port on a pool.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use ieum_base::{Abandoned, EngineUrl, Stop, TaskKind, Tasks};
use ieum_eventstore::{
    Append, Appended, Event, EventStore, Filter, Head, Page, Position, Result, StreamName, Version,
    Write,
};

use super::batcher::Queue;
use super::listener::{Hints, Listener};
use super::{Config, batch, read};
use crate::postgres::{self, Migration, Pool};

/// A durable log in a PostgreSQL database, shared by any number of processes. Clones are the same
/// log; the last one ends its background work.
#[derive(Clone, Debug)]
pub struct Log(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    pool: Pool,
    queue: Queue,
    hints: Hints,
    tasks: Tasks,
}

impl Log {
    /// Connects to a log in a database of its own and creates it if it is not there. `more` are the
    /// schemas of what stands beside it, such as topics.
    ///
    /// # Errors
    /// Those of [`postgres::connect`].
    pub async fn open(
        url: &EngineUrl,
        more: &[Migration],
        pool: postgres::Config,
        config: Config,
    ) -> crate::Result<Self> {
        let migrations = [super::MIGRATIONS, more].concat();
        let pool = postgres::connect(url, &migrations, pool).await?;
        Ok(Self::over(pool, config))
    }

    /// The log in a database that was connected to with [`MIGRATIONS`](super::MIGRATIONS) among
    /// others, such as the one in which a service keeps its streams. Within a tokio runtime.
    pub fn over(pool: Pool, config: Config) -> Self {
        let hints = Hints::new();
        let (queue, batchers) = Queue::new(&pool, &config, &hints);
        let tasks = Tasks::new(Stop::new());
        for batcher in batchers {
            let stop = tasks.stop().clone();
            tasks.spawn(TaskKind::Background, "postgres-append", batcher.run(stop));
        }
        let listener = Listener {
            pool: pool.clone(),
            hints: hints.clone(),
            config,
        };
        let stop = tasks.stop().clone();
        tasks.spawn(TaskKind::Background, "postgres-listen", listener.run(stop));
        Self(Arc::new(Inner {
            pool,
            queue,
            hints,
            tasks,
        }))
    }

    /// The pool that it reads and appends by.
    pub fn pool(&self) -> &Pool {
        &self.0.pool
    }

    /// Appends `runs` in their order, all or none; unlike in an [`Append`], a stream may appear in
    /// several of them, so that the order of all events is the caller's.
    pub(in crate::postgres) async fn append_runs(&self, runs: Vec<Write>) -> Result<Appended> {
        let mut append = Append::default();
        for run in runs {
            let alone = Append {
                writes: vec![run],
                ..Append::default()
            };
            batch::check(&alone)?;
            append.writes.extend(alone.writes);
        }
        self.0.queue.append_checked(append).await
    }

    /// Begins another incarnation, as an operator does after restoring files of the server:
    /// checkpoints and groups from before become foreign instead of silently skipping events (H35).
    /// A dump that was restored elsewhere, and a promoted standby, begin one by themselves.
    pub async fn begin_incarnation(&self) -> Result<Head> {
        let sql = "UPDATE ieum_log SET before = incarnation, incarnation = gen_random_uuid() \
                   RETURNING incarnation, position";
        let rows = self.pool().query(sql, &[]).await?;
        read::head_in(rows.first())
    }

    /// Goes on in the incarnation before the log was moved, and with it do all checkpoints. For an
    /// operator who knows that nothing is missing from the moved log, as after a dump of a log at
    /// rest or the promotion of a synchronous standby.
    pub async fn keep_incarnation(&self) -> Result<Head> {
        self.pool()
            .query("SELECT ieum_log_moved_whole()", &[])
            .await?;
        self.head().await
    }

    /// Answers what waits, closes the connections and says which work it gave up on after `drain`.
    /// Later calls answer `Unavailable`. Idempotent.
    pub async fn close(&self, drain: Duration) -> Vec<Abandoned> {
        let abandoned = self.0.tasks.shut_down(drain).await;
        self.0.pool.close();
        abandoned
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.tasks.stop().request();
    }
}

#[async_trait]
impl EventStore for Log {
    async fn append(&self, append: Append) -> Result<Appended> {
        self.0.queue.append(append).await
    }

    async fn read_stream(
        &self,
        stream: &StreamName,
        after: Version,
        limit: usize,
    ) -> Result<Vec<Event>> {
        read::stream(self.pool(), stream, after, limit).await
    }

    async fn read_all(&self, after: Position, filter: &Filter, limit: usize) -> Result<Page> {
        read::page(self.pool(), after, filter, limit).await
    }

    async fn head(&self) -> Result<Head> {
        let believed = self.0.hints.believed();
        let head = read::head(self.pool()).await?;
        self.0.hints.is_at(head, believed);
        Ok(head)
    }

    async fn wait(&self, after: Position, wait: Duration) -> Result<Head> {
        // Registered before the head is read: what commits in between is not missed (H10).
        let mut hints = self.0.hints.watch();
        let head = self.head().await?;
        if head.position > after {
            return Ok(head);
        }
        head.accept_position(after)?;
        let moved = async { hints.wait_for(|seen| seen.position > after).await.map(drop) };
        // Woken or not, the answer is what is there now.
        let _ = tokio::time::timeout(wait, moved).await;
        self.head().await
    }
}
