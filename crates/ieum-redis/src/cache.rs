//! The cache on Redis.

use std::fmt;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use ieum_base::Rng;
use ieum_resilience::cache::{self, Lookup, Result, Ticket, check_key};
use redis::aio::MultiplexedConnection;
use redis::{RedisResult, Script, Value};

use crate::connection::{Connection, Patience};
use crate::keys::Keys;
use crate::publisher::millis;

/// A cache that processes share: `name` keeps it apart from others on the same server.
///
/// A value is a key of its own with a time to live, `v` and its bytes; a ticket is `c` and its number
/// in its place. Every question ends within the connection's `timeout`; while the server does not
/// answer it ends at once.
pub struct Cache {
    connection: Connection,
    keys: Keys,
    name: String,
    look_up: Script,
    fill: Script,
    rng: Rng,
}

impl Cache {
    /// The cache `name` over `connection`.
    pub fn new(connection: Connection, name: impl Into<String>) -> Self {
        Self {
            keys: Keys::new(&connection.config().prefix),
            connection,
            name: name.into(),
            look_up: Script::new(include_str!("scripts/look_up.lua")),
            fill: Script::new(include_str!("scripts/fill.lua")),
            rng: Rng::system(),
        }
    }

    fn key(&self, key: &str) -> Result<String> {
        check_key(key)?;
        Ok(self.keys.cached(&self.name, key))
    }

    async fn ask<T, F, Q>(&self, ask: F) -> Result<T>
    where
        F: FnOnce(MultiplexedConnection) -> Q,
        Q: Future<Output = RedisResult<T>>,
    {
        let limit = self.connection.config().timeout;
        let asked = self.connection.ask(limit, Patience::None, ask);
        Ok(asked.await?)
    }

    /// One page of `SCAN`, deleted; where the next begins.
    async fn clear_page(&self, cursor: u64, pattern: &str) -> Result<u64> {
        let (next, keys) = self
            .ask(async |mut c| {
                let mut scan = redis::cmd("SCAN");
                scan.arg(cursor)
                    .arg("MATCH")
                    .arg(pattern)
                    .arg("COUNT")
                    .arg(PAGE);
                scan.query_async::<(u64, Vec<Vec<u8>>)>(&mut c).await
            })
            .await?;
        if !keys.is_empty() {
            self.ask(async |mut c| {
                let mut unlink = redis::cmd("UNLINK");
                unlink.arg(&keys).query_async::<()>(&mut c).await
            })
            .await?;
        }
        Ok(next)
    }
}

#[async_trait]
impl cache::Cache for Cache {
    async fn get(&self, key: &str) -> Result<Option<Bytes>> {
        let key = self.key(key)?;
        let found = self.ask(async |mut c| {
            redis::cmd("GET")
                .arg(&key)
                .query_async::<Value>(&mut c)
                .await
        });
        Ok(match stored(found.await?) {
            Some(Stored::Value(value)) => Some(value),
            _ => None,
        })
    }

    async fn set(&self, key: &str, value: Bytes, ttl: Duration) -> Result<()> {
        let key = self.key(key)?;
        self.ask(async |mut c| {
            let mut set = redis::cmd("SET");
            set.arg(&key).arg([b"v", &value[..]].concat());
            set.arg("PX").arg(millis(ttl)).query_async(&mut c).await
        })
        .await
    }

    async fn delete(&self, key: &str) -> Result<()> {
        let key = self.key(key)?;
        self.ask(async |mut c| redis::cmd("UNLINK").arg(&key).query_async(&mut c).await)
            .await
    }

    /// By `SCAN`, which finds whatever was there when it began: it does not hold up others, and takes
    /// longer the more the server holds.
    async fn clear(&self) -> Result<()> {
        let pattern = format!("{}*", escaped(&self.keys.cached(&self.name, "")));
        let mut cursor = 0;
        loop {
            cursor = self.clear_page(cursor, &pattern).await?;
            if cursor == 0 {
                return Ok(());
            }
        }
    }

    async fn look_up(&self, key: &str) -> Result<Lookup> {
        let key = self.key(key)?;
        let mut call = self.look_up.prepare_invoke();
        call.key(key).arg(self.rng.bits()).arg(millis(Ticket::LIFE));
        let found = self.ask(async |mut c| call.invoke_async::<Value>(&mut c).await);
        let found = found.await?;
        match stored(found) {
            Some(Stored::Value(value)) => Ok(Lookup::Found(value)),
            Some(Stored::Ticket(ticket)) => Ok(Lookup::Missing(ticket)),
            None => {
                let why = "something else than a cache is behind a key of ours";
                Err(cache::Error::new(cache::ErrorKind::Internal, why))
            }
        }
    }

    async fn fill(&self, key: &str, ticket: Ticket, value: Bytes, ttl: Duration) -> Result<bool> {
        let key = self.key(key)?;
        let mut call = self.fill.prepare_invoke();
        call.key(key).arg(ticket.0).arg(&value[..]).arg(millis(ttl));
        let filled = self.ask(async |mut c| call.invoke_async::<i64>(&mut c).await);
        Ok(filled.await? == 1)
    }
}

/// What is behind a key.
enum Stored {
    Value(Bytes),
    Ticket(Ticket),
}

fn stored(value: Value) -> Option<Stored> {
    let Value::BulkString(bytes) = value else {
        return None;
    };
    match bytes.split_first()? {
        (b'v', _) => Some(Stored::Value(Bytes::from(bytes).slice(1..))),
        (b'c', number) => {
            let number = std::str::from_utf8(number).ok()?.parse().ok()?;
            Some(Stored::Ticket(Ticket(number)))
        }
        _ => None,
    }
}

/// A text as a pattern that matches nothing else.
fn escaped(text: &str) -> String {
    let mut pattern = String::with_capacity(text.len());
    for letter in text.chars() {
        if "*?[]\\^".contains(letter) {
            pattern.push('\\');
        }
        pattern.push(letter);
    }
    pattern
}

impl fmt::Debug for Cache {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cache")
            .field("name", &self.name)
            .field("connection", &self.connection)
            .finish_non_exhaustive()
    }
}

/// How many keys one step of clearing looks at.
const PAGE: usize = 500;
