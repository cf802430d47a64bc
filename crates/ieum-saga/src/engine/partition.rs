//! One partition while this engine owns it: its sagas, their tasks, and their end.
//!
//! Everything that is written for a saga carries the fence of its partition, so that losing a lease
//! shuts out that partition and no other. When it is lost its tasks are dropped where they stand: the
//! log would refuse what they write. When it is given back, calls in flight may end first.

use std::sync::Arc;

use ieum_base::{TaskKind, Tasks, Uuid};
use ieum_eventstore::{Appended, Metadata, NewEvent, Write};
use tokio::sync::mpsc;

use super::commands::InHand;
use super::handle::MAILBOX;
use super::index::{Index, Summary};
use super::right::Right;
use super::shared::Shared;
use super::writer::Refused;
use crate::definition::Plan;
use crate::events::Recorded;
use crate::state::State;

pub(super) struct Partition {
    pub(super) shared: Arc<Shared>,
    pub(super) number: usize,
    pub(super) right: Right,
    pub(super) index: Index,
    /// The tasks of its sagas; they stop when the lease is given back.
    pub(super) tasks: Tasks,
    /// The commands that are being carried out.
    pub(super) in_hand: InHand,
}

impl Partition {
    pub(super) fn new(shared: &Arc<Shared>, number: usize, right: Right) -> Arc<Self> {
        Arc::new(Self {
            number,
            index: Index::new(shared.config.finished_kept),
            tasks: Tasks::new(right.tenure.stop().child()),
            right,
            in_hand: InHand::default(),
            shared: Arc::clone(shared),
        })
    }

    /// Makes an open saga run, unless it runs already.
    pub(super) fn adopt(self: &Arc<Self>, summary: Summary, known: Option<(Arc<Plan>, State)>) {
        let id = summary.id;
        let (mailbox, commands) = mpsc::channel(MAILBOX);
        if self.index.open(summary, mailbox) {
            self.run_saga(id, commands, known);
        }
    }

    /// Appends as the owner.
    pub(super) async fn append(&self, writes: Vec<Write>) -> Result<Appended, Refused> {
        let stop = self.tasks.stop();
        let right = Some(&self.right);
        self.shared.append_as(right, stop, writes).await
    }

    /// The events of one saga, from version `first` on. Their ids follow from saga, epoch and
    /// version: this owner's repetition is recognised, and another owner's event never is.
    pub(super) fn saga_events(
        &self,
        id: Uuid,
        first: u64,
        facts: &[Recorded],
        traceparent: &str,
    ) -> Result<Vec<NewEvent>, serde_json::Error> {
        let numbered = (first..).zip(facts);
        numbered
            .map(|(version, recorded)| {
                let name = format!("{}/{version}", self.right.epoch);
                let metadata = Metadata {
                    traceparent: Some(traceparent.to_owned()),
                    correlation: Some(id.to_string()),
                    ..Metadata::default()
                };
                recorded.to_event(Uuid::new_v5(&id, name.as_bytes()), metadata)
            })
            .collect()
    }

    /// Watches over its sagas until it is over, and says so.
    pub(super) async fn tend(self: Arc<Self>) {
        let engine = self.shared.tasks.stop().clone();
        loop {
            tokio::select! {
                () = engine.requested() => break,
                () = self.tasks.stop().requested() => break,
                () = self.shared.clock.sleep(self.shared.config.sweep.0) => self.revive(),
            }
        }
        let drain = self.shared.config.drain.0;
        tokio::select! {
            () = self.right.tenure.lost().requested() => {}
            abandoned = self.tasks.shut_down(drain) => {
                for task in &abandoned {
                    tracing::warn!(
                        task = task.name,
                        count = task.count,
                        partition = self.number,
                        "still running at the stop; the next owner goes on with them"
                    );
                }
            }
        }
        self.right.tenure.finished();
        self.shared.changed.notify_waiters();
    }

    /// Runs sagas again whose task has died.
    fn revive(self: &Arc<Self>) {
        for id in self.index.dead() {
            let (mailbox, commands) = mpsc::channel(MAILBOX);
            if self.index.reopen(id, mailbox) {
                tracing::error!(saga = %id, "the task of a saga has died; it is started again");
                self.shared.counters.revived.add(1);
                self.run_saga(id, commands, None);
            }
        }
    }

    /// Spawns a task that is dropped where it stands when the partition is lost.
    pub(super) fn spawn(
        &self,
        name: &'static str,
        work: impl Future<Output = ()> + Send + 'static,
    ) {
        let lost = self.right.tenure.lost().clone();
        self.tasks.spawn(TaskKind::Request, name, async move {
            lost.unless_requested(work).await;
        });
    }
}
