//! Which engines a command was given: by its flags, or by the environment if there is a password in
//! the URL. Everybody on the machine can read a command line.

use anyhow::{Context, Result};
use ieum::base::{EngineUrl, Secret};

use super::secrets;
use crate::support::cache::CACHE;
use crate::support::engines::{BROKER, DATABASE};

/// The database's URL.
pub(super) fn database(given: Option<&Secret>) -> Result<Option<EngineUrl>> {
    url("--database", given, DATABASE)
}

/// The broker's URL.
pub(super) fn broker(given: Option<&Secret>) -> Result<Option<EngineUrl>> {
    url("--broker", given, BROKER)
}

/// The cache's URL.
pub(super) fn cache(given: Option<&Secret>) -> Result<Option<EngineUrl>> {
    url("--cache", given, CACHE)
}

/// The URL after `flag`, or else the one in the environment variable `variable` or in the file that it
/// names with `_FILE` at its end.
fn url(flag: &str, given: Option<&Secret>, variable: &str) -> Result<Option<EngineUrl>> {
    let (name, text) = match given {
        Some(text) => (flag, Some(text.clone())),
        None => (variable, secrets::find(variable)?),
    };
    let Some(text) = text else { return Ok(None) };
    // What it holds is not shown: it may be anything, such as the password alone.
    let url: Result<EngineUrl, _> = text.expose().trim().parse();
    let url = url.ok().with_context(|| {
        format!(
            "{name} is not the URL of an engine, like `postgres://USER@HOST/shop` or `nats://HOST`"
        )
    })?;
    Ok(Some(url))
}
