//! Many appends, one call of the server.
//!
//! While one call waits for the disk, the appends of everybody else collect; the next call takes
//! them all. Each is answered on its own. When a call's fate is unknown, because the connection was
//! lost with the answer, the same events are appended again: their ids settle whether the first call
//! had happened.

use std::collections::{HashSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use ieum_base::{Backoff, Rng, Stop, Uuid};
use ieum_eventstore::{Append, Appended, Error, ErrorKind, Position, Result};
use tokio::sync::{Mutex, mpsc, oneshot};
use tokio::time::{Instant, timeout_at};

use super::Config;
use super::batch::{self, Batch};
use super::listener::Hints;
use super::row::unsigned;
use crate::postgres::{Client, Pool};

/// An append that waits for its turn.
pub(super) struct Request {
    append: Append,
    answer: oneshot::Sender<Result<Appended>>,
    give_up: Instant,
    /// A call with it was made, and what became of that is not known.
    in_doubt: bool,
}

/// Where appends wait.
#[derive(Clone, Debug)]
pub(super) struct Queue {
    requests: mpsc::Sender<Request>,
    timeout: Duration,
}

/// Takes appends from the queue and calls the server. Several share one queue.
pub(super) struct Batcher {
    pool: Pool,
    requests: Arc<Mutex<mpsc::Receiver<Request>>>,
    max_batch: usize,
    hints: Hints,
    /// What did not fit into the batch before.
    left: VecDeque<Request>,
}

impl Queue {
    /// A queue, and those who empty it.
    pub(super) fn new(pool: &Pool, config: &Config, hints: &Hints) -> (Self, Vec<Batcher>) {
        let (sender, receiver) = mpsc::channel(config.queue.max(1));
        let requests = Arc::new(Mutex::new(receiver));
        let batcher = || Batcher {
            pool: pool.clone(),
            requests: Arc::clone(&requests),
            max_batch: config.max_batch.max(1),
            hints: hints.clone(),
            left: VecDeque::new(),
        };
        let batchers = std::iter::repeat_with(batcher).take(config.calls.max(1));
        let batchers = batchers.collect();
        let queue = Self {
            requests: sender,
            timeout: config.append_timeout,
        };
        (queue, batchers)
    }

    /// Waits for a place in the queue, then for the answer.
    pub(super) async fn append(&self, append: Append) -> Result<Appended> {
        batch::check(&append)?;
        self.append_checked(append).await
    }

    /// The same for an append that keeps to the limits.
    pub(super) async fn append_checked(&self, append: Append) -> Result<Appended> {
        let closed = || Error::new(ErrorKind::Unavailable, "the log was closed");
        let (answer, answered) = oneshot::channel();
        let give_up = Instant::now() + self.timeout;
        let Ok(place) = timeout_at(give_up, self.requests.reserve()).await else {
            let context = "no place to wait for an append became free; it was not tried";
            return Err(Error::new(ErrorKind::Unavailable, context));
        };
        place.map_err(|_closed| closed())?.send(Request {
            append,
            answer,
            give_up,
            in_doubt: false,
        });
        answered.await.map_err(|_dropped| closed())?
    }
}

impl Batcher {
    /// Works until every queue's end is gone, or until a stop is requested and nothing is left.
    pub(super) async fn run(mut self, stop: Stop) {
        loop {
            let requests = tokio::select! {
                requests = self.next() => requests,
                () = stop.requested() => {
                    self.requests.lock().await.close();
                    self.next().await
                }
            };
            let Some(requests) = requests else { return };
            self.settle(requests).await;
        }
    }

    /// What waits, up to a batch, without those whose callers went away. Cancel safe: what was taken
    /// is kept until it is answered.
    async fn next(&mut self) -> Option<Vec<Request>> {
        let mut batch = Forming::new(self.max_batch);
        let requests = Arc::clone(&self.requests);
        let queue = if self.left.is_empty() {
            let mut queue = requests.lock().await;
            self.left.push_back(queue.recv().await?);
            Some(queue)
        } else {
            // Somebody else may wait in there for what comes next.
            requests.try_lock().ok()
        };
        if let Some(mut queue) = queue {
            while self.left.len() < self.max_batch {
                let Ok(request) = queue.try_recv() else { break };
                self.left.push_back(request);
            }
        }
        for request in std::mem::take(&mut self.left) {
            if let Some(later) = batch.take(request) {
                self.left.push_back(later);
            }
        }
        Some(batch.requests)
    }

    /// Calls until each request has its answer or its time is over.
    async fn settle(&self, requests: Vec<Request>) {
        let rng = Rng::system();
        let mut open = vec![requests];
        let (mut attempt, mut cause) = (0, None);
        while let Some(requests) = open.pop() {
            let mut requests = in_time(requests, cause.as_ref());
            if requests.is_empty() {
                continue;
            }
            let failure = match self.call(&requests).await {
                Ok(answers) => {
                    attempt = 0;
                    answer_each(requests, answers);
                    continue;
                }
                Err(failure) => failure,
            };
            match failure {
                Failure::Again { error, in_doubt } => {
                    for request in &mut requests {
                        request.in_doubt |= in_doubt;
                    }
                    attempt += 1;
                    let delay = Backoff::default().delay(attempt, &rng);
                    tracing::debug!(%error, attempt, "an append is tried again");
                    self.pool.clock().sleep(delay).await;
                    cause = Some(error);
                    open.push(requests);
                }
                // One of them may be what the server refuses: the others must not suffer for it.
                Failure::Refused(_) if requests.len() > 1 => {
                    let half = requests.split_off(requests.len() / 2);
                    open.extend([half, requests]);
                }
                Failure::Refused(error) | Failure::All(error) => answer_all(requests, &error),
            }
        }
    }

    /// One call of the server for all of them.
    async fn call(&self, requests: &[Request]) -> Result<Vec<Result<Appended>>, Failure> {
        let limit = requests.iter().map(|request| request.give_up).max();
        let limit = limit.unwrap_or_else(Instant::now);
        let internal = |error: Error| {
            Failure::All(crate::Error::new(
                crate::ErrorKind::Internal,
                error.to_string(),
            ))
        };
        let appends = requests.iter().map(|request| &request.append);
        let batch = Batch::of(appends, self.pool.clock().now(), false).map_err(internal)?;
        let client = timeout_at(limit, self.pool.get())
            .await
            .map_err(|_elapsed| Failure::again(silent()))?
            .map_err(Failure::unopened)?;
        let called = async {
            let statement = client.prepare_cached(batch::CALL).await?;
            client.query_one(&statement, &batch.parameters()).await
        };
        let Ok(row) = timeout_at(limit, called).await else {
            // It may still answer the old call: nobody else may be given that answer.
            drop(Client::take(client));
            return Err(Failure::doubt(silent()));
        };
        let row = row.map_err(|error| Failure::of(error.into()))?;
        let head: i64 = row
            .try_get("head")
            .map_err(|error| Failure::All(error.into()))?;
        self.hints.appended(Position(unsigned(head)));
        batch.answers(&row).map_err(internal)
    }
}

/// Why a call answered nobody.
enum Failure {
    /// Nothing happened, or, in doubt, nobody knows; calling again settles it.
    Again { error: crate::Error, in_doubt: bool },
    /// The server refuses something in it.
    Refused(crate::Error),
    /// The server refuses everybody.
    All(crate::Error),
}

impl Failure {
    fn of(error: crate::Error) -> Self {
        use crate::ErrorKind as Kind;
        match error.kind() {
            Kind::Io => Self::doubt(error),
            Kind::Busy | Kind::Unreachable => Self::again(error),
            Kind::Full | Kind::Denied | Kind::ReadOnly | Kind::Corrupt => Self::All(error),
            _ => Self::Refused(error),
        }
    }

    /// No connection was opened: nothing was asked for.
    fn unopened(error: crate::Error) -> Self {
        match Self::of(error) {
            Self::Refused(error) => Self::All(error),
            Self::Again { error, .. } => Self::again(error),
            other => other,
        }
    }

    const fn again(error: crate::Error) -> Self {
        let in_doubt = false;
        Self::Again { error, in_doubt }
    }

    const fn doubt(error: crate::Error) -> Self {
        let in_doubt = true;
        Self::Again { error, in_doubt }
    }
}

/// A batch that takes requests as long as they fit: by number, by size, and each id once.
struct Forming {
    requests: Vec<Request>,
    ids: HashSet<Uuid>,
    bytes: usize,
    most: usize,
}

impl Forming {
    fn new(most: usize) -> Self {
        Self {
            requests: Vec::new(),
            ids: HashSet::new(),
            bytes: 0,
            most,
        }
    }

    /// Takes `request`, or gives it back for the next batch.
    fn take(&mut self, request: Request) -> Option<Request> {
        if request.answer.is_closed() {
            return None;
        }
        let events = request.append.writes.iter().flat_map(|write| &write.events);
        let bytes: usize = events.clone().map(|event| event.data.get().len()).sum();
        let mut ids = events.map(|event| event.id);
        let full =
            self.requests.len() >= self.most || self.bytes.saturating_add(bytes) > BATCH_BYTES;
        if (full && !self.requests.is_empty()) || ids.clone().any(|id| self.ids.contains(&id)) {
            return Some(request);
        }
        self.bytes = self.bytes.saturating_add(bytes);
        self.ids.extend(ids.by_ref());
        self.requests.push(request);
        None
    }
}

fn answer_each(requests: Vec<Request>, answers: Vec<Result<Appended>>) {
    for (request, answer) in requests.into_iter().zip(answers) {
        // A caller that went away knows how to settle it.
        let _ = request.answer.send(answer);
    }
}

/// Answers each with a failure of the call. What the server refuses now says nothing about a call
/// whose answer was lost.
fn answer_all(requests: Vec<Request>, error: &crate::Error) {
    for request in requests {
        let failure = if request.in_doubt {
            unknown().caused_by(error.clone())
        } else {
            error.clone().into()
        };
        let _ = request.answer.send(Err(failure));
    }
}

/// Those that may still wait; the others are told what is known of them.
fn in_time(requests: Vec<Request>, cause: Option<&crate::Error>) -> Vec<Request> {
    let now = Instant::now();
    let (waiting, over): (Vec<_>, Vec<_>) = requests
        .into_iter()
        .partition(|request| request.give_up > now);
    for request in over {
        let failure = if request.in_doubt {
            unknown()
        } else {
            let context = "PostgreSQL takes no appends in time; nothing was appended";
            Error::new(ErrorKind::Unavailable, context)
        };
        let failure = match cause {
            Some(cause) => failure.caused_by(cause.clone()),
            None => failure,
        };
        let _ = request.answer.send(Err(failure));
    }
    waiting
}

fn unknown() -> Error {
    let context = "appending, and whether it happened is unknown";
    Error::new(ErrorKind::Unavailable, context)
}

fn silent() -> crate::Error {
    crate::Error::new(crate::ErrorKind::Io, "PostgreSQL does not answer in time")
}

/// The most bytes of facts in one call with more than one append.
const BATCH_BYTES: usize = 4 << 20;
