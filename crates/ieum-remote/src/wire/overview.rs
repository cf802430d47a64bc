//! The platform at a glance: the live map of services, and the totals of everything else.
//!
//! | call | query | answer |
//! |---|---|---|
//! | `GET /api/v1/overview` | [`GetOverview`] | 200 [`Overview`] |
//!
//! What each figure means and what it does not see stands in `docs/reference/console-api.md`.

use ieum_base::Timestamp;
use serde::{Deserialize, Serialize};

/// The query of the overview.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GetOverview {
    /// The most services, and the most edges, in the answer: those with the most calls. The server's
    /// largest page by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<usize>,
}

/// The platform at one moment.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Overview {
    /// When it was put together.
    pub at: Timestamp,
    /// Who answers.
    pub platform: About,
    /// The seconds over which rates, shares and latencies are taken.
    pub window_seconds: u64,
    /// Registered services and those that were seen to work, by name.
    pub services: Vec<ServiceLoad>,
    /// Who calls whom, by both names.
    pub edges: Vec<Edge>,
    /// The sagas of this platform.
    #[serde(default)]
    pub sagas: SagaCounts,
    /// Messages that consumer groups gave up, or that wait behind one.
    #[serde(default)]
    pub dead_letters: u64,
    /// Messages that consumer groups have before them, all together.
    #[serde(default)]
    pub lag: u64,
    /// The circuit breakers that are known here.
    #[serde(default)]
    pub breakers: BreakerCounts,
}

/// Which platform answers.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct About {
    /// Its name among those on its log: where its API is reached.
    pub name: String,
    /// Its version.
    pub version: String,
    /// When it was started.
    pub started_at: Timestamp,
}

/// One service on the map.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ServiceLoad {
    /// Its name.
    pub name: String,
    /// The team that owns it, from the metadata of its instances.
    pub owner: Option<String>,
    /// Its registered instances.
    #[serde(default)]
    pub instances: InstanceCounts,
    /// What it answered.
    #[serde(flatten)]
    pub load: Load,
}

/// Instances by the worst state of their checks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct InstanceCounts {
    /// All is well.
    pub passing: usize,
    /// Something is not, and it goes on.
    pub warning: usize,
    /// Nothing is sent there.
    pub critical: usize,
}

/// Calls of one service by another, or messages from one to another.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Edge {
    /// Who calls or publishes.
    pub from: String,
    /// Who answers or handles.
    pub to: String,
    /// How often, and how it goes, as the caller sees it where both were seen.
    #[serde(flatten)]
    pub load: Load,
}

/// What happened in the window.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Load {
    /// Calls per second.
    pub rate: f64,
    /// The share of them that failed, 0 to 1.
    pub error_rate: f64,
    /// Half of them took at most this many milliseconds; 0 without calls.
    pub p50_ms: f64,
    /// 99 of 100 took at most this many milliseconds; 0 without calls.
    pub p99_ms: f64,
}

/// The sagas of one platform.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SagaCounts {
    /// Open, going forward.
    pub running: usize,
    /// Open, going back.
    pub compensating: usize,
    /// Open, waiting for an operator.
    pub parked: usize,
    /// Completed since the platform was started.
    pub completed: u64,
    /// Compensated since the platform was started.
    pub compensated: u64,
}

/// Circuit breakers by state.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct BreakerCounts {
    /// Traffic flows.
    pub closed: usize,
    /// It does not.
    pub open: usize,
    /// A probe is on its way.
    pub half_open: usize,
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_figures_of_a_service_stand_beside_its_name() {
        let service = ServiceLoad {
            name: "orders".into(),
            load: Load {
                rate: 2.5,
                error_rate: 0.5,
                p50_ms: 3.0,
                p99_ms: 40.0,
            },
            ..ServiceLoad::default()
        };
        let written = serde_json::to_value(&service).expect("JSON");
        let expected = json!({
            "name": "orders",
            "owner": null,
            "instances": {"passing": 0, "warning": 0, "critical": 0},
            "rate": 2.5, "errorRate": 0.5, "p50Ms": 3.0, "p99Ms": 40.0,
        });
        assert_eq!(written, expected);
        let read: ServiceLoad = serde_json::from_value(written).expect("the same");
        assert_eq!(read, service);
    }
}
