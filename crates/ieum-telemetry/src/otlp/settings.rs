//! The settings of the export, by the names that OpenTelemetry gives them in the environment.
//!
//! A signal is exported if an endpoint is named for it (`OTEL_EXPORTER_OTLP_ENDPOINT`, or its own
//! variant); unlike an OpenTelemetry SDK, a process that was told nothing sends nothing. A value that
//! is not understood is remarked on and has no effect, as the specification asks.

use std::time::Duration;

use http::{HeaderName, HeaderValue, Uri};
use ieum_base::Secret;
use ieum_base::trace::Propagators;
use ieum_http::Target;
use percent_encoding::percent_decode_str;

use crate::proto::KeyValue;

/// What is exported.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signal {
    /// Spans.
    Traces,
    /// Metrics.
    Metrics,
    /// Log records.
    Logs,
}

/// How an export travels.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Protocol {
    /// gRPC: `grpc`.
    Grpc,
    /// Protobuf over HTTP: `http/protobuf`.
    #[default]
    HttpProtobuf,
    /// JSON over HTTP: `http/json`.
    HttpJson,
}

/// Where one signal goes, and how.
#[derive(Clone, Debug)]
pub struct Destination {
    /// The peer.
    pub target: Target,
    /// The path of the requests.
    pub path: String,
    /// How they travel.
    pub protocol: Protocol,
    /// Headers of each request, such as a key.
    pub headers: Vec<(HeaderName, Secret<HeaderValue>)>,
    /// The longest wait for one answer. Default 10 s.
    pub timeout: Duration,
    /// Whether bodies are compressed. Default no.
    pub gzip: bool,
    /// How items wait.
    pub queue: Queue,
}

/// How items wait for their export.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Queue {
    /// The most items that wait. Default 65,536.
    pub items: usize,
    /// The most items of one request. Default 512.
    pub batch: usize,
    /// The longest an item waits for its batch to fill. Default 1 s.
    pub interval: Duration,
    /// How often a batch is sent before it is dropped. Default 5.
    pub attempts: u32,
}

impl Default for Queue {
    fn default() -> Self {
        Self {
            items: 65_536,
            batch: 512,
            interval: Duration::from_secs(1),
            attempts: 5,
        }
    }
}

/// Everything that the environment says about telemetry.
#[derive(Clone, Debug, Default)]
pub struct Settings {
    /// Where spans go.
    pub traces: Option<Destination>,
    /// Where metrics go.
    pub metrics: Option<Destination>,
    /// Where log records go.
    pub logs: Option<Destination>,
    /// How often metrics are read. Default 60 s.
    pub metric_interval: Duration,
    /// The name of the service, if it is not its own: `OTEL_SERVICE_NAME`.
    pub service: Option<String>,
    /// Further facts about the process: `OTEL_RESOURCE_ATTRIBUTES`.
    pub resource: Vec<KeyValue>,
    /// The formats in which contexts are written: `OTEL_PROPAGATORS`.
    pub propagators: Propagators,
    /// True if nothing is recorded here: `OTEL_SDK_DISABLED`. Contexts travel all the same.
    pub disabled: bool,
    /// What was not understood, for the log.
    pub remarks: Vec<String>,
}

impl Settings {
    /// The settings of this process.
    pub fn from_env() -> Self {
        Self::read(|name| std::env::var(name).ok())
    }

    /// The settings that `variable` answers. An empty value counts as none.
    pub fn read(variable: impl Fn(&str) -> Option<String>) -> Self {
        let mut reader = Reader {
            variable: &|name| variable(name).filter(|value| !value.trim().is_empty()),
            remarks: Vec::new(),
        };
        let interval = reader.millis("OTEL_METRIC_EXPORT_INTERVAL", Duration::from_secs(60));
        let propagators = reader.parsed("OTEL_PROPAGATORS", |text| text.parse().ok());
        let (mut service, mut resource) = (None, Vec::new());
        for (key, value) in reader.pairs("OTEL_RESOURCE_ATTRIBUTES") {
            match key.as_str() {
                "service.name" => service = Some(value),
                _ => resource.push(KeyValue::new(key, value)),
            }
        }
        let disabled = reader.is_true("OTEL_SDK_DISABLED");
        let mut destination = |signal| (!disabled).then(|| reader.destination(signal)).flatten();
        Self {
            traces: destination(Signal::Traces),
            metrics: destination(Signal::Metrics),
            logs: destination(Signal::Logs),
            metric_interval: interval,
            service: (reader.variable)("OTEL_SERVICE_NAME").or(service),
            resource,
            propagators: propagators.unwrap_or_default(),
            disabled,
            remarks: reader.remarks,
        }
    }
}

struct Reader<'a> {
    variable: &'a dyn Fn(&str) -> Option<String>,
    remarks: Vec<String>,
}

impl Reader<'_> {
    fn destination(&mut self, signal: Signal) -> Option<Destination> {
        let exporter = (self.variable)(&format!("OTEL_{}_EXPORTER", signal.variable()));
        let asked = match exporter.as_deref() {
            Some("none") => return None,
            Some("otlp") => true,
            None => false,
            Some(_) => {
                self.remark(&format!("OTEL_{}_EXPORTER", signal.variable()));
                return None;
            }
        };
        let protocol = self.own(signal, "PROTOCOL", |text| match text {
            "grpc" => Some(Protocol::Grpc),
            "http/protobuf" => Some(Protocol::HttpProtobuf),
            "http/json" => Some(Protocol::HttpJson),
            _ => None,
        });
        let protocol = protocol.unwrap_or_default();
        let (target, path) = self.endpoint(signal, protocol, asked)?;
        let timeout = self.own(signal, "TIMEOUT", |text| text.parse().ok());
        let gzip = self.own(signal, "COMPRESSION", |text| match text {
            "gzip" => Some(true),
            "none" => Some(false),
            _ => None,
        });
        Some(Destination {
            target,
            path,
            protocol,
            headers: self.headers(signal),
            timeout: timeout.map_or(Duration::from_secs(10), Duration::from_millis),
            gzip: gzip.unwrap_or(false),
            queue: self.queue(signal),
        })
    }

    /// The peer and the path. A signal's own endpoint is used as it is; the common one is the base of
    /// the paths that the protocol names.
    fn endpoint(
        &mut self,
        signal: Signal,
        protocol: Protocol,
        asked: bool,
    ) -> Option<(Target, String)> {
        let own_name = format!("OTEL_EXPORTER_OTLP_{}_ENDPOINT", signal.variable());
        let own = (self.variable)(&own_name);
        let is_own = own.is_some();
        let common = || (self.variable)("OTEL_EXPORTER_OTLP_ENDPOINT");
        let default = || match protocol {
            Protocol::Grpc => "http://localhost:4317".to_owned(),
            _ => "http://localhost:4318".to_owned(),
        };
        let url = own.or_else(common).or_else(|| asked.then(default))?;
        // gRPC's endpoints are often written without a scheme.
        let url = match url.contains("://") {
            true => url,
            false => format!(
                "{}://{url}",
                if self.is_insecure(signal) {
                    "http"
                } else {
                    "https"
                }
            ),
        };
        let uri = url.trim().parse::<Uri>().unwrap_or_default();
        let Ok(target) = Target::of(&uri) else {
            self.remark(if is_own {
                &own_name
            } else {
                "OTEL_EXPORTER_OTLP_ENDPOINT"
            });
            return None;
        };
        let base = uri.path().trim_end_matches('/');
        let path = match protocol {
            Protocol::Grpc => signal.method().to_owned(),
            _ if is_own => uri.path().to_owned(),
            _ => format!("{base}{}", signal.path()),
        };
        Some((target, path))
    }

    fn is_insecure(&mut self, signal: Signal) -> bool {
        let truth = |text: &str| Some(text.eq_ignore_ascii_case("true"));
        self.own(signal, "INSECURE", truth).unwrap_or(false)
    }

    fn headers(&mut self, signal: Signal) -> Vec<(HeaderName, Secret<HeaderValue>)> {
        let own = format!("OTEL_EXPORTER_OTLP_{}_HEADERS", signal.variable());
        let name = match (self.variable)(&own) {
            Some(_) => own,
            None => "OTEL_EXPORTER_OTLP_HEADERS".to_owned(),
        };
        let pairs = self.pairs(&name);
        let legal = pairs.into_iter().map(|(key, value)| {
            let mut value = HeaderValue::try_from(value).ok()?;
            value.set_sensitive(true);
            Some((HeaderName::try_from(key).ok()?, Secret::new(value)))
        });
        let headers: Option<Vec<_>> = legal.collect();
        headers.unwrap_or_else(|| {
            self.remark(&name);
            Vec::new()
        })
    }

    /// The batch settings of the signal's processor: spans (`BSP`) and log records (`BLRP`).
    fn queue(&mut self, signal: Signal) -> Queue {
        let default = Queue::default();
        let prefix = match signal {
            Signal::Traces => "OTEL_BSP",
            Signal::Logs => "OTEL_BLRP",
            Signal::Metrics => return default,
        };
        let positive = |text: &str| text.parse().ok().filter(|number| *number > 0);
        let items = self.parsed(&format!("{prefix}_MAX_QUEUE_SIZE"), positive);
        let batch = self.parsed(&format!("{prefix}_MAX_EXPORT_BATCH_SIZE"), positive);
        let interval = self.millis(&format!("{prefix}_SCHEDULE_DELAY"), default.interval);
        Queue {
            items: items.unwrap_or(default.items),
            batch: batch.unwrap_or(default.batch),
            interval,
            ..default
        }
    }

    /// The signal's own value of a setting, or the common one.
    fn own<T>(
        &mut self,
        signal: Signal,
        name: &str,
        read: impl Fn(&str) -> Option<T>,
    ) -> Option<T> {
        let own = format!("OTEL_EXPORTER_OTLP_{}_{name}", signal.variable());
        match (self.variable)(&own) {
            Some(_) => self.parsed(&own, read),
            None => self.parsed(&format!("OTEL_EXPORTER_OTLP_{name}"), read),
        }
    }

    fn parsed<T>(&mut self, name: &str, read: impl Fn(&str) -> Option<T>) -> Option<T> {
        let text = (self.variable)(name)?;
        let value = read(text.trim());
        if value.is_none() {
            self.remark(name);
        }
        value
    }

    fn millis(&mut self, name: &str, default: Duration) -> Duration {
        let read = |text: &str| text.parse().ok().map(Duration::from_millis);
        self.parsed(name, read).unwrap_or(default)
    }

    fn is_true(&self, name: &str) -> bool {
        (self.variable)(name).is_some_and(|text| text.trim().eq_ignore_ascii_case("true"))
    }

    /// `key=value` pairs with commas between them, percent-encoded as in W3C Baggage.
    fn pairs(&mut self, name: &str) -> Vec<(String, String)> {
        let Some(text) = (self.variable)(name) else {
            return Vec::new();
        };
        let members = text.split(',').map(str::trim).filter(|m| !m.is_empty());
        let pairs = members.map(|member| {
            let (key, value) = member.split_once('=')?;
            let value = percent_decode_str(value.trim()).decode_utf8().ok()?;
            (!key.trim().is_empty()).then(|| (key.trim().to_owned(), value.into_owned()))
        });
        let pairs: Option<Vec<_>> = pairs.collect();
        // By the specification an error anywhere discards the whole value.
        pairs.unwrap_or_else(|| {
            self.remark(name);
            Vec::new()
        })
    }

    /// Without the value, which may be a secret.
    fn remark(&mut self, name: &str) {
        let remark = format!("the value of {name} is not understood and has no effect");
        if !self.remarks.contains(&remark) {
            self.remarks.push(remark);
        }
    }
}

impl Signal {
    /// As it is named in variables.
    const fn variable(self) -> &'static str {
        match self {
            Self::Traces => "TRACES",
            Self::Metrics => "METRICS",
            Self::Logs => "LOGS",
        }
    }

    /// As it is named in metrics.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Traces => "traces",
            Self::Metrics => "metrics",
            Self::Logs => "logs",
        }
    }

    /// Its path over HTTP.
    pub const fn path(self) -> &'static str {
        match self {
            Self::Traces => "/v1/traces",
            Self::Metrics => "/v1/metrics",
            Self::Logs => "/v1/logs",
        }
    }

    /// Its path over gRPC.
    pub const fn method(self) -> &'static str {
        match self {
            Self::Traces => "/opentelemetry.proto.collector.trace.v1.TraceService/Export",
            Self::Metrics => "/opentelemetry.proto.collector.metrics.v1.MetricsService/Export",
            Self::Logs => "/opentelemetry.proto.collector.logs.v1.LogsService/Export",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(variables: &[(&str, &str)]) -> Settings {
        Settings::read(|name| {
            let found = variables.iter().find(|(known, _)| *known == name);
            found.map(|(_, value)| (*value).to_owned())
        })
    }

    fn place(destination: &Option<Destination>) -> String {
        destination.as_ref().map_or_else(String::new, |to| {
            let secure = if to.target.is_secure() { "s" } else { "" };
            format!(
                "{:?} http{secure}://{}{}",
                to.protocol,
                to.target.authority(),
                to.path
            )
        })
    }

    #[test]
    fn nothing_is_exported_unless_it_is_asked_for() {
        let settings = read(&[]);
        assert!(settings.traces.is_none() && settings.metrics.is_none() && settings.logs.is_none());
        assert!(settings.remarks.is_empty());
    }

    #[test]
    fn one_endpoint_is_the_base_of_all_signals_and_an_own_one_is_used_as_it_is() {
        let settings = read(&[
            ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://collector:4318/base/"),
            ("OTEL_EXPORTER_OTLP_LOGS_ENDPOINT", "https://logs.example"),
            ("OTEL_EXPORTER_OTLP_LOGS_PROTOCOL", "http/json"),
            ("OTEL_METRICS_EXPORTER", "none"),
        ]);
        assert_eq!(
            place(&settings.traces),
            "HttpProtobuf http://collector:4318/base/v1/traces"
        );
        assert_eq!(place(&settings.logs), "HttpJson https://logs.example/");
        assert_eq!(place(&settings.metrics), "");
    }

    #[test]
    fn grpc_has_fixed_paths_and_may_name_no_scheme() {
        let method = "opentelemetry.proto.collector.trace.v1.TraceService/Export";
        for (endpoint, insecure, expected) in [
            ("http://collector:4317", "", "http"),
            ("collector:4317", "true", "http"),
            ("collector:4317", "", "https"),
        ] {
            let settings = read(&[
                ("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint),
                ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc"),
                ("OTEL_EXPORTER_OTLP_INSECURE", insecure),
            ]);
            let expected = format!("Grpc {expected}://collector:4317/{method}");
            assert_eq!(place(&settings.traces), expected);
        }
        let default = read(&[("OTEL_TRACES_EXPORTER", "otlp")]);
        assert_eq!(
            place(&default.traces),
            "HttpProtobuf http://localhost:4318/v1/traces"
        );
    }

    #[test]
    fn headers_are_decoded_and_never_shown() {
        let settings = read(&[
            ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://collector"),
            ("OTEL_EXPORTER_OTLP_HEADERS", "api-key=s%20ecret, tenant=a"),
            ("OTEL_EXPORTER_OTLP_TIMEOUT", "2500"),
            ("OTEL_EXPORTER_OTLP_COMPRESSION", "gzip"),
            ("OTEL_BSP_MAX_QUEUE_SIZE", "7"),
        ]);
        let traces = settings.traces.as_ref().expect("asked for");
        assert_eq!(traces.headers[0].1.expose(), "s ecret");
        assert_eq!(traces.headers[1].0, "tenant");
        assert_eq!(traces.timeout, Duration::from_millis(2_500));
        assert!(traces.gzip);
        assert_eq!(traces.queue.items, 7);
        assert!(!format!("{settings:?}").contains("ecret"));
    }

    #[test]
    fn what_is_not_understood_is_remarked_on_without_its_value() {
        let settings = read(&[
            ("OTEL_EXPORTER_OTLP_ENDPOINT", "ftp://user:hunter2@x"),
            ("OTEL_EXPORTER_OTLP_PROTOCOL", "carrier-pigeon"),
            ("OTEL_RESOURCE_ATTRIBUTES", "broken"),
            ("OTEL_PROPAGATORS", "jaeger"),
        ]);
        assert!(settings.traces.is_none());
        assert_eq!(settings.remarks.len(), 4, "{:?}", settings.remarks);
        assert!(!format!("{settings:?}").contains("hunter2"));
    }

    #[test]
    fn the_resource_and_the_switch_are_read() {
        let settings = read(&[
            ("OTEL_SDK_DISABLED", "TRUE"),
            ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://collector"),
            ("OTEL_SERVICE_NAME", "named"),
            (
                "OTEL_RESOURCE_ATTRIBUTES",
                "service.name=other,deployment.environment=a%2Cb",
            ),
        ]);
        assert!(settings.disabled && settings.traces.is_none());
        assert_eq!(settings.service.as_deref(), Some("named"));
        assert_eq!(
            settings.resource,
            [KeyValue::new("deployment.environment", "a,b")]
        );
    }
}
