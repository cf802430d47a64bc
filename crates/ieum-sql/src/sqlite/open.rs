//! Opening a file: what is looked at before anything is written.
//!
//! The order matters. The header is read as plain bytes, then the connection looks at versions and
//! pages without being allowed to checkpoint; only a file that is ours, whole and not from the
//! future is migrated. In every refusal the file keeps its bytes.
//!
//! The file is opened only by who holds its [`LockFile`](super::lock::LockFile): closing any
//! descriptor of a file drops all of a process's locks on it (POSIX), so a second look at a file
//! that is in use here would take away the locks of the connections that use it.

use std::fs;
use std::io::Read;
use std::path::Path;
use std::time::Duration;

use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags};

use super::config::Config;
use super::doubt;
use super::migration::{self, LAYOUT, Migration};
use crate::{Error, ErrorKind, Result};

/// `ieum` in ASCII, in the file's header (`PRAGMA application_id`).
const APPLICATION_ID: u32 = 0x6965_756d;
const HEADER_BYTES: usize = 100;
const MAGIC: &[u8; 16] = b"SQLite format 3\0";

/// Opens the file's write connection, with its schema up to date.
pub(super) fn file(path: &Path, config: &Config, migrations: &[Migration]) -> Result<Connection> {
    let existed = check_place(path)? && inspect_header(path)?;
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE
        | OpenFlags::SQLITE_OPEN_CREATE
        | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let named = |error: rusqlite::Error| name(path, error);
    let mut connection = Connection::open_with_flags(path, flags).map_err(named)?;
    connection
        .busy_timeout(config.busy_timeout)
        .map_err(named)?;
    if existed {
        connection
            .set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)
            .map_err(named)?;
        inspect_contents(path, &connection, config, migrations)?;
        connection
            .set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, false)
            .map_err(named)?;
    }
    prepare(&connection, config).map_err(named)?;
    let mode: String = connection
        .pragma_update_and_check(None, "journal_mode", "WAL", |row| row.get(0))
        .map_err(named)?;
    if mode != "wal" {
        let context = format!(
            "{} cannot use a write-ahead log (journal mode is `{mode}`): keep it on a local disk",
            path.display()
        );
        return Err(Error::new(ErrorKind::Io, context));
    }
    set_up(&mut connection, config, migrations).map_err(|error| name_again(path, &error))?;
    sync_recovered(path)?;
    Ok(connection)
}

/// Syncs the write-ahead log that a killed process left.
///
/// SQLite takes a commit in it for one that was synced, but the process may have been killed in
/// between. Without this, whoever finds the commit (a duplicate, a relay, a reader) would tell
/// others of what a power cut can still take back.
fn sync_recovered(path: &Path) -> Result<()> {
    let sync = || -> std::io::Result<()> {
        let path = fs::canonicalize(path)?;
        let mut log = path.clone().into_os_string();
        log.push("-wal");
        match fs::File::open(log) {
            Ok(log) => log.sync_all()?,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
            Err(error) => return Err(error),
        }
        path.parent()
            .map_or(Ok(()), |parent| fs::File::open(parent)?.sync_all())
    };
    sync().map_err(|error| {
        // Another sync could succeed and mean nothing.
        if let Err(unmarked) = doubt::mark(path, &error.to_string()) {
            tracing::error!(file = %path.display(), %unmarked, "it cannot be marked as in doubt");
        }
        let context = format!("the write-ahead log of {} cannot be synced", path.display());
        Error::with_source(ErrorKind::Io, context, error)
    })
}

/// Opens a database in memory, with its schema.
pub(super) fn memory(config: &Config, migrations: &[Migration]) -> Result<Connection> {
    let mut connection = Connection::open_in_memory()?;
    prepare(&connection, config)?;
    migration::check_known(Path::new(":memory:"), &connection, migrations)?;
    set_up(&mut connection, config, migrations)?;
    Ok(connection)
}

/// Opens one more connection to a file that is open for writing; it can only read.
pub(super) fn reader(path: &Path, config: &Config) -> Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let open = || {
        let connection = Connection::open_with_flags(path, flags)?;
        connection.busy_timeout(config.busy_timeout)?;
        connection.set_prepared_statement_cache_capacity(128);
        connection.pragma_update(None, "query_only", true)?;
        Ok(connection)
    };
    open().map_err(|error| name(path, error))
}

/// Opens one more connection to a file that is open for writing, to checkpoint its log.
pub(super) fn checkpointer(path: &Path, config: &Config) -> Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let open = || {
        let connection = Connection::open_with_flags(path, flags)?;
        // The writer waits for this connection: a reader that stays holds it up no longer.
        connection.busy_timeout(config.busy_timeout.min(Duration::from_millis(100)))?;
        connection.pragma_update(None, "synchronous", "FULL")?;
        Ok(connection)
    };
    open().map_err(|error| name(path, error))
}

/// The same error with the file's name and the way out.
pub(super) fn name(path: &Path, error: rusqlite::Error) -> Error {
    let plain = Error::from(error);
    name_again(path, &plain)
}

fn name_again(path: &Path, error: &Error) -> Error {
    let file = path.display();
    let context = match error.kind() {
        ErrorKind::Busy => {
            format!("{file} is locked by another program: close it there, then start again")
        }
        ErrorKind::Corrupt => return damaged(path, "SQLite cannot read it"),
        ErrorKind::NotADatabase => return not_a_database(path),
        ErrorKind::ReadOnly => return read_only(path),
        ErrorKind::Full => format!("{file}: the disk is full: free some space, then start again"),
        ErrorKind::Io => format!("{file} cannot be read or written: check the disk and the rights"),
        ErrorKind::Newer | ErrorKind::Invalid => return error.clone(),
        _ => format!("{file}: {error}"),
    };
    Error::with_source(error.kind(), context, error.clone())
}

/// Looks at the path without opening the file. True if there is something in it.
pub(super) fn check_place(path: &Path) -> Result<bool> {
    let parent = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    let directory = fs::metadata(parent).map_err(|error| {
        let context = format!(
            "the directory {} for {} is not there: create it",
            parent.display(),
            path.display()
        );
        Error::with_source(ErrorKind::Missing, context, error)
    })?;
    if !directory.is_dir() {
        let context = format!("{} is not a directory", parent.display());
        return Err(Error::new(ErrorKind::Missing, context));
    }
    let file = match fs::metadata(path) {
        Ok(file) => file,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            if directory.permissions().readonly() {
                return Err(read_only(parent));
            }
            return Ok(false);
        }
        Err(error) => return Err(unreadable(path, error)),
    };
    if !file.is_file() {
        return Err(not_a_database(path));
    }
    if file.permissions().readonly() {
        return Err(read_only(path));
    }
    Ok(file.len() > 0)
}

/// Looks at the header without opening the database. True if it may be one of ours.
fn inspect_header(path: &Path) -> Result<bool> {
    let mut header = Vec::with_capacity(HEADER_BYTES);
    fs::File::open(path)
        .and_then(|file| file.take(HEADER_BYTES as u64).read_to_end(&mut header))
        .map_err(|error| unreadable(path, error))?;
    if !header.starts_with(MAGIC) {
        return Err(not_a_database(path));
    }
    let number = |at: usize| {
        let bytes = header.get(at..at + 4).and_then(|b| b.try_into().ok());
        bytes.map(u32::from_be_bytes)
    };
    let (Some(layout), Some(application)) = (number(60), number(68)) else {
        return Err(damaged(path, "it ends within its header"));
    };
    check_identity(path, application, layout)?;
    Ok(true)
}

/// What only a connection can see: the log may hold a later header than the file.
fn inspect_contents(
    path: &Path,
    connection: &Connection,
    config: &Config,
    migrations: &[Migration],
) -> Result<()> {
    let named = |error: rusqlite::Error| name(path, error);
    let pragma =
        |pragma: &str| connection.pragma_query_value(None, pragma, |row| row.get::<_, u32>(0));
    let application = pragma("application_id").map_err(named)?;
    let layout = pragma("user_version").map_err(named)?;
    check_identity(path, application, layout)?;
    let tables: u32 = connection
        .query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))
        .map_err(named)?;
    if application == 0 && tables > 0 {
        return Err(foreign(path));
    }
    migration::check_known(path, connection, migrations).map_err(|e| name_again(path, &e))?;
    let size = fs::metadata(path).map_or(0, |file| file.len());
    if size > config.check_up_to.0 {
        return Ok(());
    }
    let verdict: String = connection
        .query_row("PRAGMA quick_check(1)", [], |row| row.get(0))
        .map_err(named)?;
    if verdict == "ok" {
        Ok(())
    } else {
        Err(damaged(path, &verdict))
    }
}

/// The settings of the write connection that do not change the file.
fn prepare(connection: &Connection, config: &Config) -> rusqlite::Result<()> {
    connection.set_prepared_statement_cache_capacity(256);
    connection.pragma_update(None, "synchronous", "FULL")?;
    connection.pragma_update(None, "foreign_keys", true)?;
    connection.pragma_update(None, "temp_store", "MEMORY")?;
    connection.pragma_update(None, "trusted_schema", false)?;
    connection.pragma_update(None, "cell_size_check", true)?;
    if let Some(pages) = config.max_pages {
        connection.pragma_update_and_check(None, "max_page_count", pages, |_| Ok(()))?;
    }
    connection
        .pragma_update_and_check(None, "wal_autocheckpoint", 0, |_| Ok(()))
        .map(drop)
}

fn set_up(connection: &mut Connection, config: &Config, migrations: &[Migration]) -> Result<()> {
    let application: u32 = connection.pragma_query_value(None, "application_id", |r| r.get(0))?;
    if application != APPLICATION_ID {
        migration::check_known(Path::new("the new file"), connection, migrations)?;
        connection.pragma_update(None, "application_id", APPLICATION_ID)?;
        connection.pragma_update(None, "user_version", LAYOUT)?;
    }
    migration::migrate(connection, migrations, config.clock.now().as_micros())
}

fn check_identity(path: &Path, application: u32, layout: u32) -> Result<()> {
    if application != 0 && application != APPLICATION_ID {
        return Err(foreign(path));
    }
    if layout > LAYOUT {
        return Err(migration::newer(path, "layout", layout, LAYOUT));
    }
    Ok(())
}

fn not_a_database(path: &Path) -> Error {
    let context = format!(
        "{} is not a SQLite database: move it away, or use another file; nothing was changed",
        path.display()
    );
    Error::new(ErrorKind::NotADatabase, context)
}

fn foreign(path: &Path) -> Error {
    let context = format!(
        "{} is a database of another program: use another file; nothing was changed",
        path.display()
    );
    Error::new(ErrorKind::Foreign, context)
}

fn damaged(path: &Path, why: &str) -> Error {
    let context = format!(
        "{} is damaged ({why}): restore it from a backup; nothing was changed",
        path.display()
    );
    Error::new(ErrorKind::Corrupt, context)
}

fn read_only(path: &Path) -> Error {
    let context = format!(
        "{} may not be written: give this user the right to write it",
        path.display()
    );
    Error::new(ErrorKind::ReadOnly, context)
}

fn unreadable(path: &Path, error: std::io::Error) -> Error {
    let context = format!("{} cannot be read: {error}", path.display());
    Error::with_source(ErrorKind::Io, context, error)
}
