//! The spans of a saga and its steps.
//!
//! They are made from times that the events hold, so that a saga that outlived a process is still
//! one tree: its span has the time at which it began and the id that was fixed then, and a step's id
//! follows from the saga's. A span is recorded when it ends. A saga that is open may not end for
//! days, so its span, and that of the step at which it waits, are recorded before that too, as far
//! as they go: what is recorded later under the same id replaces it.

use ieum_base::Timestamp;
use ieum_base::trace::{AttributeValue, TraceContext};

use crate::decide::Operation;
use crate::definition::Plan;
use crate::events::{Attempt, Fact};
use crate::state::{Progress, State, StepState};
use crate::telemetry::{self, Finished, step_context};

/// The span of a saga that has ended, or as far as it has come.
pub(super) fn of_saga(state: &State, context: &TraceContext) -> Finished {
    let started = &state.started;
    let parent = started
        .trace
        .parent
        .as_deref()
        .and_then(TraceContext::parse);
    Finished {
        context: context.clone(),
        parent: parent.map(|parent| parent.span_id),
        name: format!("saga {}", started.definition),
        start: state.started_at,
        end: state.updated_at,
        attributes: vec![
            (telemetry::SAGA_ID, state.id.to_string().into()),
            (telemetry::DEFINITION, started.definition.clone().into()),
            (telemetry::KEY, started.key.clone().into()),
            (telemetry::STATUS, state.status.as_str().into()),
        ],
        error: state.parked.as_ref().map(|(_, why)| why.clone()),
    }
}

/// The spans of an open saga that have not ended: its own, and that of the step, or of the undo,
/// that was attempted in vain.
pub(super) fn so_far(
    state: &State,
    plan: &Plan,
    saga: &TraceContext,
) -> impl Iterator<Item = Finished> {
    let (step, operation) = match &state.failure {
        None => (current(state), Operation::Do),
        Some(_) => {
            let step = state.next_undo(plan).map(|index| &state.steps[index]);
            let tried = |step: &&StepState| step.undo.first_at.is_some();
            (step.filter(tried), Operation::Undo)
        }
    };
    let attempted = step.map(|step| {
        let call = match operation {
            Operation::Do => &step.call,
            Operation::Undo => &step.undo,
        };
        of_step(
            state,
            step,
            operation,
            call.error.clone(),
            saga,
            state.updated_at,
        )
    });
    std::iter::once(of_saga(state, saga)).chain(attempted)
}

/// The span of the step that ends with `fact`, if one does. `state` is the one before the fact.
pub(super) fn ended_by(
    fact: &Fact,
    state: &State,
    saga: &TraceContext,
    at: Timestamp,
) -> Option<Finished> {
    let named = |attempt: &Attempt| state.steps.iter().find(|step| step.name == attempt.step);
    let span = |step, operation, error| of_step(state, step, operation, error, saga, at);
    match fact {
        Fact::StepSucceeded { attempt, .. } => Some(span(named(attempt)?, Operation::Do, None)),
        Fact::UndoSucceeded { attempt, .. } => Some(span(named(attempt)?, Operation::Undo, None)),
        // The step at which the saga turns back, and a round that is not gone on with.
        Fact::Compensating { .. } => {
            let step = current(state)?;
            Some(span(step, Operation::Do, step.call.error.clone()))
        }
        Fact::Resumed { .. } if state.failure.is_none() => {
            let step = current(state).filter(|step| !step.uncertain)?;
            Some(span(step, Operation::Do, step.call.error.clone()))
        }
        _ => None,
    }
}

/// The step that the saga is at, if it was attempted and failed.
fn current(state: &State) -> Option<&StepState> {
    let step = state.steps.get(state.current()?)?;
    matches!(step.call.progress, Progress::Failed | Progress::Rejected)
        .then_some(step)
        .filter(|step| step.call.first_at.is_some())
}

fn of_step(
    state: &State,
    step: &StepState,
    operation: Operation,
    error: Option<String>,
    saga: &TraceContext,
    end: Timestamp,
) -> Finished {
    let (call, verb) = match operation {
        Operation::Do => (&step.call, "step"),
        Operation::Undo => (&step.undo, "undo"),
    };
    Finished {
        context: step_context(saga, state.id, &step.name, step.round, operation),
        parent: Some(saga.span_id),
        name: format!("{verb} {}", step.name),
        start: call.first_at.unwrap_or(state.started_at),
        end,
        attributes: vec![
            (telemetry::SAGA_ID, state.id.to_string().into()),
            (telemetry::STEP, step.name.clone().into()),
            (
                telemetry::ATTEMPTS,
                AttributeValue::from(i64::from(call.attempts)),
            ),
        ],
        error,
    }
}
