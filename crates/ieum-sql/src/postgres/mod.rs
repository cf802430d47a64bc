//! PostgreSQL 15 and newer, by URL: `postgres://USER:PASSWORD@HOST:5432/DATABASE`.
//!
//! [`connect`] opens a bounded [`Pool`], refuses a server that cannot keep an acknowledged write,
//! and brings the schema up to date. Everything else in here stands on such a pool and may be used
//! by any number of processes at once: nothing is cached across commits.

pub mod barrier;
mod config;
mod create;
mod doctor;
mod effect;
mod error;
pub mod idempotency;
pub mod inbox;
pub mod log;
mod migration;
pub mod outbox;
mod pool;
mod relay_lease;
mod rows;
mod session;
mod tls;
pub mod topics;
pub mod view;

pub use config::{Config, SCHEMES};
pub use create::create_database;
pub use doctor::examine;
pub use log::Log;
pub use migration::{Migration, migrate};
pub use pool::{Client, Pool};
pub use tokio_postgres;
pub use topics::Topics;

use ieum_base::EngineUrl;

pub(crate) use rows::lock;
use rows::{limited, readable, status};

use crate::Result;

/// Connects to the database that `url` names and brings its schema to `migrations`.
///
/// Waits up to [`Config::acquire_timeout`] for a server that is starting. Parameters of the URL:
/// `sslmode` (`disable`, `prefer`, `require`, `verify-full`; default `prefer`), `sslrootcert` (a file
/// of certificates in PEM), `host` (the folder of a socket), `application_name`, and the bounds of
/// [`Config`] by their names (`max_connections=16&statement_timeout=10s`).
///
/// # Errors
/// `Invalid` (the URL), `Unreachable`, `Denied`, `Missing`, `Unsupported` (older than 15, a standby,
/// `fsync = off`, not UTF-8), `Newer`: each names the URL without its password and what to do.
pub async fn connect(url: &EngineUrl, migrations: &[Migration], config: Config) -> Result<Pool> {
    let pool = Pool::new(url, config)?;
    migrate(&pool, migrations).await?;
    Ok(pool)
}
