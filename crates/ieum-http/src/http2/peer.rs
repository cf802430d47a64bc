//! The connections to one target: who has a place on which, and who waits for one.

use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use h2::client::SendRequest;
use tokio::sync::Notify;
use tokio::sync::futures::Notified;
use tokio::time::Instant;

use super::Config;
use super::line::{Driver, Line, Opened};
use crate::{Error, ErrorKind, Result, Target};

/// The connections to one target.
pub(super) struct Peer {
    target: Target,
    config: Config,
    state: Mutex<State>,
    /// Told one by one of places that are free, and all together of what became of an opening.
    changed: Notify,
}

#[derive(Default)]
struct State {
    slots: Vec<Slot>,
    is_opening: bool,
    waiting: usize,
    /// How many openings have failed, and how the last one did.
    failures: u64,
    failure: Option<(ErrorKind, String)>,
}

/// A connection that takes requests.
struct Slot {
    line: Arc<Line>,
    /// For asking and for copies; it never sends itself.
    sender: SendRequest<Bytes>,
    running: usize,
    idle_since: Instant,
}

/// A place for one request on a connection; given back when it is dropped.
pub(super) struct Place {
    peer: Arc<Peer>,
    line: Arc<Line>,
    sender: SendRequest<Bytes>,
    is_answered: bool,
}

/// What somebody who wants a place finds.
pub(super) enum Look {
    Place(Place),
    /// There is none, and whoever got this is to open a connection.
    Open(Opening),
    /// There is none, and the next change may bring one.
    Opening,
}

impl Peer {
    pub(super) fn new(target: Target, config: Config) -> Self {
        Self {
            target,
            config,
            state: Mutex::default(),
            changed: Notify::new(),
        }
    }

    pub(super) const fn target(&self) -> &Target {
        &self.target
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Connections, and requests that run on them.
    pub(super) fn figures(&self) -> (usize, usize) {
        let state = self.state();
        let running = state.slots.iter().map(|slot| slot.running).sum();
        (state.slots.len(), running)
    }

    pub(super) fn is_unused(&self) -> bool {
        let state = self.state();
        state.slots.is_empty() && !state.is_opening && state.waiting == 0
    }

    /// A place, unless others were here first.
    pub(super) fn take_if_nobody_waits(self: &Arc<Self>) -> Option<Place> {
        let mut state = self.state();
        (state.waiting == 0)
            .then(|| self.take(&mut state))
            .flatten()
    }

    /// A place on the first connection that has room. Connections that take no more are let go; they
    /// end with what runs on them.
    fn take(self: &Arc<Self>, state: &mut State) -> Option<Place> {
        state.slots.retain_mut(Slot::takes_requests);
        let most = self.config.streams;
        let has_room = |slot: &&mut Slot| slot.running < most.min(slot.peers_limit());
        let slot = state.slots.iter_mut().find(has_room)?;
        slot.running += 1;
        Some(Place {
            peer: Arc::clone(self),
            line: Arc::clone(&slot.line),
            sender: slot.sender.clone(),
            is_answered: false,
        })
    }

    /// Begins to wait.
    ///
    /// # Errors
    /// [`ErrorKind::Busy`] if as many as allowed wait already.
    pub(super) fn wait(self: &Arc<Self>) -> Result<Waiting> {
        let mut state = self.state();
        if state.waiting >= self.config.waiting {
            return Err(self.busy("too many wait for a place"));
        }
        state.waiting += 1;
        Ok(Waiting {
            peer: Arc::clone(self),
            failures: state.failures,
            until: None,
        })
    }

    /// Resolves at the next change.
    pub(super) fn changed(&self) -> Notified<'_> {
        self.changed.notified()
    }

    /// Takes no more requests on a connection.
    pub(super) fn retire(&self, line: &Arc<Line>) {
        let retired = {
            let mut state = self.state();
            let at = state.slots.iter().position(|slot| slot.is(line));
            at.map(|at| state.slots.remove(at))
        };
        // Its sender is dropped outside the lock; who waits may open another.
        if retired.is_some() {
            self.changed.notify_waiters();
        }
    }

    pub(super) fn retire_all(&self) {
        let retired = std::mem::take(&mut self.state().slots);
        drop(retired);
    }

    /// Takes no more requests on a connection that was unused for too long; whether it was.
    pub(super) fn retire_if_idle(&self, line: &Arc<Line>) -> bool {
        let mut state = self.state();
        let Some(at) = state.slots.iter().position(|slot| slot.is(line)) else {
            return false;
        };
        let slot = &state.slots[at];
        let is_over = slot.running == 0 && slot.idle_since.elapsed() >= self.config.idle_timeout;
        let retired = is_over.then(|| state.slots.remove(at));
        drop(state);
        retired.is_some()
    }

    /// True if a request runs on a connection.
    pub(super) fn runs(&self, line: &Arc<Line>) -> bool {
        let state = self.state();
        let mut slots = state.slots.iter();
        slots.any(|slot| slot.is(line) && slot.running > 0)
    }

    fn busy(&self, why: &'static str) -> Error {
        Error::new(ErrorKind::Busy, self.target.to_string()).caused_by(why)
    }
}

impl Slot {
    fn is(&self, line: &Arc<Line>) -> bool {
        Arc::ptr_eq(&self.line, line)
    }

    /// False once the peer has said GOAWAY, or the connection is broken.
    fn takes_requests(&mut self) -> bool {
        let mut nobody = Context::from_waker(Waker::noop());
        !matches!(self.sender.poll_ready(&mut nobody), Poll::Ready(Err(_)))
    }

    fn peers_limit(&self) -> usize {
        self.sender.current_max_send_streams()
    }
}

/// Somebody who waits for a place.
pub(super) struct Waiting {
    peer: Arc<Peer>,
    /// The openings that had failed before.
    failures: u64,
    /// The end of its patience, once there is nothing but to wait for others to finish.
    until: Option<Instant>,
}

impl Waiting {
    /// Looks whether there is a place.
    ///
    /// # Errors
    /// That of an opening that failed meanwhile.
    pub(super) fn look(&mut self) -> Result<Look> {
        let peer = &self.peer;
        let mut state = peer.state();
        if let Some(place) = peer.take(&mut state) {
            return Ok(Look::Place(place));
        }
        if state.failures > self.failures
            && let Some((kind, cause)) = &state.failure
        {
            return Err(Error::new(*kind, peer.target.to_string())
                .caused_by(cause.clone())
                .not_sent());
        }
        if state.is_opening {
            return Ok(Look::Opening);
        }
        if state.slots.len() < peer.config.connections {
            state.is_opening = true;
            return Ok(Look::Open(Opening {
                peer: Arc::clone(peer),
                is_done: false,
            }));
        }
        let patience = || Instant::now() + peer.config.wait;
        self.until.get_or_insert_with(patience);
        Ok(Look::Opening)
    }

    /// Waits for the change, as long as it has patience.
    ///
    /// # Errors
    /// [`ErrorKind::Busy`].
    pub(super) async fn until(&self, changed: Pin<&mut Notified<'_>>) -> Result<()> {
        let Some(until) = self.until else {
            changed.await;
            return Ok(());
        };
        let in_time = tokio::time::timeout_at(until, changed).await;
        in_time.map_err(|_| self.peer.busy("all connections were full for too long"))
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        self.peer.state().waiting -= 1;
    }
}

/// The duty to open a connection. Dropped without having done it, it says so to those who wait.
pub(super) struct Opening {
    peer: Arc<Peer>,
    is_done: bool,
}

impl Opening {
    pub(super) const fn peer(&self) -> &Arc<Peer> {
        &self.peer
    }

    pub(super) fn done(mut self, opened: Opened) -> Driver {
        self.is_done = true;
        let Opened {
            sender,
            connection,
            line,
        } = opened;
        {
            let mut state = self.peer.state();
            state.is_opening = false;
            state.slots.push(Slot {
                line: Arc::clone(&line),
                sender,
                running: 0,
                idle_since: Instant::now(),
            });
        }
        self.peer.changed.notify_waiters();
        Driver::new(connection, line, Arc::clone(&self.peer), self.peer.config)
    }

    pub(super) fn failed(mut self, error: &Error) {
        let cause = std::error::Error::source(error);
        let cause = cause.map_or_else(|| error.to_string(), ToString::to_string);
        self.give_up(error.kind(), cause);
    }

    fn give_up(&mut self, kind: ErrorKind, cause: String) {
        self.is_done = true;
        {
            let mut state = self.peer.state();
            state.is_opening = false;
            state.failures += 1;
            state.failure = Some((kind, cause));
        }
        self.peer.changed.notify_waiters();
    }
}

impl Drop for Opening {
    fn drop(&mut self) {
        if !self.is_done {
            self.give_up(ErrorKind::Connect, "the opening was given up".to_owned());
        }
    }
}

impl Place {
    /// What the request is sent with.
    pub(super) const fn sender(&mut self) -> &mut SendRequest<Bytes> {
        &mut self.sender
    }

    /// The head of the answer has come.
    pub(super) const fn answered(&mut self) {
        self.is_answered = true;
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if !self.is_answered {
            self.line.is_doubted();
        }
        let mut state = self.peer.state();
        if let Some(slot) = state.slots.iter_mut().find(|slot| slot.is(&self.line)) {
            slot.running -= 1;
            slot.idle_since = Instant::now();
        }
        let somebody_waits = state.waiting > 0;
        drop(state);
        if somebody_waits {
            self.peer.changed.notify_one();
        }
    }
}
