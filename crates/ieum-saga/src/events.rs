//! What a saga's stream holds: one event per decision and per answer.
//!
//! Streams are named `saga-{id}`. The events are read for years, so they only ever gain optional
//! members; a change of meaning gets a new type. A type that this version does not know is an
//! error and the saga is left alone: an older node must not go on with what a newer one began.

use ieum_base::trace::TraceContext;
use ieum_base::{HumanDuration, Timestamp, Uuid};
use ieum_eventstore::{Event, Metadata, NewEvent, Position, StreamName, StreamNameError};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::definition::Hash;

/// The category of the sagas' streams.
pub const CATEGORY: &str = "saga";

/// The stream of the saga `id`.
pub fn stream(id: Uuid) -> Result<StreamName, StreamNameError> {
    StreamName::new(CATEGORY, id)
}

/// The id of the saga that `key` starts: the same key starts the same saga, for ever.
pub fn saga_id(definition: &str, key: &str) -> Uuid {
    Uuid::new_v5(&NAMESPACE, format!("{definition}\u{0}{key}").as_bytes())
}

/// A fact about a saga, and when it was written down.
#[derive(Clone, Debug, PartialEq)]
pub struct Recorded {
    /// The writer's time of day.
    pub at: Timestamp,
    /// What happened.
    pub fact: Fact,
}

/// One thing that happened to a saga.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all_fields = "camelCase")]
#[non_exhaustive]
pub enum Fact {
    /// It began.
    #[serde(rename = "saga.started")]
    Started(Box<Started>),
    /// An attempt of a step is about to be made. Written before the call.
    #[serde(rename = "saga.step-intended")]
    StepIntended {
        /// Which attempt.
        #[serde(flatten)]
        attempt: Attempt,
    },
    /// The step is done.
    #[serde(rename = "saga.step-succeeded")]
    StepSucceeded {
        /// Which attempt.
        #[serde(flatten)]
        attempt: Attempt,
        /// The HTTP status.
        status: u16,
        /// The answer's JSON; null if it had none.
        answer: Value,
    },
    /// The participant said no. Nothing was done by this attempt.
    #[serde(rename = "saga.step-rejected")]
    StepRejected {
        /// Which attempt.
        #[serde(flatten)]
        attempt: Attempt,
        /// The HTTP status.
        status: u16,
        /// The participant's code.
        code: String,
        /// Its explanation.
        detail: String,
    },
    /// Nobody knows whether the attempt had its effect.
    #[serde(rename = "saga.step-uncertain")]
    StepUncertain {
        /// Which attempt.
        #[serde(flatten)]
        attempt: Attempt,
        /// What happened instead of an answer.
        why: String,
    },
    /// The attempt failed and certainly had no effect.
    #[serde(rename = "saga.step-failed")]
    StepFailed {
        /// Which attempt.
        #[serde(flatten)]
        attempt: Attempt,
        /// How.
        why: String,
        /// True if the request was never sent: it uses up none of the step's attempts.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        unsent: bool,
    },
    /// From here on the saga goes backward.
    #[serde(rename = "saga.compensating")]
    Compensating {
        /// Why.
        failure: Failure,
    },
    /// An attempt to undo a step is about to be made. Written before the call.
    #[serde(rename = "saga.undo-intended")]
    UndoIntended {
        /// Which attempt.
        #[serde(flatten)]
        attempt: Attempt,
    },
    /// The step is undone.
    #[serde(rename = "saga.undo-succeeded")]
    UndoSucceeded {
        /// Which attempt.
        #[serde(flatten)]
        attempt: Attempt,
        /// The HTTP status.
        status: u16,
    },
    /// The attempt did not undo the step, as far as is known.
    #[serde(rename = "saga.undo-failed")]
    UndoFailed {
        /// Which attempt.
        #[serde(flatten)]
        attempt: Attempt,
        /// How.
        why: String,
        /// True if the request was never sent: it uses up none of the undo's attempts.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        unsent: bool,
    },
    /// The saga waits for an operator.
    #[serde(rename = "saga.parked")]
    Parked {
        /// The step at which it stopped.
        step: String,
        /// Why.
        why: String,
        /// True if the step's participant may have forgotten it: who resumes the saga answers for
        /// what another call of it does.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        forgotten: bool,
    },
    /// An operator lets a parked saga go on.
    #[serde(rename = "saga.resumed")]
    Resumed {
        /// Why, in the operator's words.
        #[serde(default)]
        reason: String,
    },
    /// Somebody wants it undone. It takes effect before the pivot only.
    #[serde(rename = "saga.cancel-requested")]
    CancelRequested {
        /// Why.
        reason: String,
    },
    /// Every step is done.
    #[serde(rename = "saga.completed")]
    Completed,
    /// Everything that was done is undone.
    #[serde(rename = "saga.compensated")]
    Compensated,
}

/// The first fact of a saga.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Started {
    /// The name of the definition.
    pub definition: String,
    /// The version of the definition that it keeps to its end.
    pub hash: Hash,
    /// The key that started it.
    pub key: String,
    /// What templates call `input`.
    pub input: Value,
    /// How long the steps before the pivot may take together.
    pub deadline: HumanDuration,
    /// Its place in a trace.
    pub trace: TracePlace,
    /// The event that started it, if one did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trigger: Option<TriggerEvent>,
}

/// The saga's own span, fixed at its start so that what is called after a restart has the same
/// parent as what was called before.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TracePlace {
    /// The saga's span, as a `traceparent`.
    pub span: String,
    /// What caused it, as a `traceparent`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent: Option<String>,
    /// What vendors know about the trace: the `tracestate` that its calls carry.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub state: Option<String>,
}

/// The event that started a saga.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TriggerEvent {
    /// The stream in which it stands.
    pub stream: StreamName,
    /// Its place in the log.
    pub position: Position,
    /// Its id in the log.
    pub id: Uuid,
}

/// Names one attempt of a step.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Attempt {
    /// The name of the step.
    pub step: String,
    /// The round: 1, and one more for each restart from a step. It is a part of the key that
    /// participants use to recognise a repetition.
    pub round: u32,
    /// The number of the attempt, from 1.
    pub attempt: u32,
}

/// Why a saga is compensated.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Failure {
    /// The step at which it turned back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub step: Option<String>,
    /// The participant's code, or one of `deadline-exceeded`, `cancelled`, `attempts-exhausted`.
    pub code: String,
    /// An explanation.
    pub detail: String,
}

/// Why an event of a saga's stream could not be read.
#[derive(Debug, thiserror::Error)]
#[error("event {position} of `{stream}` (type `{kind}`) cannot be read")]
pub struct Unreadable {
    stream: StreamName,
    position: Position,
    kind: String,
    source: serde_json::Error,
}

impl TracePlace {
    /// The saga's span, for its children. `None` only if the stored text was damaged.
    pub fn context(&self) -> Option<TraceContext> {
        TraceContext::parse_with_state(&self.span, self.state.as_deref())
    }
}

impl Recorded {
    /// The event to append. `id` decides whether a repetition counts.
    pub fn to_event(&self, id: Uuid, metadata: Metadata) -> Result<NewEvent, serde_json::Error> {
        let mut data = serde_json::to_value(&self.fact)?;
        let mut kind = String::new();
        if let Some(members) = data.as_object_mut() {
            if let Some(Value::String(tag)) = members.remove("type") {
                kind = tag;
            }
            members.insert("at".to_owned(), serde_json::to_value(self.at)?);
        }
        Ok(NewEvent::new(id, kind, &data)?.with_metadata(metadata))
    }

    /// Reads an event of a saga's stream.
    pub fn from_event(event: &Event) -> Result<Self, Unreadable> {
        let read = || -> Result<Self, serde_json::Error> {
            let mut data: Value = serde_json::from_str(event.data.get())?;
            let mut at = event.recorded_at;
            if let Some(members) = data.as_object_mut() {
                if let Some(written) = members.remove("at") {
                    at = serde_json::from_value(written)?;
                }
                members.insert("type".to_owned(), Value::String(event.kind.clone()));
            }
            let fact = serde_json::from_value(data)?;
            Ok(Self { at, fact })
        };
        read().map_err(|source| Unreadable {
            stream: event.stream.clone(),
            position: event.position,
            kind: event.kind.clone(),
            source,
        })
    }
}

/// The type of the event that begins a saga.
pub(crate) const STARTED: &str = "saga.started";
/// The types of the events that end a saga.
pub(crate) const ENDED: [&str; 2] = ["saga.completed", "saga.compensated"];

const NAMESPACE: Uuid = Uuid::from_u128(0x41c0_7b52_0c3d_4f7e_b6a8_5d9d_2e11_84f3);

#[cfg(test)]
mod tests {
    use ieum_eventstore::Version;
    use serde_json::json;

    use super::*;

    fn event(kind: &str, data: &Value) -> Event {
        Event {
            position: Position(9),
            stream: stream(Uuid::nil()).expect("valid"),
            version: Version(1),
            id: Uuid::nil(),
            kind: kind.to_owned(),
            data: serde_json::value::to_raw_value(data).expect("json"),
            metadata: Metadata::default(),
            tags: Vec::new(),
            recorded_at: Timestamp::from_micros(77),
        }
    }

    #[test]
    fn a_fact_is_read_as_it_was_written() {
        let attempt = Attempt {
            step: "charge".to_owned(),
            round: 1,
            attempt: 2,
        };
        let facts = [
            Fact::StepSucceeded {
                attempt: attempt.clone(),
                status: 201,
                answer: json!({"paymentId": "p-1", "amount": 200}),
            },
            Fact::StepUncertain {
                attempt,
                why: "the connection was lost".to_owned(),
            },
            Fact::Completed,
        ];
        for fact in facts {
            let recorded = Recorded {
                at: Timestamp::from_micros(1_700_000_000_000_000),
                fact,
            };
            let new = recorded
                .to_event(Uuid::nil(), Metadata::default())
                .expect("json");
            let data = serde_json::from_str(new.data.get()).expect("json");
            let read = Recorded::from_event(&event(&new.kind, &data)).expect("readable");
            assert_eq!(read, recorded);
        }
    }

    #[test]
    fn an_old_reader_tolerates_members_that_a_newer_writer_added() {
        let data = json!({"step": "a", "round": 1, "attempt": 1, "why": "x", "region": "eu"});
        let read = Recorded::from_event(&event("saga.step-failed", &data)).expect("readable");
        assert!(matches!(read.fact, Fact::StepFailed { unsent: false, .. }));
        assert_eq!(read.at, Timestamp::from_micros(77));
    }

    #[test]
    fn a_fact_of_an_unknown_type_is_refused() {
        let error =
            Recorded::from_event(&event("saga.step-delegated", &json!({}))).expect_err("not known");
        assert!(error.to_string().contains("saga.step-delegated"), "{error}");
    }

    #[test]
    fn the_same_key_is_the_same_saga() {
        assert_eq!(saga_id("a", "k"), saga_id("a", "k"));
        assert_ne!(saga_id("a", "k"), saga_id("b", "k"));
        assert_ne!(saga_id("ab", "c"), saga_id("a", "bc"));
    }
}
