//! The names of discovery's metrics, and how they are written.

use std::fmt::Write as _;

use ieum_resilience::circuit_breaker::Breaker;

use crate::{Endpoint, InstanceId, Service};

/// What is measured of one service. The name of a service is configured, never user input, so it
/// may be a label.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sample {
    /// The service.
    pub service: String,
    /// Instances in the registry.
    pub registered: usize,
    /// Endpoints that may be sent requests.
    pub available: usize,
    /// Of these, endpoints with an open breaker.
    pub ejected: usize,
    /// Requests in flight.
    pub in_flight: usize,
    /// True while the registry cannot be reached.
    pub stale: bool,
}

/// The circuit breaker of one endpoint.
#[derive(Clone, Debug)]
pub struct EndpointBreaker {
    /// The service that is called.
    pub service: String,
    /// `host:port`.
    pub target: String,
    /// The instance that is called.
    pub instance: InstanceId,
    /// The breaker itself.
    pub breaker: Breaker,
}

impl EndpointBreaker {
    pub(crate) fn of(service: &Service, endpoint: &Endpoint) -> Self {
        Self {
            service: service.name().to_owned(),
            target: endpoint.authority().to_string(),
            instance: endpoint.instance().id.clone(),
            breaker: endpoint.breaker().clone(),
        }
    }
}

/// A gauge with the label `service`.
struct Gauge {
    name: &'static str,
    help: &'static str,
    value: fn(&Sample) -> usize,
}

const GAUGES: [Gauge; 5] = [
    Gauge {
        name: "ieum_discovery_instances",
        help: "Instances in the registry.",
        value: |sample| sample.registered,
    },
    Gauge {
        name: "ieum_discovery_endpoints",
        help: "Endpoints that may be sent requests.",
        value: |sample| sample.available,
    },
    Gauge {
        name: "ieum_discovery_endpoints_ejected",
        help: "Endpoints with an open circuit breaker.",
        value: |sample| sample.ejected,
    },
    Gauge {
        name: "ieum_discovery_requests_in_flight",
        help: "Requests on their way to an endpoint.",
        value: |sample| sample.in_flight,
    },
    Gauge {
        name: "ieum_discovery_stale",
        help: "1 while the registry cannot be reached and the last known endpoints are used.",
        value: |sample| usize::from(sample.stale),
    },
];

/// The samples in Prometheus' text format.
pub fn render(samples: &[Sample]) -> String {
    let mut text = String::new();
    for Gauge { name, help, value } in GAUGES {
        // Writing to a string cannot fail.
        let _ = writeln!(text, "# HELP {name} {help}\n# TYPE {name} gauge");
        for sample in samples {
            let service = escaped(&sample.service);
            let _ = writeln!(text, "{name}{{service=\"{service}\"}} {}", value(sample));
        }
    }
    text
}

fn escaped(label: &str) -> String {
    label
        .replace('\\', "\\\\")
        .replace('"', "\\\"")
        .replace('\n', "\\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples_are_written_as_prometheus_reads_them() {
        let text = render(&[Sample {
            service: "a\"b".to_owned(),
            registered: 3,
            available: 2,
            ejected: 1,
            in_flight: 7,
            stale: true,
        }]);
        assert!(text.contains("# TYPE ieum_discovery_endpoints gauge\n"));
        assert!(text.contains("ieum_discovery_endpoints{service=\"a\\\"b\"} 2\n"));
        assert!(text.contains("ieum_discovery_stale{service=\"a\\\"b\"} 1\n"));
    }
}
