//! Reading the log from a place on, and then as it grows.
//!
//! There is no switch from "catch-up" to "live": it is one loop that reads pages by position and
//! waits at the end, so there is no seam at which an event could be lost or doubled (H09). The
//! wake-up only ends the waiting; if it is lost, a bounded poll finds the event (H10).

use std::sync::Arc;
use std::time::Duration;

use ieum_base::Uuid;
use tokio::time::Instant;

use crate::{Error, ErrorKind, Event, EventStore, Filter, Page, Position, Result};

/// Reads the events after `after` that match `filter`, and goes on as the log grows.
pub fn subscribe(store: Arc<dyn EventStore>, after: Position, filter: Filter) -> Subscription {
    Subscription {
        store,
        filter,
        position: after,
        reported: after,
        incarnation: None,
        page_size: Subscription::PAGE_SIZE,
        poll: Subscription::POLL,
    }
}

/// A reader of the log that waits for more at its end.
pub struct Subscription {
    store: Arc<dyn EventStore>,
    filter: Filter,
    position: Position,
    reported: Position,
    incarnation: Option<Uuid>,
    page_size: usize,
    poll: Duration,
}

impl Subscription {
    /// How many events one answer has at most, unless set otherwise.
    pub const PAGE_SIZE: usize = 256;
    /// How late an event is seen at most when its wake-up is lost, unless set otherwise.
    pub const POLL: Duration = Duration::from_secs(1);

    /// Sets how many events one answer has at most (1 to [`Page::MAX_EVENTS`]).
    #[must_use]
    pub fn with_page_size(mut self, events: usize) -> Self {
        self.page_size = events.clamp(1, Page::MAX_EVENTS);
        self
    }

    /// Sets how late an event is seen at most when its wake-up is lost (at least 10 ms).
    #[must_use]
    pub fn with_poll(mut self, poll: Duration) -> Self {
        self.poll = poll.max(Duration::from_millis(10));
        self
    }

    /// The next events, in order; waits until there is one.
    ///
    /// An empty answer means that nothing matched for a while and yet the position moved: a reader
    /// that keeps a checkpoint stores it. Cancel safe. After an error the next call goes on from the
    /// same place; `ForeignCheckpoint` says that the log was replaced under the reader.
    pub async fn next(&mut self) -> Result<Vec<Event>> {
        let begun = Instant::now();
        loop {
            let page = self
                .store
                .read_all(self.position, &self.filter, self.page_size)
                .await?;
            self.check_incarnation(page.head.incarnation)?;
            self.position = page.scanned_to;
            let quiet = page.events.is_empty();
            if !quiet || (self.position > self.reported && begun.elapsed() >= self.poll) {
                self.reported = self.position;
                return Ok(page.events);
            }
            if self.position >= page.head.position {
                self.store.wait(self.position, self.poll).await?;
            }
        }
    }

    /// Everything up to here was looked at: the place for a checkpoint once the events that `next`
    /// answered are dealt with.
    pub const fn position(&self) -> Position {
        self.position
    }

    /// The incarnation of the log, known after the first read.
    pub const fn incarnation(&self) -> Option<Uuid> {
        self.incarnation
    }

    fn check_incarnation(&mut self, actual: Uuid) -> Result<()> {
        let known = *self.incarnation.get_or_insert(actual);
        if known == actual {
            return Ok(());
        }
        let context = format!("the subscription began in incarnation {known}, now it is {actual}");
        Err(Error::new(ErrorKind::ForeignCheckpoint, context))
    }
}

impl std::fmt::Debug for Subscription {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Subscription")
            .field("filter", &self.filter)
            .field("position", &self.position)
            .finish_non_exhaustive()
    }
}
