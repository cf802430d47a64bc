//! The platform: registry, gateway, log and sagas in one process, with the command line of the
//! binary `ieum`.
//!
//! [`platform::Platform::start`] embeds everything into a program of one's own; the binary does no
//! more than that. [`config`] is the shape of `ieum.toml`, [`errors`] the table of error codes.

mod api;
pub mod cmd;
pub mod config;
pub mod console;
pub mod consul;
pub mod doctor;
pub mod errors;
mod impact;
pub mod live;
mod logging;
mod participants;
pub mod platform;
mod signals;
mod telemetry;
pub mod traces;
#[cfg(feature = "console")]
mod ui;

pub use config::Config;
pub use platform::{Platform, Running};
