//! The log in PostgreSQL: several platforms may share it.

use ieum_base::{Clock, EngineUrl, Stop, Tasks};

use super::Storage;
use crate::config::Config;
use crate::platform::StartError;

/// Opens the log in the database at `url`.
#[expect(clippy::unused_async, reason = "the engine's log is on its way")]
pub(super) async fn open(
    _config: &Config,
    url: &EngineUrl,
    _clock: Clock,
    _tasks: &Tasks,
    _stop: &Stop,
) -> Result<Storage, StartError> {
    Err(StartError::new(format!("no log can be kept at {url} yet")))
}
