//! An answer that goes on: what the database says of a thing, and again when it says something else.
//!
//! A file of SQLite has one writer, the service itself, so that whoever watches is woken by a write and
//! never asks in between. A database on the network may have others, and is looked at every second too.
//! However often it is written, a watcher looks a few times per second, and there are only so many
//! watchers.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::{self, BoxStream};
use http::StatusCode;
use ieum::base::Stop;
use ieum::sql::Reader;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};

use super::failure::{Failure, Reply};
use super::service::Service;

/// What is said of a thing, one after the other.
pub(crate) type Changes<M> = BoxStream<'static, Reply<M>>;

/// The watchers of one service.
#[derive(Clone, Debug)]
pub(crate) struct Watches {
    places: Arc<Semaphore>,
    users: Users,
    changes: watch::Sender<()>,
}

impl Default for Watches {
    fn default() -> Self {
        Self {
            places: Arc::new(Semaphore::new(MOST_WATCHERS)),
            users: Users::default(),
            changes: watch::Sender::default(),
        }
    }
}

impl Watches {
    /// Something was written.
    pub(crate) fn wake(&self) {
        self.changes.send_replace(());
    }

    /// A place for one more, of `user` if it matters whose it is.
    fn enter(&self, user: Option<&str>) -> Reply<Place> {
        let place = Arc::clone(&self.places).try_acquire_owned();
        let _place = place.map_err(|_| too_many("too many are watching"))?;
        let _user = user.map(|user| self.users.enter(user)).transpose()?;
        Ok(Place { _place, _user })
    }
}

/// What `read` says now, and again at each change, until it says `None`. Nothing is said twice in a
/// row. A `user` has a few places of their own among all. When the service leaves the answer ends with
/// 503, so that the caller turns to another copy.
///
/// # Errors
/// 404, naming `what`, if there is nothing to begin with; 429 beyond the most watchers.
pub(crate) async fn changes<M, R>(
    service: &Arc<Service>,
    what: &str,
    user: Option<&str>,
    read: R,
) -> Reply<Changes<M>>
where
    M: Clone + PartialEq + Send + 'static,
    R: Fn(&Reader<'_>) -> Reply<Option<M>> + Clone + Send + 'static,
{
    let watches = service.watches();
    let _place = watches.enter(user)?;
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
    _place: Place,
}

impl<M, R> Watcher<M, R>
where
    M: Clone + PartialEq + Send + 'static,
    R: Fn(&Reader<'_>) -> Reply<Option<M>> + Clone + Send + 'static,
{
    async fn next(mut self) -> Option<(Reply<M>, Self)> {
        while !self.is_over {
            let leaving = self.leaving.clone();
            if leaving.unless_requested(self.wait()).await.is_none() {
                let (status, detail) = (StatusCode::SERVICE_UNAVAILABLE, "the service is stopping");
                return Some(self.end(Failure::not_yet(status, "stopping", detail)));
            }
            match self.service.read(self.read.clone()).await {
                Ok(None) => return None,
                Ok(Some(now)) if now == self.said => {}
                Ok(Some(now)) => {
                    self.said = now.clone();
                    return Some((Ok(now), self));
                }
                Err(failure) => return Some(self.end(failure)),
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

    fn end<T>(mut self, failure: Failure) -> (Reply<T>, Self) {
        self.is_over = true;
        (Err(failure), self)
    }
}

/// A watcher's place among all, and among those of its user.
struct Place {
    _place: OwnedSemaphorePermit,
    _user: Option<UsersPlace>,
}

/// How many places each user has taken; none is kept who has taken none.
#[derive(Clone, Debug, Default)]
struct Users(Arc<Mutex<BTreeMap<String, usize>>>);

impl Users {
    fn enter(&self, user: &str) -> Reply<UsersPlace> {
        let mut taken = self.taken();
        let of_user = taken.entry(user.to_owned()).or_default();
        if *of_user >= MOST_OF_A_USER {
            return Err(too_many("you are watching too many things"));
        }
        *of_user += 1;
        Ok(UsersPlace {
            users: self.clone(),
            user: user.to_owned(),
        })
    }

    fn taken(&self) -> MutexGuard<'_, BTreeMap<String, usize>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

struct UsersPlace {
    users: Users,
    user: String,
}

impl Drop for UsersPlace {
    fn drop(&mut self) {
        let mut taken = self.users.taken();
        if let Some(of_user) = taken.get_mut(&self.user) {
            *of_user -= 1;
            if *of_user == 0 {
                taken.remove(&self.user);
            }
        }
    }
}

fn too_many(detail: &str) -> Failure {
    let detail = format!("{detail}; try again in a moment");
    Failure::not_yet(StatusCode::TOO_MANY_REQUESTS, "too-many-watchers", &detail)
}

/// How many may watch at once: each of them reads at each change.
const MOST_WATCHERS: usize = 256;
/// How many of them may be one user's: a few open pages.
const MOST_OF_A_USER: usize = 8;
/// How long another writer's change may go unseen.
const GLANCE: Duration = Duration::from_secs(1);
/// The least time between two looks of one watcher.
const BREATH: Duration = Duration::from_millis(50);
