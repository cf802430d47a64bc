//! Circuit breakers: the gateway's own, and those of services that report them.
//!
//! | call | query | answer |
//! |---|---|---|
//! | `GET /api/v1/breakers` | [`ListBreakers`] | 200 [`Breakers`] |

use ieum_base::Timestamp;
use serde::{Deserialize, Serialize};

/// The most changes that are told of one breaker.
pub const MAX_CHANGES: usize = 20;

/// The query of a list of breakers.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ListBreakers {
    /// The most in the answer; the server's bound by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<usize>,
}

/// Circuit breakers, those that changed last first.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Breakers {
    /// The breakers.
    pub breakers: Vec<BreakerView>,
}

/// One breaker: how `owner` sees one endpoint of `service`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct BreakerView {
    /// The service that is called.
    pub service: String,
    /// The endpoint, `host:port`.
    pub target: String,
    /// Who calls: `gateway`, or a service.
    pub owner: String,
    /// The instance that is called, by its id in the registry.
    pub instance: String,
    /// Whether traffic flows.
    pub state: BreakerState,
    /// Since when.
    pub since: Timestamp,
    /// Calls in the breaker's window.
    pub calls: u64,
    /// Of these, those that failed.
    pub failures: u64,
    /// The share of these, 0 to 1.
    pub failure_rate: f64,
    /// Its last changes, the latest first, at most [`MAX_CHANGES`].
    #[serde(default)]
    pub changes: Vec<BreakerChange>,
}

/// Whether traffic flows through a breaker.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum BreakerState {
    /// It does.
    #[default]
    Closed,
    /// It does not.
    Open,
    /// One probe is on its way.
    HalfOpen,
}

impl BreakerState {
    /// Its name on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Closed => "closed",
            Self::Open => "open",
            Self::HalfOpen => "half-open",
        }
    }

    /// The state with this name.
    pub fn find(name: &str) -> Option<Self> {
        let all = [Self::Closed, Self::Open, Self::HalfOpen];
        all.into_iter().find(|state| state.as_str() == name)
    }
}

/// A change of a breaker's state.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct BreakerChange {
    /// When.
    pub at: Timestamp,
    /// The state before.
    pub from: BreakerState,
    /// The state since.
    pub to: BreakerState,
    /// Why, in words.
    pub reason: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_state_is_found_by_the_name_that_it_is_written_with() {
        for state in [
            BreakerState::Closed,
            BreakerState::Open,
            BreakerState::HalfOpen,
        ] {
            let written = serde_json::to_value(state).expect("JSON");
            assert_eq!(written, state.as_str());
            assert_eq!(BreakerState::find(state.as_str()), Some(state));
        }
        assert_eq!(BreakerState::find("ajar"), None);
    }
}
