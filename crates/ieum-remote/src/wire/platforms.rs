//! The platforms on one log: who they are, and who does what only one of them may do.
//!
//! | call | answer |
//! |---|---|
//! | `GET /api/v1/platforms` | 200 [`Platforms`] |
//! | `GET /api/v1/platforms/heard` | 200 [`ieum_discovery::peers::Heard`], for other platforms |

use serde::{Deserialize, Serialize};

/// The platforms on one log, as the one that answers last saw them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Platforms {
    /// False if the one that answers is alone on its log, as with SQLite.
    pub shared: bool,
    /// By name.
    pub platforms: Vec<PlatformView>,
    /// How many partitions of sagas nobody owns at this moment.
    #[serde(default)]
    pub unowned: usize,
}

/// One platform.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PlatformView {
    /// Its name: where its API is reached.
    pub name: String,
    /// True for the one that answers.
    pub own: bool,
    /// False if it was silent for longer than a lease.
    pub alive: bool,
    /// True if it runs the health checks at present.
    #[serde(default)]
    pub checks: bool,
    /// The partitions of sagas that it owns.
    #[serde(default)]
    pub partitions: Vec<String>,
    /// The topics that it copies from the broker; told by itself only.
    #[serde(default)]
    pub mirrors: Vec<String>,
}
