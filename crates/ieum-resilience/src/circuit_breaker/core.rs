//! The breaker itself: shared by clones, threads and routes, cheap on the way of a call that works.
//!
//! A call through a closed breaker touches three atomic words and no lock. Only a change of state
//! takes the lock, and each change starts a new *generation*: a call that was admitted in an earlier
//! generation has nothing to say about this one, so a straggler can neither close an open breaker
//! nor open one that has just closed.

use std::fmt;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use ieum_base::Rng;
use tokio::time::Instant;

use super::journal::{Change, Journal, Reason};
use super::{Config, Open, Outcome};
use crate::window::{Column, Window};

/// A circuit breaker. Clones are the same breaker.
#[derive(Clone)]
pub struct Breaker(Arc<Core>);

/// Whether traffic flows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum State {
    /// Traffic flows.
    Closed,
    /// It does not.
    Open,
    /// One probe is on its way.
    HalfOpen,
}

impl State {
    /// Its name: `closed`, `open` or `half-open`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Closed => "closed",
            Self::Open => "open",
            Self::HalfOpen => "half-open",
        }
    }
}

/// A change of state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Transition {
    /// The state before.
    pub from: State,
    /// The state since.
    pub to: State,
    /// For a breaker that opened: how long it will stay so.
    pub open_for: Option<Duration>,
}

/// Hears each change of state, on the thread that caused it; it must not block.
pub type Observer = Arc<dyn Fn(Transition) + Send + Sync>;

/// A breaker's state and counts, for people and metrics.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Snapshot {
    /// Whether traffic flows.
    pub state: State,
    /// Failures since the last success.
    pub consecutive_failures: u32,
    /// Successes in the window.
    pub successes: u64,
    /// Failures in the window.
    pub failures: u64,
    /// How often it has opened since it was made.
    pub opened: u64,
}

struct Core {
    config: Config,
    rng: Rng,
    observer: Option<Observer>,
    origin: Instant,
    /// The generation in the upper bits, the state in the lowest two.
    word: AtomicU64,
    /// Nanoseconds after `origin`; meaningful while open.
    open_until: AtomicU64,
    consecutive: AtomicU32,
    /// When the last failure was recorded, in nanoseconds after `origin`, plus one; 0 for never.
    last_failure: AtomicU64,
    opened: AtomicU64,
    window: Window,
    history: Mutex<History>,
}

/// What only changes of state look at.
#[derive(Debug, Default)]
struct History {
    /// Openings since it was last closed.
    openings: u32,
    /// Probes in a row that succeeded.
    probes: u32,
    journal: Journal,
}

impl Breaker {
    /// A closed breaker.
    pub fn new(config: Config) -> Self {
        Self::build(config, Rng::system(), None)
    }

    /// A closed breaker whose changes of state `observer` hears, with a source for its jitter.
    pub fn observed(config: Config, rng: Rng, observer: Observer) -> Self {
        Self::build(config, rng, Some(observer))
    }

    fn build(config: Config, rng: Rng, observer: Option<Observer>) -> Self {
        Self(Arc::new(Core {
            config,
            rng,
            observer,
            origin: Instant::now(),
            word: AtomicU64::new(pack(0, State::Closed)),
            open_until: AtomicU64::new(0),
            consecutive: AtomicU32::new(0),
            last_failure: AtomicU64::new(0),
            opened: AtomicU64::new(0),
            window: Window::new(config.window.0),
            history: Mutex::default(),
        }))
    }

    /// Asks for one call. When the breaker has been open for long enough, exactly one caller gets a
    /// permit, the probe; until it has reported, all others are refused.
    pub fn try_acquire(&self) -> Result<Permit, Open> {
        self.try_acquire_at(Instant::now())
    }

    /// The same, for callers who have read the clock already.
    pub fn try_acquire_at(&self, now: Instant) -> Result<Permit, Open> {
        let word = self.0.word.load(Ordering::Acquire);
        match state_of(word) {
            State::Closed => Ok(self.permit(word)),
            State::HalfOpen => Err(Open {
                retry_after: Duration::ZERO,
            }),
            State::Open => match self.0.time_left(now) {
                Duration::ZERO => self.begin_probe(),
                retry_after => Err(Open { retry_after }),
            },
        }
    }

    /// True if a call would be admitted now. A balancer asks this of many endpoints, then acquires
    /// at one.
    pub fn is_available(&self) -> bool {
        match self.state() {
            State::Closed => true,
            State::HalfOpen => false,
            State::Open => self.0.time_left(Instant::now()).is_zero(),
        }
    }

    /// Whether traffic flows.
    pub fn state(&self) -> State {
        state_of(self.0.word.load(Ordering::Acquire))
    }

    /// The state and the counts.
    pub fn snapshot(&self) -> Snapshot {
        let counts = self.0.window.sum(Instant::now());
        Snapshot {
            state: self.state(),
            consecutive_failures: self.0.consecutive.load(Ordering::Relaxed),
            successes: counts.first,
            failures: counts.second,
            opened: self.0.opened.load(Ordering::Relaxed),
        }
    }

    /// Its last changes of state, the latest first: at most 20.
    pub fn changes(&self) -> Vec<Change> {
        self.0.history().journal.read()
    }

    /// How often its state has changed since it was made.
    pub fn changed(&self) -> u64 {
        self.0.history().journal.total()
    }

    /// When it was made.
    pub fn made(&self) -> Instant {
        self.0.origin
    }

    /// Closes the breaker and forgets its history, as after a repair by hand.
    pub fn reset(&self) {
        let mut history = self.0.history();
        let word = self.0.word.load(Ordering::Acquire);
        self.0.close(&mut history, word, Reason::Reset);
    }

    fn begin_probe(&self) -> Result<Permit, Open> {
        let refused = Open {
            retry_after: Duration::ZERO,
        };
        let mut history = self.0.history();
        let word = self.0.word.load(Ordering::Acquire);
        match state_of(word) {
            State::Open if self.0.time_left(Instant::now()).is_zero() => {}
            State::Closed => return Ok(self.permit(word)),
            _ => return Err(refused),
        }
        let word = self
            .0
            .enter(&mut history, word, State::HalfOpen, Reason::Elapsed);
        drop(history);
        self.0.tell(State::Open, State::HalfOpen, None);
        Ok(self.permit(word))
    }

    fn permit(&self, word: u64) -> Permit {
        Permit {
            core: Arc::clone(&self.0),
            word,
            reported: false,
        }
    }
}

impl fmt::Debug for Breaker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Breaker").field(&self.snapshot()).finish()
    }
}

/// The permission to make one call. Dropping it without a report means that nothing was learnt.
#[must_use = "a call's outcome is reported with `record`"]
pub struct Permit {
    core: Arc<Core>,
    word: u64,
    reported: bool,
}

impl Permit {
    /// Reports how the call ended.
    pub fn record(self, outcome: Outcome) {
        self.record_at(Instant::now(), outcome);
    }

    /// The same, for callers who have read the clock already.
    pub fn record_at(mut self, now: Instant, outcome: Outcome) {
        self.reported = true;
        self.core.record(self.word, now, outcome);
    }

    /// True if this call is the probe of a half-open breaker.
    pub fn is_probe(&self) -> bool {
        state_of(self.word) == State::HalfOpen
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        if !self.reported && self.is_probe() {
            self.core
                .record(self.word, Instant::now(), Outcome::Unknown);
        }
    }
}

impl fmt::Debug for Permit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.is_probe() {
            "Permit(probe)"
        } else {
            "Permit"
        })
    }
}

impl Core {
    fn record(&self, word: u64, now: Instant, outcome: Outcome) {
        if self.word.load(Ordering::Acquire) != word {
            return;
        }
        match state_of(word) {
            State::HalfOpen => self.record_probe(word, outcome),
            _ => self.record_closed(word, now, outcome),
        }
    }

    fn record_closed(&self, word: u64, now: Instant, outcome: Outcome) {
        let why = match outcome {
            Outcome::Unknown => return,
            Outcome::Success => {
                if self.consecutive.load(Ordering::Relaxed) != 0 {
                    self.consecutive.store(0, Ordering::Relaxed);
                }
                self.window.add(now, Column::First);
                let failed = self.failed_lately(now);
                failed.then(|| self.low_rate(now)).flatten()
            }
            Outcome::Failure => {
                self.window.add(now, Column::Second);
                self.last_failure
                    .store(self.nanos(now) + 1, Ordering::Relaxed);
                let in_a_row = self.consecutive.fetch_add(1, Ordering::Relaxed) + 1;
                let bound = self.config.consecutive_failures;
                let many = bound > 0 && in_a_row >= bound;
                let reason = Reason::Consecutive { failures: in_a_row };
                many.then_some(reason).or_else(|| self.low_rate(now))
            }
        };
        if let Some(why) = why {
            let mut history = self.history();
            self.open(&mut history, word, why);
        }
    }

    fn record_probe(&self, word: u64, outcome: Outcome) {
        let mut history = self.history();
        if self.word.load(Ordering::Acquire) != word {
            return;
        }
        match outcome {
            Outcome::Failure => self.open(&mut history, word, Reason::ProbeFailed),
            Outcome::Success => {
                history.probes += 1;
                if history.probes >= self.config.probes {
                    self.close(&mut history, word, Reason::Recovered);
                } else {
                    self.await_probe(&mut history, word, Reason::ProbeWanted);
                }
            }
            Outcome::Unknown => self.await_probe(&mut history, word, Reason::ProbeLost),
        }
    }

    /// Without a failure in the window, a success need not look at the rate.
    fn failed_lately(&self, now: Instant) -> bool {
        let last = self.last_failure.load(Ordering::Relaxed);
        let window = u64::try_from(self.config.window.0.as_nanos()).unwrap_or(u64::MAX);
        last != 0 && self.nanos(now).saturating_sub(last) <= window
    }

    /// Says so if too few calls in the window went well.
    fn low_rate(&self, now: Instant) -> Option<Reason> {
        let counts = self.window.sum(now);
        #[expect(clippy::cast_precision_loss, reason = "counts stay far below 2^52")]
        let rate = counts.first as f64 / counts.total().max(1) as f64;
        let enough = counts.total() >= u64::from(self.config.minimum_requests);
        (enough && rate < self.config.success_rate).then_some(Reason::Rate {
            failures: counts.second,
            calls: counts.total(),
        })
    }

    /// Opens the breaker for a time that doubles with each opening since it was last closed.
    fn open(&self, history: &mut History, word: u64, why: Reason) {
        if self.word.load(Ordering::Acquire) != word {
            return;
        }
        let doublings = history.openings.min(31);
        let base = self.config.open.0.saturating_mul(1 << doublings);
        let base = base.min(self.config.open_max.0);
        let open_for = base.mul_f64(1.0 + self.config.jitter * self.rng.fraction());
        history.openings = history.openings.saturating_add(1);
        history.probes = 0;
        let until = self.nanos(Instant::now() + open_for);
        self.open_until.store(until, Ordering::Release);
        self.opened.fetch_add(1, Ordering::Relaxed);
        self.enter(history, word, State::Open, why);
        self.tell(state_of(word), State::Open, Some(open_for));
    }

    /// Goes back to open with no time left: the next call is the next probe.
    fn await_probe(&self, history: &mut History, word: u64, why: Reason) {
        self.open_until.store(0, Ordering::Release);
        self.enter(history, word, State::Open, why);
    }

    fn close(&self, history: &mut History, word: u64, why: Reason) {
        (history.openings, history.probes) = (0, 0);
        self.window.clear();
        self.consecutive.store(0, Ordering::Relaxed);
        self.last_failure.store(0, Ordering::Relaxed);
        self.enter(history, word, State::Closed, why);
        if state_of(word) != State::Closed {
            self.tell(state_of(word), State::Closed, None);
        }
    }

    /// Begins the next generation; the caller holds the lock.
    fn enter(&self, history: &mut History, word: u64, to: State, reason: Reason) -> u64 {
        let from = state_of(word);
        if from != to {
            let at = Instant::now();
            history.journal.note(Change {
                at,
                from,
                to,
                reason,
            });
        }
        let next = pack((word >> 2) + 1, to);
        self.word.store(next, Ordering::Release);
        next
    }

    fn tell(&self, from: State, to: State, open_for: Option<Duration>) {
        if let Some(observer) = &self.observer {
            observer(Transition { from, to, open_for });
        }
    }

    fn time_left(&self, now: Instant) -> Duration {
        let until = self.open_until.load(Ordering::Acquire);
        Duration::from_nanos(until.saturating_sub(self.nanos(now)))
    }

    fn nanos(&self, at: Instant) -> u64 {
        let nanos = at.saturating_duration_since(self.origin).as_nanos();
        u64::try_from(nanos).unwrap_or(u64::MAX - 1)
    }

    fn history(&self) -> MutexGuard<'_, History> {
        self.history.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

const fn pack(generation: u64, state: State) -> u64 {
    let state = match state {
        State::Closed => 0,
        State::Open => 1,
        State::HalfOpen => 2,
    };
    generation << 2 | state
}

const fn state_of(word: u64) -> State {
    match word & 3 {
        0 => State::Closed,
        1 => State::Open,
        _ => State::HalfOpen,
    }
}
