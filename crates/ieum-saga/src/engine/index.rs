//! Which sagas are open, and what each of them is waiting for.
//!
//! Open sagas are all here; of the finished ones only the last are listed, the log has the rest.
//! The index is also what the liveness query asks: an open saga without a task, a timer or an
//! operator to wait for is stalled, and that must never happen in silence.

use std::collections::{HashMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use ieum_base::{Timestamp, Uuid};
use serde::{Deserialize, Serialize};
use tokio::sync::mpsc;
use tokio::time::Instant;

use super::handle::Command;
use crate::definition::Hash;
use crate::events::Started;
use crate::state::{State, Status};

/// A saga on one line.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Summary {
    /// Its id.
    pub id: Uuid,
    /// The name of its definition.
    pub definition: String,
    /// The version of its definition.
    pub hash: Hash,
    /// The key that started it.
    pub key: String,
    /// Where it stands.
    pub status: Status,
    /// The step that it is at.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub step: Option<String>,
    /// Why it goes or went backward: the failure's code.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<String>,
    /// Why it is parked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parked: Option<String>,
    /// When it began.
    pub started_at: Timestamp,
    /// When it last changed.
    pub updated_at: Timestamp,
}

/// An open saga that nothing will ever move.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Stalled {
    /// The saga.
    #[serde(flatten)]
    pub saga: Summary,
    /// Why nothing moves it.
    pub why: String,
}

/// What an open saga is waiting for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Activity {
    /// Its turn, or an answer.
    Runnable,
    /// The end of a backoff.
    Until(Instant),
    /// An operator.
    Operator,
    /// It cannot be run; it is tried again.
    Broken(String),
}

#[derive(Debug)]
struct Open {
    summary: Summary,
    activity: Activity,
    mailbox: mpsc::Sender<Command>,
}

/// The index. Its lock is held for a look-up or an update only.
#[derive(Debug)]
pub(super) struct Index {
    inner: Mutex<Inner>,
    finished_kept: usize,
}

#[derive(Debug, Default)]
struct Inner {
    open: HashMap<Uuid, Open>,
    finished: VecDeque<Summary>,
}

impl Summary {
    /// The summary of a saga that has just begun.
    pub(super) fn begun(id: Uuid, started: &Started, at: Timestamp) -> Self {
        Self {
            id,
            definition: started.definition.clone(),
            hash: started.hash,
            key: started.key.clone(),
            status: Status::Running,
            step: None,
            failure: None,
            parked: None,
            started_at: at,
            updated_at: at,
        }
    }

    pub(crate) fn of(state: &State) -> Self {
        let step = match state.status {
            Status::Completed | Status::Compensated => None,
            _ => state.current().map(|index| state.steps[index].name.clone()),
        };
        Self {
            status: state.status,
            step: state.parked.as_ref().map(|(step, _)| step.clone()).or(step),
            failure: state.failure.as_ref().map(|failure| failure.code.clone()),
            parked: state.parked.as_ref().map(|(_, why)| why.clone()),
            updated_at: state.updated_at,
            ..Self::begun(state.id, &state.started, state.started_at)
        }
    }
}

impl Index {
    pub(super) fn new(finished_kept: usize) -> Self {
        Self {
            inner: Mutex::default(),
            finished_kept,
        }
    }

    /// Adds an open saga. False if it is there already: somebody else runs it.
    pub(super) fn open(&self, summary: Summary, mailbox: mpsc::Sender<Command>) -> bool {
        let mut inner = self.lock();
        let id = summary.id;
        if inner.open.contains_key(&id) || inner.finished.iter().any(|done| done.id == id) {
            return false;
        }
        let activity = Activity::Runnable;
        inner.open.insert(
            id,
            Open {
                summary,
                activity,
                mailbox,
            },
        );
        true
    }

    /// Gives an open saga whose task has died a new mailbox. False if it is alive or gone.
    pub(super) fn reopen(&self, id: Uuid, mailbox: mpsc::Sender<Command>) -> bool {
        match self.lock().open.get_mut(&id) {
            Some(open) if open.mailbox.is_closed() => {
                open.mailbox = mailbox;
                true
            }
            _ => false,
        }
    }

    pub(super) fn update(&self, summary: Summary) {
        if let Some(open) = self.lock().open.get_mut(&summary.id) {
            open.summary = summary;
        }
    }

    pub(super) fn set_activity(&self, id: Uuid, activity: Activity) {
        if let Some(open) = self.lock().open.get_mut(&id) {
            open.activity = activity;
        }
    }

    pub(super) fn finish(&self, summary: Summary) {
        let mut inner = self.lock();
        inner.open.remove(&summary.id);
        self.keep_finished(&mut inner, summary);
    }

    /// Notes a saga that had ended before this engine began.
    pub(super) fn note_finished(&self, summary: Summary) {
        let mut inner = self.lock();
        self.keep_finished(&mut inner, summary);
    }

    pub(super) fn mailbox(&self, id: Uuid) -> Option<mpsc::Sender<Command>> {
        self.lock().open.get(&id).map(|open| open.mailbox.clone())
    }

    /// The status of an open saga, or of one that ended lately.
    pub(super) fn status(&self, id: Uuid) -> Option<Status> {
        let inner = self.lock();
        let open = inner.open.get(&id).map(|open| &open.summary);
        let finished = || inner.finished.iter().rev().find(|summary| summary.id == id);
        open.or_else(finished).map(|summary| summary.status)
    }

    pub(super) fn open_count(&self) -> usize {
        self.lock().open.len()
    }

    pub(super) fn count(&self, status: Status) -> usize {
        let inner = self.lock();
        inner
            .open
            .values()
            .filter(|open| open.summary.status == status)
            .count()
    }

    /// The sagas that `wanted` accepts, the latest first, at most `limit`.
    pub(super) fn list(&self, limit: usize, wanted: impl Fn(&Summary) -> bool) -> Vec<Summary> {
        let inner = self.lock();
        let open = inner.open.values().map(|open| &open.summary);
        let mut found: Vec<&Summary> = open
            .chain(&inner.finished)
            .filter(|summary| wanted(summary))
            .collect();
        // Only those that are answered are put in order: this holds the lock.
        let place = |summary: &&Summary| (std::cmp::Reverse(summary.started_at), summary.id);
        if limit < found.len() {
            found.select_nth_unstable_by_key(limit, place);
            found.truncate(limit);
        }
        found.sort_unstable_by_key(place);
        found.into_iter().cloned().collect()
    }

    /// The ids of open sagas whose task has died.
    pub(super) fn dead(&self) -> Vec<Uuid> {
        let inner = self.lock();
        let dead = inner
            .open
            .iter()
            .filter(|(_, open)| open.mailbox.is_closed());
        dead.map(|(id, _)| *id).collect()
    }

    /// The open sagas that nothing will move.
    pub(super) fn stalled(&self) -> Vec<Stalled> {
        let now = Instant::now();
        let inner = self.lock();
        let mut stalled: Vec<Stalled> = inner
            .open
            .values()
            .filter_map(|open| {
                let why = open.why_stalled(now)?;
                let saga = open.summary.clone();
                Some(Stalled { saga, why })
            })
            .collect();
        stalled.sort_by_key(|stalled| stalled.saga.started_at);
        stalled
    }

    fn keep_finished(&self, inner: &mut Inner, summary: Summary) {
        inner.finished.push_back(summary);
        while inner.finished.len() > self.finished_kept {
            inner.finished.pop_front();
        }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Open {
    fn why_stalled(&self, now: Instant) -> Option<String> {
        if self.mailbox.is_closed() {
            return Some("its task has died".to_owned());
        }
        match &self.activity {
            Activity::Runnable | Activity::Operator => None,
            Activity::Until(until) => {
                let late = now.saturating_duration_since(*until);
                (late > LATE).then(|| format!("its timer is {} s late", late.as_secs()))
            }
            Activity::Broken(why) => Some(why.clone()),
        }
    }
}

/// A timer this late does not fire any more.
const LATE: Duration = Duration::from_secs(10);
