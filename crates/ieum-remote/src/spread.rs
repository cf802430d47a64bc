//! Several platforms on one log, behind one URL: which of them is called.
//!
//! Each client has a *home* among the addresses, drawn by chance, so that clients spread. It is called
//! while it is well; otherwise the next one that is. A watch asks each address for its health: one that
//! was killed refuses connections, but one that is frozen accepts them and never answers, so the watch
//! has a deadline of its own, and calls that wait at an address that is lost are given up. Once the
//! home is well again, new calls go there.
//!
//! With one address there is no watch and nothing is decided.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use http::StatusCode;
use ieum_base::{Clock, Rng, TaskKind, Tasks};
use ieum_http::{HttpClient, Sent};
use tokio::sync::watch;

use crate::Config;

/// The addresses of one URL. Clones are the same.
#[derive(Clone)]
pub(crate) struct Spread(Arc<Inner>);

struct Inner {
    addresses: Vec<Address>,
    home: usize,
    http: HttpClient,
    probe: Probe,
    clock: Clock,
    tasks: Tasks,
    is_watched: AtomicBool,
}

struct Address {
    /// `http://host:port`
    base: String,
    state: watch::Sender<State>,
}

/// How the watch looks.
#[derive(Clone, Copy)]
struct Probe {
    every: Duration,
    timeout: Duration,
}

/// What is known of an address, the best first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum State {
    /// Its last answer was good, or it was not asked yet.
    Well,
    /// It answers, and says that it is not to be sent anything new.
    Unwell,
    /// It does not answer.
    Away,
}

/// What a failed call says about the address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Lost {
    /// Nothing: the address answered, or was too slow for this call.
    No,
    /// Nothing was sent: nobody is there, or nobody takes work.
    BeforeSending,
    /// The connection broke behind the request: it may have arrived.
    AfterSending,
}

/// A failure of a call, as far as the spread must know.
pub(crate) trait Attempt: Sized {
    /// What it says about the address.
    fn lost(&self) -> Lost;

    /// The failure of a call that waited at an address which was lost.
    fn given_up(base: &str) -> Self;
}

impl Spread {
    /// The platforms at `bases`, at least one, like `http://10.0.0.1:8500`.
    pub(crate) fn new(
        bases: Vec<String>,
        http: HttpClient,
        config: &Config,
        clock: Clock,
        tasks: &Tasks,
    ) -> Self {
        let address = |base| Address {
            base,
            state: watch::Sender::new(State::Well),
        };
        Self(Arc::new(Inner {
            home: Rng::system().below(bases.len()),
            addresses: bases.into_iter().map(address).collect(),
            http,
            probe: Probe {
                every: config.probe.0,
                timeout: config.probe_timeout.0,
            },
            clock,
            tasks: tasks.clone(),
            is_watched: AtomicBool::new(false),
        }))
    }

    /// Calls `attempt` with the number of an address, and of another one if nothing was sent to the
    /// first; also if something was, where `repeatable` says that this is harmless. Each address is
    /// called once at most.
    pub(crate) async fn call<T, E, F>(
        &self,
        repeatable: bool,
        attempt: impl Fn(usize) -> F,
    ) -> Result<T, E>
    where
        E: Attempt,
        F: Future<Output = Result<T, E>>,
    {
        if self.0.addresses.len() == 1 {
            return attempt(0).await;
        }
        self.watch();
        let mut left: Vec<usize> = self.0.in_order().collect();
        loop {
            let index = self.0.best_of(&mut left);
            let failure = match self.0.unless_lost(index, attempt(index)).await {
                Ok(answer) => return Ok(answer),
                Err(failure) => failure,
            };
            let lost = failure.lost();
            if lost != Lost::No {
                self.0.addresses[index].is(State::Away);
            }
            let again = lost == Lost::BeforeSending || (lost == Lost::AfterSending && repeatable);
            if left.is_empty() || !again {
                return Err(failure);
            }
        }
    }

    /// The base of an address, like `http://10.0.0.1:8500`.
    pub(crate) fn base(&self, index: usize) -> &str {
        &self.0.addresses[index].base
    }

    /// Begins to watch, with the first call: it takes a runtime, which may come later than the URL.
    fn watch(&self) {
        if self.0.is_watched.swap(true, Ordering::AcqRel) {
            return;
        }
        let watched = Arc::downgrade(&self.0);
        let (every, clock) = (self.0.probe.every, self.0.clock.clone());
        let stop = self.0.tasks.stop().clone();
        let work = async move {
            // It ends with the last of those who call.
            while let Some(inner) = watched.upgrade() {
                inner.look().await;
                drop(inner);
                clock.sleep(every).await;
            }
        };
        self.0
            .tasks
            .spawn(TaskKind::Background, "platform-watch", async move {
                stop.unless_requested(work).await;
            });
    }
}

impl Inner {
    /// The addresses from the home on.
    fn in_order(&self) -> impl Iterator<Item = usize> + use<> {
        let (home, count) = (self.home, self.addresses.len());
        (0..count).map(move |k| (home + k) % count)
    }

    /// Takes the best of those that are left; among equals the first.
    fn best_of(&self, left: &mut Vec<usize>) -> usize {
        let state = |index: &usize| *self.addresses[*index].state.borrow();
        let best = (0..left.len()).min_by_key(|at| state(&left[*at]));
        best.map_or(self.home, |at| left.remove(at))
    }

    /// The outcome of `work` at an address, or that the address was lost meanwhile.
    async fn unless_lost<T, E: Attempt>(
        &self,
        index: usize,
        work: impl Future<Output = Result<T, E>>,
    ) -> Result<T, E> {
        let address = &self.addresses[index];
        let mut state = address.state.subscribe();
        // One that is known to be away is called only if all are: then it has its whole time.
        let was_away = *state.borrow_and_update() == State::Away;
        let lost = async {
            if was_away || state.wait_for(|now| *now == State::Away).await.is_err() {
                std::future::pending::<()>().await;
            }
        };
        tokio::select! {
            biased;
            answer = work => answer,
            () = lost => Err(E::given_up(&address.base)),
        }
    }

    /// Asks all addresses once, at the same time.
    async fn look(&self) {
        let asked = self.addresses.iter().map(|address| self.ask(address));
        futures_util::future::join_all(asked).await;
    }

    async fn ask(&self, address: &Address) {
        let url = format!("{}/health", address.base);
        let state = match self.http.get(&url, self.probe.timeout).await {
            Ok(answer) if answer.status() == StatusCode::OK => State::Well,
            Ok(_) => State::Unwell,
            Err(_) => State::Away,
        };
        address.is(state);
    }
}

impl Address {
    fn is(&self, now: State) {
        let changed = self.state.send_if_modified(|state| {
            let before = std::mem::replace(state, now);
            before != now
        });
        if changed {
            tracing::info!(platform = self.base, state = ?now, "a platform's state changed");
        }
    }
}

impl std::fmt::Debug for Spread {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let bases = self.0.addresses.iter().map(|address| &address.base);
        f.debug_list().entries(bases).finish()
    }
}

impl Attempt for ieum_http::Error {
    fn lost(&self) -> Lost {
        use ieum_http::ErrorKind as Kind;
        match (self.kind(), self.sent()) {
            (Kind::Connect | Kind::Tls, _) => Lost::BeforeSending,
            (Kind::Broken, Sent::NotSent) => Lost::BeforeSending,
            (Kind::Broken, Sent::Sent) => Lost::AfterSending,
            _ => Lost::No,
        }
    }

    fn given_up(base: &str) -> Self {
        Self::new(
            ieum_http::ErrorKind::Broken,
            format!("{base} does not answer its health check"),
        )
    }
}
