//! Into how many partitions the sagas of a log are divided, and where their epochs begin.
//!
//! Both are written into the log once, by whoever comes first, and hold for its life: a saga is
//! never in two partitions, whatever later platforms are configured with. Engines from before
//! partitions wrote under one fence; its last epoch is the base of all later ones, so that what
//! participants see as `Ieum-Epoch` never goes down for a saga. Raising that fence also shuts such an
//! engine out.

use std::sync::Arc;

use ieum_base::{Clock, Rng, Uuid};
use ieum_eventstore::{
    Append, ErrorKind as LogErrorKind, EventStore, Expect, Lease, Leases, Metadata, NewEvent,
    StreamName, Version,
};
use serde::{Deserialize, Serialize};

use super::config::STORE_BACKOFF;
use super::{Error, ErrorKind, Result};

/// What was written down.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Layout {
    /// How many partitions there are.
    pub(super) partitions: u32,
    /// What is added to the epoch of a partition's lease.
    pub(super) base: u64,
}

impl Layout {
    /// The partition of a saga: the last 62 bits of its id, which are a hash of its key, by the
    /// number of partitions.
    pub(super) fn partition_of(self, id: Uuid) -> usize {
        let (_, low) = id.as_u64_pair();
        let hash = low & (u64::MAX >> 2);
        usize::try_from(hash % u64::from(self.partitions.max(1))).unwrap_or(0)
    }

    /// The epoch as participants see it.
    pub(super) const fn epoch(self, lease: u64) -> u64 {
        self.base.saturating_add(lease)
    }

    /// What the log says, or what is configured if it says nothing yet.
    pub(super) async fn open(
        store: &Arc<dyn EventStore>,
        leases: &Arc<dyn Leases>,
        configured: u32,
        (clock, rng): (&Clock, &Rng),
    ) -> Result<Self> {
        let name = StreamName::new(CATEGORY, "partitions");
        let stream = name.map_err(|error| Error::new(ErrorKind::Unreadable, error.to_string()))?;
        for attempt in 1..=RACES {
            if let Some(found) = read(store, &stream).await? {
                if found.partitions != configured {
                    tracing::warn!(
                        partitions = found.partitions,
                        configured,
                        "the sagas of this log are divided once and for all; the setting is ignored"
                    );
                }
                return Ok(found);
            }
            if let Some(written) = write(store, leases, &stream, configured, clock).await? {
                return Ok(written);
            }
            clock.sleep(STORE_BACKOFF.delay(attempt, rng)).await;
        }
        let context = "dividing the sagas into partitions: too many platforms begin at once";
        Err(Error::new(ErrorKind::Log, context))
    }
}

async fn read(store: &Arc<dyn EventStore>, stream: &StreamName) -> Result<Option<Layout>> {
    let events = store.read_stream(stream, Version(0), 1).await?;
    let Some(event) = events.first() else {
        return Ok(None);
    };
    let unreadable = |error| Error::new(ErrorKind::Unreadable, "the partitions").caused_by(error);
    let layout: Layout = event.decode().map_err(unreadable)?;
    if layout.partitions == 0 {
        return Err(Error::new(ErrorKind::Unreadable, "no partitions"));
    }
    Ok(Some(layout))
}

/// `None` if somebody else was faster.
async fn write(
    store: &Arc<dyn EventStore>,
    leases: &Arc<dyn Leases>,
    stream: &StreamName,
    partitions: u32,
    clock: &Clock,
) -> Result<Option<Layout>> {
    let seen = leases.observe(BEFORE_PARTITIONS).await?;
    let seen = seen
        .into_iter()
        .find(|lease| lease.name == BEFORE_PARTITIONS);
    let seen = seen.unwrap_or_else(|| Lease::untaken(BEFORE_PARTITIONS));
    let base = seen.epoch;
    let Some(fence) = leases.take("partitions", &[seen]).await?.pop() else {
        return Ok(None);
    };
    let layout = Layout { partitions, base };
    let unwritable = |error| Error::new(ErrorKind::Unreadable, "not JSON").caused_by(error);
    let event = NewEvent::new(clock.new_id(), PARTITIONED, &layout).map_err(unwritable)?;
    let event = event.with_metadata(Metadata::default());
    let append = Append::to(stream.clone(), Expect::NoStream, vec![event]);
    match store.append(append.fenced(fence)).await {
        Ok(_) => Ok(Some(layout)),
        Err(error) => match error.kind() {
            LogErrorKind::Fenced { .. } | LogErrorKind::Conflict { .. } => Ok(None),
            // Whether it was written is seen by reading.
            _ if error.retry().is_worthwhile() => Ok(None),
            _ => Err(error.into()),
        },
    }
}

/// The category of the stream with the partitions.
const CATEGORY: &str = "saga_layout";
/// The type of its event.
const PARTITIONED: &str = "saga.partitioned";
/// The fence of engines from before partitions.
const BEFORE_PARTITIONS: &str = "saga-engine";
/// How often a lost race is looked at again.
const RACES: u32 = 20;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::events::saga_id;

    #[test]
    fn a_saga_is_in_the_same_partition_for_ever() {
        let layout = Layout {
            partitions: 16,
            base: 0,
        };
        let id = Uuid::from_u128(0x4a1b_6f0e_33aa_5b0d_a1c2_0f0e_0d0c_0b0a);
        assert_eq!(layout.partition_of(id), 10);
        let mut counts = [0_usize; 16];
        for number in 0..1_600 {
            counts[layout.partition_of(saga_id("order", &number.to_string()))] += 1;
        }
        assert!(
            counts.iter().all(|count| (60..140).contains(count)),
            "{counts:?}"
        );
    }
}
