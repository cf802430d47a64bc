//! The names of what the chassis measures. The guides' names (S1) and OpenTelemetry's.

use std::fmt;

use prometheus_client::encoding::{EncodeLabel, EncodeLabelSet, LabelSetEncoder};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::histogram::Histogram;

use crate::Metrics;

/// Labels of a request: the method, the route's template (never the path), the status. A call of gRPC
/// has the HTTP status that its own stands for, so that one rule watches all, and its own beside it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct RequestLabels {
    pub(crate) method: &'static str,
    pub(crate) path: String,
    pub(crate) status_code: u16,
    pub(crate) grpc_status: Option<&'static str>,
}

impl EncodeLabelSet for RequestLabels {
    fn encode(&self, encoder: &mut LabelSetEncoder<'_>) -> Result<(), fmt::Error> {
        ("method", self.method).encode(encoder.encode_label())?;
        ("path", &*self.path).encode(encoder.encode_label())?;
        ("status_code", self.status_code).encode(encoder.encode_label())?;
        match self.grpc_status {
            Some(status) => ("grpc_status", status).encode(encoder.encode_label()),
            None => Ok(()),
        }
    }
}

/// The metrics of requests.
#[derive(Clone, Debug)]
pub(crate) struct RequestMetrics {
    requests: Family<RequestLabels, Counter>,
    errors: Family<RequestLabels, Counter>,
    response_time: Family<RequestLabels, Histogram, fn() -> Histogram>,
}

impl RequestMetrics {
    pub(crate) fn register(metrics: &Metrics) -> Self {
        let histogram: fn() -> Histogram = || Histogram::new(MILLISECONDS);
        Self {
            requests: metrics.register("api_requests", "Requests answered", Family::default()),
            errors: metrics.register(
                "api_errors",
                "Requests answered with a status of 400 or more",
                Family::default(),
            ),
            response_time: metrics.register(
                "api_response_time",
                "Milliseconds from the request's head to the answer's head",
                Family::new_with_constructor(histogram),
            ),
        }
    }

    pub(crate) fn observe(&self, labels: &RequestLabels, milliseconds: f64) {
        self.requests.get_or_create(labels).inc();
        if labels.status_code >= 400 {
            self.errors.get_or_create(labels).inc();
        }
        self.response_time
            .get_or_create(labels)
            .observe(milliseconds);
    }
}

/// A method as a label; others than the usual ones are one label, because a client invents them.
pub(crate) fn method_label(method: &http::Method) -> &'static str {
    match method.as_str() {
        "GET" => "GET",
        "HEAD" => "HEAD",
        "POST" => "POST",
        "PUT" => "PUT",
        "PATCH" => "PATCH",
        "DELETE" => "DELETE",
        "OPTIONS" => "OPTIONS",
        _ => "OTHER",
    }
}

const MILLISECONDS: [f64; 13] = [
    1.0, 2.0, 5.0, 10.0, 25.0, 50.0, 100.0, 250.0, 500.0, 1_000.0, 2_500.0, 5_000.0, 10_000.0,
];
