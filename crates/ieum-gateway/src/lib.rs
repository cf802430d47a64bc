//! The gateway: the one way in from outside.
//!
//! A request passes the phases
//! `accept → parse → normalise → route → identify → authorise → limit → cache → split → transform →
//! (compose | federate | transcode | proxy) → balance → connect → respond`,
//! each in a file of its own under `phases/`. The data path runs on threads of its own, one per
//! core, each with its own listener, runtime and connections; bodies are streamed.
//!
//! Configuration ([`Config`]) is compiled into an immutable table that [`Handle::reload`] swaps
//! whole. Health belongs to the endpoints of [`ieum_discovery`] and is shared by all routes and
//! threads. Every error that the gateway answers itself is in [`Code`].

mod access_log;
mod body;
mod caching;
mod config;
mod errors;
mod federation;
mod gateway;
mod identity;
mod keepers;
mod phases;
mod table;
mod telemetry;
mod thread;
mod transcoding;
mod upstream;
mod worker;

pub use config::{
    AccessLog, Algorithm, Auth, Config, ConfigError, Connections, FallbackConfig, GraphqlConfig,
    JwtConfig, KeyConfig, LimitBy, Limits, Network, PartConfig, PlanningConfig, RateLimitConfig,
    RouteCacheConfig, RouteConfig, SplitBy, SplitConfig, SubgraphConfig, SubgraphsConfig, Timeouts,
    TranscodeConfig, Warning,
};
pub use errors::{Code, Row};
pub use federation::{GraphqlInfo, SubgraphInfo};
pub use gateway::{Deps, Gateway, Handle, RouteInfo, StartError, Stopped};
pub use table::SplitInfo;
pub use transcoding::{TranscodeInfo, TranscodedMethod};
