//! The port.

use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;

use super::{Error, ErrorKind, Result};

/// Keeps values for a while.
///
/// Nothing in it is durable: an engine may forget any entry at any time. What it must not do is
/// remember: after a `delete` or a `clear` has been answered nothing from before is found, by nobody.
/// Keys have 1 to 1,024 bytes. Every method answers within a time that its engine bounds.
#[async_trait]
pub trait Cache: Send + Sync + 'static {
    /// The value of `key`, if it is there and its time has not come. Idempotent; cancel safe.
    async fn get(&self, key: &str) -> Result<Option<Bytes>>;

    /// Keeps `value` under `key` for `ttl`, from now, in place of what was there. Idempotent.
    /// Dropping the future leaves it unknown. `Invalid` for a value that the engine never takes.
    async fn set(&self, key: &str, value: Bytes, ttl: Duration) -> Result<()>;

    /// Forgets `key`; tickets for it no longer fill. Idempotent; a key that is not there is no error.
    async fn delete(&self, key: &str) -> Result<()>;

    /// Forgets everything; no ticket from before fills. Idempotent. Costs time in proportion to what
    /// is there.
    async fn clear(&self) -> Result<()>;

    /// The value of `key` or, where there is none, the ticket for filling it. Readers that miss
    /// together have one ticket together. Cancel safe.
    async fn look_up(&self, key: &str) -> Result<Lookup>;

    /// Keeps `value` under `key` for `ttl` if nothing has happened to the key since `ticket` was
    /// given: no delete, no set, no other fill, no half a minute. Whether it did; an engine may always
    /// say no. Dropping the future leaves it unknown.
    async fn fill(&self, key: &str, ticket: Ticket, value: Bytes, ttl: Duration) -> Result<bool>;
}

/// What was found under a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Lookup {
    /// Its value.
    Found(Bytes),
    /// Nothing; who works the value out may fill it.
    Missing(Ticket),
}

/// The permission to fill a key that was missing. It means something only to the engine that gave it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Ticket(pub u64);

impl Ticket {
    /// How long a ticket may fill: longer than any load that somebody still waits for.
    pub const LIFE: Duration = Duration::from_secs(30);
}

/// Checks a key; every engine does so first.
///
/// # Errors
/// `Invalid` unless it has 1 to 1,024 bytes.
pub fn check_key(key: &str) -> Result<()> {
    if (1..=LONGEST_KEY).contains(&key.len()) {
        return Ok(());
    }
    let why = format!("a key of {} bytes, not 1 to {LONGEST_KEY}", key.len());
    Err(Error::new(ErrorKind::Invalid, why))
}

const LONGEST_KEY: usize = 1_024;
