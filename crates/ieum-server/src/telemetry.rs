//! The platform's own metrics, by name.
//!
//! | metric | meaning |
//! |---|---|
//! | `ieum_log_position` | the last position of the log |
//! | `ieum_traces` | traces that are kept |
//! | `ieum_trace_bytes` | about how many bytes they take |
//! | `ieum_trace_spans_dropped_total` | spans of traces that were full |
//! | `ieum_trace_lines_dropped_total` | lines of the log of traces that had as many as are kept |
//! | `ieum_group_lag` | messages that a consumer group has before it, by topic and group |
//! | `ieum_group_dead_letters` | messages that it gave up, or that wait behind one |
//! | `ieum_sagas_…_total`, `ieum_saga_…_total` | what the saga engine counted since it was opened |
//! | `ieum_sagas` | open sagas by status |
//! | `ieum_telemetry_…_total` | what became of what this process exported |

use ieum_messaging::GroupState;
use ieum_saga::Handle;
use ieum_saga::state::Status;
use ieum_telemetry::otlp::Outcomes;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

use crate::traces::Held;

/// What is measured of the platform at one moment.
#[derive(Clone, Debug, Default)]
pub(crate) struct Measured {
    /// The last position of the log; `None` if it does not answer.
    pub(crate) position: Option<u64>,
    /// What the trace store holds.
    pub(crate) traces: Held,
    /// The consumer groups.
    pub(crate) groups: Vec<GroupState>,
    /// The sagas; `None` without an engine.
    pub(crate) sagas: Option<SagaFigures>,
    /// What became of what was exported; `None` if nothing is.
    pub(crate) exported: Option<Outcomes>,
}

/// What is measured of the saga engine at one moment.
#[derive(Clone, Debug)]
pub(crate) struct SagaFigures {
    /// Counters by name.
    counted: Vec<(&'static str, u64)>,
    /// Open sagas by status.
    open: Vec<(&'static str, usize)>,
}

impl SagaFigures {
    /// Reads the figures of an engine.
    pub(crate) fn of(engine: &Handle) -> Self {
        let open = [Status::Running, Status::Compensating, Status::Parked];
        let count = |status: Status| (status.as_str(), engine.count(status));
        Self {
            counted: engine.counts().named().to_vec(),
            open: open.map(count).to_vec(),
        }
    }
}

/// Of which group. Groups are made by consumers; more than [`MOST_GROUPS`] are not shown.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Group {
    topic: String,
    group: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Open {
    status: &'static str,
}

/// The metrics in the text format, followed by `more`, the texts of the other parts.
pub(crate) fn render(measured: &Measured, more: &[String]) -> String {
    let mut registry = Registry::default();
    log_and_traces(&mut registry, measured);
    groups(&mut registry, &measured.groups);
    if let Some(figures) = &measured.sagas {
        sagas(&mut registry, figures);
    }
    if let Some(outcomes) = &measured.exported {
        for (name, help, family) in outcomes.named() {
            registry.register(name, help, family);
        }
    }
    let mut text = String::new();
    // Writing into a string does not fail.
    let _ = encode(&mut text, &registry);
    let mut parts: Vec<&str> = vec![&text];
    parts.extend(more.iter().map(String::as_str));
    let mut whole = String::new();
    for part in parts {
        let part = part.trim_end();
        let part = part.strip_suffix("# EOF").unwrap_or(part).trim_end();
        if !part.is_empty() {
            whole.push_str(part);
            whole.push('\n');
        }
    }
    whole.push_str("# EOF\n");
    whole
}

fn log_and_traces(registry: &mut Registry, measured: &Measured) {
    if let Some(position) = measured.position {
        let help = "The last position of the log";
        gauge(registry, "ieum_log_position", help, position);
    }
    let Held {
        traces,
        bytes,
        dropped,
        lines_dropped,
    } = measured.traces;
    let (traces, bytes) = (traces as u64, bytes as u64);
    gauge(registry, "ieum_traces", "Traces that are kept", traces);
    let help = "About how many bytes they take";
    gauge(registry, "ieum_trace_bytes", help, bytes);
    let help = "Spans of traces that were full";
    counter(registry, "ieum_trace_spans_dropped", help, dropped);
    let help = "Lines of the log of traces that had as many as are kept";
    counter(registry, "ieum_trace_lines_dropped", help, lines_dropped);
}

fn groups(registry: &mut Registry, groups: &[GroupState]) {
    let (lag, dead) = (
        Family::<Group, Gauge>::default(),
        Family::<Group, Gauge>::default(),
    );
    for state in groups.iter().take(MOST_GROUPS) {
        let labels = Group {
            topic: state.topic.clone(),
            group: state.group.clone(),
        };
        lag.get_or_create(&labels).set(signed(state.lag));
        dead.get_or_create(&labels).set(signed(state.dead_letters));
    }
    let help = "Messages that a consumer group has before it";
    registry.register("ieum_group_lag", help, lag);
    let help = "Messages that a consumer group gave up, or that wait behind one";
    registry.register("ieum_group_dead_letters", help, dead);
}

fn sagas(registry: &mut Registry, figures: &SagaFigures) {
    for (name, value) in &figures.counted {
        let name = name.strip_suffix("_total").unwrap_or(name);
        let help = "Counted by the saga engine since it was opened";
        counter(registry, name, help, *value);
    }
    let open = Family::<Open, Gauge>::default();
    for (status, count) in &figures.open {
        open.get_or_create(&Open { status })
            .set(signed(*count as u64));
    }
    registry.register("ieum_sagas", "Open sagas by status", open);
}

fn gauge(registry: &mut Registry, name: &str, help: &str, value: u64) {
    let gauge = Gauge::<i64>::default();
    gauge.set(signed(value));
    registry.register(name, help, gauge);
}

fn counter(registry: &mut Registry, name: &str, help: &str, value: u64) {
    let counter = Counter::<u64>::default();
    counter.inc_by(value);
    registry.register(name, help, counter);
}

fn signed(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

/// The most groups that are shown.
const MOST_GROUPS: usize = 1_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_parts_become_one_document() {
        let measured = Measured {
            position: Some(7),
            groups: vec![GroupState {
                topic: "order.events".to_owned(),
                group: "a\"b".to_owned(),
                member: None,
                epoch: ieum_messaging::Epoch(1),
                checkpoint: 3,
                lag: 4,
                dead_letters: 1,
            }],
            sagas: Some(SagaFigures {
                counted: vec![("ieum_sagas_started_total", 9)],
                open: vec![("running", 2)],
            }),
            exported: Some(Outcomes::default()),
            ..Measured::default()
        };
        let endpoints = ieum_discovery::telemetry::render(&[]);
        let gateway = "# TYPE x counter\nx_total 1\n# EOF\n".to_owned();
        let text = render(&measured, &[gateway, endpoints]);
        assert!(text.contains("ieum_log_position 7\n"), "{text}");
        assert!(
            text.contains("ieum_trace_spans_dropped_total 0\n"),
            "{text}"
        );
        assert!(text.contains("\nx_total 1\n"), "{text}");
        for line in [
            r#"ieum_group_lag{topic="order.events",group="a\"b"} 4"#,
            "ieum_sagas_started_total 9",
            r#"ieum_sagas{status="running"} 2"#,
        ] {
            assert!(text.contains(line), "{line}\n{text}");
        }
        ieum_telemetry::metrics::exposition::parse(&text).expect("correct");
        assert_eq!(text.matches("# EOF").count(), 1);
        assert!(text.ends_with("# EOF\n"));
    }
}
