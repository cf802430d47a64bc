//! A line of JSON: the event's own fields beside what finds it again, the service and the trace.

use std::fmt;
use std::sync::Arc;

use ieum_base::{Clock, trace};
use serde_json::{Map, Value};
use tracing::field::{Field, Visit};
use tracing::{Event, Subscriber};
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::registry::LookupSpan;

/// Writes events as objects: `timestamp`, `level`, `target`, `service`, `trace_id` and `span_id`
/// inside of a trace, `message`, and the event's fields.
pub(super) struct Json {
    /// The service in lines that name none.
    pub(super) service: Arc<str>,
}

impl<S, N> FormatEvent<S, N> for Json
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        _: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let mut fields = Fields::default();
        event.record(&mut fields);
        let line = self.line(event.metadata(), fields);
        writeln!(writer, "{line}")
    }
}

impl Json {
    fn line(&self, metadata: &tracing::Metadata<'_>, fields: Fields) -> Value {
        let mut line = Map::new();
        let mut put = |name: &str, value: String| line.insert(name.to_owned(), value.into());
        put("timestamp", Clock::system().now().to_string());
        put("level", metadata.level().to_string());
        put("target", metadata.target().to_owned());
        put("service", (*self.service).to_owned());
        if let Some(context) = trace::current() {
            put("trace_id", context.trace_id.to_string());
            put("span_id", context.span_id.to_string());
        }
        // What the event says itself counts.
        line.extend(fields.0);
        Value::Object(line)
    }
}

/// The fields of an event as JSON.
#[derive(Default)]
pub(super) struct Fields(pub(super) Map<String, Value>);

impl Fields {
    fn put(&mut self, field: &Field, value: impl Into<Value>) {
        self.0.insert(field.name().to_owned(), value.into());
    }
}

impl Visit for Fields {
    fn record_f64(&mut self, field: &Field, value: f64) {
        self.put(field, value);
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.put(field, value);
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.put(field, value);
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.put(field, value);
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.put(field, value);
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.put(field, format!("{value:?}"));
    }
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::sync::Mutex;

    use ieum_base::Rng;
    use ieum_base::trace::TraceContext;
    use tracing_subscriber::layer::SubscriberExt;

    use super::*;

    #[derive(Clone, Default)]
    struct Written(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Written {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0
                .lock()
                .expect("not poisoned")
                .extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[tokio::test]
    async fn a_line_names_the_service_and_the_trace_of_the_task() {
        let written = Written::default();
        let writer = written.clone();
        let json = Json {
            service: "shop".into(),
        };
        let layer = tracing_subscriber::fmt::layer().event_format(json);
        let layer = layer.with_writer(move || writer.clone());
        let subscriber = tracing_subscriber::registry().with(layer);
        let context = TraceContext::root(&Rng::seeded(1), true);
        let guard = tracing::subscriber::set_default(subscriber);
        trace::scope(context.clone(), async {
            tracing::warn!(
                service = "orders",
                count = 3,
                why = "a \"quote\"\n",
                "it happened"
            );
        })
        .await;
        tracing::info!("outside");
        drop(guard);
        let text = String::from_utf8(written.0.lock().expect("not poisoned").clone());
        let text = text.expect("text");
        let lines = text
            .lines()
            .map(|line| serde_json::from_str::<Value>(line).expect("JSON"));
        let lines: Vec<_> = lines.collect();
        let [inside, outside] = lines.as_slice() else {
            panic!("two lines: {text}");
        };
        assert_eq!(inside["service"], "orders");
        assert_eq!(inside["level"], "WARN");
        assert_eq!(inside["message"], "it happened");
        assert_eq!(
            (&inside["count"], &inside["why"]),
            (&3.into(), &"a \"quote\"\n".into())
        );
        assert_eq!(inside["trace_id"], context.trace_id.to_string());
        assert_eq!(inside["span_id"], context.span_id.to_string());
        assert_eq!(outside["service"], "shop");
        assert_eq!(outside.get("trace_id"), None);
    }
}
