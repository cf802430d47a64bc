//! Where a database is kept, and its bounds.

use std::path::{Path, PathBuf};
use std::time::Duration;

use ieum_base::{ByteSize, Clock, EngineUrl};

use crate::{Error, ErrorKind};

/// The scheme of an engine URL that names a SQLite file.
pub const SCHEME: &str = "sqlite";

/// Where a database is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Location {
    /// A file; it is created if it is not there, its directory is not.
    File(PathBuf),
    /// This process's memory. For tests and demos; gone with the last handle.
    Memory,
}

impl From<PathBuf> for Location {
    fn from(path: PathBuf) -> Self {
        Self::File(path)
    }
}

impl From<&Path> for Location {
    fn from(path: &Path) -> Self {
        Self::File(path.to_owned())
    }
}

impl From<&PathBuf> for Location {
    fn from(path: &PathBuf) -> Self {
        Self::File(path.clone())
    }
}

impl From<&str> for Location {
    fn from(path: &str) -> Self {
        Self::File(path.into())
    }
}

impl TryFrom<&EngineUrl> for Location {
    type Error = Error;

    fn try_from(url: &EngineUrl) -> Result<Self, Error> {
        match url.scheme() {
            "memory" => Ok(Self::Memory),
            SCHEME if !url.rest().is_empty() => Ok(Self::File(url.rest().into())),
            _ => Err(Error::new(
                ErrorKind::Invalid,
                format!("`{url}` is not a SQLite database: write `sqlite://path/to/file.db`"),
            )),
        }
    }
}

/// The settings of a database. All have a default that suits a service.
#[derive(Clone, Debug)]
pub struct Config {
    /// The time that rows are stamped with.
    pub clock: Clock,
    /// The most writes that share one commit. More writes per fsync against a longer wait for the
    /// first of them. 1 to 4,096; default 512.
    pub max_batch: usize,
    /// How many writes may wait for the writer; beyond it `write` waits. Default 1,024.
    pub queue: usize,
    /// The most read connections, hence reads at once. Default 4.
    pub readers: usize,
    /// How long another program's lock is waited for. Default 5 s.
    pub busy_timeout: Duration,
    /// Files up to this size are checked for damage when they are opened. Default 64 MiB.
    pub check_up_to: ByteSize,
    /// The size of the write-ahead log from which it is copied into the file in the background, in
    /// pages of 4 KiB. Default 1,000.
    pub checkpoint_pages: u32,
    /// The size of the write-ahead log from which the writer is briefly held up so that the log can
    /// start over, in pages. Default 16,384 (64 MiB).
    pub restart_pages: u32,
    /// The size of the write-ahead log from which writes are refused as `Full`, because a reader
    /// holds on to an old snapshot, in pages. Default 262,144 (1 GiB).
    pub max_wal_pages: u32,
    /// The largest size of the file in pages; beyond it writes are refused as `Full`. Default: none.
    pub max_pages: Option<u32>,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            clock: Clock::system(),
            max_batch: 512,
            queue: 1_024,
            readers: 4,
            busy_timeout: Duration::from_secs(5),
            check_up_to: ByteSize(64 << 20),
            checkpoint_pages: 1_000,
            restart_pages: 16_384,
            max_wal_pages: 262_144,
            max_pages: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn location(url: &str) -> Result<Location, Error> {
        Location::try_from(&url.parse::<EngineUrl>().expect("a URL"))
    }

    #[test]
    fn a_url_names_a_file_or_memory() {
        let file = |path: &str| Location::File(path.into());
        assert_eq!(location("sqlite://shop.db").ok(), Some(file("shop.db")));
        assert_eq!(
            location("sqlite:///var/lib/shop.db").ok(),
            Some(file("/var/lib/shop.db"))
        );
        assert_eq!(location("memory:").ok(), Some(Location::Memory));
        for wrong in ["sqlite:", "postgres://db/shop"] {
            let error = location(wrong).expect_err("refused");
            assert_eq!(error.kind(), ErrorKind::Invalid);
        }
    }
}
