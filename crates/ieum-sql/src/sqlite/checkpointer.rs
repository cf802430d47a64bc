//! Copying the write-ahead log into the file, off the writer's path.
//!
//! A checkpoint in the writer would hold up every caller for its fsyncs. A thread with a connection
//! of its own does it instead, without waiting for anybody (`PASSIVE`). Under a steady load that
//! alone never lets the log start over, so from a second size on the writer is held up for a moment
//! (`RESTART`), when little is left to copy. A third size is the bound (see `Config`).

use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::JoinHandle;

use rusqlite::Connection;

use super::health::Health;
use crate::error::is_sync_failure;
use crate::{Error, ErrorKind, Result};

/// The thread that checkpoints, and the bell that wakes it. Dropping it stops the thread.
#[derive(Debug)]
pub(super) struct Checkpointer {
    bell: Option<SyncSender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Checkpointer {
    pub(super) fn start(
        connection: Connection,
        health: Arc<Health>,
        restart_pages: u32,
    ) -> Result<Self> {
        let (bell, rings) = sync_channel(1);
        let thread = std::thread::Builder::new()
            .name("ieum-checkpoint".into())
            .spawn(move || run(&connection, &rings, &health, restart_pages))
            .map_err(|error| {
                Error::with_source(ErrorKind::Internal, "no thread can be started", error)
            })?;
        Ok(Self {
            bell: Some(bell),
            thread: Some(thread),
        })
    }

    /// Asks for a checkpoint; one that is asked for already covers this one.
    pub(super) fn ring(&self) {
        if let Some(bell) = &self.bell {
            let _already_rung = bell.try_send(());
        }
    }
}

impl Drop for Checkpointer {
    fn drop(&mut self) {
        self.bell = None;
        if let Some(thread) = self.thread.take() {
            let _panicked = thread.join();
        }
    }
}

fn run(connection: &Connection, rings: &Receiver<()>, health: &Health, restart_pages: u32) {
    while rings.recv().is_ok() {
        if let Err(error) = checkpoint(connection, health, restart_pages) {
            if is_sync_failure(&error) {
                let _told = health.poison_with(&error);
                return;
            }
            tracing::warn!(file = health.name(), %error, "the write-ahead log was not copied");
        }
    }
}

fn checkpoint(
    connection: &Connection,
    health: &Health,
    restart_pages: u32,
) -> rusqlite::Result<()> {
    let (_, pages, _) = step(connection, "PRAGMA wal_checkpoint(PASSIVE)")?;
    if pages < restart_pages {
        return Ok(());
    }
    let (busy, pages, copied) = step(connection, "PRAGMA wal_checkpoint(RESTART)")?;
    if busy {
        let held = pages.saturating_sub(copied);
        tracing::warn!(
            file = health.name(),
            pages,
            held,
            "a reader holds on to an old snapshot"
        );
    } else {
        health.set_wal_pages(0);
    }
    Ok(())
}

/// Whether it was held up, the pages in the log, and how many of them are in the file.
fn step(connection: &Connection, sql: &str) -> rusqlite::Result<(bool, u32, u32)> {
    let pages =
        |row: &rusqlite::Row<'_>, at| row.get::<_, i64>(at).map(|n| u32::try_from(n).unwrap_or(0));
    connection.query_row(sql, [], |row| {
        Ok((row.get::<_, i64>(0)? != 0, pages(row, 1)?, pages(row, 2)?))
    })
}
