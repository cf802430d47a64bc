//! The gateway: the one way in from outside.
//!
//! A request passes the phases
//! `accept → parse → normalise → route → identify → authorise → limit → cache → transform →
//! (compose | proxy) → balance → connect → respond`,
//! each in a file of its own under `phases/`. The data path runs on threads of its own, one per
//! core, each with its own listener, runtime and connections; bodies are streamed.
//!
//! Configuration ([`Config`]) is compiled into an immutable table that [`Handle::reload`] swaps
//! whole. Health belongs to the endpoints of [`ieum_discovery`] and is shared by all routes and
//! threads. Every error that the gateway answers itself is in [`Code`].

mod access_log;
mod body;
mod config;
mod errors;
mod gateway;
mod identity;
mod phases;
mod table;
mod telemetry;
mod thread;
mod upstream;
mod worker;

pub use config::{
    AccessLog, Algorithm, Auth, Config, ConfigError, Connections, FallbackConfig, JwtConfig,
    KeyConfig, LimitBy, Limits, Network, PartConfig, RateLimitConfig, RouteConfig, Timeouts,
    Warning,
};
pub use errors::{Code, Row};
pub use gateway::{Deps, Gateway, Handle, RouteInfo, StartError, Stopped};
