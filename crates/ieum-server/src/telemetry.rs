//! The platform's own metrics, by name.
//!
//! | metric | meaning |
//! |---|---|
//! | `ieum_log_position` | the last position of the log |
//! | `ieum_traces` | traces that are kept |
//! | `ieum_trace_bytes` | about how many bytes they take |
//! | `ieum_trace_spans_dropped_total` | spans of traces that were full |

use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

use crate::traces::Held;

/// What is measured of the platform at one moment.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Measured {
    /// The last position of the log; `None` if it does not answer.
    pub(crate) position: Option<u64>,
    /// What the trace store holds.
    pub(crate) traces: Held,
}

/// The metrics in the text format, followed by `more`, the texts of the other parts.
pub(crate) fn render(measured: Measured, more: &[String]) -> String {
    let mut registry = Registry::with_prefix("ieum");
    if let Some(position) = measured.position {
        gauge(
            &mut registry,
            "log_position",
            "The last position of the log",
            position,
        );
    }
    let Held {
        traces,
        bytes,
        dropped,
    } = measured.traces;
    gauge(
        &mut registry,
        "traces",
        "Traces that are kept",
        traces as u64,
    );
    gauge(
        &mut registry,
        "trace_bytes",
        "About how many bytes they take",
        bytes as u64,
    );
    let counter = prometheus_client::metrics::counter::Counter::<u64>::default();
    counter.inc_by(dropped);
    let help = "Spans of traces that were full";
    registry.register("trace_spans_dropped", help, counter);

    let mut text = String::new();
    // Writing into a string does not fail.
    let _ = encode(&mut text, &registry);
    let mut parts: Vec<&str> = vec![&text];
    parts.extend(more.iter().map(String::as_str));
    let mut whole = String::new();
    for part in parts {
        let part = part.trim_end();
        whole.push_str(part.strip_suffix("# EOF").unwrap_or(part).trim_end());
        whole.push('\n');
    }
    whole.push_str("# EOF\n");
    whole
}

fn gauge(registry: &mut Registry, name: &str, help: &str, value: u64) {
    let gauge = Gauge::<i64>::default();
    gauge.set(i64::try_from(value).unwrap_or(i64::MAX));
    registry.register(name, help, gauge);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_parts_become_one_document() {
        let measured = Measured {
            position: Some(7),
            ..Measured::default()
        };
        let gateway = "# TYPE x counter\nx_total 1\n# EOF\n".to_owned();
        let text = render(measured, &[gateway, String::new()]);
        assert!(text.contains("ieum_log_position 7\n"), "{text}");
        assert!(
            text.contains("ieum_trace_spans_dropped_total 0\n"),
            "{text}"
        );
        assert!(text.contains("\nx_total 1\n"), "{text}");
        assert_eq!(text.matches("# EOF").count(), 1);
        assert!(text.ends_with("# EOF\n"));
    }
}
