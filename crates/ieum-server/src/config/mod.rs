//! The configuration of the platform: its shape, how it is read, and how its errors are shown.
//!
//! Strict on purpose: an unknown key, a missing secret or a wrong unit is refused before anything
//! starts, with file, line, column and what to do. A typo that is ignored at start is an outage
//! later.

mod definitions;
pub(crate) mod engines;
mod home;
mod impact;
mod load;
mod model;
mod registry_rules;
mod report;
mod rules;
mod secret;
pub(crate) mod shared;
mod tree;

#[cfg(test)]
mod tests;

pub use engines::{Log, Topics};
pub use home::{Home, Overrides};
pub use impact::{Contracts, Impact};
pub use load::{Source, load, load_with, parse, parse_with};
pub use model::{
    Config, LogFormat, LogOutput, Platform, Registry, Role, Sagas, StaticInstance, Telemetry,
    Traces,
};
pub use report::{Place, Problem, Report};
pub use secret::MissingSecret;
pub use shared::{Cache, Limits};
