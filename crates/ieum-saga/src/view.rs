//! A saga as its readers see it: the API, the command line, the console.

use std::collections::BTreeMap;

use ieum_base::{Timestamp, Uuid};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::definition::{Plan, Undo};
use crate::engine::Summary;
use crate::events::{Fact, Failure, Recorded, TriggerEvent};
use crate::state::{CallState, FoldError, Progress, State, StepState};

/// A saga with its steps and its history.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SagaView {
    /// The saga on one line.
    #[serde(flatten)]
    pub summary: Summary,
    /// What templates call `input`.
    pub input: Value,
    /// Why it goes or went backward.
    #[serde(default, rename = "failed", skip_serializing_if = "Option::is_none")]
    pub failure: Option<Failure>,
    /// Why somebody wanted it undone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cancel_requested: Option<String>,
    /// The saga's place in its trace, as a `traceparent`.
    pub traceparent: String,
    /// The event that started it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trigger: Option<TriggerEvent>,
    /// The steps, in order.
    pub steps: Vec<StepView>,
    /// Everything that happened, in order.
    pub history: Vec<HistoryItem>,
}

/// A step of a saga.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct StepView {
    /// Its name.
    pub name: String,
    /// True for the step behind which there is only forward.
    #[serde(default)]
    pub pivot: bool,
    /// The service that it calls.
    pub service: String,
    /// True if an attempt may have had its effect although no answer says so.
    #[serde(default)]
    pub uncertain: bool,
    /// The answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub answer: Option<Value>,
    /// What became of doing it.
    #[serde(flatten)]
    pub call: CallView,
    /// What became of undoing it; absent if nothing undoes it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub undo: Option<CallView>,
}

/// One direction of a step.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CallView {
    /// How far it is.
    pub progress: Progress,
    /// How many attempts were made.
    pub attempts: u32,
    /// When the first attempt was made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub first_at: Option<Timestamp>,
    /// When it last changed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_at: Option<Timestamp>,
    /// Why the last attempt failed, or the code of the rejection.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

/// One thing that happened.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct HistoryItem {
    /// When.
    pub at: Timestamp,
    /// What: the type of the event.
    #[serde(rename = "type")]
    pub kind: String,
    /// The event's members.
    #[serde(flatten)]
    pub data: BTreeMap<String, Value>,
}

impl SagaView {
    pub(crate) fn new(id: Uuid, facts: &[Recorded], plan: &Plan) -> Result<Self, FoldError> {
        let state = State::fold(id, facts, plan)?;
        let steps = state.steps.iter().enumerate();
        Ok(Self {
            summary: Summary::of(&state),
            steps: steps
                .map(|(index, step)| step_view(index, step, plan))
                .collect(),
            history: facts.iter().map(history_item).collect(),
            failure: state.failure,
            cancel_requested: state.cancel,
            traceparent: state.started.trace.span,
            trigger: state.started.trigger,
            input: state.started.input,
        })
    }
}

fn step_view(index: usize, step: &StepState, plan: &Plan) -> StepView {
    let defined = plan.step(index);
    let has_undo = defined.is_some_and(|step| matches!(step.undo, Some(Undo::Call(_))));
    StepView {
        name: step.name.clone(),
        pivot: plan.pivot() == Some(index),
        service: defined
            .map(|step| step.call.service.clone())
            .unwrap_or_default(),
        uncertain: step.uncertain,
        answer: step.answer.clone(),
        call: CallView::from(&step.call),
        undo: has_undo.then(|| CallView::from(&step.undo)),
    }
}

/// The input is left out of the history: it stands beside it.
fn history_item(recorded: &Recorded) -> HistoryItem {
    let mut data: BTreeMap<String, Value> = match serde_json::to_value(&recorded.fact) {
        Ok(Value::Object(members)) => members.into_iter().collect(),
        Ok(_) | Err(_) => BTreeMap::new(),
    };
    let kind = match data.remove("type") {
        Some(Value::String(kind)) => kind,
        _ => String::new(),
    };
    if matches!(recorded.fact, Fact::Started(_)) {
        data.remove("input");
    }
    HistoryItem {
        at: recorded.at,
        kind,
        data,
    }
}

impl From<&CallState> for CallView {
    fn from(call: &CallState) -> Self {
        Self {
            progress: call.progress,
            attempts: call.attempts,
            first_at: call.first_at,
            last_at: call.last_at,
            error: call.error.clone(),
        }
    }
}
