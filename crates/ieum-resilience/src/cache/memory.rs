//! The cache in memory.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use quick_cache::Weighter;
use quick_cache::sync::{Cache as Kept, EntryAction, EntryResult};
use tokio::time::Instant;

use super::{Cache, Config, Error, ErrorKind, Lookup, Result, Ticket, check_key};

/// A cache in this process, bounded in entries and in bytes. Clones are the same cache.
///
/// What was used rarely goes first (S3-FIFO, by `quick_cache`). Its bounds are those of the whole,
/// divided over shards: one value may be about a hundredth of the whole, and is refused above that.
#[derive(Clone)]
pub struct Memory(Arc<Shared>);

struct Shared {
    kept: Kept<String, Slot, Weight>,
    tickets: AtomicU64,
    largest: u64,
}

/// What is kept under a key.
#[derive(Clone)]
enum Slot {
    Value { value: Bytes, until: Instant },
    Claimed { ticket: Ticket, until: Instant },
}

/// Bytes, and at least an entry's share of them: so the bound in bytes bounds the entries too.
#[derive(Clone)]
struct Weight {
    least: u64,
}

impl Weighter<String, Slot> for Weight {
    fn weight(&self, key: &String, slot: &Slot) -> u64 {
        let value = match slot {
            Slot::Value { value, .. } => value.len(),
            Slot::Claimed { .. } => 0,
        };
        self.least.max((key.len() + value + OVERHEAD) as u64)
    }
}

impl Memory {
    /// An empty cache with these bounds.
    pub fn new(config: &Config) -> Self {
        let (entries, size) = (config.entries.max(1), config.size.0.max(1));
        let least = size.div_ceil(entries as u64);
        Self(Arc::new(Shared {
            kept: Kept::with_weighter(entries, size, Weight { least }),
            tickets: AtomicU64::new(0),
            largest: size / LARGEST_SHARE,
        }))
    }

    /// How many entries there are, with those that nobody has missed since their end.
    pub fn len(&self) -> usize {
        self.0.kept.len()
    }

    /// True if there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How many bytes they weigh together; never above the bound.
    pub fn weight(&self) -> u64 {
        self.0.kept.weight()
    }

    fn find(&self, key: &str) -> Option<Bytes> {
        match self.0.kept.get(key)? {
            Slot::Value { value, until } if until > Instant::now() => Some(value),
            _ => None,
        }
    }

    fn check(&self, key: &str, value: &Bytes) -> Result<()> {
        check_key(key)?;
        if value.len() as u64 <= self.0.largest {
            return Ok(());
        }
        let why = format!("a value of {} bytes is too large to keep", value.len());
        Err(Error::new(ErrorKind::Invalid, why))
    }
}

#[async_trait]
impl Cache for Memory {
    async fn get(&self, key: &str) -> Result<Option<Bytes>> {
        check_key(key)?;
        Ok(self.find(key))
    }

    async fn set(&self, key: &str, value: Bytes, ttl: Duration) -> Result<()> {
        self.check(key, &value)?;
        let slot = Slot::Value {
            value,
            until: Instant::now() + ttl,
        };
        self.0.kept.insert(key.into(), slot);
        Ok(())
    }

    async fn delete(&self, key: &str) -> Result<()> {
        check_key(key)?;
        self.0.kept.remove(key);
        Ok(())
    }

    async fn clear(&self) -> Result<()> {
        self.0.kept.clear();
        Ok(())
    }

    async fn look_up(&self, key: &str) -> Result<Lookup> {
        check_key(key)?;
        if let Some(value) = self.find(key) {
            return Ok(Lookup::Found(value));
        }
        let now = Instant::now();
        let ticket = Ticket(self.0.tickets.fetch_add(1, Ordering::Relaxed));
        let claimed = || Slot::Claimed {
            ticket,
            until: now + Ticket::LIFE,
        };
        let known = self.0.kept.entry(key, None, |_, slot| {
            EntryAction::Retain(match slot {
                Slot::Value { value, until } if *until > now => Lookup::Found(value.clone()),
                Slot::Claimed { ticket, until } if *until > now => Lookup::Missing(*ticket),
                Slot::Value { .. } | Slot::Claimed { .. } => {
                    *slot = claimed();
                    Lookup::Missing(ticket)
                }
            })
        });
        Ok(match known {
            EntryResult::Retained(found) => found,
            EntryResult::Vacant(place) => {
                // Nobody else can have taken a place that this guard holds.
                let _ = place.insert(claimed());
                Lookup::Missing(ticket)
            }
            EntryResult::Removed(..) | EntryResult::Replaced(..) | EntryResult::Timeout => {
                Lookup::Missing(ticket)
            }
        })
    }

    async fn fill(&self, key: &str, ticket: Ticket, value: Bytes, ttl: Duration) -> Result<bool> {
        self.check(key, &value)?;
        let now = Instant::now();
        let filled = self.0.kept.entry(key, None, |_, slot| {
            let mine =
                matches!(slot, Slot::Claimed { ticket: t, until } if *t == ticket && *until > now);
            if mine {
                let until = now + ttl;
                *slot = Slot::Value { value, until };
            }
            EntryAction::Retain(mine)
        });
        // A claim that is gone was forgotten, by somebody or for want of room.
        Ok(matches!(filled, EntryResult::Retained(true)))
    }
}

impl fmt::Debug for Memory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Memory")
            .field("entries", &self.len())
            .field("weight", &self.weight())
            .finish_non_exhaustive()
    }
}

/// What an entry costs beside its key and value.
const OVERHEAD: usize = 96;
/// The largest value is this part of the whole.
const LARGEST_SHARE: u64 = 128;
