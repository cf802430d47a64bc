//! The policies, and what the balancers believe about latency.

use ieum_base::HumanDuration;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How an endpoint is chosen. All policies honour the weights of the instances.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Policy {
    /// The better of two drawn at random, by latency and load. The default.
    #[default]
    P2c,
    /// One after the other, really in turn.
    RoundRobin,
    /// Any, evenly.
    Random,
    /// The one with the fewest requests in flight; among equals, in turn.
    LeastLoaded,
}

/// What the balancers believe about latency.
///
/// ```toml
/// first-estimate = "30ms"
/// decay = "10s"
/// failure-penalty = "5s"
/// longest-penalty = "300s"
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct Config {
    /// The latency that an endpoint without an answer is believed to have. Default `30ms`, as in
    /// linkerd2-proxy.
    pub first_estimate: HumanDuration,
    /// How fast an estimate forgets: after this long, 63 % of it is new. Default `10s`; above 0.
    pub decay: HumanDuration,
    /// How long an answer a failure counts as. Default `5s`, linkerd's load biaser.
    pub failure_penalty: HumanDuration,
    /// The longest `Retry-After` that a failure counts as. Default `300s`, linkerd's load biaser.
    pub longest_penalty: HumanDuration,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            first_estimate: HumanDuration::from_millis(30),
            decay: HumanDuration::from_secs(10),
            failure_penalty: HumanDuration::from_secs(5),
            longest_penalty: HumanDuration::from_secs(300),
        }
    }
}
