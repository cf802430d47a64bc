//! Spans: one piece of work with a beginning and an end.

use std::borrow::Cow;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::{Propagators, SpanId, TraceContext, TraceId};
use crate::{Clock, Rng, Timestamp};

/// What a span stands for (OpenTelemetry's span kinds).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SpanKind {
    /// Work inside a process.
    #[default]
    Internal,
    /// Answering a request.
    Server,
    /// Sending a request.
    Client,
    /// Publishing a message.
    Producer,
    /// Handling a message.
    Consumer,
}

/// The value of a span's attribute.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum AttributeValue {
    /// A whole number.
    Int(i64),
    /// True or false.
    Bool(bool),
    /// Text.
    Text(Cow<'static, str>),
}

impl From<i64> for AttributeValue {
    fn from(value: i64) -> Self {
        Self::Int(value)
    }
}

impl From<bool> for AttributeValue {
    fn from(value: bool) -> Self {
        Self::Bool(value)
    }
}

impl From<&'static str> for AttributeValue {
    fn from(value: &'static str) -> Self {
        Self::Text(Cow::Borrowed(value))
    }
}

impl From<String> for AttributeValue {
    fn from(value: String) -> Self {
        Self::Text(Cow::Owned(value))
    }
}

/// A finished span.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SpanData {
    /// The trace that it belongs to.
    pub trace_id: TraceId,
    /// Its own id.
    pub span_id: SpanId,
    /// The span that started it; `None` for the root of a trace.
    pub parent: Option<SpanId>,
    /// The service that recorded it (`service.name`).
    pub service: Arc<str>,
    /// A name of low cardinality: `GET /users/{id}`, `process-order`.
    pub name: Cow<'static, str>,
    /// What it stands for.
    pub kind: SpanKind,
    /// When it began.
    pub start: Timestamp,
    /// When it ended.
    pub end: Timestamp,
    /// What is known about it, with OpenTelemetry's names.
    pub attributes: Vec<(Cow<'static, str>, AttributeValue)>,
    /// Why it failed; `None` if it did not.
    pub error: Option<String>,
}

/// Takes finished spans. An implementation never blocks: what it cannot take it drops and counts.
pub trait SpanSink: Send + Sync + 'static {
    /// Takes one span.
    fn record(&self, span: SpanData);
}

/// Starts spans for one service. Clones share the sink.
#[derive(Clone)]
pub struct Tracer {
    service: Arc<str>,
    sink: Option<Arc<dyn SpanSink>>,
    clock: Clock,
    rng: Rng,
    share: f64,
    propagators: Propagators,
}

impl std::fmt::Debug for Tracer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "Tracer({}, {})",
            self.service,
            if self.sink.is_some() { "on" } else { "off" }
        )
    }
}

impl Tracer {
    /// A tracer whose spans carry `service` and go to `sink`.
    pub fn new(service: impl Into<Arc<str>>, sink: Arc<dyn SpanSink>, clock: Clock) -> Self {
        Self {
            service: service.into(),
            sink: Some(sink),
            clock,
            rng: Rng::system(),
            share: 1.0,
            propagators: Propagators::default(),
        }
    }

    /// A tracer that records nothing; contexts still travel.
    pub fn off(service: impl Into<Arc<str>>) -> Self {
        Self {
            service: service.into(),
            sink: None,
            clock: Clock::system(),
            rng: Rng::system(),
            share: 1.0,
            propagators: Propagators::default(),
        }
    }

    /// The same tracer, which records this share, 0 to 1, of the traces that begin with it. A
    /// parent's decision is never overruled.
    #[must_use]
    pub const fn sampling(mut self, share: f64) -> Self {
        self.share = share;
        self
    }

    /// The same tracer, whose contexts go into outgoing messages in these formats.
    #[must_use]
    pub const fn propagating(mut self, propagators: Propagators) -> Self {
        self.propagators = propagators;
        self
    }

    /// The formats in which its contexts go into outgoing messages.
    pub const fn propagators(&self) -> Propagators {
        self.propagators
    }

    /// Describes a span. Its parent is the task's current context unless another is given.
    pub fn span(&self, name: impl Into<Cow<'static, str>>) -> SpanBuilder<'_> {
        let name = name.into();
        SpanBuilder {
            tracer: self,
            name,
            kind: SpanKind::Internal,
            parent: None,
            sampled: true,
        }
    }
}

/// A span that has not begun.
#[must_use = "a span begins with `start`"]
#[derive(Debug)]
pub struct SpanBuilder<'a> {
    tracer: &'a Tracer,
    name: Cow<'static, str>,
    kind: SpanKind,
    parent: Option<Option<TraceContext>>,
    sampled: bool,
}

impl SpanBuilder<'_> {
    /// What the span stands for; internal by default.
    pub const fn kind(mut self, kind: SpanKind) -> Self {
        self.kind = kind;
        self
    }

    /// The parent; `None` begins a new trace.
    pub fn parent(mut self, parent: Option<TraceContext>) -> Self {
        self.parent = Some(parent);
        self
    }

    /// Whether a *new* trace is recorded; a parent's decision is never overruled.
    pub const fn sampled(mut self, sampled: bool) -> Self {
        self.sampled = sampled;
        self
    }

    /// Begins the span.
    pub fn start(self) -> Span {
        let tracer = self.tracer;
        let parent = self.parent.unwrap_or_else(super::current);
        let context = match &parent {
            Some(parent) => parent.child(&tracer.rng),
            None => {
                let wanted = self.sampled && tracer.sink.is_some();
                // A share of 1 draws nothing: `fraction` is below 1.
                let drawn = || tracer.share >= 1.0 || tracer.rng.fraction() < tracer.share;
                TraceContext::root(&tracer.rng, wanted && drawn())
            }
        };
        let recorded = tracer
            .sink
            .as_ref()
            .filter(|_| context.sampled)
            .map(|sink| {
                let now = tracer.clock.now();
                let data = SpanData {
                    trace_id: context.trace_id,
                    span_id: context.span_id,
                    parent: parent.map(|p| p.span_id),
                    service: Arc::clone(&tracer.service),
                    name: self.name,
                    kind: self.kind,
                    start: now,
                    end: now,
                    attributes: Vec::new(),
                    error: None,
                };
                Recorded {
                    data,
                    sink: Arc::clone(sink),
                    clock: tracer.clock.clone(),
                }
            });
        Span {
            context,
            recorded: recorded.map(Box::new),
        }
    }
}

/// A span that is running; it ends, and is recorded, when it is dropped.
#[must_use = "a span ends when it is dropped"]
pub struct Span {
    context: TraceContext,
    recorded: Option<Box<Recorded>>,
}

struct Recorded {
    data: SpanData,
    sink: Arc<dyn SpanSink>,
    clock: Clock,
}

impl Span {
    /// The context for what this span calls.
    pub const fn context(&self) -> &TraceContext {
        &self.context
    }

    /// Adds an attribute.
    pub fn set(&mut self, name: impl Into<Cow<'static, str>>, value: impl Into<AttributeValue>) {
        if let Some(recorded) = &mut self.recorded {
            recorded.data.attributes.push((name.into(), value.into()));
        }
    }

    /// Replaces the name, once the route is known.
    pub fn rename(&mut self, name: impl Into<Cow<'static, str>>) {
        if let Some(recorded) = &mut self.recorded {
            recorded.data.name = name.into();
        }
    }

    /// Marks the span as failed.
    pub fn fail(&mut self, why: impl Into<String>) {
        if let Some(recorded) = &mut self.recorded {
            recorded.data.error = Some(why.into());
        }
    }

    /// True if the span will be recorded; lets a caller skip the making of attributes.
    pub const fn is_recorded(&self) -> bool {
        self.recorded.is_some()
    }
}

impl std::fmt::Debug for Span {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Span({})", self.context)
    }
}

impl Drop for Span {
    fn drop(&mut self) {
        if let Some(recorded) = self.recorded.take() {
            let Recorded {
                mut data,
                sink,
                clock,
            } = *recorded;
            data.end = clock.now().max(data.start);
            sink.record(data);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;

    #[derive(Default)]
    struct Collected(Mutex<Vec<SpanData>>);

    impl SpanSink for Collected {
        fn record(&self, span: SpanData) {
            self.0.lock().expect("not poisoned").push(span);
        }
    }

    #[tokio::test]
    async fn children_name_their_parent() {
        let sink = Arc::new(Collected::default());
        let tracer = Tracer::new(
            "orders",
            Arc::clone(&sink) as Arc<dyn SpanSink>,
            Clock::system(),
        );
        let mut root = tracer.span("process-order").kind(SpanKind::Server).start();
        root.set("order.id", "o-1".to_owned());
        super::super::scope(root.context().clone(), async {
            tracer.span("charge").start().fail("declined");
        })
        .await;
        drop(root);
        let spans = sink.0.lock().expect("not poisoned");
        let [charge, order] = spans.as_slice() else {
            panic!("two spans, not {}", spans.len())
        };
        assert_eq!(charge.parent, Some(order.span_id));
        assert_eq!(charge.trace_id, order.trace_id);
        assert_eq!(charge.error.as_deref(), Some("declined"));
        assert_eq!(order.parent, None);
    }

    #[test]
    fn a_share_of_new_traces_is_recorded_and_all_that_a_parent_wants() {
        let sink = Arc::new(Collected::default());
        let tracer = |share| {
            let sink = Arc::clone(&sink) as Arc<dyn SpanSink>;
            Tracer::new("orders", sink, Clock::system()).sampling(share)
        };
        let recorded = |share| {
            let spans = (0..1_000).map(|_| tracer(share).span("x").start());
            spans.filter(Span::is_recorded).count()
        };
        assert_eq!((recorded(0.0), recorded(1.0)), (0, 1_000));
        assert!((200..400).contains(&recorded(0.3)));
        let parent = TraceContext::root(&Rng::seeded(1), true);
        let child = tracer(0.0).span("x").parent(Some(parent)).start();
        assert!(child.is_recorded());
    }

    #[test]
    fn an_unsampled_parent_is_obeyed() {
        let sink = Arc::new(Collected::default());
        let tracer = Tracer::new(
            "orders",
            Arc::clone(&sink) as Arc<dyn SpanSink>,
            Clock::system(),
        );
        let unsampled = TraceContext::root(&Rng::seeded(1), false);
        let span = tracer.span("quiet").parent(Some(unsampled.clone())).start();
        assert_eq!(span.context().trace_id, unsampled.trace_id);
        drop(span);
        assert!(sink.0.lock().expect("not poisoned").is_empty());
    }
}
