//! Opening: what is refused, in which words, and that nothing is changed by it.

use std::fs;
use std::path::Path;

use ieum_eventstore::{Fences, Leases};
use ieum_sql::sqlite::{Config, Database, Log, Migration, log};
use ieum_sql::{Error, ErrorKind};

use ieum_testkit::TempFolder;

const NOTES: &[Migration] = &[Migration {
    component: "notes",
    version: 1,
    sql: "CREATE TABLE notes (text TEXT NOT NULL) STRICT",
}];

const NEWER_NOTES: &[Migration] = &[
    NOTES[0],
    Migration {
        component: "notes",
        version: 2,
        sql: "ALTER TABLE notes ADD COLUMN author TEXT",
    },
];

fn open(path: &Path) -> Result<Database, Error> {
    Database::open(path, NOTES)
}

/// The file is refused with `kind` and `words`, and keeps its bytes.
fn check_refused(path: &Path, kind: ErrorKind, words: &[&str]) {
    let before = fs::read(path).ok();
    let error = open(path).expect_err("must be refused");
    assert_eq!(error.kind(), kind, "{error}");
    let text = error.to_string();
    let name = path
        .file_name()
        .and_then(|name| name.to_str())
        .expect("a name");
    for word in words.iter().chain(&[name]) {
        assert!(text.contains(word), "`{word}` is missing in: {text}");
    }
    assert_eq!(fs::read(path).ok(), before, "the file was changed");
}

async fn add(database: &Database, text: &'static str) {
    let added = database.write(move |tx| {
        tx.execute("INSERT INTO notes (text) VALUES (?1)", [text])?;
        Ok::<_, Error>(())
    });
    added.await.expect("adds");
}

async fn count(database: &Database) -> u32 {
    let counted = database.read(|connection| {
        let count = connection.query_row("SELECT count(*) FROM notes", [], |row| row.get(0))?;
        Ok::<_, Error>(count)
    });
    counted.await.expect("counts")
}

#[tokio::test]
async fn what_was_written_is_there_after_opening_again() {
    let folder = TempFolder::new().expect("a folder");
    let path = folder.path().join("notes.db");
    let database = open(&path).expect("opens");
    add(&database, "one").await;
    drop(database);
    let database = Database::open(&path, NEWER_NOTES).expect("opens");
    add(&database, "two").await;
    assert_eq!(count(&database).await, 2);
    database.close().await.expect("closes");
    let late = database.write(|_| Ok::<_, Error>(())).await;
    assert_eq!(late.expect_err("closed").kind(), ErrorKind::Closed);
    let late = database.probe().await;
    assert_eq!(late.expect_err("closed").kind(), ErrorKind::Closed);
}

#[test]
fn a_second_owner_is_told_who_has_the_file() {
    let folder = TempFolder::new().expect("a folder");
    let path = folder.path().join("notes.db");
    let _owner = open(&path).expect("opens");
    let error = open(&path).expect_err("locked");
    assert_eq!(error.kind(), ErrorKind::Locked);
    assert!(
        error.to_string().contains("this process already"),
        "{error}"
    );
    assert!(error.to_string().contains("notes.db.lock"), "{error}");
    // Another process's id, as it would stand there.
    fs::write(folder.path().join("notes.db.lock"), "1\n").expect("writes");
    let error = open(&path).expect_err("locked");
    assert!(
        error.to_string().contains("in use by process 1 "),
        "{error}"
    );
}

/// How many locks this process holds on the file itself, as the kernel lists them.
#[cfg(target_os = "linux")]
fn locks_on(path: &Path) -> usize {
    use std::os::unix::fs::MetadataExt;
    let inode = format!(":{}", fs::metadata(path).expect("is there").ino());
    let process = std::process::id().to_string();
    let locks = fs::read_to_string("/proc/locks").expect("the kernel's list");
    let of_file = |line: &&str| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let named = |at: usize| fields.get(at).copied().unwrap_or_default();
        named(1) == "POSIX" && named(4) == process && named(5).ends_with(&inode)
    };
    locks.lines().filter(of_file).count()
}

#[test]
#[cfg(target_os = "linux")]
fn a_second_owner_that_is_refused_takes_no_lock_away_from_the_first() {
    let folder = TempFolder::new().expect("a folder");
    let path = folder.path().join("notes.db");
    let _owner = open(&path).expect("opens");
    let held = locks_on(&path);
    assert!(held > 0, "SQLite holds a lock on a file in use");
    let error = open(&path).expect_err("locked");
    assert_eq!(error.kind(), ErrorKind::Locked);
    assert_eq!(locks_on(&path), held);
}

#[test]
fn a_lock_of_another_program_is_named() {
    let folder = TempFolder::new().expect("a folder");
    let path = folder.path().join("notes.db");
    drop(open(&path).expect("opens"));
    let other = rusqlite::Connection::open(&path).expect("opens");
    other
        .execute_batch("PRAGMA locking_mode = EXCLUSIVE; BEGIN EXCLUSIVE; CREATE TABLE t (x)")
        .expect("locks");
    let config = Config {
        busy_timeout: std::time::Duration::from_millis(10),
        ..Config::default()
    };
    let error = Database::open_with(path, NOTES, config).expect_err("busy");
    assert_eq!(error.kind(), ErrorKind::Busy);
    assert!(error.to_string().contains("another program"), "{error}");
}

#[test]
fn a_file_that_is_no_database_is_refused() {
    let folder = TempFolder::new().expect("a folder");
    for (name, bytes) in [
        ("text.db", "hello, I am not a database\n".repeat(50)),
        ("short.db", "SQL".into()),
    ] {
        let path = folder.path().join(name);
        fs::write(&path, bytes).expect("writes");
        check_refused(&path, ErrorKind::NotADatabase, &["nothing was changed"]);
    }
    check_refused(folder.path(), ErrorKind::NotADatabase, &[]);
}

#[test]
fn an_empty_file_becomes_a_database() {
    let folder = TempFolder::new().expect("a folder");
    let path = folder.path().join("empty.db");
    fs::write(&path, "").expect("writes");
    open(&path).expect("opens");
}

#[test]
fn a_database_of_another_program_is_refused() {
    let folder = TempFolder::new().expect("a folder");
    for (name, sql) in [
        ("id.db", "PRAGMA application_id = 7; CREATE TABLE t (x)"),
        ("tables.db", "CREATE TABLE t (x)"),
    ] {
        let path = folder.path().join(name);
        let other = rusqlite::Connection::open(&path).expect("opens");
        other.execute_batch(sql).expect("runs");
        drop(other);
        check_refused(&path, ErrorKind::Foreign, &["another program"]);
    }
}

#[tokio::test]
async fn a_database_from_the_future_is_refused_and_unchanged() {
    let folder = TempFolder::new().expect("a folder");
    let path = folder.path().join("notes.db");
    let database = Database::open(&path, NEWER_NOTES).expect("opens");
    add(&database, "kept").await;
    drop(database);
    check_refused(
        &path,
        ErrorKind::Newer,
        &[
            "notes: schema 2, this build knows 1",
            "upgrade ieum",
            "nothing was changed",
        ],
    );
    let other = rusqlite::Connection::open(&path).expect("opens");
    other.pragma_update(None, "user_version", 7).expect("sets");
    drop(other);
    check_refused(
        &path,
        ErrorKind::Newer,
        &[
            "written by a newer version of ieum",
            "schema 7, this build knows 1",
        ],
    );
}

#[test]
fn a_newer_version_is_seen_in_the_write_ahead_log_too() {
    let folder = TempFolder::new().expect("a folder");
    let path = folder.path().join("notes.db");
    drop(open(&path).expect("opens"));
    // A writer that was killed: its last commit is only in the write-ahead log.
    let killed = rusqlite::Connection::open(&path).expect("opens");
    killed
        .pragma_update(None, "wal_autocheckpoint", 0)
        .expect("sets");
    killed.pragma_update(None, "user_version", 7).expect("sets");
    for suffix in ["", "-wal"] {
        let from = folder.path().join(format!("notes.db{suffix}"));
        fs::copy(from, folder.path().join(format!("copy.db{suffix}"))).expect("copies");
    }
    let wal = fs::read(folder.path().join("copy.db-wal")).expect("reads");
    check_refused(
        &folder.path().join("copy.db"),
        ErrorKind::Newer,
        &["schema 7"],
    );
    assert_eq!(
        fs::read(folder.path().join("copy.db-wal")).expect("reads"),
        wal
    );
}

#[tokio::test]
async fn the_last_commit_of_a_writer_that_was_killed_is_there() {
    let folder = TempFolder::new().expect("a folder");
    let path = folder.path().join("notes.db");
    let database = open(&path).expect("opens");
    add(&database, "one").await;
    for suffix in ["", "-wal"] {
        let from = folder.path().join(format!("notes.db{suffix}"));
        fs::copy(from, folder.path().join(format!("copy.db{suffix}"))).expect("copies");
    }
    let copy = open(&folder.path().join("copy.db")).expect("opens");
    assert_eq!(count(&copy).await, 1);
}

#[tokio::test]
async fn damage_is_found_and_left_as_it_is() {
    let folder = TempFolder::new().expect("a folder");
    let path = folder.path().join("notes.db");
    let database = open(&path).expect("opens");
    for _ in 0..200 {
        add(
            &database,
            "a text that fills the pages of the file with something to damage",
        )
        .await;
    }
    drop(database);
    let whole = fs::read(&path).expect("reads");
    assert!(whole.len() > 16_384);
    let mut scrambled = whole.clone();
    scrambled[12_288..12_400].fill(0xff);
    for (name, bytes) in [
        ("scrambled.db", &scrambled[..]),
        ("truncated.db", &whole[..whole.len() / 2]),
        ("header.db", &whole[..60]),
    ] {
        fs::write(folder.path().join(name), bytes).expect("writes");
        check_refused(
            &folder.path().join(name),
            ErrorKind::Corrupt,
            &["damaged", "backup"],
        );
    }
}

#[test]
fn a_missing_directory_and_missing_rights_say_what_to_do() {
    let folder = TempFolder::new().expect("a folder");
    let path = folder.path().join("nowhere").join("notes.db");
    check_refused(&path, ErrorKind::Missing, &["nowhere", "create it"]);
    let path = folder.path().join("notes.db");
    drop(open(&path).expect("opens"));
    let mut rights = fs::metadata(&path).expect("is there").permissions();
    rights.set_readonly(true);
    fs::set_permissions(&path, rights).expect("sets");
    check_refused(&path, ErrorKind::ReadOnly, &["may not be written"]);
}

#[tokio::test]
async fn a_probe_sees_that_the_file_is_gone_or_another_one() {
    let folder = TempFolder::new().expect("a folder");
    let path = folder.path().join("notes.db");
    let database = open(&path).expect("opens");
    database.probe().await.expect("healthy");
    fs::rename(&path, folder.path().join("moved.db")).expect("moves");
    let gone = database.probe().await.expect_err("gone");
    assert_eq!(gone.kind(), ErrorKind::Missing);
    fs::write(&path, "").expect("writes");
    let replaced = database.probe().await.expect_err("replaced");
    assert!(replaced.to_string().contains("was replaced"), "{replaced}");
    fs::rename(folder.path().join("moved.db"), &path).expect("moves back");
    database.probe().await.expect("healthy");
}

#[test]
fn migrations_are_numbered_without_gaps() {
    let gap = [NEWER_NOTES[1]];
    let error = Database::in_memory(&gap).expect_err("a gap");
    assert_eq!(error.kind(), ErrorKind::Invalid);
}

#[test]
fn a_migration_that_fails_leaves_no_trace() {
    let folder = TempFolder::new().expect("a folder");
    let path = folder.path().join("notes.db");
    let broken = [
        NOTES[0],
        Migration {
            component: "notes",
            version: 2,
            sql: "CREATE TABLE more (x INTEGER) STRICT; CREATE TABL oops",
        },
    ];
    Database::open(&path, &broken).expect_err("broken SQL");
    Database::open(&path, NEWER_NOTES).expect("the next build's migration runs");
}

#[tokio::test]
async fn a_log_from_before_leases_keeps_its_epochs() {
    let folder = TempFolder::new().expect("a folder");
    let path = folder.path().join("log.db");
    let earlier = Database::open(&path, &log::MIGRATIONS[..1]).expect("opens");
    let insert = "INSERT INTO ieum_fences (name, epoch) VALUES ('saga-engine', 7)";
    let written = earlier.write(move |tx| Ok::<_, Error>(tx.execute(insert, [])?));
    assert_eq!(written.await.expect("written"), 1);
    drop(earlier);

    let opened = Log::open(path, Config::default()).expect("migrates");
    let mut seen = opened.observe("saga-engine").await.expect("readable");
    assert_eq!((seen[0].epoch, seen[0].renewals), (7, 0));
    assert_eq!(seen.remove(0).holder, None);
    let fence = opened.raise("saga-engine").await.expect("raised");
    assert_eq!(fence.epoch, 8);
}
