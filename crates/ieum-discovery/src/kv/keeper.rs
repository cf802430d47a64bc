//! Ends sessions whose time is over, whose check failed or whose node went.

use std::sync::Arc;
use std::time::Duration;

use ieum_base::Uuid;
use tokio::time::Instant;

use super::store::Shared;
use super::{Change, State};

/// Watches over the sessions, from the first one on.
pub(super) struct Keeper(Arc<Shared>);

impl Keeper {
    pub(super) const fn new(shared: Arc<Shared>) -> Self {
        Self(shared)
    }

    /// Runs for ever; the caller drops it at the stop.
    pub(super) async fn run(self) {
        let shared = &self.0;
        let mut registry = shared.live().changes();
        loop {
            registry.mark_unchanged();
            if !self.end_those_over().await {
                tokio::time::sleep(PAUSE).await;
                continue;
            }
            let (next, any) = self.next_end();
            let late = async {
                match next {
                    Some(end) => tokio::time::sleep_until(end).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = shared.sessions.notified() => {}
                () = late => {}
                // Without a session, the registry's changes are nobody's concern.
                changed = registry.changed(), if any => {
                    if changed.is_err() {
                        return;
                    }
                }
            }
        }
    }

    /// When the next session ends, and whether there is any.
    fn next_end(&self) -> (Option<Instant>, bool) {
        let state = self.0.state();
        let ends = state.sessions().filter_map(|session| state.end_of(session));
        (ends.min(), state.sessions_len() > 0)
    }

    /// False if the log cannot be written: then the sessions end later.
    async fn end_those_over(&self) -> bool {
        let shared = &self.0;
        let over: Vec<Uuid> = {
            let state = shared.state();
            let over = state.sessions().filter(|session| {
                Shared::is_late(&state, session) || shared.why_over(session).is_some()
            });
            over.map(|session| session.id).collect()
        };
        for id in over {
            // Decided again on what is known when it is written: it may have been renewed.
            let decide = |state: &State| {
                let over = state.session(id).filter(|session| {
                    Shared::is_late(state, session) || shared.why_over(session).is_some()
                });
                let ended = over.map(|_| Change::SessionEnded { session: id });
                Ok(((), ended.into_iter().collect()))
            };
            if let Err(error) = shared.write(&decide).await {
                tracing::warn!(session = %id, %error, "a session that is over was not ended");
                return false;
            }
        }
        true
    }
}

/// How long to leave a log alone that cannot be written.
const PAUSE: Duration = Duration::from_secs(1);
