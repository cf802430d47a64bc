//! Waiting for a condition, and finding a free port.

use std::net::TcpListener;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

/// Asks `condition` every 20 ms until it answers a value; an error after `limit` names `what`.
pub fn eventually<T>(
    what: &str,
    limit: Duration,
    mut condition: impl FnMut() -> Option<T>,
) -> Result<T> {
    let end = now() + limit;
    loop {
        if let Some(value) = condition() {
            return Ok(value);
        }
        if now() > end {
            bail!("{what}: not within {limit:?}");
        }
        std::thread::park_timeout(Duration::from_millis(20));
    }
}

/// A TCP port that nobody listens on at this moment.
pub fn free_port() -> Result<u16> {
    let listener = TcpListener::bind("127.0.0.1:0").context("no free port on loopback")?;
    Ok(listener.local_addr()?.port())
}

#[expect(
    clippy::disallowed_methods,
    reason = "black-box tests wait on real time"
)]
pub(crate) fn now() -> Instant {
    Instant::now()
}
