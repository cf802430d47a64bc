//! Settings that people know by the name of the library or guide that they come from.

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{circuit_breaker, retry};

/// A named set of resilience settings.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Preset {
    /// linkerd2-proxy: the default.
    #[default]
    Linkerd,
    /// Node's opossum: timeout 3 s, 50 % errors, reset 30 s.
    Opossum,
    /// The guides: 5 failures, call limit 60 s, reset 30 s, three attempts after 1 s and 2 s.
    Guide,
    /// Java's resilience4j: 50 % of at least 100 calls, reset 60 s, ten probes, timeout 1 s.
    #[serde(rename = "resilience4j")]
    Resilience4j,
}

impl Preset {
    /// The breaker.
    pub const fn breaker(self) -> circuit_breaker::Config {
        match self {
            Self::Linkerd => circuit_breaker::Config::linkerd(),
            Self::Opossum => circuit_breaker::Config::opossum(),
            Self::Guide => circuit_breaker::Config::guide(),
            Self::Resilience4j => circuit_breaker::Config::resilience4j(),
        }
    }

    /// The time that a call may take.
    pub const fn timeout(self) -> Duration {
        match self {
            Self::Linkerd => Duration::from_secs(15),
            Self::Opossum => Duration::from_secs(3),
            Self::Guide => Duration::from_secs(60),
            Self::Resilience4j => Duration::from_secs(1),
        }
    }

    /// The retries.
    pub fn retry(self) -> retry::Config {
        match self {
            Self::Guide | Self::Resilience4j => retry::Config::guide(),
            Self::Linkerd | Self::Opossum => retry::Config::default(),
        }
    }
}
