//! The spans of a saga and its steps.
//!
//! They are made when they end, from times that the events hold, so that a saga that outlived a
//! process is still one tree: its span has the time at which it began and the id that was fixed
//! then, and a step's id follows from the saga's. Each round of a step is recorded exactly once.

use ieum_base::Timestamp;
use ieum_base::trace::{AttributeValue, TraceContext};

use crate::decide::Operation;
use crate::events::{Attempt, Fact};
use crate::state::{Progress, State, StepState};
use crate::telemetry::{self, Finished, step_context};

/// The span of a saga that has ended.
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
        error: None,
    }
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
