//! Finding the open sagas when the engine begins, without reading the whole log.
//!
//! Which sagas are open is a fold of their beginnings and ends. The fold is written down now and then,
//! as an event with the position up to which it goes, and a checkpoint points at that event: an engine
//! that begins reads on from there, so that a start takes the same time after a million sagas. What
//! is written is folded from the log alone and never from memory: a saga that is just being started
//! cannot be missing in it. Without it, or if it cannot be used, everything is read.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use ieum_base::Uuid;
use ieum_eventstore::{
    Checkpoint, Event, Expect, Filter, Metadata, NewEvent, Position, StreamName,
};
use serde::{Deserialize, Serialize};

use super::index::Summary;
use super::shared::Shared;
use super::{Error, ErrorKind, Result};
use crate::events::{CATEGORY, ENDED, Fact, Recorded, STARTED};
use crate::state::Status;

/// Which sagas are open at one position of the log, and which ended last.
#[derive(Debug, Default)]
pub(super) struct Fold {
    up_to: Position,
    open: HashMap<Uuid, Summary>,
    finished: VecDeque<Summary>,
    /// How many sagas ended since it was last written down.
    ended: u64,
    /// The checkpoint that points at what was last written down.
    stored: Option<Checkpoint>,
}

/// The fold as it is written down.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Snapshot {
    up_to: Position,
    open: Vec<Summary>,
    finished: Vec<Summary>,
}

impl Fold {
    fn apply(&mut self, event: &Event, finished_kept: usize) {
        let Ok(id) = event.stream.id().parse::<Uuid>() else {
            tracing::warn!(stream = %event.stream, "not the stream of a saga");
            return;
        };
        match Recorded::from_event(event) {
            Ok(Recorded {
                at,
                fact: Fact::Started(started),
            }) => {
                self.open.insert(id, Summary::begun(id, &started, at));
            }
            Ok(Recorded { at, fact }) => {
                let Some(mut summary) = self.open.remove(&id) else {
                    return;
                };
                summary.updated_at = at;
                summary.status = match fact {
                    Fact::Completed => Status::Completed,
                    _ => Status::Compensated,
                };
                self.ended += 1;
                self.finished.push_back(summary);
                while self.finished.len() > finished_kept {
                    self.finished.pop_front();
                }
            }
            Err(error) => tracing::error!(%error, "a saga cannot be read; it is left alone"),
        }
    }

    fn snapshot(&self) -> Snapshot {
        let skipped = self.finished.len().saturating_sub(FINISHED);
        Snapshot {
            up_to: self.up_to,
            open: self.open.values().cloned().collect(),
            finished: self.finished.iter().skip(skipped).cloned().collect(),
        }
    }
}

impl Shared {
    /// Runs the sagas without an end, and answers how many there were, with the fold that found
    /// them. A beginning that cannot be read stops nobody else: it is logged with its place.
    pub(super) async fn recover(self: &Arc<Self>) -> Result<(usize, Fold)> {
        let mut fold = self.last_fold().await;
        self.read_on(&mut fold).await?;
        let mut open: Vec<Summary> = fold.open.values().cloned().collect();
        // The oldest first: they are nearest to their deadlines.
        open.sort_by_key(|summary| (summary.started_at, summary.id));
        let recovered = open.len();
        for summary in fold.finished.iter().cloned() {
            self.index.note_finished(summary);
        }
        for summary in open {
            self.adopt(summary, None);
        }
        self.counters
            .recovered
            .add(u64::try_from(recovered).unwrap_or(u64::MAX));
        Ok((recovered, fold))
    }

    /// Writes the fold down whenever enough sagas have ended, until the stop.
    pub(super) async fn keep_fold(self: Arc<Self>, mut fold: Fold) {
        let stop = self.tasks.stop().clone();
        let mut seen = 0;
        loop {
            let slept = stop.unless_requested(self.clock.sleep(self.config.sweep.0));
            if slept.await.is_none() {
                return;
            }
            let counts = self.counters.read();
            let ended = counts.completed + counts.compensated;
            if ended.saturating_sub(seen) + fold.ended < self.config.snapshot_every {
                continue;
            }
            match stop.unless_requested(self.write_fold(&mut fold)).await {
                Some(Ok(())) => seen = ended,
                Some(Err(error)) => {
                    tracing::warn!(%error, "which sagas are open could not be written down; later");
                }
                None => return,
            }
        }
    }

    /// The fold that was last written down, or an empty one.
    async fn last_fold(&self) -> Fold {
        match self.read_snapshot().await {
            Ok(Some(fold)) => fold,
            Ok(None) => Fold::default(),
            Err(error) => {
                tracing::warn!(%error, "which sagas are open is read from the beginning of the log");
                Fold::default()
            }
        }
    }

    async fn read_snapshot(&self) -> Result<Option<Fold>> {
        let name = self.fold_name().await?;
        let Some(stored) = self.checkpoints.load(&name).await? else {
            return Ok(None);
        };
        let before = Position(stored.position.0.saturating_sub(1));
        let filter = Filter::category(SNAPSHOTS);
        let page = self.store.read_all(before, &filter, 1).await?;
        let unreadable = |why: &str| Error::new(ErrorKind::Unreadable, why);
        let event = page.events.first();
        let event = event.filter(|event| event.position == stored.position);
        let event = event.ok_or_else(|| unreadable("the checkpoint points at no snapshot"))?;
        let snapshot: Snapshot = event
            .decode()
            .map_err(|error| unreadable("the snapshot").caused_by(error))?;
        Ok(Some(Fold {
            up_to: snapshot.up_to,
            open: snapshot.open.into_iter().map(|s| (s.id, s)).collect(),
            finished: snapshot.finished.into(),
            ended: 0,
            stored: Some(stored),
        }))
    }

    /// Reads on to the head.
    async fn read_on(&self, fold: &mut Fold) -> Result<()> {
        let types = std::iter::once(STARTED).chain(ENDED);
        let filter = Filter {
            categories: vec![CATEGORY.to_owned()],
            types: types.map(str::to_owned).collect(),
        };
        loop {
            let page = self.store.read_all(fold.up_to, &filter, PAGE).await?;
            for event in &page.events {
                fold.apply(event, self.config.finished_kept);
            }
            fold.up_to = page.scanned_to;
            if fold.up_to >= page.head.position {
                return Ok(());
            }
        }
    }

    /// Reads on, and writes the fold down, unless so many sagas are open that it would be too large:
    /// then the last one stays, and a start reads more.
    async fn write_fold(&self, fold: &mut Fold) -> Result<()> {
        self.read_on(fold).await?;
        if fold.open.len() > OPEN {
            return Ok(());
        }
        let unwritable =
            |error: serde_json::Error| Error::new(ErrorKind::Unreadable, error.to_string());
        let named = StreamName::new(SNAPSHOTS, "open");
        let stream = named.map_err(|e| Error::new(ErrorKind::Unreadable, e.to_string()))?;
        let id = format!("{}/{}", self.fence.epoch, fold.up_to);
        let id = Uuid::new_v5(&Uuid::NAMESPACE_OID, id.as_bytes());
        let event = NewEvent::new(id, SNAPSHOT, &fold.snapshot()).map_err(unwritable)?;
        let event = event.with_metadata(Metadata::default());
        let appended = self.append(stream, Expect::Any, vec![event]).await;
        let appended = appended.map_err(|refused| refused.into_error("the open sagas"))?;
        let to = Checkpoint {
            incarnation: self.store.head().await?.incarnation,
            position: appended.position,
        };
        let name = self.fold_name().await?;
        let moved = self
            .checkpoints
            .store_fenced(&name, fold.stored, to, &self.fence);
        moved.await?;
        fold.stored = Some(to);
        fold.ended = 0;
        Ok(())
    }

    /// A restored log begins its own: what another incarnation pointed at may not be there.
    async fn fold_name(&self) -> Result<String> {
        let head = self.store.head().await?;
        Ok(format!("saga-open-{}", head.incarnation))
    }
}

/// The category of what is written down.
const SNAPSHOTS: &str = "saga_snapshot";
/// The type of such an event.
const SNAPSHOT: &str = "saga.open-sagas";
/// How many events are read at once.
const PAGE: usize = 1_000;
/// The most open sagas that are written down, so that the event keeps to its limit of 1 MiB.
const OPEN: usize = 500;
/// How many finished sagas are written down with them.
const FINISHED: usize = 200;
