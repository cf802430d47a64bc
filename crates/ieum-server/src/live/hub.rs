//! The live stream: one look a second, written once, for whoever listens.
//!
//! Without a listener nothing is computed. A listener that does not keep up is dropped when its few
//! places are full: its page connects again and begins with the present.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use ieum_base::{Clock, Stop, TaskKind, Tasks};
use ieum_remote::wire::MAX_PAGE;
use ieum_remote::wire::live::{CHANGED, Changed, OVERVIEW};
use serde::Serialize;
use tokio::sync::{Notify, mpsc};

use super::glance::{Glance, Look, Marks};

/// Who listens. Clones are the same.
#[derive(Clone)]
pub(crate) struct Hub(Arc<Shared>);

struct Shared {
    listeners: Mutex<Listeners>,
    came: Notify,
}

#[derive(Default)]
struct Listeners {
    queues: Vec<mpsc::Sender<Bytes>>,
    closed: bool,
}

/// Why nobody can listen any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refused {
    /// There are [`MOST_LISTENERS`].
    Full,
    /// The platform is stopping.
    Stopping,
}

/// The most listeners.
pub(crate) const MOST_LISTENERS: usize = 64;

impl Hub {
    /// Looks by `glance` as long as somebody listens, until the stop of `tasks`.
    pub(crate) fn start(glance: Glance, clock: Clock, tasks: &Tasks) -> Self {
        let hub = Self(Arc::new(Shared {
            listeners: Mutex::default(),
            came: Notify::new(),
        }));
        let (own, stop) = (hub.clone(), tasks.stop().clone());
        tasks.spawn(TaskKind::Background, "live-stream", async move {
            own.run(&glance, &clock, &stop).await;
        });
        hub
    }

    /// Begins to listen: what comes is to be sent as it is.
    pub(crate) fn listen(&self) -> Result<mpsc::Receiver<Bytes>, Refused> {
        let mut listeners = self.lock();
        if listeners.closed {
            return Err(Refused::Stopping);
        }
        listeners.queues.retain(|queue| !queue.is_closed());
        if listeners.queues.len() >= MOST_LISTENERS {
            return Err(Refused::Full);
        }
        let (queue, receiver) = mpsc::channel(PLACES);
        // There is room: it is new.
        let _ = queue.try_send(Bytes::from_static(GREETING));
        listeners.queues.push(queue);
        drop(listeners);
        self.0.came.notify_one();
        Ok(receiver)
    }

    async fn run(&self, glance: &Glance, clock: &Clock, stop: &Stop) {
        let serve = async {
            loop {
                self.0.came.notified().await;
                self.serve(glance, clock).await;
            }
        };
        let _: Option<()> = stop.unless_requested(serve).await;
        let mut listeners = self.lock();
        listeners.closed = true;
        listeners.queues.clear();
    }

    /// Looks until nobody listens.
    async fn serve(&self, glance: &Glance, clock: &Clock) {
        let mut before = None;
        while self.is_heard() {
            let event = match glance.look(MAX_PAGE).await {
                Ok(look) => {
                    let event = events(&look, before.as_ref());
                    before = Some(look.marks);
                    event
                }
                // The page learns why when it asks for the part.
                Err(_) => Bytes::from_static(KEEP_ALIVE),
            };
            self.send(&event);
            clock.sleep(INTERVAL).await;
        }
    }

    fn is_heard(&self) -> bool {
        let mut listeners = self.lock();
        listeners.queues.retain(|queue| !queue.is_closed());
        !listeners.queues.is_empty()
    }

    fn send(&self, event: &Bytes) {
        let mut listeners = self.lock();
        let keeps_up = |queue: &mpsc::Sender<Bytes>| queue.try_send(event.clone()).is_ok();
        listeners.queues.retain(keeps_up);
    }

    fn lock(&self) -> MutexGuard<'_, Listeners> {
        self.0
            .listeners
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

/// The events of one look.
fn events(look: &Look, before: Option<&Marks>) -> Bytes {
    let mut text = Vec::new();
    write(&mut text, OVERVIEW, &look.overview);
    let changes = before.map(|before| look.marks.since(before));
    for (what, count) in changes.into_iter().flatten() {
        write(&mut text, CHANGED, &Changed { what, count });
    }
    text.into()
}

/// One event; JSON has no line breaks, so its data is one line.
fn write(text: &mut Vec<u8>, event: &str, data: &impl Serialize) {
    let Ok(json) = serde_json::to_vec(data) else {
        return;
    };
    text.extend_from_slice(b"event: ");
    text.extend_from_slice(event.as_bytes());
    text.extend_from_slice(b"\ndata: ");
    text.extend_from_slice(&json);
    text.extend_from_slice(b"\n\n");
}

/// How often there is an overview.
const INTERVAL: Duration = Duration::from_secs(1);
/// How many events wait for a listener.
const PLACES: usize = 4;
/// What a listener is told first: when to come again after the end, and that it is heard.
const GREETING: &[u8] = b"retry: 2000\n\n: keep-alive\n\n";
const KEEP_ALIVE: &[u8] = b": keep-alive\n\n";
