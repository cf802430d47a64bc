//! The right to write: a tenure, and the epoch that participants are told.

use ieum_eventstore::Fence;
use ieum_eventstore::ownership::Tenure;

use super::layout::Layout;

/// The right to write as the owner of a partition, or of the triggers.
#[derive(Clone, Debug)]
pub(super) struct Right {
    pub(super) tenure: Tenure,
    /// The epoch as participants and the ids of events have it: above every earlier one of this
    /// log, also of those from before partitions.
    pub(super) epoch: u64,
}

impl Right {
    pub(super) fn new(tenure: Tenure, layout: Layout) -> Self {
        Self {
            epoch: layout.epoch(tenure.fence().epoch),
            tenure,
        }
    }

    pub(super) fn fence(&self) -> &Fence {
        self.tenure.fence()
    }
}
