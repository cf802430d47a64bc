//! Events as records for exporters, and for a platform that lives in this process.
//!
//! The subscriber is the process's, and so is the place where one asks for records. Events of the
//! exporter itself, and of what it sends with, are never forwarded: they would beget others.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

use ieum_base::{Clock, trace};
use serde_json::Value as Json;
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::Context;

use super::format::Fields;
use crate::otlp::nanos;
use crate::proto::{AnyValue, KeyValue, LogRecord, Value};

/// A record, and the service that it names.
#[derive(Clone)]
pub(crate) struct LogItem {
    pub(crate) service: Option<String>,
    pub(crate) record: LogRecord,
}

/// Takes records; never blocks.
pub(crate) type Taker = Arc<dyn Fn(LogItem) + Send + Sync>;

/// Which events somebody asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wanted {
    /// All.
    All,
    /// Those of work for a trace; not the lines of access, which say what the span says.
    OfTraces,
}

/// Records are forwarded until this is dropped.
#[derive(Debug)]
#[must_use = "dropped, nothing is forwarded"]
pub struct Forwarding(u64);

struct Asked {
    id: u64,
    /// Of those who ask for the same place only the latest is heard: services of one process that
    /// have an exporter each would send each line as often as they are many.
    place: String,
    wanted: Wanted,
    taker: Taker,
}

static ASKED: RwLock<Vec<Asked>> = RwLock::new(Vec::new());
static NEXT: AtomicU64 = AtomicU64::new(0);

/// From now on records go to `taker`, on their way to `place`.
pub(crate) fn forward(place: String, wanted: Wanted, taker: Taker) -> Forwarding {
    let id = NEXT.fetch_add(1, Ordering::Relaxed);
    let mut asked = ASKED.write().unwrap_or_else(PoisonError::into_inner);
    asked.push(Asked {
        id,
        place,
        wanted,
        taker,
    });
    Forwarding(id)
}

/// Hands the records that this process logs within traces to `take`, with the service that a record
/// names: for a platform in the same process. `take` must not block, nor log.
pub fn of_traces(take: impl Fn(Option<&str>, LogRecord) + Send + Sync + 'static) -> Forwarding {
    let place = format!("own {}", NEXT.fetch_add(1, Ordering::Relaxed));
    let taker = move |item: LogItem| take(item.service.as_deref(), item.record);
    forward(place, Wanted::OfTraces, Arc::new(taker))
}

impl Drop for Forwarding {
    fn drop(&mut self) {
        let mut asked = ASKED.write().unwrap_or_else(PoisonError::into_inner);
        asked.retain(|asked| asked.id != self.0);
    }
}

/// Who is to be given an event with this target.
fn takers(target: &str) -> Vec<Taker> {
    let asked = ASKED.read().unwrap_or_else(PoisonError::into_inner);
    if asked.is_empty() {
        return Vec::new();
    }
    let of_a_trace = target != ACCESS && trace::current().is_some();
    let is_latest = |(at, one): &(usize, &Asked)| {
        let later = asked.iter().skip(at + 1);
        !later.into_iter().any(|other| other.place == one.place)
    };
    let wants = |one: &&Asked| one.wanted == Wanted::All || of_a_trace;
    let latest = asked.iter().enumerate().filter(is_latest);
    let latest = latest.map(|(_, one)| one).filter(wants);
    latest.map(|one| Arc::clone(&one.taker)).collect()
}

/// The layer that sees the events.
pub(super) struct Forward;

impl<S: Subscriber> Layer<S> for Forward {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let metadata = event.metadata();
        if is_ours(metadata.target()) {
            return;
        }
        let takers = takers(metadata.target());
        if takers.is_empty() {
            return;
        }
        let mut fields = Fields::default();
        event.record(&mut fields);
        let item = item(*metadata.level(), metadata.target(), fields);
        for taker in takers {
            taker(item.clone());
        }
    }
}

/// The target of the lines of access.
const ACCESS: &str = "access";

/// True for what the exporter runs on.
fn is_ours(target: &str) -> bool {
    const OURS: [&str; 8] = [
        "ieum_telemetry",
        "ieum_http::client",
        "ieum_http::connector",
        "ieum_http::pool",
        "hyper",
        "h2",
        "rustls",
        "tower",
    ];
    let rest = OURS.iter().filter_map(|name| target.strip_prefix(name));
    let is_below = |rest: &str| rest.is_empty() || rest.starts_with("::") || rest.starts_with('_');
    rest.into_iter().any(is_below)
}

fn item(level: Level, target: &str, Fields(mut fields): Fields) -> LogItem {
    let mut text = |name: &str| match fields.remove(name) {
        Some(Json::String(text)) => Some(text),
        _ => None,
    };
    let (message, service) = (text("message"), text("service"));
    let now = nanos(Clock::system().now());
    let context = trace::current();
    let attributes = fields
        .into_iter()
        .map(|(name, value)| KeyValue::new(name, typed(value)));
    let target = KeyValue::new("code.namespace", target);
    let record = LogRecord {
        time_unix_nano: now,
        observed_time_unix_nano: now,
        severity_number: severity(level),
        severity_text: level.to_string(),
        body: message.map(|message| AnyValue {
            value: Some(message.into()),
        }),
        attributes: std::iter::once(target).chain(attributes).collect(),
        flags: context
            .as_ref()
            .map_or(0, |context| u32::from(context.sampled)),
        trace_id: context
            .as_ref()
            .map_or_else(Vec::new, |c| c.trace_id.bytes().to_vec()),
        span_id: context.map_or_else(Vec::new, |c| c.span_id.bytes().to_vec()),
    };
    LogItem { service, record }
}

/// The lowest number of each level's range.
const fn severity(level: Level) -> i32 {
    match level {
        Level::TRACE => 1,
        Level::DEBUG => 5,
        Level::INFO => 9,
        Level::WARN => 13,
        Level::ERROR => 17,
    }
}

fn typed(value: Json) -> Value {
    match value {
        Json::String(text) => Value::Text(text),
        Json::Bool(truth) => Value::Bool(truth),
        Json::Number(number) => match (number.as_i64(), number.as_f64()) {
            (Some(whole), _) => Value::Int(whole),
            (None, Some(double)) => Value::Double(double),
            (None, None) => Value::Text(number.to_string()),
        },
        other => Value::Text(other.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use ieum_base::Rng;
    use ieum_base::trace::TraceContext;
    use tracing_subscriber::layer::SubscriberExt;

    use super::*;

    type Heard = Arc<Mutex<Vec<String>>>;

    fn hearer(name: &'static str, heard: &Heard) -> Taker {
        let heard = Arc::clone(heard);
        Arc::new(move |item: LogItem| {
            let said = item.record.body.and_then(|body| body.value);
            let Some(Value::Text(said)) = said else {
                panic!("a message");
            };
            heard.lock().expect("whole").push(format!("{name}: {said}"));
        })
    }

    #[test]
    fn lines_of_traces_go_to_each_place_once_and_lines_of_access_to_collectors_only() {
        let heard = Heard::default();
        let collector = forward("c".into(), Wanted::All, hearer("collector", &heard));
        let first = forward("p".into(), Wanted::OfTraces, hearer("first", &heard));
        let second = forward("p".into(), Wanted::OfTraces, hearer("second", &heard));
        let subscriber = tracing_subscriber::registry().with(Forward);
        let guard = tracing::subscriber::set_default(subscriber);
        let log = |what: &str| {
            tracing::info!(target: "shop", "{what} outside");
            trace::sync_scope(TraceContext::root(&Rng::seeded(1), true), || {
                tracing::info!(target: "shop", "{what}");
                tracing::info!(target: "access", "answered");
            });
        };
        log("one");
        drop(second);
        log("two");
        drop((first, collector));
        log("three");
        drop(guard);
        let expected = [
            "collector: one outside",
            "collector: one",
            "second: one",
            "collector: answered",
            "collector: two outside",
            "collector: two",
            "first: two",
            "collector: answered",
        ];
        assert_eq!(*heard.lock().expect("whole"), expected);
    }

    #[test]
    fn what_the_exporter_runs_on_is_not_forwarded() {
        for target in [
            "ieum_telemetry::otlp::worker",
            "hyper",
            "hyper_util::client",
            "h2::codec",
            "ieum_http::pool",
        ] {
            assert!(is_ours(target), "{target}");
        }
        for target in ["access", "ieum_saga", "ieum_http::server", "h2o", "shop"] {
            assert!(!is_ours(target), "{target}");
        }
    }
}
