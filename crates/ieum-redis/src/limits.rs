//! Rate limits on Redis: one script per request, on the server's own time.

use std::fmt;
use std::time::Duration;

use async_trait::async_trait;
use ieum_resilience::Quota;
use ieum_resilience::rate_limit::{Limited, Store, StoreError, Verdict};
use redis::Script;

use crate::connection::{Connection, Patience};
use crate::keys::Keys;

/// A store of rate limits that processes share.
///
/// The arithmetic is that of [`Quota`], in microseconds. A cell lives until its burst is whole again.
/// Every question ends within the connection's `timeout`; while the server does not answer it ends at
/// once.
pub struct Limits {
    connection: Connection,
    keys: Keys,
    script: Script,
}

impl Limits {
    /// Limits over `connection`.
    pub fn new(connection: Connection) -> Self {
        Self {
            keys: Keys::new(&connection.config().prefix),
            connection,
            script: Script::new(include_str!("scripts/admit.lua")),
        }
    }
}

#[async_trait]
impl Store for Limits {
    async fn admit(&self, key: &str, quota: Quota) -> Result<Verdict, StoreError> {
        let mut call = self.script.prepare_invoke();
        let interval = u64::try_from(quota.interval().as_nanos()).unwrap_or(u64::MAX);
        call.key(self.keys.limit(key))
            .arg(interval)
            .arg(quota.burst());
        let limit = self.connection.config().timeout;
        let asked = self.connection.ask(limit, Patience::None, async |mut c| {
            call.invoke_async::<(u8, String, String)>(&mut c).await
        });
        let (admitted, first, second) = asked.await?;
        let time = |micros: &str| {
            let micros: f64 = micros.parse().unwrap_or(0.0);
            Duration::try_from_secs_f64(micros / 1e6).unwrap_or_default()
        };
        Ok(if admitted == 1 {
            Ok(quota.admitted(time(&first)))
        } else {
            Err(Limited {
                limit: quota.burst(),
                retry_after: time(&first),
                reset: time(&second),
            })
        })
    }
}

impl fmt::Debug for Limits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Limits")
            .field("connection", &self.connection)
            .finish_non_exhaustive()
    }
}
