//! The log's ports on a database.

use std::time::Duration;

use async_trait::async_trait;
use ieum_eventstore::{
    Append, Appended, Checkpoint, Checkpoints, Error, ErrorKind, Event, EventStore, Fence, Fences,
    Filter, Head, Page, Position, Result, StreamName, Version,
};
use rusqlite::{Connection, OptionalExtension};
use tokio::sync::watch;

use super::failure::Failure;
use super::row::{signed, unsigned};
use super::{append, read};
use crate::sqlite::{Config, Database, Location, Migration, Tx, topics};

/// A durable log in a SQLite database. Clones are the same log.
#[derive(Clone, Debug)]
pub struct Log {
    database: Database,
    head: watch::Sender<Position>,
}

impl Log {
    /// Opens or creates a log in a file of its own, with the tables of
    /// [`Topics`](crate::sqlite::Topics). Blocks while opening.
    pub fn open(location: impl Into<Location>, config: Config) -> crate::Result<Self> {
        let migrations: Vec<Migration> = [super::MIGRATIONS, topics::MIGRATIONS].concat();
        Ok(Self::over(Database::open_with(
            location,
            &migrations,
            config,
        )?))
    }

    /// The log in a database that was opened with [`MIGRATIONS`](super::MIGRATIONS) among others,
    /// such as the one in which a service keeps its streams.
    pub fn over(database: Database) -> Self {
        let head = watch::Sender::new(Position::START);
        let seen = head.clone();
        database.after_commit(move |connection| {
            if let Ok(now) = read::head(connection) {
                seen.send_if_modified(|head| std::mem::replace(head, now.position) < now.position);
            }
        });
        Self { database, head }
    }

    /// The database that it stands in.
    pub const fn database(&self) -> &Database {
        &self.database
    }

    /// Begins another incarnation, as an operator does after restoring a backup: checkpoints and
    /// groups from before become foreign instead of silently skipping events (H35).
    pub async fn begin_incarnation(&self) -> Result<Head> {
        self.database
            .write(|tx| {
                let id = tx.new_id();
                tx.execute(
                    "UPDATE ieum_log SET incarnation = ?1",
                    [id.as_bytes().as_slice()],
                )
                .map_err(Failure::from)?;
                Ok::<_, Error>(read::head(tx)?)
            })
            .await
    }

    /// Woken after each commit that moved the head.
    pub(crate) fn watch(&self) -> watch::Receiver<Position> {
        self.head.subscribe()
    }
}

#[async_trait]
impl EventStore for Log {
    async fn append(&self, append: Append) -> Result<Appended> {
        append.check()?;
        self.database
            .write(move |tx| Ok(append::append_checked(tx, &append)?))
            .await
    }

    async fn read_stream(
        &self,
        stream: &StreamName,
        after: Version,
        limit: usize,
    ) -> Result<Vec<Event>> {
        let stream = stream.clone();
        self.database
            .read(move |connection| read::read_in(connection, &stream, after, limit))
            .await
    }

    async fn read_all(&self, after: Position, filter: &Filter, limit: usize) -> Result<Page> {
        let filter = filter.clone();
        self.database
            .read(move |connection| Ok::<_, Error>(read::page(connection, after, &filter, limit)?))
            .await
    }

    async fn head(&self) -> Result<Head> {
        self.database
            .read(|connection| Ok::<_, Error>(read::head(connection)?))
            .await
    }

    async fn wait(&self, after: Position, wait: Duration) -> Result<Head> {
        // Registered before the head is read: what commits in between is not missed (H10).
        let mut watch = self.watch();
        let head = self.head().await?;
        if head.position > after {
            return Ok(head);
        }
        head.accept_position(after)?;
        let moved = async { watch.wait_for(|head| *head > after).await.map(drop) };
        match tokio::time::timeout(wait, moved).await {
            Ok(_) => self.head().await,
            Err(_elapsed) => Ok(head),
        }
    }
}

#[async_trait]
impl Checkpoints for Log {
    async fn load(&self, name: &str) -> Result<Option<Checkpoint>> {
        let name = name.to_owned();
        self.database
            .read(move |connection| {
                let stored = checkpoint(connection, &name)?;
                if let Some(checkpoint) = stored {
                    read::head(connection)?.accept(checkpoint)?;
                }
                Ok::<_, Error>(stored)
            })
            .await
    }

    async fn store(&self, name: &str, expected: Option<Checkpoint>, to: Checkpoint) -> Result<()> {
        let name = name.to_owned();
        self.database
            .write(move |tx| Ok(move_checkpoint(tx, &name, expected, to)?))
            .await
    }

    async fn store_fenced(
        &self,
        name: &str,
        expected: Option<Checkpoint>,
        to: Checkpoint,
        fence: &Fence,
    ) -> Result<()> {
        let (name, fence) = (name.to_owned(), fence.clone());
        self.database
            .write(move |tx| {
                append::check_fence(tx, &fence)?;
                Ok(move_checkpoint(tx, &name, expected, to)?)
            })
            .await
    }
}

#[async_trait]
impl Fences for Log {
    async fn raise(&self, name: &str) -> Result<Fence> {
        let name = name.to_owned();
        self.database.write(move |tx| Ok(raise(tx, name)?)).await
    }
}

fn checkpoint(connection: &Connection, name: &str) -> Result<Option<Checkpoint>, Failure> {
    let mut statement = connection
        .prepare_cached("SELECT incarnation, position FROM ieum_checkpoints WHERE name = ?1")?;
    let stored = statement
        .query_row([name], |row| {
            Ok((row.get::<_, Vec<u8>>(0)?, row.get::<_, i64>(1)?))
        })
        .optional()?;
    let Some((incarnation, position)) = stored else {
        return Ok(None);
    };
    Ok(Some(Checkpoint {
        incarnation: read::incarnation_of(&incarnation)?,
        position: Position(unsigned(position)),
    }))
}

fn move_checkpoint(
    tx: &Tx<'_>,
    name: &str,
    expected: Option<Checkpoint>,
    to: Checkpoint,
) -> Result<(), Failure> {
    read::head(tx)?.accept(to)?;
    let stored = checkpoint(tx, name)?;
    if stored != expected {
        let actual = stored.map_or(0, |checkpoint| checkpoint.position.0);
        let context = format!("checkpoint `{name}` was moved to {actual} by another reader");
        return Err(Error::new(ErrorKind::Fenced { actual }, context).into());
    }
    tx.prepare_cached(
        "INSERT INTO ieum_checkpoints (name, incarnation, position) VALUES (?1, ?2, ?3) \
         ON CONFLICT (name) DO UPDATE SET incarnation = excluded.incarnation, \
         position = excluded.position",
    )?
    .execute((
        name,
        to.incarnation.as_bytes().as_slice(),
        signed(to.position.0),
    ))?;
    Ok(())
}

fn raise(tx: &Tx<'_>, name: String) -> Result<Fence, Failure> {
    let epoch: i64 = tx
        .prepare_cached(
            "INSERT INTO ieum_fences (name, epoch) VALUES (?1, 1) \
             ON CONFLICT (name) DO UPDATE SET epoch = epoch + 1, holder = '' RETURNING epoch",
        )?
        .query_row([&name], |row| row.get(0))?;
    Ok(Fence {
        name,
        epoch: unsigned(epoch),
    })
}
