//! The state of a saga: a fold of its events. Pure.

use ieum_base::{Timestamp, Uuid};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::definition::Plan;
use crate::events::{Attempt, Fact, Failure, Recorded, Started};
use crate::template::Scope;

/// Where a saga stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Status {
    /// It goes forward.
    Running,
    /// It goes backward.
    Compensating,
    /// It waits for an operator.
    Parked,
    /// Every step is done. Final.
    Completed,
    /// Everything that was done is undone. Final.
    Compensated,
}

impl Status {
    /// True unless the saga has ended.
    pub const fn is_open(self) -> bool {
        !matches!(self, Self::Completed | Self::Compensated)
    }

    /// As it is written in the API.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Compensating => "compensating",
            Self::Parked => "parked",
            Self::Completed => "completed",
            Self::Compensated => "compensated",
        }
    }
}

impl std::fmt::Display for Status {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A saga as its events tell it.
#[derive(Clone, Debug, PartialEq)]
pub struct State {
    /// Its id.
    pub id: Uuid,
    /// How it began.
    pub started: Started,
    /// When it began.
    pub started_at: Timestamp,
    /// When the last event was written.
    pub updated_at: Timestamp,
    /// Where it stands.
    pub status: Status,
    /// Why it goes or went backward.
    pub failure: Option<Failure>,
    /// Why it is parked, and at which step.
    pub parked: Option<(String, String)>,
    /// Why somebody wants it undone.
    pub cancel: Option<String>,
    /// The place of the pivot, if the definition has one.
    pub pivot: Option<usize>,
    /// The steps, in the definition's order.
    pub steps: Vec<StepState>,
    /// How many events it has.
    pub version: u64,
}

/// One step of a saga.
#[derive(Clone, Debug, PartialEq)]
pub struct StepState {
    /// Its name.
    pub name: String,
    /// The round that the next attempt belongs to.
    pub round: u32,
    /// What became of doing it.
    pub call: CallState,
    /// True if an attempt may have had its effect although no answer says so.
    pub uncertain: bool,
    /// True while the saga is parked because its participant may have forgotten the step.
    pub is_forgotten: bool,
    /// True once an operator let the saga go on all the same.
    pub is_insisted_on: bool,
    /// The answer, once it is done.
    pub answer: Option<Value>,
    /// The business no.
    pub rejection: Option<Failure>,
    /// What became of undoing it.
    pub undo: CallState,
}

/// One direction of a step.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct CallState {
    /// How far it is.
    pub progress: Progress,
    /// How many attempts were intended.
    pub attempts: u32,
    /// How many of them since an operator last resumed the saga.
    pub attempts_in_a_row: u32,
    /// How many of those were never sent, so that they use up none of the attempts it has.
    pub unsent_in_a_row: u32,
    /// How many of those stand at the end: the participant is away.
    pub away_in_a_row: u32,
    /// When the first attempt was intended.
    pub first_at: Option<Timestamp>,
    /// When the last event about it was written.
    pub last_at: Option<Timestamp>,
    /// Why the last failed attempt failed.
    pub error: Option<String>,
}

/// How far a call is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Progress {
    /// Nothing was attempted.
    #[default]
    Idle,
    /// An attempt was intended and its end is not recorded.
    InFlight,
    /// The last attempt failed; another one follows.
    Failed,
    /// Done.
    Done,
    /// The participant said no.
    Rejected,
}

/// Why a sequence of events is not a saga.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FoldError {
    /// The first event is not `saga.started`.
    #[error("the saga does not begin with `saga.started`")]
    NotStarted,
    /// `saga.started` stands behind the first event.
    #[error("the saga begins twice")]
    StartedTwice,
    /// An event names a step that the definition does not have.
    #[error("the definition has no step `{0}`")]
    NoSuchStep(String),
}

impl State {
    /// The state after the first event.
    pub fn begin(id: Uuid, first: &Recorded, plan: &Plan) -> Result<Self, FoldError> {
        let Fact::Started(started) = &first.fact else {
            return Err(FoldError::NotStarted);
        };
        let steps = plan.definition().steps.iter();
        Ok(Self {
            id,
            started: (**started).clone(),
            started_at: first.at,
            updated_at: first.at,
            status: Status::Running,
            failure: None,
            parked: None,
            cancel: None,
            pivot: plan.pivot(),
            steps: steps.map(|step| StepState::new(&step.name)).collect(),
            version: 1,
        })
    }

    /// The state after one more event.
    pub fn apply(&mut self, recorded: &Recorded) -> Result<(), FoldError> {
        let at = recorded.at;
        match &recorded.fact {
            Fact::Started(_) => return Err(FoldError::StartedTwice),
            Fact::StepIntended { attempt } => {
                let step = self.step(attempt)?;
                step.round = attempt.round;
                step.call.intended(at, attempt);
            }
            Fact::StepSucceeded {
                attempt, answer, ..
            } => {
                let step = self.step(attempt)?;
                step.call.ended(at, Progress::Done, None);
                step.answer = Some(answer.clone());
            }
            Fact::StepRejected {
                attempt,
                code,
                detail,
                ..
            } => {
                let step = self.step(attempt)?;
                step.call.ended(at, Progress::Rejected, Some(code));
                step.rejection = Some(Failure {
                    step: Some(attempt.step.clone()),
                    code: code.clone(),
                    detail: detail.clone(),
                });
            }
            Fact::StepUncertain { attempt, why } => {
                let step = self.step(attempt)?;
                step.call.ended(at, Progress::Failed, Some(why));
                step.uncertain = true;
            }
            Fact::StepFailed {
                attempt,
                why,
                unsent,
            } => self.step(attempt)?.call.missed(at, why, *unsent),
            Fact::UndoIntended { attempt } => self.step(attempt)?.undo.intended(at, attempt),
            Fact::UndoSucceeded { attempt, .. } => {
                self.step(attempt)?.undo.ended(at, Progress::Done, None);
            }
            Fact::UndoFailed {
                attempt,
                why,
                unsent,
            } => self.step(attempt)?.undo.missed(at, why, *unsent),
            Fact::Compensating { failure } => self.turn_back(failure),
            Fact::Parked {
                step,
                why,
                forgotten,
            } => {
                self.status = Status::Parked;
                self.parked = Some((step.clone(), why.clone()));
                let forgotten = forgotten.then(|| step.clone());
                self.steps
                    .iter_mut()
                    .for_each(|step| step.is_forgotten = forgotten.as_ref() == Some(&step.name));
            }
            Fact::Resumed { .. } => self.resume(),
            Fact::CancelRequested { reason } => self.cancel = Some(reason.clone()),
            Fact::Completed => self.status = Status::Completed,
            Fact::Compensated => self.status = Status::Compensated,
        }
        self.updated_at = at;
        self.version += 1;
        Ok(())
    }

    /// Folds a whole stream.
    pub fn fold(id: Uuid, events: &[Recorded], plan: &Plan) -> Result<Self, FoldError> {
        let (first, rest) = events.split_first().ok_or(FoldError::NotStarted)?;
        let mut state = Self::begin(id, first, plan)?;
        rest.iter().try_for_each(|recorded| state.apply(recorded))?;
        Ok(state)
    }

    /// The first step that is not done.
    pub fn current(&self) -> Option<usize> {
        self.steps
            .iter()
            .position(|step| step.call.progress != Progress::Done)
    }

    /// True once only forward is left: the pivot is done, or it may be.
    pub fn is_past_pivot(&self, plan: &Plan) -> bool {
        let pivot = plan.pivot().and_then(|pivot| self.steps.get(pivot));
        pivot.is_some_and(|step| match step.call.progress {
            Progress::Done | Progress::InFlight => true,
            Progress::Idle | Progress::Failed => step.uncertain,
            Progress::Rejected => false,
        })
    }

    /// The last step that still has to be undone: done or uncertain, with something that undoes it.
    pub fn next_undo(&self, plan: &Plan) -> Option<usize> {
        (0..self.steps.len()).rev().find(|&index| {
            let step = &self.steps[index];
            let happened = step.call.progress == Progress::Done || step.uncertain;
            happened && plan.has_undo(index) && step.undo.progress != Progress::Done
        })
    }

    fn step(&mut self, attempt: &Attempt) -> Result<&mut StepState, FoldError> {
        let step = self.steps.iter_mut().find(|step| step.name == attempt.step);
        step.ok_or_else(|| FoldError::NoSuchStep(attempt.step.clone()))
    }

    fn turn_back(&mut self, failure: &Failure) {
        self.status = Status::Compensating;
        self.failure = Some(failure.clone());
        self.parked = None;
    }

    /// A resumed saga goes on in the direction that it had, and what failed starts counting again.
    /// A step that certainly had no effect begins a new round: under the old key a participant
    /// would only repeat its answer. From the pivot on a step that was refused does so too, also
    /// after an attempt without an answer: its participant has settled the old key with a no, and
    /// nothing behind the pivot is ever undone under it.
    fn resume(&mut self) {
        self.parked = None;
        for step in &mut self.steps {
            step.is_insisted_on |= std::mem::take(&mut step.is_forgotten);
            step.call.count_again();
            step.undo.count_again();
        }
        if self.failure.is_some() {
            self.status = Status::Compensating;
            return;
        }
        self.status = Status::Running;
        let Some(index) = self.current() else { return };
        let only_forward = self.pivot.is_some_and(|pivot| index >= pivot);
        let step = &mut self.steps[index];
        if step.call.attempts > 0 {
            let refused = step.call.progress == Progress::Rejected;
            step.restart(!step.uncertain || (only_forward && refused));
        }
    }
}

impl StepState {
    fn new(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            round: 1,
            call: CallState::default(),
            uncertain: false,
            is_forgotten: false,
            is_insisted_on: false,
            answer: None,
            rejection: None,
            undo: CallState::default(),
        }
    }

    fn restart(&mut self, under_a_new_key: bool) {
        self.rejection = None;
        if !matches!(self.call.progress, Progress::InFlight) {
            self.call.progress = Progress::Failed;
        }
        if under_a_new_key {
            self.round += 1;
            self.call.first_at = None;
        }
    }
}

impl CallState {
    fn intended(&mut self, at: Timestamp, attempt: &Attempt) {
        self.progress = Progress::InFlight;
        self.attempts = attempt.attempt;
        self.attempts_in_a_row += 1;
        self.first_at.get_or_insert(at);
        self.last_at = Some(at);
    }

    /// How many attempts in a row have failed, as the wait before the next one counts them: what was
    /// not sent says nothing about how the participant does once it is back.
    pub fn failed_in_a_row(&self) -> u32 {
        match self.away_in_a_row {
            0 => self.attempts_in_a_row.saturating_sub(self.unsent_in_a_row),
            away => away,
        }
    }

    fn missed(&mut self, at: Timestamp, why: &str, unsent: bool) {
        let away = self.away_in_a_row;
        self.ended(at, Progress::Failed, Some(why));
        if unsent {
            self.unsent_in_a_row += 1;
            self.away_in_a_row = away + 1;
        }
    }

    fn count_again(&mut self) {
        self.attempts_in_a_row = 0;
        self.unsent_in_a_row = 0;
        self.away_in_a_row = 0;
    }

    fn ended(&mut self, at: Timestamp, progress: Progress, error: Option<&str>) {
        self.progress = progress;
        self.away_in_a_row = 0;
        self.last_at = Some(at);
        self.error = error.map(str::to_owned);
    }
}

impl Scope for State {
    fn input(&self) -> &Value {
        &self.started.input
    }

    fn answer(&self, step: &str) -> Option<&Value> {
        let step = self.steps.iter().find(|candidate| candidate.name == step);
        step.and_then(|step| step.answer.as_ref())
    }

    fn saga(&self) -> Uuid {
        self.id
    }

    fn failure(&self) -> Option<&Failure> {
        self.failure.as_ref()
    }
}
