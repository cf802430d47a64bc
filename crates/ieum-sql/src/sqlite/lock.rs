//! One owner per database file.
//!
//! The writer keeps nothing that another process could change under it, so a second process must not
//! begin at all. The owner holds an advisory lock (`flock`) on a file beside the database; the kernel
//! releases it with the process, so a crash leaves no stale lock. The file itself stays: removing it
//! would let two processes lock two files of one name.

use std::fs::File;
use std::io::{Read, Seek, Write};
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;

use crate::{Error, ErrorKind, Result};

/// The right to open a database. Released when dropped.
#[derive(Debug)]
pub(super) struct LockFile {
    _file: File,
}

impl LockFile {
    /// Takes the lock of `database`, or says which process has it.
    pub(super) fn acquire(database: &Path) -> Result<Self> {
        let path = path_of(database);
        let failed = |error: std::io::Error| {
            let context = format!("cannot lock {}: {error}", path.display());
            Error::with_source(ErrorKind::Io, context, error)
        };
        let mut file = File::options()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(&path)
            .map_err(failed)?;
        match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => {}
            Err(Errno::WOULDBLOCK) => return Err(held(database, &path, &mut file)),
            Err(errno) => return Err(failed(errno.into())),
        }
        let owner = format!("{}\n", std::process::id());
        file.set_len(0)
            .and_then(|()| file.rewind())
            .and_then(|()| file.write_all(owner.as_bytes()))
            .map_err(failed)?;
        Ok(Self { _file: file })
    }
}

fn held(database: &Path, path: &Path, file: &mut File) -> Error {
    let mut owner = String::new();
    let pid = file
        .read_to_string(&mut owner)
        .ok()
        .and_then(|_| owner.trim().parse::<u32>().ok());
    let who = match pid {
        Some(pid) if pid == std::process::id() => "this process already".to_owned(),
        Some(pid) => format!("process {pid}"),
        None => "another process".to_owned(),
    };
    let context = format!(
        "{} is in use by {who} (lock file {}): stop it first, or use another file",
        database.display(),
        path.display()
    );
    Error::new(ErrorKind::Locked, context)
}

pub(super) fn path_of(database: &Path) -> PathBuf {
    let mut name = database.as_os_str().to_owned();
    name.push(".lock");
    name.into()
}
