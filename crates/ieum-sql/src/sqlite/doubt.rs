//! Files in doubt: what happens between a failed sync and the next open.
//!
//! After a failed sync nobody knows which pages are on the disk: the kernel may call them clean and
//! forget them, so that the next sync succeeds and means nothing (Rebello et al., "Can Applications
//! Recover from fsync Failures?", USENIX ATC 2020). A restart must not forget it either. So the
//! failure leaves a mark beside the file, synced before anybody is told; and the next open goes on
//! with a copy only, in a new file whose every page was written and synced again.
//!
//! The steps of the copy are renames, so that a process that is killed at any of them is gone on with
//! by the next: `file-copying` is unfinished, `file-copied` is whole and takes the place of `file`.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags};

use super::open;
use crate::{Error, ErrorKind, Result};

/// Marks a file as in doubt, durably if the disk still takes it.
pub(super) fn mark(path: &Path, why: &str) -> io::Result<()> {
    let mark = beside(path, MARK);
    fs::write(&mark, why)?;
    File::open(&mark)?.sync_all()?;
    sync_folder(path)
}

/// Puts a synced copy in the place of a file that is marked. `Poisoned` if that cannot be done now:
/// nothing is lost then, and the next open tries again.
pub(super) fn settle(path: &Path) -> Result<()> {
    let path = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    let mark = beside(&path, MARK);
    let Ok(why) = fs::read_to_string(&mark) else {
        return Ok(());
    };
    tracing::warn!(file = %path.display(), why, "a sync to disk had failed; the file is copied");
    let refused = |error: Error| {
        let context = format!(
            "{}: a sync to disk had failed ({why}), and the file cannot be copied to a new one: \
             {error}; check the disk and that it has room for a second copy, then start again",
            path.display()
        );
        Error::with_source(ErrorKind::Poisoned, context, error)
    };
    copy(&path).map_err(refused)?;
    take_place(&path)
        .and_then(|()| fs::remove_file(&mark))
        .and_then(|()| sync_folder(&path))
        .map_err(|error| refused(io_error(&path, error)))?;
    tracing::warn!(file = %path.display(), "the copy is synced and in its place");
    Ok(())
}

/// Makes `file-copied`, unless an earlier process has.
fn copy(path: &Path) -> Result<()> {
    let (unfinished, copied) = (beside(path, UNFINISHED), beside(path, COPIED));
    if copied.exists() || !path.exists() {
        return Ok(());
    }
    remove(&unfinished).map_err(|error| io_error(path, error))?;
    let named = |error: rusqlite::Error| open::name(path, error);
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let source = Connection::open_with_flags(path, flags).map_err(named)?;
    source
        .set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)
        .map_err(named)?;
    // Reads every page, with what the write-ahead log has; a damaged one is an error.
    let target = unfinished.to_string_lossy().into_owned();
    source.execute("VACUUM INTO ?1", [&target]).map_err(named)?;
    drop(source);
    let verdict: String = Connection::open_with_flags(&unfinished, flags)
        .and_then(|copy| copy.query_row("PRAGMA quick_check(1)", [], |row| row.get(0)))
        .map_err(named)?;
    if verdict != "ok" {
        return Err(Error::new(ErrorKind::Corrupt, verdict));
    }
    File::open(&unfinished)
        .and_then(|file| file.sync_all())
        .and_then(|()| fs::rename(&unfinished, &copied))
        .and_then(|()| sync_folder(path))
        .map_err(|error| io_error(path, error))
}

/// The old write-ahead log goes first: it would be replayed into the copy, which has it already.
fn take_place(path: &Path) -> io::Result<()> {
    let copied = beside(path, COPIED);
    if !copied.exists() {
        return Ok(());
    }
    remove(&beside(path, "-wal"))?;
    remove(&beside(path, "-shm"))?;
    sync_folder(path)?;
    fs::rename(&copied, path)?;
    sync_folder(path)
}

fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

fn sync_folder(path: &Path) -> io::Result<()> {
    let folder = path
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty());
    File::open(folder.unwrap_or(Path::new(".")))?.sync_all()
}

fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

fn io_error(path: &Path, error: io::Error) -> Error {
    let context = format!("{}: {error}", path.display());
    Error::with_source(ErrorKind::Io, context, error)
}

/// Says that a file is in doubt, and why.
const MARK: &str = "-in-doubt";
/// A copy that may be unfinished.
const UNFINISHED: &str = "-copying";
/// A copy that is whole and synced.
const COPIED: &str = "-copied";

#[cfg(test)]
mod tests {
    use std::os::unix::fs::MetadataExt;

    use super::*;
    use crate::sqlite::Database;

    async fn insert(database: &Database, value: i64) -> Result<()> {
        let insert = database.write(move |tx| {
            tx.execute_batch("CREATE TABLE IF NOT EXISTS t (x INTEGER)")?;
            tx.execute("INSERT INTO t VALUES (?1)", [value])?;
            Ok::<_, Error>(())
        });
        insert.await
    }

    async fn values(database: &Database) -> Vec<i64> {
        let read = database.read(|connection| {
            let mut statement = connection.prepare("SELECT x FROM t ORDER BY x")?;
            let rows = statement.query_map([], |row| row.get(0))?;
            Ok::<_, Error>(rows.collect::<rusqlite::Result<Vec<i64>>>()?)
        });
        read.await.expect("readable")
    }

    /// A file with two rows, the second still in the write-ahead log, and marked.
    async fn in_doubt(folder: &Path) -> PathBuf {
        let path = folder.join("notes.db");
        let database = Database::open(&path, &[]).expect("opens");
        insert(&database, 1).await.expect("written");
        drop(database);
        let database = Database::open(&path, &[]).expect("opens");
        insert(&database, 2).await.expect("written");
        // As a killed process leaves it: with its write-ahead log.
        let kept = folder.join("kept.db");
        for suffix in ["", "-wal"] {
            fs::copy(beside(&path, suffix), beside(&kept, suffix)).expect("copied");
        }
        drop(database);
        mark(&kept, "EIO").expect("marked");
        kept
    }

    #[tokio::test]
    async fn h28_a_file_in_doubt_is_opened_as_a_new_synced_file_only() {
        let folder = ieum_testkit::TempFolder::new().expect("a folder");
        let path = in_doubt(folder.path()).await;
        let before = fs::metadata(&path).expect("there").ino();
        let database = Database::open(&path, &[]).expect("opens the copy");
        assert_eq!(values(&database).await, [1, 2]);
        assert_ne!(fs::metadata(&path).expect("there").ino(), before);
        assert!(!beside(&path, MARK).exists());
        insert(&database, 3).await.expect("written");
        drop(database);
        let database = Database::open(&path, &[]).expect("opens");
        assert_eq!(values(&database).await, [1, 2, 3]);
    }

    #[tokio::test]
    async fn h28_a_copy_that_was_interrupted_anywhere_is_gone_on_with() {
        for stage in 0..4 {
            let folder = ieum_testkit::TempFolder::new().expect("a folder");
            let path = in_doubt(folder.path()).await;
            match stage {
                0 => fs::write(beside(&path, UNFINISHED), "half").expect("written"),
                1 => copy(&path).expect("copied"),
                2 => {
                    copy(&path).expect("copied");
                    remove(&beside(&path, "-wal")).expect("removed");
                }
                _ => {
                    copy(&path).expect("copied");
                    take_place(&path).expect("in its place");
                }
            }
            let database = Database::open(&path, &[]).expect("opens");
            assert_eq!(values(&database).await, [1, 2], "stage {stage}");
            let left = [MARK, UNFINISHED, COPIED].map(|suffix| beside(&path, suffix).exists());
            assert_eq!(left, [false; 3], "stage {stage}");
        }
    }

    #[tokio::test]
    async fn h28_a_file_in_doubt_that_cannot_be_copied_is_refused_and_kept() {
        let folder = ieum_testkit::TempFolder::new().expect("a folder");
        let path = in_doubt(folder.path()).await;
        fs::create_dir_all(beside(&path, UNFINISHED).join("in the way")).expect("made");
        for _ in 0..2 {
            let error = Database::open(&path, &[]).expect_err("refused");
            assert_eq!(error.kind(), ErrorKind::Poisoned);
            assert!(error.to_string().contains("kept.db"), "{error}");
        }
        fs::remove_dir_all(beside(&path, UNFINISHED)).expect("removed");
        let database = Database::open(&path, &[]).expect("opens the copy");
        assert_eq!(values(&database).await, [1, 2]);
    }
}
