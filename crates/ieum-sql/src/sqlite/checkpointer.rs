//! Copying the write-ahead log into the file, off the writer's path.
//!
//! A checkpoint in the writer would hold up every caller for its fsyncs. A thread with a connection
//! of its own does it instead, without waiting for anybody (`PASSIVE`). Under a steady load that
//! alone never lets the log start over, because the writer is never out of it. So from a second size
//! on the writer stands aside between two batches until the rest is copied (`RESTART`): that is
//! little, and rare. A third size is the bound (see `Config`).

use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::JoinHandle;

use rusqlite::Connection;

use super::health::Health;
use crate::error::is_sync_failure;
use crate::{Error, ErrorKind, Result};

/// The thread that checkpoints. Dropping it stops the thread.
#[derive(Debug)]
pub(super) struct Checkpointer {
    requests: Option<SyncSender<Request>>,
    thread: Option<JoinHandle<()>>,
}

impl Checkpointer {
    pub(super) fn start(connection: Connection, health: Arc<Health>) -> Result<Self> {
        let (requests, queue) = sync_channel(1);
        let thread = std::thread::Builder::new()
            .name("ieum-checkpoint".into())
            .spawn(move || run(&connection, &queue, &health))
            .map_err(|error| {
                Error::with_source(ErrorKind::Internal, "no thread can be started", error)
            })?;
        Ok(Self {
            requests: Some(requests),
            thread: Some(thread),
        })
    }

    /// Asks for a checkpoint; one that is asked for already covers this one.
    pub(super) fn ring(&self) {
        if let Some(requests) = &self.requests {
            let _already_asked = requests.try_send(Request::Copy);
        }
    }

    /// Copies the whole log and lets it start over, while the caller, who is the writer, waits.
    pub(super) fn restart(&self) {
        if let Some(requests) = &self.requests {
            let (done, wait) = sync_channel(0);
            // Both fail only if the thread is gone, and then there is nothing to wait for.
            let _gone = requests.send(Request::Restart(done));
            let _done = wait.recv();
        }
    }
}

/// What the thread is asked to do.
enum Request {
    /// Copy what can be copied without waiting.
    Copy,
    /// Copy all and start over; the sender is dropped when it is done.
    Restart(SyncSender<()>),
}

impl Drop for Checkpointer {
    fn drop(&mut self) {
        self.requests = None;
        if let Some(thread) = self.thread.take() {
            let _panicked = thread.join();
        }
    }
}

fn run(connection: &Connection, requests: &Receiver<Request>, health: &Health) {
    while let Ok(request) = requests.recv() {
        let (copied, waiting) = match request {
            Request::Copy => {
                let copied = step(connection, "PRAGMA wal_checkpoint(PASSIVE)");
                (copied.map(drop), None)
            }
            Request::Restart(done) => (restart(connection, health), Some(done)),
        };
        if let Err(error) = copied {
            if is_sync_failure(&error) {
                let _told = health.poison_with(&error);
            } else {
                tracing::warn!(file = health.name(), %error, "the write-ahead log was not copied");
            }
        }
        drop(waiting);
    }
}

fn restart(connection: &Connection, health: &Health) -> rusqlite::Result<()> {
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
