//! The ledgers of the services, read from outside.
//!
//! The one in WebAssembly locks its file in a way that no other SQLite sees. So its file and its log
//! are copied, and the copy counts if the file did not change meanwhile: a log is valid up to its last
//! whole commit, whenever it is read, as long as it was not written back to the file.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use ieum::base::Uuid;

use super::super::book::{Book, Tally};
use super::super::books::Books;
use super::{Entry, Ledger, records};

/// How often a file that changes while it is copied is copied again.
const COPIES: u32 = 50;

/// Reads the ledgers that are there; a service that never started has none.
pub(super) fn read(data: &Path, tally: &Tally, books: &mut Books) -> Result<Vec<Ledger>> {
    Ok(vec![
        Ledger {
            service: "loyalty",
            due: |order| order.total / 100,
            entries: points(&data.join("loyalty.db"), tally)?,
        },
        Ledger {
            service: "invoices",
            due: |order| order.total,
            entries: invoices(&data.join("invoices.db"), tally, books)?,
        },
        Ledger {
            service: "donations",
            due: |order| order.total / 100,
            entries: records::read(&data.join("donations.log"), tally, books)?,
        },
    ])
}

fn points(file: &Path, tally: &Tally) -> Result<Vec<Entry>> {
    let Some(copy) = Copy::of(file)? else {
        return Ok(Vec::new());
    };
    let mut book = Book::open(&copy.file())?;
    let sql = "SELECT order_id, kind, points, user_id FROM points ORDER BY id";
    book.read(tally)?.rows(sql, |row| {
        let kind: String = row.get(1)?;
        Ok(Entry {
            order_id: row.get(0)?,
            times: if kind == "award" { 1 } else { -1 },
            amount: row.get(2)?,
            user_id: row.get(3)?,
        })
    })
}

/// Numbers have no gaps, and what is void counts for nothing.
fn invoices(file: &Path, tally: &Tally, books: &mut Books) -> Result<Vec<Entry>> {
    if !file.is_file() {
        return Ok(Vec::new());
    }
    let mut book = Book::open(file)?;
    let sql = "SELECT number, order_id, status, amount, user_id FROM invoices ORDER BY number";
    let rows = book.read(tally)?.rows(sql, |row| {
        let is_issued = row.get::<String>(2)? == "issued";
        let entry = Entry {
            order_id: row.get(1)?,
            times: i64::from(is_issued),
            amount: if is_issued { row.get(3)? } else { 0 },
            user_id: row.get(4)?,
        };
        Ok((row.get::<i64>(0)?, entry))
    })?;
    let mut entries = Vec::with_capacity(rows.len());
    for (expected, (number, entry)) in (1..).zip(rows) {
        if number != expected {
            books.find(format_args!("invoice {expected} is missing"));
            return Ok(entries);
        }
        entries.push(entry);
    }
    Ok(entries)
}

/// A copy of a database, in a folder that is removed with the value.
struct Copy(PathBuf);

impl Copy {
    /// Copies a database and its log; `None` if there is no database.
    fn of(file: &Path) -> Result<Option<Self>> {
        if !file.is_file() {
            return Ok(None);
        }
        let folder = std::env::temp_dir().join(format!("shop-audit-{}", Uuid::new_v4().simple()));
        fs::create_dir(&folder)?;
        let copy = Self(folder);
        for _ in 0..COPIES {
            let before = fs::read(file)?;
            let log = read_if_there(&log_of(file))?;
            if fs::read(file)? == before {
                fs::write(copy.file(), before)?;
                fs::write(log_of(&copy.file()), log)?;
                return Ok(Some(copy));
            }
        }
        bail!("{} changes too often to be audited", file.display())
    }

    fn file(&self) -> PathBuf {
        self.0.join("copy.db")
    }
}

impl Drop for Copy {
    fn drop(&mut self) {
        // It is in the system's folder for what may be lost.
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// The write-ahead log of a database.
fn log_of(file: &Path) -> PathBuf {
    let mut name = file.as_os_str().to_owned();
    name.push("-wal");
    PathBuf::from(name)
}

/// What is in a file; nothing if it is not there.
fn read_if_there(file: &Path) -> Result<Vec<u8>> {
    match fs::read(file) {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(Vec::new()),
        read => read.with_context(|| format!("cannot read {}", file.display())),
    }
}
