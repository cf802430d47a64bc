//! The live stream of the console: server-sent events.
//!
//! | call | answer |
//! |---|---|
//! | `GET /api/v1/live` | 200 `text/event-stream`, 503 with too many listeners |
//!
//! Two kinds of events: [`OVERVIEW`] once a second, its data the body of `GET /api/v1/overview`; and
//! [`CHANGED`], its data a [`Changed`], at most once a second for each part: what a page shows of that
//! part is old, and it asks again.

use serde::{Deserialize, Serialize};

/// The name of the event with an overview.
pub const OVERVIEW: &str = "overview";

/// The name of the event with a [`Changed`].
pub const CHANGED: &str = "changed";

/// A part of the platform is not as it was a second ago.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Changed {
    /// The part.
    pub what: Part,
    /// How often it changed since the listener was last told.
    pub count: u64,
}

/// The parts whose changes are told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Part {
    /// `GET /api/v1/services`.
    Services,
    /// `GET /api/v1/sagas`.
    Sagas,
    /// `GET /api/v1/traces`.
    Traces,
    /// `GET /api/v1/breakers`.
    Breakers,
    /// `GET /api/v1/topics` and `/groups`.
    Topics,
    /// `GET /api/v1/routes`.
    Routes,
    /// `GET /api/v1/dead-letters`.
    DeadLetters,
}

impl Part {
    /// All of them.
    pub const ALL: [Self; 7] = [
        Self::Services,
        Self::Sagas,
        Self::Traces,
        Self::Breakers,
        Self::Topics,
        Self::Routes,
        Self::DeadLetters,
    ];
}
