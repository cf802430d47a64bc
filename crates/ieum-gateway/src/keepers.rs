//! Keepers: what routes need done in the background.
//!
//! A route may answer from something that changes while it is in use: the schemas of subgraphs, the
//! descriptors of a service. Who keeps it begins when the route is first in the table, at the start or
//! after a reload, and ends with it. All of them live on one thread of the gateway.

use std::sync::Arc;

use ieum_base::TaskKind;
use tokio::sync::Notify;

use crate::worker::Worker;
use crate::{federation, transcoding};

/// Begins to keep what the present table needs, and what each later one needs, when `reloaded` says
/// that there is one.
pub(crate) fn start(worker: &Arc<Worker>, reloaded: Arc<Notify>) {
    let stop = worker.tasks.stop().clone();
    let kept = Arc::downgrade(worker);
    let tasks = &worker.tasks;
    tasks.spawn(TaskKind::Background, "keepers", async move {
        loop {
            let Some(worker) = kept.upgrade() else {
                return;
            };
            federation::begin_new(&worker);
            transcoding::begin_new(&worker);
            drop(worker);
            if stop.unless_requested(reloaded.notified()).await.is_none() {
                return;
            }
        }
    });
}
