//! Who of several relays sends: the one whose session holds a lock.
//!
//! The lock and the reading of rows share one session, so that a lock that was lost (the connection
//! broke, the server was restarted) is noticed by the same statement that would have needed it (H15).
//! No time is stored and compared: a frozen holder loses its session when the server has not heard of
//! it for the lease's length (`idle_session_timeout`), as its clock measures it (H16).

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use deadpool_postgres::ClientWrapper;
use tokio::sync::{Mutex, MutexGuard};
use tokio_postgres::Client;

use super::Pool;
use crate::Result;

/// The lease of one relay. Clones are the same relay.
#[derive(Clone)]
pub(super) struct Lease {
    pool: Pool,
    length: Duration,
    state: Arc<State>,
}

#[derive(Default)]
struct State {
    session: Mutex<Option<ClientWrapper>>,
    is_held: AtomicBool,
}

/// The lease at work, or not.
pub(super) struct Held<'a> {
    session: MutexGuard<'a, Option<ClientWrapper>>,
    is_held: &'a AtomicBool,
}

impl Lease {
    pub(super) fn new(pool: Pool, length: Duration) -> Self {
        Self {
            pool,
            length,
            state: Arc::default(),
        }
    }

    /// Takes the lease if it is free. One call at a time.
    pub(super) async fn hold(&self) -> Result<Held<'_>> {
        let mut session = self.state.session.lock().await;
        let is_held = &self.state.is_held;
        if session.as_ref().is_none_or(|client| client.is_closed()) {
            is_held.store(false, Ordering::Relaxed);
            *session = Some(self.open().await?);
        }
        let mut held = Held { session, is_held };
        if !is_held.load(Ordering::Relaxed) {
            let taken = match held.session.as_ref() {
                Some(client) => take(client).await,
                None => Ok(false),
            };
            match taken {
                Ok(taken) => is_held.store(taken, Ordering::Relaxed),
                Err(error) => {
                    held.give_up();
                    return Err(error);
                }
            }
        }
        Ok(held)
    }

    /// True if it was held when it was last used.
    pub(super) fn is_held(&self) -> bool {
        self.state.is_held.load(Ordering::Relaxed)
    }

    /// A session of its own, beside the pool: a lock must not come back to the pool with it.
    async fn open(&self) -> Result<ClientWrapper> {
        let client = deadpool_postgres::Object::take(self.pool.get().await?);
        let milliseconds = self.length.as_millis();
        let sql = format!("SET idle_session_timeout = {milliseconds}");
        client.batch_execute(&sql).await?;
        Ok(client)
    }
}

impl Held<'_> {
    /// The session, if it holds the lease.
    pub(super) fn session(&self) -> Option<&Client> {
        let session = self.session.as_ref();
        session
            .filter(|_| self.is_held.load(Ordering::Relaxed))
            .map(|client| &**client)
    }

    /// Ends the session, and with it the lease.
    pub(super) fn give_up(&mut self) {
        self.is_held.store(false, Ordering::Relaxed);
        *self.session = None;
    }
}

async fn take(client: &Client) -> Result<bool> {
    let sql = "SELECT pg_try_advisory_lock( \
                   hashtextextended('ieum_outbox relay in ' || current_schema(), 0))";
    Ok(client.query_typed_one(sql, &[]).await?.try_get(0)?)
}

impl std::fmt::Debug for Lease {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Lease")
            .field("is_held", &self.is_held())
            .finish_non_exhaustive()
    }
}
