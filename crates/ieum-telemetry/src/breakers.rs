//! How a process tells of its circuit breakers over OTLP: written and read in one place, so that both
//! sides agree.
//!
//! The present state is a gauge for each breaker ([`STATE`]: 0 closed, 1 open, 2 half-open), beside the
//! calls and failures in its window; each change is a log record, an event named [`CHANGED`].

use std::collections::BTreeMap;

use ieum_base::Timestamp;

use crate::otlp::nanos;
use crate::proto::{
    AnyValue, Data, Gauge, KeyValue, LogRecord, Metric, Number, NumberPoint, ScopeMetrics, Value,
};

/// The gauge of a breaker's state.
pub const STATE: &str = "ieum_breaker_state";
/// The gauge of the calls in its window.
pub const CALLS: &str = "ieum_breaker_calls";
/// The gauge of those that failed.
pub const FAILURES: &str = "ieum_breaker_failures";
/// The name of the event of a change.
pub const CHANGED: &str = "ieum.breaker.changed";

/// The states by their number.
const STATES: [&str; 3] = ["closed", "open", "half-open"];

/// How a breaker is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StateReport {
    /// The service that is called.
    pub service: String,
    /// The endpoint, `host:port`.
    pub target: String,
    /// The instance that is called.
    pub instance: String,
    /// `closed`, `open` or `half-open`.
    pub state: String,
    /// Calls in its window.
    pub calls: u64,
    /// Of these, those that failed.
    pub failures: u64,
}

/// How a breaker changed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ChangeReport {
    /// The service that is called.
    pub service: String,
    /// The endpoint, `host:port`.
    pub target: String,
    /// The instance that is called.
    pub instance: String,
    /// When.
    pub at: Timestamp,
    /// The state before.
    pub from: String,
    /// The state since.
    pub to: String,
    /// Why, in words.
    pub reason: String,
}

/// The number of a state; what is unknown counts as closed.
pub fn number(state: &str) -> i64 {
    let place = STATES.iter().position(|name| *name == state);
    place.and_then(|at| i64::try_from(at).ok()).unwrap_or(0)
}

/// The gauges of breakers, read at `now`.
pub fn gauges(states: &[StateReport], now: Timestamp) -> Vec<Metric> {
    let gauge = |name: &str, description: &str, value: fn(&StateReport) -> i64| Metric {
        name: name.to_owned(),
        description: description.to_owned(),
        unit: String::new(),
        data: Some(Data::Gauge(Gauge {
            data_points: states.iter().map(|s| point(s, value(s), now)).collect(),
        })),
    };
    vec![
        gauge(STATE, "0 closed, 1 open, 2 half-open", |s| number(&s.state)),
        gauge(CALLS, "Calls in the breaker's window", |s| signed(s.calls)),
        gauge(FAILURES, "Of these, those that failed", |s| {
            signed(s.failures)
        }),
    ]
}

/// The record of a change.
pub fn record(change: &ChangeReport, now: Timestamp) -> LogRecord {
    let ChangeReport {
        service,
        target,
        from,
        to,
        reason,
        ..
    } = change;
    let said = format!("the circuit breaker of {service} at {target} is {to}: {reason}");
    let attributes = [
        ("event.name", CHANGED),
        ("service", service),
        ("target", target),
        ("instance", &change.instance),
        ("from", from),
        ("to", to),
        ("reason", reason),
    ];
    let opened = to == STATES[1];
    LogRecord {
        time_unix_nano: nanos(change.at),
        observed_time_unix_nano: nanos(now),
        severity_number: if opened { 13 } else { 9 },
        severity_text: if opened { "WARN" } else { "INFO" }.to_owned(),
        body: Some(AnyValue {
            value: Some(said.into()),
        }),
        attributes: attributes
            .map(|(key, value)| KeyValue::new(key, value))
            .into(),
        ..LogRecord::default()
    }
}

/// True for the name of a gauge of breakers.
pub fn is_gauge(name: &str) -> bool {
    [STATE, CALLS, FAILURES].contains(&name)
}

/// The states that are among metrics.
pub fn read_gauges<'a>(scopes: impl IntoIterator<Item = &'a ScopeMetrics>) -> Vec<StateReport> {
    let mut breakers: BTreeMap<[String; 3], StateReport> = BTreeMap::new();
    let metrics = scopes.into_iter().flat_map(|scope| &scope.metrics);
    for metric in metrics.filter(|metric| is_gauge(&metric.name)) {
        let Some(Data::Gauge(gauge)) = &metric.data else {
            continue;
        };
        for point in &gauge.data_points {
            let [service, target, instance] =
                ["service", "target", "instance"].map(|key| text(&point.attributes, key));
            let key = [service.clone(), target.clone(), instance.clone()];
            let report = breakers.entry(key).or_insert_with(|| StateReport {
                service,
                target,
                instance,
                ..StateReport::default()
            });
            let value = value(point);
            match &*metric.name {
                STATE => state_of(value).clone_into(&mut report.state),
                CALLS => report.calls = value,
                _ => report.failures = value,
            }
        }
    }
    // Without a state there is nothing to show.
    let known = |report: &StateReport| !report.state.is_empty();
    breakers.into_values().filter(known).collect()
}

/// The change that a record tells of; `None` if it is about something else.
pub fn read_record(record: &LogRecord) -> Option<ChangeReport> {
    let [name, service, target, instance, from, to, reason] = [
        "event.name",
        "service",
        "target",
        "instance",
        "from",
        "to",
        "reason",
    ]
    .map(|key| text(&record.attributes, key));
    (name == CHANGED).then_some(ChangeReport {
        service,
        target,
        instance,
        at: Timestamp::from_micros(i64::try_from(record.time_unix_nano / 1_000).unwrap_or(0)),
        from,
        to,
        reason,
    })
}

fn point(report: &StateReport, value: i64, now: Timestamp) -> NumberPoint {
    let labels = [
        ("service", &report.service),
        ("target", &report.target),
        ("instance", &report.instance),
    ];
    NumberPoint {
        attributes: labels
            .map(|(key, value)| KeyValue::new(key, value.as_str()))
            .into(),
        start_time_unix_nano: 0,
        time_unix_nano: nanos(now),
        value: Some(Number::Int(value)),
    }
}

/// The text of an attribute; empty if it has none.
fn text(attributes: &[KeyValue], key: &str) -> String {
    let attribute = attributes.iter().find(|a| a.key == key);
    match attribute.and_then(|a| a.value.as_ref()?.value.as_ref()) {
        Some(Value::Text(text)) => text.clone(),
        _ => String::new(),
    }
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a gauge of whole numbers that are at least 0, however it is sent"
)]
fn value(point: &NumberPoint) -> u64 {
    match point.value {
        Some(Number::Int(number)) => u64::try_from(number).unwrap_or(0),
        Some(Number::Double(number)) => number as u64,
        None => 0,
    }
}

fn state_of(number: u64) -> &'static str {
    let place = usize::try_from(number).ok();
    place.and_then(|at| STATES.get(at)).unwrap_or(&STATES[0])
}

fn signed(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn half_open() -> StateReport {
        StateReport {
            service: "payments".into(),
            target: "10.0.0.1:80".into(),
            instance: "payments-1".into(),
            state: "half-open".into(),
            calls: 9,
            failures: 4,
        }
    }

    #[test]
    fn the_state_is_read_as_it_was_written() {
        let closed = StateReport {
            service: "users".into(),
            state: "closed".into(),
            ..StateReport::default()
        };
        let states = vec![half_open(), closed];
        let scope = ScopeMetrics {
            scope: None,
            metrics: gauges(&states, Timestamp::from_micros(5)),
        };
        assert_eq!(read_gauges([&scope]), states);
    }

    #[test]
    fn a_change_is_read_as_it_was_written() {
        let change = ChangeReport {
            service: "payments".into(),
            target: "10.0.0.1:80".into(),
            instance: "payments-1".into(),
            at: Timestamp::from_micros(1_700_000_000_000_001),
            from: "closed".into(),
            to: "open".into(),
            reason: "7 calls in a row failed".into(),
        };
        let written = record(&change, Timestamp::from_micros(1_700_000_000_000_002));
        assert_eq!(written.severity_text, "WARN");
        assert_eq!(read_record(&written), Some(change));
        assert_eq!(read_record(&LogRecord::default()), None);
    }

    #[test]
    fn other_metrics_tell_of_no_breaker() {
        let mut scope = ScopeMetrics {
            scope: None,
            metrics: gauges(&[half_open()], Timestamp::default()),
        };
        scope.metrics.retain(|metric| metric.name != STATE);
        assert_eq!(read_gauges([&scope]), []);
    }
}
