//! Whether the writer may go on, and what its background work tells it.

use std::path::PathBuf;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};

use super::doubt;
use crate::{Error, ErrorKind};

/// Shared by the writer, its checkpointer and the handles.
#[derive(Debug)]
pub(super) struct Health {
    name: String,
    file: Option<PathBuf>,
    poison: OnceLock<Error>,
    wal_pages: AtomicU32,
}

impl Health {
    pub(super) fn of(file: Option<&PathBuf>) -> Self {
        Self {
            name: file.map_or_else(
                || "the database in memory".into(),
                |f| f.display().to_string(),
            ),
            file: file.cloned(),
            poison: OnceLock::new(),
            wal_pages: AtomicU32::new(0),
        }
    }

    /// How the database is called in errors.
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// The reason why writes are refused until the database is opened again, if there is one.
    pub(super) fn poison(&self) -> Option<&Error> {
        self.poison.get()
    }

    /// Refuses all writes from now on, because a sync to disk failed.
    pub(super) fn poison_with(&self, cause: &rusqlite::Error) -> Error {
        let error = self.poison.get_or_init(|| {
            let context = format!(
                "{}: a sync to disk failed ({cause}): what was being written is in doubt and \
                 writes are refused; check the disk and start again, which copies the file to a \
                 new one",
                self.name
            );
            // Before anybody is told: a restart must not forget it.
            if let Some(file) = &self.file
                && let Err(error) = doubt::mark(file, &cause.to_string())
            {
                tracing::error!(file = self.name, %error, "the file cannot be marked as in doubt");
            }
            tracing::error!(file = self.name, %cause, "a sync to disk failed; writes are refused");
            Error::new(ErrorKind::Poisoned, context)
        });
        error.clone()
    }

    /// The pages in the write-ahead log that are not known to be copied into the file.
    pub(super) fn wal_pages(&self) -> u32 {
        self.wal_pages.load(Ordering::Acquire)
    }

    pub(super) fn set_wal_pages(&self, pages: u32) {
        self.wal_pages.store(pages, Ordering::Release);
    }
}
