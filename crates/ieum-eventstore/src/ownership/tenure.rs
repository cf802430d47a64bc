//! The time during which a platform owns something.

use std::sync::Arc;

use ieum_base::Stop;
use tokio::sync::{Notify, watch};
use tokio::time::Instant;

use crate::Fence;

/// Ownership of one item, from the moment it was taken until [`stopped`](Self::stop). Clones are the
/// same tenure.
#[derive(Clone, Debug)]
pub struct Tenure(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    item: String,
    fence: Fence,
    lost: Stop,
    stop: Stop,
    finished: Stop,
    /// Until when it holds by the owner's own clock; `None` for one that nobody watches over.
    until: Option<watch::Sender<Instant>>,
    /// Wakes the service.
    hint: Arc<Notify>,
}

impl Tenure {
    /// A tenure that nobody watches over: for an owner that is alone on its log and took the lease
    /// itself.
    pub fn alone(item: impl Into<String>, fence: Fence) -> Self {
        Self::new(item.into(), fence, None, Arc::default())
    }

    pub(super) fn new(
        item: String,
        fence: Fence,
        until: Option<Instant>,
        hint: Arc<Notify>,
    ) -> Self {
        let lost = Stop::new();
        Self(Arc::new(Inner {
            item,
            fence,
            stop: lost.child(),
            lost,
            finished: Stop::new(),
            until: until.map(watch::Sender::new),
            hint,
        }))
    }

    /// What is owned.
    pub fn item(&self) -> &str {
        &self.0.item
    }

    /// The fence under which everything is written.
    pub fn fence(&self) -> &Fence {
        &self.0.fence
    }

    /// Asks for the work to end: it is given back, or was lost. Whoever has finished says so with
    /// [`finished`](Self::finished), so that it can be given to the next owner.
    pub fn stop(&self) -> &Stop {
        &self.0.stop
    }

    /// It is over: nothing can be written any more, and a successor may be at work. What still runs
    /// is to be dropped at once.
    pub fn lost(&self) -> &Stop {
        &self.0.lost
    }

    /// Waits until the lease holds by the owner's own clock: not at all, unless this process was frozen
    /// past its end and does not know yet whether it was lost. To be asked before what no fence can
    /// refuse, such as a call to another service. If it was lost this never resolves, but
    /// [`lost`](Self::lost) does. Cancel safe.
    pub async fn held(&self) {
        let Some(until) = &self.0.until else { return };
        let mut until = until.subscribe();
        // It cannot fail: this value has the sender.
        drop(until.wait_for(|until| *until > Instant::now()).await);
    }

    /// It was renewed.
    pub(super) fn hold_until(&self, until: Instant) {
        if let Some(now) = &self.0.until {
            now.send_replace(until);
        }
    }

    /// Says that the work has ended. Idempotent.
    pub fn finished(&self) {
        self.0.finished.request();
        self.0.hint.notify_one();
    }

    /// Says that the log refused the fence: a later owner has it. Ends the tenure. Idempotent.
    pub fn refused(&self) {
        self.0.lost.request();
        self.0.hint.notify_one();
    }

    pub(super) fn has_finished(&self) -> bool {
        self.0.finished.is_requested()
    }

    pub(super) fn is_lost(&self) -> bool {
        self.0.lost.is_requested()
    }
}
