//! The settings of the gateway: `[gateway]`, `[gateway.jwt]` and `[[gateway.routes]]`.
//!
//! The types here say what may be written. [`Config::validate`] says what makes no sense, all of it
//! at once and each with the path of its key, so that whoever read the file can point at the line.

mod cache;
mod gateway;
mod graphql;
mod jwt;
mod network;
mod route;
mod split;
mod transcode;
mod validate;

pub use cache::RouteCacheConfig;
pub use gateway::{AccessLog, Config, Connections, Limits, Timeouts};
pub use graphql::{GraphqlConfig, PlanningConfig, SubgraphConfig, SubgraphsConfig};
pub use jwt::{Algorithm, JwtConfig, KeyConfig};
pub use network::Network;
pub use route::{Auth, FallbackConfig, LimitBy, PartConfig, RateLimitConfig, RouteConfig};
pub use split::{SplitBy, SplitConfig};
pub use transcode::TranscodeConfig;
pub use validate::{ConfigError, Warning};
