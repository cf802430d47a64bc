//! Events as records for the exporter.
//!
//! The subscriber is the process's, and so is the place where an exporter asks for records. Events of
//! the exporter itself, and of what it sends with, are never forwarded: they would beget others.

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
pub(crate) struct LogItem {
    pub(crate) service: Option<String>,
    pub(crate) record: LogRecord,
}

/// Takes records; never blocks.
pub(crate) type Taker = Arc<dyn Fn(LogItem) + Send + Sync>;

static TAKER: RwLock<Option<Taker>> = RwLock::new(None);

/// From now on records go to `taker`, or to nobody. The latest exporter counts.
pub(crate) fn forward(taker: Option<Taker>) {
    *TAKER.write().unwrap_or_else(PoisonError::into_inner) = taker;
}

/// The layer that sees the events.
pub(super) struct Forward;

impl<S: Subscriber> Layer<S> for Forward {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let metadata = event.metadata();
        if is_ours(metadata.target()) {
            return;
        }
        let taker = TAKER.read().unwrap_or_else(PoisonError::into_inner).clone();
        if let Some(taker) = taker {
            let mut fields = Fields::default();
            event.record(&mut fields);
            taker(item(*metadata.level(), metadata.target(), fields));
        }
    }
}

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
    use super::*;

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
