//! What can be watched: counters, and the names of spans and attributes.

use std::sync::atomic::{AtomicU64, Ordering};

use ieum_base::trace::{AttributeValue, SpanData, SpanId, SpanKind, TraceContext};
use ieum_base::{Timestamp, Uuid};

use crate::decide::Operation;

/// What the engine has counted since it was opened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Sagas that were started: `ieum_sagas_started_total`.
    pub started: u64,
    /// Sagas that were open when the engine began: `ieum_sagas_recovered_total`.
    pub recovered: u64,
    /// Sagas that were completed: `ieum_sagas_completed_total`.
    pub completed: u64,
    /// Sagas that were compensated: `ieum_sagas_compensated_total`.
    pub compensated: u64,
    /// How often a saga was parked: `ieum_sagas_parked_total`.
    pub parked: u64,
    /// Calls of participants: `ieum_saga_calls_total`.
    pub calls: u64,
    /// Calls that were retries: `ieum_saga_retries_total`.
    pub retries: u64,
    /// Events that could not start a saga: `ieum_saga_dead_letters_total`.
    pub dead_letters: u64,
    /// Sagas whose task had to be started again: `ieum_sagas_revived_total`.
    pub revived: u64,
}

#[derive(Debug, Default)]
pub(crate) struct Counters {
    pub(crate) started: Counter,
    pub(crate) recovered: Counter,
    pub(crate) completed: Counter,
    pub(crate) compensated: Counter,
    pub(crate) parked: Counter,
    pub(crate) calls: Counter,
    pub(crate) retries: Counter,
    pub(crate) dead_letters: Counter,
    pub(crate) revived: Counter,
}

#[derive(Debug, Default)]
pub(crate) struct Counter(AtomicU64);

impl Counter {
    pub(crate) fn add(&self, amount: u64) {
        self.0.fetch_add(amount, Ordering::Relaxed);
    }

    fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

impl Counters {
    pub(crate) fn read(&self) -> Counts {
        Counts {
            started: self.started.get(),
            recovered: self.recovered.get(),
            completed: self.completed.get(),
            compensated: self.compensated.get(),
            parked: self.parked.get(),
            calls: self.calls.get(),
            retries: self.retries.get(),
            dead_letters: self.dead_letters.get(),
            revived: self.revived.get(),
        }
    }
}

impl Counts {
    /// Every counter with the name under which it is exposed.
    pub const fn named(&self) -> [(&'static str, u64); 9] {
        [
            ("ieum_sagas_started_total", self.started),
            ("ieum_sagas_recovered_total", self.recovered),
            ("ieum_sagas_completed_total", self.completed),
            ("ieum_sagas_compensated_total", self.compensated),
            ("ieum_sagas_parked_total", self.parked),
            ("ieum_saga_calls_total", self.calls),
            ("ieum_saga_retries_total", self.retries),
            ("ieum_saga_dead_letters_total", self.dead_letters),
            ("ieum_sagas_revived_total", self.revived),
        ]
    }
}

/// The attribute with the saga's id.
pub const SAGA_ID: &str = "ieum.saga.id";
/// The attribute with the name of the definition.
pub const DEFINITION: &str = "ieum.saga.definition";
/// The attribute with the key that started the saga.
pub const KEY: &str = "ieum.saga.key";
/// The attribute with the status in which the saga ended.
pub const STATUS: &str = "ieum.saga.status";
/// The attribute with the name of the step.
pub const STEP: &str = "ieum.saga.step";
/// The attribute with how many attempts the step took.
pub const ATTEMPTS: &str = "ieum.saga.attempts";

/// The span of one step in one direction. Its id follows from the saga's, so that the calls of
/// different attempts, also before and after a restart, have the same parent.
pub(crate) fn step_context(
    saga: &TraceContext,
    id: Uuid,
    step: &str,
    round: u32,
    operation: Operation,
) -> TraceContext {
    let name = format!("{step}/{round}/{operation}");
    let digest = Uuid::new_v5(&id, name.as_bytes()).simple().to_string();
    // Any 16 of the digits are a span id, except for sixteen zeros.
    let span_id: SpanId = digest[16..].parse().unwrap_or(saga.span_id);
    TraceContext {
        span_id,
        ..saga.clone()
    }
}

/// A span that is already over.
pub(crate) struct Finished {
    pub(crate) context: TraceContext,
    pub(crate) parent: Option<SpanId>,
    pub(crate) name: String,
    pub(crate) start: Timestamp,
    pub(crate) end: Timestamp,
    pub(crate) attributes: Vec<(&'static str, AttributeValue)>,
    pub(crate) error: Option<String>,
}

impl Finished {
    /// What the sink gets.
    pub(crate) fn into_data(self, service: &str) -> SpanData {
        let attributes = self.attributes.into_iter();
        SpanData {
            trace_id: self.context.trace_id,
            span_id: self.context.span_id,
            parent: self.parent,
            service: service.into(),
            name: self.name.into(),
            kind: SpanKind::Internal,
            start: self.start,
            end: self.end.max(self.start),
            attributes: attributes
                .map(|(name, value)| (name.into(), value))
                .collect(),
            error: self.error,
        }
    }
}
