//! Leases: who owns what, agreed on through the log, without a clock in it.
//!
//! A lease holds an epoch and a renewal counter, and no time. Its owner renews it; a candidate
//! remembers what it saw and takes the lease over when the counter stood still for one lease length
//! on the candidate's *own* monotonic clock, so that no clock is ever compared with another (H16).
//! The epoch of a lease is the epoch of the [`Fence`] of the same name: taking a lease raises it,
//! and from that transaction on every append and every checkpoint under the earlier epoch is refused
//! (H13). What an owner believes is a hint; the fence decides.
//!
//! The idea is that of the fencing token (Kleppmann, "How to do distributed locking", 2016) with the
//! counter of Kinesis' client library in place of an expiry time.

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use crate::{Error, ErrorKind, Fence, Result};

/// Ownership by leases. A lease that was never taken exists as one with epoch 0.
///
/// Every method takes several leases, so that an owner of many pays one round trip and one sync for
/// all of them; each lease is decided by itself. All methods may be dropped at any await and called
/// again: what happened is seen by [`observe`](Self::observe).
#[async_trait]
pub trait Leases: Send + Sync + 'static {
    /// The leases whose names begin with `prefix`, by name; from one snapshot, at most
    /// [`Lease::MOST`]. Those that were never taken are absent.
    async fn observe(&self, prefix: &str) -> Result<Vec<Lease>>;

    /// Takes each lease that still is as it was seen, epoch and counter alike: raises its epoch and
    /// names `holder`. Answers the fences of those that were taken; whoever lost a race finds its
    /// lease missing in the answer. Durable at return. Not idempotent: after an answer that was lost
    /// the lease is held by `holder` under an epoch that `observe` tells.
    async fn take(&self, holder: &str, seen: &[Lease]) -> Result<Vec<Fence>>;

    /// Counts each lease whose epoch still holds one up, and answers those fences; an epoch that is
    /// over is missing in the answer, for its owner to stop. Durable at return: a counter that went
    /// back could be mistaken for one that stands still. Repeating it is harmless.
    async fn renew(&self, held: &[Fence]) -> Result<Vec<Fence>>;

    /// Gives each lease back whose epoch still holds: anybody may take it at once. Its epoch is
    /// raised, so that whatever the former owner left running is shut out from here on. Durable at
    /// return. Idempotent: an epoch that is over is passed over.
    async fn release(&self, held: &[Fence]) -> Result<()>;
}

/// A lease as it stands in the log.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Lease {
    /// What is owned: also the name of the fence.
    pub name: String,
    /// The epoch that holds; 0 if it was never taken. It never goes down.
    pub epoch: u64,
    /// How often it was renewed, over all epochs.
    pub renewals: u64,
    /// Who took it; `None` if it was released, or only ever raised as a fence.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub holder: Option<String>,
}

impl Lease {
    /// The most leases in one call, and in one answer.
    pub const MOST: usize = 4_096;
    /// The most bytes of a name, and of a holder's.
    pub const MAX_NAME_BYTES: usize = 255;

    /// A lease that was never taken.
    pub fn untaken(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            ..Self::default()
        }
    }

    /// The right to write as its present owner.
    pub fn fence(&self) -> Fence {
        Fence {
            name: self.name.clone(),
            epoch: self.epoch,
        }
    }
}

/// Checks the documented limits of one call, as every engine does before it asks its storage.
pub fn check_names<'a>(holder: &'a str, names: impl Iterator<Item = &'a str>) -> Result<()> {
    let invalid = |why: String| Err(Error::new(ErrorKind::Invalid, why));
    let most = Lease::MAX_NAME_BYTES;
    let mut count = 0_usize;
    for name in names.chain(std::iter::once(holder)) {
        count += 1;
        if name.is_empty() || name.len() > most {
            return invalid(format!(
                "a lease and its holder have names of 1 to {most} bytes"
            ));
        }
    }
    if count > Lease::MOST + 1 {
        return invalid(format!("one call has at most {} leases", Lease::MOST));
    }
    Ok(())
}
