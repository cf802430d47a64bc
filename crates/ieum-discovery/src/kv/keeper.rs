//! Ends sessions whose time is over, whose check failed or whose node went.

use std::sync::Arc;
use std::time::Duration;

use ieum_base::Uuid;
use ieum_eventstore::Fence;
use tokio::time::Instant;

use super::store::Shared;
use super::{Change, State};
use crate::peers::Peers;

/// Watches over the sessions, from the first one on.
pub(super) struct Keeper {
    shared: Arc<Shared>,
    /// Under which it ends them, and whom it asks before, where several platforms share the log.
    turn: Option<(Fence, Arc<dyn Peers>)>,
    /// The losses of peers after which every session's time was started anew.
    losses: u64,
}

impl Keeper {
    pub(super) fn new(shared: Arc<Shared>, turn: Option<(Fence, Arc<dyn Peers>)>) -> Self {
        Self {
            shared,
            turn,
            losses: 0,
        }
    }

    /// Runs for ever; the caller drops it at the stop.
    pub(super) async fn run(mut self) {
        let shared = Arc::clone(&self.shared);
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
        let state = self.shared.state();
        let ends = state.sessions().filter_map(|session| state.end_of(session));
        (ends.min(), state.sessions_len() > 0)
    }

    /// The sessions that are over, as far as is known.
    fn over(&self) -> Vec<Uuid> {
        let shared = &self.shared;
        let state = shared.state();
        let over = state.sessions().filter(|session| {
            Shared::is_late(&state, session) || shared.why_over(session).is_some()
        });
        over.map(|session| session.id).collect()
    }

    /// False if the log cannot be written: then the sessions end later.
    async fn end_those_over(&mut self) -> bool {
        let shared = Arc::clone(&self.shared);
        let mut over = self.over();
        if let (Some((_, peers)), false) = (&self.turn, over.is_empty()) {
            // They may have been renewed elsewhere.
            let gathered = peers.gather().await;
            shared.learn(&gathered, &mut self.losses);
            over = self.over();
        }
        let fence = self.turn.as_ref().map(|(fence, _)| fence);
        for id in over {
            // Decided again on what is known when it is written: it may have been renewed.
            let decide = |state: &State| {
                let over = state.session(id).filter(|session| {
                    Shared::is_late(state, session) || shared.why_over(session).is_some()
                });
                let ended = over.map(|_| Change::SessionEnded { session: id });
                Ok(((), ended.into_iter().collect()))
            };
            if let Err(error) = shared.write(fence, &decide).await {
                tracing::warn!(session = %id, %error, "a session that is over was not ended");
                return false;
            }
        }
        true
    }
}

/// How long to leave a log alone that cannot be written.
const PAUSE: Duration = Duration::from_secs(1);
