//! Following the log: how an engine that shares it learns what the others do.
//!
//! One reader per engine, whatever the number of partitions: sagas that began, turned or ended,
//! commands and their answers, and definitions. A wake-up ends its waiting; if one is lost, the
//! bounded poll (`sweep`) finds what came.

use std::sync::Arc;
use std::time::Duration;

use ieum_eventstore::{Event, Page};

use super::config::STORE_BACKOFF;
use super::definitions;
use super::fold::{Fold, News};
use super::shared::Shared;
use super::{Error, Result};

impl Shared {
    /// Follows the log until the stop.
    pub(super) async fn follow_log(self: Arc<Self>) {
        let stop = self.tasks.stop().clone();
        let mut failures = 0;
        loop {
            let error: Error = match stop.unless_requested(self.follow_on(&mut failures)).await {
                None => return,
                Some(Ok(())) => continue,
                Some(Err(error)) => error,
            };
            failures += 1;
            tracing::warn!(%error, "the sagas of the other platforms cannot be followed; again");
            let wait = STORE_BACKOFF.delay(failures, &self.rng);
            if stop
                .unless_requested(self.clock.sleep(wait))
                .await
                .is_none()
            {
                return;
            }
        }
    }

    /// Reads the next page, or waits for one.
    async fn follow_on(self: &Arc<Self>, failures: &mut u32) -> Result<()> {
        let after = self.fold().up_to;
        let filter = Fold::filter_with_definitions();
        let page = self.store.read_all(after, &filter, PAGE).await?;
        *failures = 0;
        self.spread(&page);
        if page.scanned_to >= page.head.position {
            // Every append wakes it, the sagas' own too: look at a batch of them at once.
            self.clock.sleep(LINGER).await;
            self.store
                .wait(page.scanned_to, self.config.sweep.0)
                .await?;
        }
        Ok(())
    }

    /// Tells everybody whom a page concerns.
    fn spread(self: &Arc<Self>, page: &Page) {
        // First: a saga may need a definition that came just before it.
        let is_definition = |event: &&Event| event.stream.category() == definitions::CATEGORY;
        let mut defined = page.events.iter().filter(is_definition).peekable();
        if defined.peek().is_some() {
            defined.for_each(|event| self.definitions.learn(event));
            self.redefined.notify_one();
        }
        for news in self.learn(page) {
            self.act_on(news);
        }
        self.followed.send_if_modified(|at| {
            let moved = *at != page.scanned_to;
            *at = page.scanned_to;
            moved
        });
        if !page.events.is_empty() {
            self.changed.notify_waiters();
        }
    }

    fn act_on(self: &Arc<Self>, news: News) {
        match news {
            News::Began(id) => {
                let summary = self.fold().open.get(&id).cloned();
                // It may have ended on the same page.
                if let (Some(summary), Some(part)) = (summary, self.partition_of(id)) {
                    part.adopt(summary, None);
                }
            }
            News::Asked(id) => {
                let asked = self
                    .fold()
                    .asked
                    .iter()
                    .find(|asked| asked.id == id)
                    .cloned();
                let part = asked
                    .as_ref()
                    .and_then(|asked| self.partition_of(asked.saga));
                if let (Some(asked), Some(part)) = (asked, part) {
                    part.obey(asked);
                }
            }
            News::Answered(answer) => self.waiting.answered(answer),
            News::Other => {}
        }
    }
}

/// How many events are read at once.
const PAGE: usize = 1_000;
/// How long an event may wait for the next look while other appends come in.
const LINGER: Duration = Duration::from_millis(5);
