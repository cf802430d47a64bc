//! Who is away, and whose turn it is: what the engine knows of each service that takes part.
//!
//! A saga whose participant is away waits longer and longer. When the participant is back, every
//! saga that waits for it is to go on at once, not when its own wait happens to be over. So the first
//! call that is answered again wakes the others, and one of them at a time looks at least once per
//! `probe`, however long each of them would wait by itself.
//!
//! A participant that hangs keeps its callers until their attempts time out. Each service therefore
//! has a share of the engine's turns: those who wait for it hold up nobody else.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{Semaphore, watch};
use tokio::time::Instant;

/// Every service that was called since the engine was opened. Bounded by the definitions.
#[derive(Debug)]
pub(super) struct Presence {
    services: Mutex<HashMap<String, Arc<Participant>>>,
    share: usize,
    probe: Duration,
}

/// One service.
#[derive(Debug)]
pub(super) struct Participant {
    name: String,
    /// Its share of the engine's turns.
    pub(super) turns: Arc<Semaphore>,
    away: Mutex<Away>,
    /// How often it came back.
    returns: watch::Sender<u64>,
    /// Who of those who wait looks next.
    lookout: Semaphore,
    probe: Duration,
}

#[derive(Debug)]
struct Away {
    is_away: bool,
    next_look: Instant,
}

impl Presence {
    pub(super) fn new(share: usize, probe: Duration) -> Self {
        Self {
            services: Mutex::default(),
            share: share.min(Semaphore::MAX_PERMITS),
            probe,
        }
    }

    /// What is known of the service called `name`.
    pub(super) fn of(&self, name: &str) -> Arc<Participant> {
        let mut services = lock(&self.services);
        if let Some(known) = services.get(name) {
            return Arc::clone(known);
        }
        let participant = Arc::new(Participant {
            name: name.to_owned(),
            turns: Arc::new(Semaphore::new(self.share)),
            away: Mutex::new(Away {
                is_away: false,
                next_look: Instant::now(),
            }),
            returns: watch::Sender::new(0),
            lookout: Semaphore::new(1),
            probe: self.probe,
        });
        services.insert(name.to_owned(), Arc::clone(&participant));
        participant
    }
}

impl Participant {
    /// Its name.
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// To be taken before a call: it changes when the service answers again after it was away.
    pub(super) fn returns(&self) -> watch::Receiver<u64> {
        self.returns.subscribe()
    }

    /// It answered. If it was away, whoever waits for it is woken.
    pub(super) fn heard(&self) {
        let was_away = std::mem::replace(&mut lock(&self.away).is_away, false);
        if was_away {
            self.returns.send_modify(|returns| *returns += 1);
        }
    }

    /// It could not be reached, or did not answer.
    pub(super) fn missed(&self) {
        lock(&self.away).is_away = true;
    }

    /// Waits until it is this caller's turn to look whether the service is back: one look per
    /// `probe`, whoever makes it. Cancel safe: who goes away gives the turn to the next.
    pub(super) async fn look(&self) {
        // It is never closed: this value owns it.
        let _turn = self.lookout.acquire().await;
        let at = lock(&self.away).next_look;
        tokio::time::sleep_until(at).await;
        lock(&self.away).next_look = Instant::now() + self.probe;
    }

    /// After a look that cost nothing, because the host knew that nobody is there, the next one
    /// follows sooner.
    pub(super) fn look_soon(&self) {
        let soon = Instant::now() + self.probe / FREE_LOOKS;
        let mut away = lock(&self.away);
        away.next_look = away.next_look.min(soon);
    }
}

/// How many looks that cost nothing are made in the time of one that does.
const FREE_LOOKS: u32 = 10;

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn only_a_return_wakes_and_looks_are_shared() {
        let presence = Presence::new(1, Duration::from_secs(1));
        let participant = presence.of("payments");
        let mut returns = participant.returns();
        participant.heard();
        assert!(!returns.has_changed().expect("open"));
        participant.missed();
        presence.of("payments").heard();
        assert!(returns.has_changed().expect("open"));
        returns.mark_unchanged();

        let begun = Instant::now();
        let looks = (0..4).map(|_| participant.look());
        futures_util::future::join_all(looks).await;
        assert_eq!(begun.elapsed(), Duration::from_secs(3));
    }
}
