//! The rules of a saga: from its state to what happens next. Pure, no IO and no clock.
//!
//! Everything that the engine does to a saga is decided here, so that the rules can be read in one
//! place and tested by the thousand. The engine writes down what [`decide`] says, makes the call it
//! asks for, turns the result into facts with [`facts_of`], and asks again.

use ieum_base::Timestamp;

use crate::definition::Plan;
use crate::events::{Attempt, Fact, Failure};
use crate::outcome::{Effect, Outcome};
use crate::state::{CallState, Progress, State, Status, StepState};

/// What the engine knows besides the saga's state.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Signals {
    /// The saga's deadline has passed.
    pub overdue: bool,
    /// The wait before the next attempt is over.
    pub due: bool,
    /// How many attempts in a row are made where a step does not say it.
    pub attempts: u32,
    /// How many attempts in a row an undo gets, unless its step has more.
    pub undo_attempts: u32,
    /// How many requests in a row may go unsent, in either direction.
    pub unsent_attempts: u32,
    /// What participants did before this moment they may have forgotten; nothing if it is absent.
    pub forgotten_before: Option<Timestamp>,
}

/// What happens next.
#[derive(Clone, Debug, PartialEq)]
pub enum Action {
    /// Write down the intent, then make the call.
    Attempt {
        /// The intent.
        intent: Fact,
        /// The call.
        target: Target,
    },
    /// Write this down and decide again.
    Record(Fact),
    /// Wait before the next attempt; `failed` attempts in a row have failed.
    Wait {
        /// How many attempts in a row have failed.
        failed: u32,
    },
    /// Wait for an operator.
    Rest,
    /// Nothing is left to do.
    End,
}

/// Which call to make.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// The place of the step.
    pub index: usize,
    /// Do it or undo it.
    pub operation: Operation,
    /// The attempt that the call is.
    pub attempt: Attempt,
}

/// The direction of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Operation {
    /// The step's `call`.
    Do,
    /// Its `undo`.
    Undo,
}

impl std::fmt::Display for Operation {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Do => "do",
            Self::Undo => "undo",
        })
    }
}

/// What happens next to a saga in `state`.
///
/// A call that is in flight in `state` is one whose end was never written down: the engine that
/// made it is gone. Its effect is unknown.
pub fn decide(plan: &Plan, state: &State, signals: Signals) -> Action {
    match state.status {
        Status::Completed | Status::Compensated => Action::End,
        Status::Running => forward(plan, state, signals),
        Status::Compensating => backward(plan, state, signals),
        Status::Parked => match &state.cancel {
            Some(reason) if state.failure.is_none() && may_turn_back(plan, state) => {
                turn_back(state, CANCELLED, reason)
            }
            _ => Action::Rest,
        },
    }
}

/// The facts that follow from the outcome of a call.
pub fn facts_of(target: &Target, outcome: Outcome) -> Vec<Fact> {
    match target.operation {
        Operation::Do => facts_of_call(target, outcome),
        Operation::Undo => facts_of_undo(target, outcome),
    }
}

fn forward(plan: &Plan, state: &State, signals: Signals) -> Action {
    let Some(index) = state.current() else {
        // Without a pivot a cancel is accepted up to here, also while the last step is called.
        return match &state.cancel {
            Some(reason) if may_turn_back(plan, state) => turn_back(state, CANCELLED, reason),
            _ => Action::Record(Fact::Completed),
        };
    };
    let step = &state.steps[index];
    let attempt = attempt(step, step.call.attempts);
    match step.call.progress {
        Progress::InFlight => {
            let why = INTERRUPTED.to_owned();
            return Action::Record(Fact::StepUncertain { attempt, why });
        }
        Progress::Rejected => return rejected(plan, step, index),
        Progress::Idle | Progress::Failed | Progress::Done => {}
    }
    let spent = is_spent(&step.call, limit(plan, index, signals), signals);
    if may_turn_back(plan, state) {
        if let Some(reason) = &state.cancel {
            return turn_back(state, CANCELLED, reason);
        }
        if signals.overdue {
            return turn_back(state, OVERDUE, "the saga's deadline has passed");
        }
        if spent {
            return turn_back(state, EXHAUSTED, last_error(&step.call.error));
        }
    } else if spent {
        return park(
            step,
            &format!("gave up after {} attempts", step.call.attempts),
        );
    }
    if step.uncertain && may_be_forgotten(step, signals) {
        return park_forgotten(step, "repeating it could do it twice");
    }
    if step.call.attempts_in_a_row > 0 && !signals.due {
        let failed = step.call.failed_in_a_row();
        return Action::Wait { failed };
    }
    let attempt = self::attempt(step, step.call.attempts + 1);
    Action::Attempt {
        intent: Fact::StepIntended {
            attempt: attempt.clone(),
        },
        target: Target {
            index,
            operation: Operation::Do,
            attempt,
        },
    }
}

/// Before the pivot a no turns the saga back; behind it there is only forward. At the pivot it turns
/// back too, unless an attempt went unanswered and nothing undoes the pivot: then it may have
/// happened, and a person decides.
fn rejected(plan: &Plan, step: &StepState, index: usize) -> Action {
    let failure = step.rejection.clone().unwrap_or_else(|| Failure {
        step: Some(step.name.clone()),
        code: "rejected".to_owned(),
        detail: String::new(),
    });
    if plan.pivot().is_some_and(|pivot| index > pivot) {
        let why = format!("rejected behind the pivot: {}", failure.code);
        return park(step, &why);
    }
    if plan.pivot() == Some(index) && step.uncertain && !plan.says_how_to_undo(index) {
        let why = format!(
            "the pivot was rejected after an attempt without an answer: {}; resume the saga to ask \
             again under a new key, or cancel it to undo what came before",
            failure.code
        );
        return park(step, &why);
    }
    Action::Record(Fact::Compensating { failure })
}

fn backward(plan: &Plan, state: &State, signals: Signals) -> Action {
    let Some(index) = state.next_undo(plan) else {
        return Action::Record(Fact::Compensated);
    };
    let step = &state.steps[index];
    if step.undo.progress == Progress::InFlight {
        return Action::Record(Fact::UndoFailed {
            attempt: attempt(step, step.undo.attempts),
            why: INTERRUPTED.to_owned(),
            unsent: false,
        });
    }
    if may_be_forgotten(step, signals) {
        return park_forgotten(
            step,
            "an undo could be taken for one without a step, and do nothing",
        );
    }
    // What a step may cost before it is given up says nothing about how hard it is undone.
    let limit = limit(plan, index, signals).max(signals.undo_attempts);
    if is_spent(&step.undo, limit, signals) {
        let why = format!("could not be undone in {} attempts", step.undo.attempts);
        return park(step, &why);
    }
    if step.undo.attempts_in_a_row > 0 && !signals.due {
        let failed = step.undo.failed_in_a_row();
        return Action::Wait { failed };
    }
    let attempt = attempt(step, step.undo.attempts + 1);
    Action::Attempt {
        intent: Fact::UndoIntended {
            attempt: attempt.clone(),
        },
        target: Target {
            index,
            operation: Operation::Undo,
            attempt,
        },
    }
}

fn may_turn_back(plan: &Plan, state: &State) -> bool {
    !state.is_past_pivot(plan)
}

fn turn_back(state: &State, code: &str, detail: &str) -> Action {
    let step = state.current().map(|index| state.steps[index].name.clone());
    Action::Record(Fact::Compensating {
        failure: Failure {
            step,
            code: code.to_owned(),
            detail: detail.to_owned(),
        },
    })
}

fn park(step: &StepState, why: &str) -> Action {
    Action::Record(Fact::Parked {
        step: step.name.clone(),
        why: why.to_owned(),
        forgotten: false,
    })
}

/// True if the step was begun so long ago that its participant's barrier may have no answer of it.
fn may_be_forgotten(step: &StepState, signals: Signals) -> bool {
    let begun = step.call.first_at;
    let is_old = begun
        .zip(signals.forgotten_before)
        .is_some_and(|(begun, before)| begun < before);
    is_old && !step.is_insisted_on
}

fn park_forgotten(step: &StepState, danger: &str) -> Action {
    Action::Record(Fact::Parked {
        step: step.name.clone(),
        why: format!(
            "its participant may have forgotten the step: {danger}; look there, then resume the saga"
        ),
        forgotten: true,
    })
}

fn limit(plan: &Plan, index: usize, signals: Signals) -> u32 {
    let own = plan.step(index).and_then(|step| step.attempts);
    own.unwrap_or(signals.attempts).max(1)
}

/// True once a call has used up its attempts. What was never sent is none of them: an absent
/// participant is waited for, until the deadline where one counts, and with a bound of its own.
fn is_spent(call: &CallState, limit: u32, signals: Signals) -> bool {
    let unsent = call.unsent_in_a_row;
    call.attempts_in_a_row.saturating_sub(unsent) >= limit
        || unsent >= signals.unsent_attempts.max(1)
}

fn attempt(step: &StepState, attempt: u32) -> Attempt {
    Attempt {
        step: step.name.clone(),
        round: step.round,
        attempt,
    }
}

fn last_error(error: &Option<String>) -> &str {
    error.as_deref().unwrap_or("every attempt failed")
}

fn facts_of_call(target: &Target, outcome: Outcome) -> Vec<Fact> {
    let attempt = target.attempt.clone();
    match outcome {
        Outcome::Done { status, answer } => vec![Fact::StepSucceeded {
            attempt,
            status,
            answer,
        }],
        Outcome::Reject {
            status,
            code,
            detail,
        } => {
            vec![Fact::StepRejected {
                attempt,
                status,
                code,
                detail,
            }]
        }
        Outcome::Retry { effect, why, .. } => vec![missed(attempt, effect, why)],
        Outcome::Fatal { effect, why } => {
            let step = attempt.step.clone();
            vec![
                missed(attempt, effect, why.clone()),
                Fact::Parked {
                    step,
                    why,
                    forgotten: false,
                },
            ]
        }
    }
}

fn missed(attempt: Attempt, effect: Effect, why: String) -> Fact {
    match effect {
        Effect::Nothing | Effect::NotSent => Fact::StepFailed {
            attempt,
            why,
            unsent: effect == Effect::NotSent,
        },
        Effect::Unknown => Fact::StepUncertain { attempt, why },
    }
}

/// A compensation has no business no: whoever refuses one is a case for a person.
fn facts_of_undo(target: &Target, outcome: Outcome) -> Vec<Fact> {
    let attempt = target.attempt.clone();
    let unsent = matches!(
        outcome,
        Outcome::Retry {
            effect: Effect::NotSent,
            ..
        }
    );
    let (why, for_good) = match outcome {
        Outcome::Done { status, .. } => return vec![Fact::UndoSucceeded { attempt, status }],
        Outcome::Reject { code, detail, .. } => (format!("refused: {code}: {detail}"), true),
        Outcome::Fatal { why, .. } => (why, true),
        Outcome::Retry { why, .. } => (why, false),
    };
    let step = attempt.step.clone();
    let mut facts = vec![Fact::UndoFailed {
        attempt,
        why: why.clone(),
        unsent,
    }];
    if for_good {
        facts.push(Fact::Parked {
            step,
            why: format!("could not be undone: {why}"),
            forgotten: false,
        });
    }
    facts
}

/// The failure's code when somebody cancelled the saga.
pub const CANCELLED: &str = "cancelled";
/// The failure's code when the deadline passed.
pub const OVERDUE: &str = "deadline-exceeded";
/// The failure's code when a step's attempts are used up.
pub const EXHAUSTED: &str = "attempts-exhausted";
/// What is noted for a call whose end was never written down.
const INTERRUPTED: &str = "interrupted: the engine stopped before it noted the answer";
