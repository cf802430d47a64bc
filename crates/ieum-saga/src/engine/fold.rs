//! Which sagas are open: a fold of the events in which they begin, turn, wait and end.
//!
//! An engine begins with it, and one that shares its log keeps it up to date: it is how an owner
//! learns of sagas that others started, and how every platform knows all sagas. It is folded from the
//! log alone and never from memory: a saga that is just being started cannot be missing in it.

use std::collections::{HashMap, VecDeque};

use ieum_base::Uuid;
use ieum_eventstore::{Event, Filter, Position};
use serde::{Deserialize, Serialize};

use super::commands::{self, ANSWERED, ASKED, Answer, Asked};
use super::definitions;
use super::index::Summary;
use crate::events::{CATEGORY, ENDED, Fact, Recorded, STARTED};
use crate::state::Status;

/// Which sagas are open at one position of the log, and which ended last.
#[derive(Debug, Default)]
pub(super) struct Fold {
    pub(super) up_to: Position,
    pub(super) open: HashMap<Uuid, Summary>,
    pub(super) finished: VecDeque<Summary>,
    /// The commands without an answer, in order.
    pub(super) asked: Vec<Asked>,
    /// How many sagas ended since it was last written down.
    pub(super) ended: u64,
}

/// The fold as it is written down.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Snapshot {
    pub(super) up_to: Position,
    open: Vec<Summary>,
    finished: Vec<Summary>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    asked: Vec<Asked>,
}

/// What an event means to those who follow the log.
#[derive(Debug)]
pub(super) enum News {
    /// A saga began.
    Began(Uuid),
    /// A command was written down.
    Asked(Uuid),
    /// A command was answered.
    Answered(Answer),
    /// Something else.
    Other,
}

impl Fold {
    /// What is read of the log.
    pub(super) fn filter() -> Filter {
        let types = [STARTED, PARKED, RESUMED, COMPENSATING, ASKED, ANSWERED];
        let types = types.into_iter().chain(ENDED);
        Filter {
            categories: vec![CATEGORY.to_owned(), commands::CATEGORY.to_owned()],
            types: types.map(str::to_owned).collect(),
        }
    }

    /// The same, and definitions.
    pub(super) fn filter_with_definitions() -> Filter {
        let mut filter = Self::filter();
        filter.categories.push(definitions::CATEGORY.to_owned());
        filter.types.push(definitions::DEFINED.to_owned());
        filter
    }

    /// Learns one event.
    pub(super) fn apply(&mut self, event: &Event, finished_kept: usize) -> News {
        match event.stream.category() {
            CATEGORY => self.apply_saga(event, finished_kept),
            commands::CATEGORY => self.apply_command(event),
            _ => News::Other,
        }
    }

    fn apply_saga(&mut self, event: &Event, finished_kept: usize) -> News {
        let Ok(id) = event.stream.id().parse::<Uuid>() else {
            tracing::warn!(stream = %event.stream, "not the stream of a saga");
            return News::Other;
        };
        let Recorded { at, fact } = match Recorded::from_event(event) {
            Ok(recorded) => recorded,
            Err(error) => {
                tracing::error!(%error, "a saga cannot be read; it is left alone");
                return News::Other;
            }
        };
        if let Fact::Started(started) = fact {
            self.open.insert(id, Summary::begun(id, &started, at));
            return News::Began(id);
        }
        let Some(mut summary) = self.open.remove(&id) else {
            return News::Other;
        };
        summary.updated_at = at;
        summary.turn(fact);
        if summary.status.is_open() {
            self.open.insert(id, summary);
            return News::Other;
        }
        self.ended += 1;
        self.finished.push_back(summary);
        while self.finished.len() > finished_kept {
            self.finished.pop_front();
        }
        News::Other
    }

    fn apply_command(&mut self, event: &Event) -> News {
        if event.kind == ASKED {
            return match Asked::from_event(event) {
                Ok(asked) => {
                    let id = asked.id;
                    self.asked.push(asked);
                    News::Asked(id)
                }
                Err(why) => {
                    tracing::error!(stream = %event.stream, why, "a command cannot be read");
                    News::Other
                }
            };
        }
        match event.decode::<Answer>() {
            Ok(answer) => {
                self.asked.retain(|asked| asked.id != answer.command);
                News::Answered(answer)
            }
            Err(error) => {
                tracing::error!(stream = %event.stream, %error, "an answer cannot be read");
                News::Other
            }
        }
    }

    pub(super) fn snapshot(&self) -> Snapshot {
        let skipped = self.finished.len().saturating_sub(FINISHED);
        Snapshot {
            up_to: self.up_to,
            open: self.open.values().cloned().collect(),
            finished: self.finished.iter().skip(skipped).cloned().collect(),
            asked: self.asked.clone(),
        }
    }

    pub(super) fn from_snapshot(snapshot: Snapshot) -> Self {
        Self {
            up_to: snapshot.up_to,
            open: snapshot.open.into_iter().map(|s| (s.id, s)).collect(),
            finished: snapshot.finished.into(),
            asked: snapshot.asked,
            ended: 0,
        }
    }

    /// The open sagas that `wanted` accepts, the oldest first: they are nearest to their deadlines.
    pub(super) fn open_where(&self, wanted: impl Fn(Uuid) -> bool) -> Vec<Summary> {
        let open = self.open.values().filter(|summary| wanted(summary.id));
        let mut open: Vec<Summary> = open.cloned().collect();
        open.sort_by_key(|summary| (summary.started_at, summary.id));
        open
    }
}

impl Summary {
    /// Learns a fact as far as a line can show it. Which step it is at only its owner knows.
    fn turn(&mut self, fact: Fact) {
        match fact {
            Fact::Completed => self.status = Status::Completed,
            Fact::Compensated => self.status = Status::Compensated,
            Fact::Compensating { failure } => {
                self.status = Status::Compensating;
                self.failure = Some(failure.code);
            }
            Fact::Parked { step, why, .. } => {
                self.status = Status::Parked;
                self.step = Some(step);
                self.parked = Some(why);
                return;
            }
            Fact::Resumed { .. } => {
                self.status = match self.failure {
                    Some(_) => Status::Compensating,
                    None => Status::Running,
                };
            }
            _ => return,
        }
        self.step = None;
        self.parked = None;
    }
}

const PARKED: &str = "saga.parked";
const RESUMED: &str = "saga.resumed";
const COMPENSATING: &str = "saga.compensating";
/// How many finished sagas are written down.
const FINISHED: usize = 200;
