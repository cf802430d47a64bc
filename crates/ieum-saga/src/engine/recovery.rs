//! Finding the open sagas without reading the whole log, and going on with them.
//!
//! The [`Fold`] is written down now and then, as an event with the position up to which it goes, and a
//! checkpoint points at that event: an engine that begins reads on from there, so that a start takes
//! the same time after a million sagas. Without it, or if it cannot be used, everything is read. The
//! owner of the triggers writes it, for all partitions.

use std::sync::{Arc, MutexGuard, PoisonError};

use ieum_base::{TaskKind, Uuid};
use ieum_eventstore::ownership::Tenure;
use ieum_eventstore::{Checkpoint, Expect, Metadata, NewEvent, Page, Position, StreamName, Write};

use super::config::STORE_BACKOFF;
use super::fold::{Fold, News, Snapshot};
use super::partition::Partition;
use super::right::Right;
use super::shared::Shared;
use super::{Error, ErrorKind, Result};

impl Shared {
    pub(super) fn fold(&self) -> MutexGuard<'_, Fold> {
        self.fold.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Brings the fold up to the head, from what was last written down.
    pub(super) async fn read_fold(&self) -> Result<()> {
        let last = match self.read_snapshot().await {
            Ok(last) => last,
            Err(error) => {
                tracing::warn!(%error, "which sagas are open is read from the beginning of the log");
                None
            }
        };
        *self.fold() = last.unwrap_or_default();
        self.read_on().await
    }

    async fn read_snapshot(&self) -> Result<Option<Fold>> {
        let name = self.fold_name().await?;
        let Some(stored) = self.checkpoints.load(&name).await? else {
            return Ok(None);
        };
        let before = Position(stored.position.0.saturating_sub(1));
        let filter = ieum_eventstore::Filter::category(SNAPSHOTS);
        let page = self.store.read_all(before, &filter, 1).await?;
        let unreadable = |why: &str| Error::new(ErrorKind::Unreadable, why);
        let event = page.events.first();
        let event = event.filter(|event| event.position == stored.position);
        let event = event.ok_or_else(|| unreadable("the checkpoint points at no snapshot"))?;
        let snapshot: Snapshot = event
            .decode()
            .map_err(|error| unreadable("the snapshot").caused_by(error))?;
        Ok(Some(Fold::from_snapshot(snapshot)))
    }

    /// Reads on to the head. For an engine that is alone: one that shares its log follows it.
    async fn read_on(&self) -> Result<()> {
        let filter = Fold::filter();
        loop {
            let after = self.fold().up_to;
            let page = self.store.read_all(after, &filter, PAGE).await?;
            self.learn(&page);
            if page.scanned_to >= page.head.position {
                return Ok(());
            }
        }
    }

    /// Applies a page to the fold, and answers what is new for those who follow.
    pub(super) fn learn(&self, page: &Page) -> Vec<News> {
        let kept = self.config.finished_kept;
        let mut fold = self.fold();
        let events = page.events.iter();
        let news = events.map(|event| fold.apply(event, kept)).collect();
        fold.up_to = page.scanned_to;
        news
    }

    /// Goes on with the sagas of a partition that was won. What earlier owners wrote stands before
    /// the lease was taken: when the fold has come that far, nothing is missing in it.
    pub(super) async fn open_partition(self: &Arc<Self>, number: usize, tenure: Tenure) {
        let stop = tenure.stop().clone();
        let Some(()) = stop.unless_requested(self.reach_head()).await else {
            tenure.finished();
            return;
        };
        let part = Partition::new(self, number, Right::new(tenure, self.layout));
        let recovered = self.begin_partition(&part);
        tracing::info!(
            partition = number,
            epoch = part.right.epoch,
            recovered,
            "a partition of the sagas goes on here"
        );
        self.tasks
            .spawn(TaskKind::Background, "saga-partition", part.tend());
    }

    /// Waits until the fold holds everything that is in the log by now.
    async fn reach_head(&self) {
        for attempt in 1_u32.. {
            let error = match self.store.head().await {
                Ok(head) => {
                    let mut followed = self.followed.subscribe();
                    // It cannot fail: this engine holds the sender.
                    let _reached = followed.wait_for(|at| *at >= head.position).await;
                    return;
                }
                Err(error) => error,
            };
            tracing::warn!(%error, "a partition cannot be opened; again");
            let wait = STORE_BACKOFF.delay(attempt, &self.rng);
            self.clock.sleep(wait).await;
        }
    }

    /// Makes a partition known, and its open sagas run. Answers how many there were.
    pub(super) fn begin_partition(self: &Arc<Self>, part: &Arc<Partition>) -> usize {
        let own = |id: Uuid| self.layout.partition_of(id) == part.number;
        let (open, asked) = {
            // In one step, so that a saga that begins meanwhile is run by whoever follows the log.
            let fold = self.fold();
            self.register(part);
            let mut asked = fold.asked.clone();
            asked.retain(|asked| own(asked.saga));
            if self.is_alone() {
                let finished = fold.finished.iter().filter(|summary| own(summary.id));
                finished.for_each(|summary| part.index.note_finished(summary.clone()));
            }
            (fold.open_where(own), asked)
        };
        let recovered = open.len();
        for summary in open {
            part.adopt(summary, None);
        }
        for asked in asked {
            part.obey(asked);
        }
        self.counters
            .recovered
            .add(u64::try_from(recovered).unwrap_or(u64::MAX));
        recovered
    }

    /// Writes the fold down whenever enough sagas have ended, until the right ends.
    pub(super) async fn keep_fold(self: Arc<Self>, right: Right) {
        let stop = right.tenure.stop().clone();
        let mut seen = 0;
        loop {
            let slept = stop.unless_requested(self.clock.sleep(self.config.sweep.0));
            if slept.await.is_none() {
                return;
            }
            let counts = self.counters.read();
            // Who shares the log follows it: the fold has counted them.
            let here = match self.is_alone() {
                true => counts.completed + counts.compensated,
                false => 0,
            };
            if here.saturating_sub(seen) + self.fold().ended < self.config.snapshot_every {
                continue;
            }
            match stop.unless_requested(self.write_fold(&right)).await {
                Some(Ok(())) => seen = here,
                Some(Err(error)) => {
                    tracing::warn!(%error, "which sagas are open could not be written down; later");
                }
                None => return,
            }
        }
    }

    /// Writes the fold down, unless so many sagas are open that it would be too large: then the last
    /// one stays, and a start reads more.
    async fn write_fold(&self, right: &Right) -> Result<()> {
        if self.is_alone() {
            self.read_on().await?;
        }
        let name = self.fold_name().await?;
        let stored = self.checkpoints.load(&name).await?;
        let (snapshot, ended) = {
            let fold = self.fold();
            if fold.open.len() + fold.asked.len() > OPEN {
                return Ok(());
            }
            (fold.snapshot(), fold.ended)
        };
        let write = snapshot_event(right, &snapshot)?;
        let stop = right.tenure.stop();
        let appended = self.append_as(Some(right), stop, vec![write]).await;
        let appended = appended.map_err(|refused| refused.into_error("the open sagas"))?;
        let to = Checkpoint {
            incarnation: self.store.head().await?.incarnation,
            position: appended.position,
        };
        let moved = self
            .checkpoints
            .store_fenced(&name, stored, to, right.fence());
        moved.await?;
        let mut fold = self.fold();
        fold.ended = fold.ended.saturating_sub(ended);
        Ok(())
    }

    /// A restored log begins its own: what another incarnation pointed at may not be there.
    async fn fold_name(&self) -> Result<String> {
        let head = self.store.head().await?;
        Ok(format!("saga-open-{}", head.incarnation))
    }
}

fn snapshot_event(right: &Right, snapshot: &Snapshot) -> Result<Write> {
    let unwritable =
        |error: serde_json::Error| Error::new(ErrorKind::Unreadable, error.to_string());
    let named = StreamName::new(SNAPSHOTS, "open");
    let stream = named.map_err(|e| Error::new(ErrorKind::Unreadable, e.to_string()))?;
    let id = format!("{}/{}", right.epoch, snapshot.up_to);
    let id = Uuid::new_v5(&Uuid::NAMESPACE_OID, id.as_bytes());
    let event = NewEvent::new(id, SNAPSHOT, snapshot).map_err(unwritable)?;
    Ok(Write {
        stream,
        expect: Expect::Any,
        events: vec![event.with_metadata(Metadata::default())],
    })
}

/// The category of what is written down.
const SNAPSHOTS: &str = "saga_snapshot";
/// The type of such an event.
const SNAPSHOT: &str = "saga.open-sagas";
/// How many events are read at once.
const PAGE: usize = 1_000;
/// The most open sagas that are written down, so that the event keeps to its limit of 1 MiB.
const OPEN: usize = 500;
