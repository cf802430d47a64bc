//! Telemetry, judged by others: an OTLP receiver on OpenTelemetry's own code, its Python SDK, and
//! Prometheus' own parser (`tests/clients/otlp/`).

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};
use ieum_testkit::{Process, Reply, Request, Stub, binary, eventually};
use serde_json::{Value, json};

use crate::packages;
use crate::platform::{Platform, SOON};
use crate::shop::{DEMO, Shop};

/// A caller's trace, which nobody here records the beginning of.
const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const PARENT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

/// The receiver, and what it got.
struct Receiver {
    _process: Process,
    http: String,
    grpc: String,
}

impl Receiver {
    fn start() -> Result<Self> {
        let process = Process::start(&mut packages::python("otlp", "receiver.py")?)?;
        let place = |name: &str| {
            let prefix = format!("{name} ");
            process.wait_for(SOON, |line| line.strip_prefix(&*prefix).map(str::to_owned))
        };
        Ok(Self {
            http: place("http")?,
            grpc: place("grpc")?,
            _process: process,
        })
    }

    /// Every request that it took: path, transport, key and body.
    fn received(&self) -> Result<Vec<Value>> {
        let all = Request::new("GET", "/received").send(&self.http)?;
        Ok(serde_json::from_value(all.expect(200)?)?)
    }

    /// The spans of one trace: the parent of each, by its id.
    fn spans(&self, trace: &str) -> Result<BTreeMap<String, String>> {
        let received = self.received()?;
        let spans = received
            .iter()
            .filter(|request| request["path"] == "/v1/traces")
            .flat_map(|request| list(&request["body"], "resourceSpans"))
            .flat_map(|resource| list(resource, "scopeSpans"))
            .flat_map(|scope| list(scope, "spans"))
            .filter(|span| span["traceId"] == trace);
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        Ok(spans
            .map(|span| (text(&span["spanId"]), text(&span["parentSpanId"])))
            .collect())
    }
}

fn list<'a>(value: &'a Value, name: &str) -> impl Iterator<Item = &'a Value> + use<'a> {
    value[name].as_array().into_iter().flatten()
}

/// One order under the caller's trace; `ieum trace` must show one whole tree, and the receiver must
/// have got the same spans, beside metrics and log records.
fn assert_exported(receiver: &Receiver, environment: &[(&str, &str)]) -> Result<()> {
    let common = [
        (
            "OTEL_EXPORTER_OTLP_HEADERS",
            "api-key=for%20the%20collector",
        ),
        ("OTEL_BSP_SCHEDULE_DELAY", "100"),
        ("OTEL_BLRP_SCHEDULE_DELAY", "100"),
        ("OTEL_METRIC_EXPORT_INTERVAL", "500"),
        ("OTEL_RESOURCE_ATTRIBUTES", "deployment.environment=test"),
        ("IEUM_LOG", "info"),
    ];
    let mut shop = Shop::start_with(&[&common[..], environment].concat())?;
    let order = order_under(&shop, PARENT)?;
    let whole = eventually("one whole trace", SOON, || {
        let shown = shown(&shop.platform, &order).ok()?;
        let is_whole = shown["orphans"] == 0 && list(&shown, "spans").count() > 20;
        (is_whole && shown["traceId"] == TRACE).then_some(shown)
    })?;
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let ids = |shown: &Value| -> BTreeMap<String, String> {
        let spans = list(shown, "spans");
        spans
            .map(|span| (text(&span["spanId"]), text(&span["parent"])))
            .collect()
    };
    eventually("the same spans at the receiver", SOON, || {
        let got = receiver.spans(TRACE).ok()?;
        let wanted = ids(&shown(&shop.platform, &order).ok()?);
        (got == wanted && wanted.len() >= ids(&whole).len()).then_some(())
    })
    .with_context(|| format!("{:?}\n{:?}", receiver.spans(TRACE), ids(&whole)))?;
    // What the caller's vendor said went through the outbox of orders, the event, the saga, its call,
    // and the outbox of who was called.
    for category in ["order.events", "payment.events"] {
        let states = states(&shop.platform, category)?;
        assert!(!states.is_empty(), "{category}");
        assert!(
            states.iter().all(|state| state == "vendor=kept"),
            "{states:?}"
        );
    }
    eventually("metrics and logs", SOON, || {
        let received = receiver.received().ok()?;
        (has_metric(&received) && has_log(&received)).then_some(())
    })?;
    shop.process.terminate()?;
    let ended = shop.process.wait(DEMO)?;
    assert_eq!(ended.code(), Some(0), "{}", shop.process.output());
    for request in receiver.received()? {
        assert_eq!(request["key"], "for the collector", "{}", request["path"]);
    }
    Ok(())
}

/// Places an order under a caller's trace and waits until it is final.
fn order_under(shop: &Shop, traceparent: &str) -> Result<String> {
    let product = shop.product("가죽운동화", 59_000, 10)?;
    let (_, token) = shop.sign_up("kim@example.com", "Kim")?;
    let body = json!({"items": [{"productId": product, "quantity": 1}] });
    let placed = Request::new("POST", "/api/v1/orders")
        .bearer(&token)
        .header("traceparent", traceparent)
        .header("tracestate", "vendor=kept")
        .json(&body)
        .send(&shop.gateway)?
        .expect(201)?;
    let order = placed["id"].as_str().context("an id")?.to_owned();
    shop.finished(&order, &token)?;
    Ok(order)
}

/// The `tracestate` of every event of a category that was written under the caller's trace.
fn states(platform: &str, category: &str) -> Result<Vec<Value>> {
    let target = format!("/api/v1/log?category={category}&limit=1000");
    let page = Request::new("GET", &target).send(platform)?.expect(200)?;
    let ours = list(&page, "events").filter(|event| {
        let parent = event["metadata"]["traceparent"].as_str();
        parent.is_some_and(|parent| parent.contains(TRACE))
    });
    Ok(ours
        .map(|event| event["metadata"]["tracestate"].clone())
        .collect())
}

/// What `ieum trace` says.
pub(crate) fn shown(platform: &str, order: &str) -> Result<Value> {
    let mut command = Command::new(binary("ieum")?);
    command.args(["trace", order, "--json", "--platform"]);
    let output = command.arg(format!("http://{platform}")).output()?;
    ensure!(output.status.success(), "{output:?}");
    Ok(serde_json::from_slice(&output.stdout)?)
}

/// True if the services' own counter came, as a sum that only grows.
fn has_metric(received: &[Value]) -> bool {
    let metrics = received
        .iter()
        .flat_map(|request| list(&request["body"], "resourceMetrics"))
        .flat_map(|resource| list(resource, "scopeMetrics"))
        .flat_map(|scope| list(scope, "metrics"));
    let mut requests = metrics.filter(|metric| metric["name"] == "api_requests");
    requests.any(|metric| metric["sum"]["isMonotonic"] == true)
}

/// True if a line of the log came that belongs to the order's trace.
fn has_log(received: &[Value]) -> bool {
    let mut records = received
        .iter()
        .flat_map(|request| list(&request["body"], "resourceLogs"))
        .flat_map(|resource| list(resource, "scopeLogs"))
        .flat_map(|scope| list(scope, "logRecords"));
    records.any(|record| record["traceId"] == TRACE && record["severityText"] == "INFO")
}

#[test]
fn an_order_arrives_whole_at_a_receiver_over_grpc() -> Result<()> {
    let receiver = Receiver::start()?;
    let endpoint = format!("http://{}", receiver.grpc);
    let settings = [
        ("OTEL_EXPORTER_OTLP_ENDPOINT", &*endpoint),
        ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc"),
        ("OTEL_EXPORTER_OTLP_COMPRESSION", "gzip"),
    ];
    assert_exported(&receiver, &settings)?;
    assert_eq!(transports(&receiver)?, ["grpc"]);
    Ok(())
}

#[test]
fn an_order_arrives_whole_at_a_receiver_over_http() -> Result<()> {
    let receiver = Receiver::start()?;
    let endpoint = format!("http://{}", receiver.http);
    let settings = [
        ("OTEL_EXPORTER_OTLP_ENDPOINT", &*endpoint),
        ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "http/json"),
        ("OTEL_EXPORTER_OTLP_LOGS_COMPRESSION", "gzip"),
    ];
    assert_exported(&receiver, &settings)?;
    let both = ["application/json", "application/x-protobuf"];
    assert_eq!(transports(&receiver)?, both);
    Ok(())
}

/// How the requests came, each way once.
fn transports(receiver: &Receiver) -> Result<Vec<String>> {
    let received = receiver.received()?;
    let ways = received.iter().filter_map(|r| r["transport"].as_str());
    let ways: BTreeSet<_> = ways.map(str::to_owned).collect();
    Ok(ways.into_iter().collect())
}

#[test]
fn the_platform_takes_the_spans_of_another_sdk_over_grpc() -> Result<()> {
    let platform = Platform::start("")?;
    let output = packages::python("otlp", "sender.py")?
        .arg(&platform.api)
        .output()?;
    let complaints = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{complaints}");
    let trace = Request::new("GET", "/api/v1/traces/sent-by-python").send(&platform.api)?;
    let trace = trace.expect(200)?;
    let names: BTreeSet<_> = list(&trace, "spans").map(|s| s["name"].as_str()).collect();
    assert_eq!(names, BTreeSet::from([Some("inner"), Some("outer")]));
    assert!(list(&trace, "spans").all(|span| span["service"] == "python"));
    Ok(())
}

#[test]
fn garbage_is_refused_with_a_clear_text() -> Result<()> {
    let platform = Platform::start("")?;
    for (path, media_type, body, status) in [
        ("/v1/traces", "application/x-protobuf", "garbage", 400),
        (
            "/v1/traces",
            "application/json",
            "{\"resourceSpans\":7}",
            400,
        ),
        ("/v1/metrics", "application/x-protobuf", "garbage", 400),
        ("/v1/logs", "application/json", "[]", 400),
        ("/v1/logs", "text/plain", "a line", 415),
    ] {
        let mut request = Request::new("POST", path).header("content-type", media_type);
        request.body = body.into();
        let reply = request.send(&platform.api)?;
        assert_eq!(
            reply.status,
            status,
            "{path} {media_type}: {}",
            reply.text()
        );
        assert!(reply.text().contains("OTLP"), "{path}: {}", reply.text());
    }
    Ok(())
}

#[test]
fn what_a_client_says_of_its_trace_is_handled_by_the_book() -> Result<()> {
    let upstream = Stub::start(|request| {
        let headers = request.headers.iter().cloned();
        let headers: BTreeMap<_, _> = headers.collect();
        Reply::json_of(200, &json!({ "headers": headers }))
    })?;
    let routes = format!(
        "[[gateway.routes]]\nname = 'all'\npath = '/'\nauth = 'none'\nurl = 'http://{}'\n",
        upstream.address()
    );
    let platform = Platform::start(&routes)?;
    let passed_on = |headers: &[(&str, &str)]| -> Result<(String, Value, Value)> {
        let mut request = Request::new("GET", "/");
        for (name, value) in headers {
            request = request.header(name, value);
        }
        let seen = request.send(&platform.gateway)?.expect(200)?["headers"].take();
        let parent = seen["traceparent"].as_str().context("always a trace")?;
        Ok((
            parent[3..35].to_owned(),
            seen["tracestate"].clone(),
            seen["b3"].clone(),
        ))
    };
    let goes_on = |headers: &[(&str, &str)]| Ok::<_, anyhow::Error>(passed_on(headers)?.0 == TRACE);
    assert!(goes_on(&[("traceparent", PARENT)])?);
    for broken in [
        "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",
        "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
        "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
        "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-more",
    ] {
        let (trace, state, _) = passed_on(&[("traceparent", broken), ("tracestate", "a=1")])?;
        assert!(trace != TRACE && state.is_null(), "{broken}");
    }
    assert!(!goes_on(&[
        ("traceparent", PARENT),
        ("traceparent", PARENT)
    ])?);
    let (long, short) = (format!("l={}", "v".repeat(250)), "s=1,t=2");
    let overlong = format!("{long},{},{short}", long.replace('l', "m"));
    let (_, state, _) = passed_on(&[("traceparent", PARENT), ("tracestate", &overlong)])?;
    assert_eq!(state, format!("{long},{short}"));
    let b3 = format!("{TRACE}-00f067aa0ba902b7-1");
    let (trace, _, stale) = passed_on(&[("b3", &b3)])?;
    assert_eq!((trace.as_str(), stale), (TRACE, Value::Null));
    Ok(())
}

#[test]
fn metrics_are_what_prometheus_reads() -> Result<()> {
    let mut shop = Shop::start()?;
    order_under(&shop, PARENT)?;
    let names = families(&shop.platform)?;
    for name in [
        "api_requests",
        "api_response_time",
        "ieum_log_position",
        "ieum_group_lag",
        "ieum_sagas",
        "ieum_sagas_completed",
        "ieum_discovery_endpoints",
    ] {
        assert!(names.contains(name), "{name}: {names:?}");
    }
    for address in shop.services.values() {
        let names = families(address)?;
        for name in [
            "api_requests",
            "ieum_telemetry_exported",
            "ieum_outbox_sent",
            "ieum_outbox_unsent",
        ] {
            assert!(names.contains(name), "{name}: {names:?}");
        }
    }
    let notified = r#"ieum_messages_handled_total{topic="order.events"}"#;
    eventually("messages are counted", SOON, || {
        let text = Request::new("GET", "/metrics").send(&shop.services["notifications"]);
        let text = text.ok()?.text();
        let line = text.lines().find(|line| line.starts_with(notified))?;
        (!line.ends_with(" 0")).then_some(())
    })?;
    shop.process.terminate()?;
    shop.process.wait(DEMO)?;
    Ok(())
}

/// The names of the families at `/metrics`, read by Prometheus' own parser.
fn families(address: &str) -> Result<BTreeSet<String>> {
    let reply = Request::new("GET", "/metrics").send(address)?;
    let media_type = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    assert_eq!(reply.get("content-type"), Some(media_type));
    let mut command = packages::python("otlp", "metrics.py")?;
    command.stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut parser = command.spawn()?;
    let text = reply.text();
    parser
        .stdin
        .take()
        .context("stdin")?
        .write_all(text.as_bytes())?;
    let output = parser.wait_with_output()?;
    ensure!(
        output.status.success(),
        "{address} is not understood:\n{text}"
    );
    let names = String::from_utf8(output.stdout)?;
    let names = names.lines().filter_map(|line| line.split(' ').next());
    Ok(names.map(str::to_owned).collect())
}
