//! An answer that goes on: what the database says of a thing, and again when it says something else.
//!
//! A file of SQLite has one writer, the service itself, so that whoever watches is woken by a write and
//! never asks in between. A database on the network may have others, and is looked at every second too.
//! However often it is written, a watcher looks a few times per
//! second, and there are only so many watchers.

use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::{self, BoxStream};
use http::StatusCode;
use ieum::base::Stop;
use ieum::sql::Reader;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tonic::Status;

use crate::support::failure::{Failure, Reply};
use crate::support::service::Service;

/// Messages that are sent one after the other.
pub(crate) type Answers<M> = BoxStream<'static, Result<M, Status>>;

/// The watchers of one service.
#[derive(Clone, Debug)]
pub(crate) struct Watches {
    places: Arc<Semaphore>,
    changes: watch::Sender<()>,
}

impl Default for Watches {
    fn default() -> Self {
        Self {
            places: Arc::new(Semaphore::new(MOST_WATCHERS)),
            changes: watch::Sender::default(),
        }
    }
}

impl Watches {
    /// Something was written.
    pub(crate) fn wake(&self) {
        self.changes.send_replace(());
    }
}

/// What `read` says now, and again at each change, until it says `None`. Nothing is said twice in a
/// row. When the service leaves the answer ends with `UNAVAILABLE`, so that the caller turns to another
/// copy.
///
/// # Errors
/// `NOT_FOUND`, naming `what`, if there is nothing to begin with; `RESOURCE_EXHAUSTED` beyond the most
/// watchers.
pub(crate) async fn changes<M, R>(
    service: &Arc<Service>,
    what: &str,
    read: R,
) -> Result<Answers<M>, Status>
where
    M: Clone + PartialEq + Send + 'static,
    R: Fn(&Reader<'_>) -> Reply<Option<M>> + Clone + Send + 'static,
{
    let watches = service.watches();
    let place = Arc::clone(&watches.places).try_acquire_owned();
    let _place = place.map_err(|_| {
        let detail = "too many are watching; try again in a moment";
        let status = StatusCode::TOO_MANY_REQUESTS;
        Failure::not_yet(status, "too-many-watchers", detail)
    })?;
    // Subscribed to before the first look, so that no change is between the two.
    let changed = watches.changes.subscribe();
    let first = service.read(read.clone()).await?;
    let first = first.ok_or_else(|| Failure::not_found(what))?;
    let watcher = Watcher {
        service: Arc::clone(service),
        leaving: service.leaving().clone(),
        changed,
        read,
        said: first.clone(),
        is_over: false,
        _place,
    };
    let later = stream::unfold(watcher, Watcher::next);
    Ok(stream::once(async { Ok(first) }).chain(later).boxed())
}

struct Watcher<M, R> {
    service: Arc<Service>,
    leaving: Stop,
    changed: watch::Receiver<()>,
    read: R,
    said: M,
    is_over: bool,
    _place: OwnedSemaphorePermit,
}

impl<M, R> Watcher<M, R>
where
    M: Clone + PartialEq + Send + 'static,
    R: Fn(&Reader<'_>) -> Reply<Option<M>> + Clone + Send + 'static,
{
    async fn next(mut self) -> Option<(Result<M, Status>, Self)> {
        while !self.is_over {
            let leaving = self.leaving.clone();
            if leaving.unless_requested(self.wait()).await.is_none() {
                return Some(self.end(Status::unavailable("the service is stopping")));
            }
            match self.service.read(self.read.clone()).await {
                Ok(None) => return None,
                Ok(Some(now)) if now == self.said => {}
                Ok(Some(now)) => {
                    self.said = now.clone();
                    return Some((Ok(now), self));
                }
                Err(failure) => return Some(self.end(failure.into())),
            }
        }
        None
    }

    /// Until something was written, and for the changes of the next moment to come together.
    async fn wait(&mut self) {
        // The sender lives as long as the service, which is kept here.
        let changed = self.changed.changed();
        if self.service.has_other_writers() {
            let _too_long = tokio::time::timeout(GLANCE, changed).await;
        } else {
            let _ = changed.await;
        }
        self.service.clock().sleep(BREATH).await;
        self.changed.mark_unchanged();
    }

    fn end<T>(mut self, status: Status) -> (Result<T, Status>, Self) {
        self.is_over = true;
        (Err(status), self)
    }
}

/// How many may watch at once: each of them reads at each change.
const MOST_WATCHERS: usize = 256;
/// How long another writer's change may go unseen.
const GLANCE: Duration = Duration::from_secs(1);
/// The least time between two looks of one watcher.
const BREATH: Duration = Duration::from_millis(50);
