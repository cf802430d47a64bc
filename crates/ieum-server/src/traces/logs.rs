//! The lines that were logged within traces: the latest, by number and by bytes.
//!
//! A line is kept beside the spans of its trace, whether or not these have come. What may hold a
//! secret is hidden when it is taken, so that nothing has to be hidden when it is shown.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap, VecDeque};

use ieum_base::trace::{SpanId, TraceId};
use ieum_base::{Timestamp, redact};
use ieum_remote::wire::traces::{LogLevel, LogLine};
use ieum_telemetry::proto::{AnyValue, KeyValue, LogRecord, LogsRequest, Value};

use super::short_name;

/// How much is kept. The oldest trace goes first.
#[derive(Clone, Copy, Debug)]
pub struct LogLimits {
    /// The most lines of all traces.
    pub lines: usize,
    /// About the most bytes of all traces.
    pub bytes: usize,
    /// The most lines of one trace; what comes later is counted and dropped.
    pub of_trace: usize,
}

impl Default for LogLimits {
    /// 10,000 lines and 4 MiB; 200 lines of one trace.
    fn default() -> Self {
        Self {
            lines: 10_000,
            bytes: 4 << 20,
            of_trace: 200,
        }
    }
}

/// The lines by trace.
#[derive(Default)]
pub(super) struct Logs {
    traces: HashMap<TraceId, Kept>,
    /// By the first line of each trace, the oldest first.
    order: VecDeque<TraceId>,
    lines: usize,
    bytes: usize,
    dropped: u64,
}

#[derive(Default)]
struct Kept {
    lines: Vec<LogLine>,
    bytes: usize,
}

impl Logs {
    pub(super) fn add(&mut self, trace: TraceId, line: LogLine, limits: LogLimits) {
        if limits.of_trace == 0 {
            return;
        }
        if !self.traces.contains_key(&trace) {
            self.order.push_back(trace);
        }
        let kept = self.traces.entry(trace).or_default();
        // A line may come twice: from this process, and by OTLP from an exporter in it.
        if kept.lines.contains(&line) {
            return;
        }
        if kept.lines.len() >= limits.of_trace {
            self.dropped += 1;
            return;
        }
        let bytes = weight(&line);
        kept.bytes += bytes;
        kept.lines.push(line);
        self.bytes += bytes;
        self.lines += 1;
        while self.lines > limits.lines || self.bytes > limits.bytes {
            let Some(oldest) = self.order.pop_front() else {
                return;
            };
            self.forget(oldest);
        }
    }

    /// The lines of a trace, by their time.
    pub(super) fn of(&self, trace: TraceId) -> Vec<LogLine> {
        let kept = self.traces.get(&trace).map(|kept| kept.lines.clone());
        let mut lines = kept.unwrap_or_default();
        lines.sort_by_key(|line| line.at);
        lines
    }

    pub(super) const fn dropped(&self) -> u64 {
        self.dropped
    }

    fn forget(&mut self, trace: TraceId) {
        if let Some(kept) = self.traces.remove(&trace) {
            self.lines -= kept.lines.len();
            self.bytes -= kept.bytes;
        }
    }
}

/// The lines of a request that belong to a trace, each made when it is asked for: together they may be
/// far larger than the request.
pub(crate) fn read(request: LogsRequest) -> impl Iterator<Item = (TraceId, LogLine)> {
    request.resource_logs.into_iter().flat_map(|resource| {
        let name = resource.resource.as_ref();
        let name = name.and_then(|resource| resource.text("service.name"));
        let service = name.unwrap_or("unknown_service").to_owned();
        let records = resource.scope_logs.into_iter().flat_map(|s| s.log_records);
        records.filter_map(move |record| line(&service, record))
    })
}

/// The line of one record; `None` if it belongs to no trace.
pub(crate) fn line(service: &str, record: LogRecord) -> Option<(TraceId, LogLine)> {
    let trace = TraceId::from_bytes(&record.trace_id)?;
    let nanos = match record.time_unix_nano {
        0 => record.observed_time_unix_nano,
        nanos => nanos,
    };
    let attributes = record.attributes.into_iter().take(MOST_ATTRIBUTES);
    let attributes: BTreeMap<_, _> = attributes
        .map(|KeyValue { key, value }| {
            let value = named(&key, value, shown);
            (cut(key), value)
        })
        .collect();
    let message = match shown(record.body) {
        serde_json::Value::Null => String::new(),
        serde_json::Value::String(text) => text,
        other => other.to_string(),
    };
    let line = LogLine {
        at: Timestamp::from_micros(i64::try_from(nanos / 1_000).unwrap_or(i64::MAX)),
        level: level(record.severity_number, &record.severity_text),
        service: short_name(service).to_owned(),
        message,
        span_id: SpanId::from_bytes(&record.span_id),
        attributes,
    };
    Some((trace, line))
}

/// A value without the secrets that can be recognised in it, and not longer than is read.
fn shown(value: Option<AnyValue>) -> serde_json::Value {
    match plain(value) {
        nested @ (serde_json::Value::Array(_) | serde_json::Value::Object(_)) => {
            hidden(nested.to_string()).into()
        }
        leaf => leaf,
    }
}

/// A value unless its name is that of a secret.
fn named(
    name: &str,
    value: Option<AnyValue>,
    show: fn(Option<AnyValue>) -> serde_json::Value,
) -> serde_json::Value {
    match redact::is_secret_name(name) {
        true => redact::HIDDEN.into(),
        false => show(value),
    }
}

/// A value as JSON, without secrets at any depth. Whoever reads the protocol bounds the depth.
fn plain(value: Option<AnyValue>) -> serde_json::Value {
    match value.and_then(|value| value.value) {
        None => serde_json::Value::Null,
        Some(Value::Text(text)) => hidden(text).into(),
        Some(Value::Bool(truth)) => truth.into(),
        Some(Value::Int(number)) => number.into(),
        Some(Value::Double(number)) => number.into(),
        Some(Value::Bytes(bytes)) => format!("{} bytes", bytes.len()).into(),
        Some(Value::Array(array)) => {
            let values = array.values.into_iter();
            values.map(|value| plain(Some(value))).collect()
        }
        Some(Value::Map(map)) => {
            let pairs = map.values.into_iter().map(|KeyValue { key, value }| {
                let value = named(&key, value, plain);
                (key, value)
            });
            pairs.collect()
        }
    }
}

/// The whole text is looked at before it is cut: half a secret is not recognised.
fn hidden(text: String) -> String {
    match redact::text(&text) {
        Cow::Borrowed(_) => cut(text),
        Cow::Owned(redacted) => cut(redacted),
    }
}

fn cut(mut text: String) -> String {
    if text.len() > LONGEST {
        text.truncate(text.floor_char_boundary(LONGEST));
        text.push('…');
    }
    text
}

/// The level by its number, or by its name where there is none.
fn level(number: i32, name: &str) -> LogLevel {
    match number {
        1..=4 => LogLevel::Trace,
        5..=8 => LogLevel::Debug,
        9..=12 => LogLevel::Info,
        13..=16 => LogLevel::Warn,
        17.. => LogLevel::Error,
        _ => match name.to_ascii_lowercase().as_str() {
            "trace" => LogLevel::Trace,
            "debug" => LogLevel::Debug,
            "warn" | "warning" => LogLevel::Warn,
            "error" | "fatal" | "critical" => LogLevel::Error,
            _ => LogLevel::Info,
        },
    }
}

/// About how many bytes a line takes.
fn weight(line: &LogLine) -> usize {
    let attribute = |(name, value): (&String, &serde_json::Value)| {
        let text = value.as_str().map_or(0, str::len);
        96 + name.len() + text
    };
    let attributes: usize = line.attributes.iter().map(attribute).sum();
    size_of::<LogLine>() + line.service.len() + line.message.len() + attributes
}

/// The longest text of a line, in bytes.
const LONGEST: usize = 4_096;
/// The most attributes of a line.
const MOST_ATTRIBUTES: usize = 32;

#[cfg(test)]
mod tests {
    use ieum_telemetry::proto::{ArrayValue, KeyValueList, Resource, ResourceLogs, ScopeLogs};

    use super::*;

    fn record(trace: u8, message: &str, micros: u64) -> LogRecord {
        LogRecord {
            time_unix_nano: micros * 1_000,
            severity_number: 13,
            body: Some(AnyValue {
                value: Some(message.into()),
            }),
            trace_id: vec![trace; 16],
            span_id: vec![7; 8],
            ..LogRecord::default()
        }
    }

    fn logs(limits: LogLimits, records: impl IntoIterator<Item = LogRecord>) -> Logs {
        let mut logs = Logs::default();
        for record in records {
            let (trace, line) = line("orders", record).expect("of a trace");
            logs.add(trace, line, limits);
        }
        logs
    }

    fn said(logs: &Logs, trace: u8) -> Vec<String> {
        let trace = TraceId::from_bytes(&[trace; 16]).expect("an id");
        logs.of(trace).into_iter().map(|l| l.message).collect()
    }

    #[test]
    fn lines_come_back_by_their_time_and_once() {
        let records = [record(1, "b", 2), record(1, "a", 1), record(1, "b", 2)];
        let logs = logs(LogLimits::default(), records);
        assert_eq!(said(&logs, 1), ["a", "b"]);
    }

    #[test]
    fn a_trace_that_logs_without_end_stays_small_and_the_oldest_trace_goes_first() {
        let limits = LogLimits {
            lines: 5,
            of_trace: 3,
            ..LogLimits::default()
        };
        let endless = (0..100).map(|n| record(1, &n.to_string(), n));
        let others = (2..4).map(|trace| record(trace, "other", 1));
        let logs = logs(limits, endless.chain(others));
        assert_eq!((said(&logs, 1).len(), logs.dropped()), (3, 97));
        let logs = {
            let mut logs = logs;
            let (trace, line) = line("orders", record(4, "last", 1)).expect("of a trace");
            logs.add(trace, line, limits);
            logs
        };
        assert_eq!(said(&logs, 1), [""; 0]);
        assert_eq!(said(&logs, 4), ["last"]);
    }

    #[test]
    fn bytes_are_bounded_and_counted_back() {
        let limits = LogLimits {
            bytes: 4_000,
            ..LogLimits::default()
        };
        let records = (1..=200).map(|trace| record(trace, &"x".repeat(500), 1));
        let logs = logs(limits, records);
        assert!(logs.bytes <= 4_000, "{}", logs.bytes);
        let sum: usize = logs.traces.values().map(|kept| kept.bytes).sum();
        assert_eq!((logs.bytes, logs.lines), (sum, logs.traces.len()));
        assert_eq!(said(&logs, 200).len(), 1);
    }

    #[test]
    fn what_may_be_a_secret_is_hidden_and_long_texts_are_cut() {
        let mut whole = record(1, "login with password=hunter2 failed", 1);
        whole.attributes = vec![
            KeyValue::new("api_key", "abc"),
            KeyValue::new("note", "Bearer abcdefghijklmnop"),
            KeyValue::new("long", "é".repeat(5_000)),
            KeyValue::new("count", 3),
        ];
        let (_, line) = line("orders", whole).expect("of a trace");
        assert_eq!(line.message, "login with password=*** failed");
        assert_eq!(line.attributes["api_key"], "***");
        assert_eq!(line.attributes["count"], 3);
        let note = line.attributes["note"].as_str().expect("text");
        assert!(!note.contains("abcdefghijklmnop"), "{note}");
        let long = line.attributes["long"].as_str().expect("text");
        assert!(long.len() <= LONGEST + '…'.len_utf8());
    }

    #[test]
    fn a_long_name_of_a_service_is_not_in_each_of_its_lines() {
        let named = |name: &str| KeyValue::new("service.name", name);
        let request = LogsRequest {
            resource_logs: vec![ResourceLogs {
                resource: Some(Resource {
                    attributes: vec![named(&"n".repeat(1 << 20))],
                }),
                scope_logs: vec![ScopeLogs {
                    scope: None,
                    log_records: (0..100).map(|n| record(1, "x", n)).collect(),
                }],
            }],
        };
        let bytes: usize = read(request).map(|(_, line)| weight(&line)).sum();
        assert!(bytes < 100 << 10, "{bytes}");
    }

    #[test]
    fn a_secret_is_hidden_however_deep_it_lies() {
        let any = |value: Value| AnyValue { value: Some(value) };
        let login = Value::Map(KeyValueList {
            values: vec![
                KeyValue::new("user", "u-1"),
                KeyValue::new("password", "hunter2"),
            ],
        });
        let list = Value::Array(ArrayValue {
            values: vec![any(login), any("token=hunter2hunter2".into())],
        });
        let mut whole = record(1, "", 1);
        whole.body = Some(any(list.clone()));
        whole.attributes = vec![KeyValue::new("sent", list)];
        let (_, line) = line("orders", whole).expect("of a trace");
        let expected = r#"[{"user":"u-1","password":"***"},"token=***"]"#;
        assert_eq!(line.message, expected);
        assert_eq!(line.attributes["sent"], expected);
    }

    #[test]
    fn a_record_outside_of_traces_is_no_line() {
        let mut outside = record(1, "hello", 1);
        outside.trace_id.clear();
        assert_eq!(line("orders", outside), None);
    }

    #[test]
    fn a_level_is_read_by_number_or_name() {
        assert_eq!(level(17, "whatever"), LogLevel::Error);
        assert_eq!(level(0, "Warning"), LogLevel::Warn);
        assert_eq!(level(0, ""), LogLevel::Info);
    }
}
