//! One connection to a peer, and who drives it.
//!
//! hyper makes two of a connection: a sender, and a future that moves the bytes. In a task of its
//! own that future costs two switches between tasks per exchange, about as much as reading the
//! answer. So whoever waits for an answer drives the connection too, within its own poll, and
//! between exchanges nobody does: what stirs then, such as the peer's close, is noted and looked at
//! by the pool. Only once a request streams a body does the connection get a task of its own: its
//! upload has to go on while nobody reads the answer.

use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::task::{Context, Poll, Wake, Waker};

use hyper::client::conn::http1::SendRequest;
use tokio::sync::Notify;

use super::Shared;
use crate::Target;

/// The future that moves a connection's bytes.
pub(super) type Driver = Pin<Box<dyn Future<Output = ()> + Send>>;

/// A connection. It is boxed, and knows where it belongs, because it is handed around with each
/// exchange.
pub(super) struct Line<B> {
    pub(super) sender: SendRequest<B>,
    pub(super) target: Target,
    pub(super) pool: Weak<Shared<B>>,
    /// `None` once it has ended or has a task of its own.
    driver: Option<Driver>,
    relay: Arc<Relay>,
    /// What the driver wakes: the relay.
    waker: Waker,
}

/// Passes on what wakes the driver, to whoever waits for it at the time.
struct Relay {
    state: Mutex<State>,
    /// Told when a connection stirs that nobody waits for.
    keeper: Arc<Notify>,
}

struct State {
    waits: Waits,
    task: Waker,
    /// True if something has stirred since the driver was last polled.
    is_stirred: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Waits {
    /// The connection is unused.
    Nobody,
    /// It is in use, and will be driven before anybody waits.
    NotYet,
    /// A task waits.
    Task,
}

impl<B> Line<B> {
    /// A connection in use.
    pub(super) fn new(
        pool: &Arc<Shared<B>>,
        target: &Target,
        sender: SendRequest<B>,
        driver: Driver,
    ) -> Self {
        let state = Mutex::new(State {
            waits: Waits::NotYet,
            task: Waker::noop().clone(),
            is_stirred: false,
        });
        let keeper = Arc::clone(&pool.stirred);
        let relay = Arc::new(Relay { state, keeper });
        Self {
            sender,
            target: target.clone(),
            pool: Arc::downgrade(pool),
            driver: Some(driver),
            waker: Waker::from(Arc::clone(&relay)),
            relay,
        }
    }

    /// Takes out what drives the connection, for a task of its own.
    pub(super) fn take_driver(&mut self) -> Option<Driver> {
        self.driver.take()
    }

    /// Polls what receives from the connection, and drives the connection if that has no task.
    pub(super) fn poll<T>(
        &mut self,
        cx: &mut Context<'_>,
        mut receive: impl FnMut(&mut Context<'_>) -> Poll<T>,
    ) -> Poll<T> {
        // Only the driver hands anything over, and it is looked at after each of its turns.
        let mut quiet = Context::from_waker(Waker::noop());
        if self.driver.is_some() {
            self.relay.set(Waits::NotYet);
            if let Poll::Ready(received) = receive(&mut quiet) {
                return Poll::Ready(received);
            }
            // That asked for more, which stirs the driver; its turn is now.
            self.relay.set(Waits::NotYet);
            self.drive();
        }
        if self.driver.is_none() {
            return receive(cx);
        }
        if let Poll::Ready(received) = receive(&mut quiet) {
            return Poll::Ready(received);
        }
        self.relay.wake_next_time(cx.waker());
        Poll::Pending
    }

    /// After an exchange: moves on to where the connection is ready for the next, or closed.
    pub(super) fn settle(&mut self) {
        if self.relay.set(Waits::NotYet) || !self.sender.is_ready() {
            self.drive();
        }
    }

    /// From now on it is unused.
    pub(super) fn rest(&self) {
        self.relay.rest();
    }

    /// From now on it is used.
    pub(super) fn begin(&self) {
        self.relay.set(Waits::NotYet);
    }

    /// Sees to a connection that is unused: finds out whether it was closed.
    pub(super) fn look_after(&mut self) {
        if std::mem::take(&mut self.relay.state().is_stirred) {
            self.drive();
        }
    }

    fn drive(&mut self) {
        let mut cx = Context::from_waker(&self.waker);
        if let Some(driver) = &mut self.driver
            && driver.as_mut().poll(&mut cx).is_ready()
        {
            // Dropping it tells the other ends that there is no more.
            self.driver = None;
        }
    }
}

impl Relay {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Answers whether something has stirred, which whoever asks is to look at.
    fn set(&self, waits: Waits) -> bool {
        let mut state = self.state();
        state.waits = waits;
        std::mem::take(&mut state.is_stirred)
    }

    /// What stirred since the last look is not lost: the keeper looks.
    fn rest(&self) {
        let mut state = self.state();
        state.waits = Waits::Nobody;
        // A task that has gone on is not kept in memory by this.
        state.task.clone_from(Waker::noop());
        if state.is_stirred {
            self.keeper.notify_one();
        }
    }

    fn wake_next_time(&self, task: &Waker) {
        let mut state = self.state();
        state.waits = Waits::Task;
        state.task.clone_from(task);
        if state.is_stirred {
            task.wake_by_ref();
        }
    }
}

impl Wake for Relay {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        let mut state = self.state();
        state.is_stirred = true;
        match state.waits {
            Waits::Nobody => self.keeper.notify_one(),
            Waits::NotYet => {}
            Waits::Task => state.task.wake_by_ref(),
        }
    }
}
