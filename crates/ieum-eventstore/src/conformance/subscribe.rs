//! Cases about subscriptions.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use ieum_base::Clock;

use super::{Subject, event, events, name, sure};
use crate::{
    Append, Appended, Event, EventStore, Expect, Filter, Head, Page, Position, Result, StreamName,
    Version, subscribe,
};

/// H09: a reader that begins in the past sees every event once, while the log grows under it.
pub async fn h09_catch_up_to_live_without_a_seam(subject: &Subject) {
    const ROUNDS: usize = 60;
    sure(subject.append("a-1", Expect::Any, events("x", 40)).await);
    let write = async {
        for round in 0..ROUNDS {
            let stream = format!("a-{}", round % 5);
            sure(subject.append(&stream, Expect::Any, events("x", 2)).await);
            tokio::task::yield_now().await;
        }
    };
    let read = async {
        let store = Arc::clone(&subject.store);
        let mut reader = subscribe(store, Position(10), Filter::category("a")).with_page_size(7);
        let mut seen = Vec::new();
        while seen.len() < 30 + 2 * ROUNDS {
            seen.extend(
                sure(reader.next().await)
                    .iter()
                    .map(|event| event.position.0),
            );
        }
        seen
    };
    let ((), seen) = futures_util::join!(write, read);
    assert!(seen.into_iter().eq(11..=(40 + 2 * ROUNDS as u64)));
}

/// H09: what does not match is passed, so that a checkpoint moves in quiet times too.
pub async fn h09_a_filter_that_matches_nothing_still_moves(subject: &Subject) {
    sure(subject.append("a-1", Expect::Any, events("x", 25)).await);
    let store = Arc::clone(&subject.store);
    let mut reader = subscribe(store, Position::START, Filter::category("b"))
        .with_page_size(5)
        .with_poll(Duration::from_millis(10));
    assert!(sure(reader.next().await).is_empty());
    assert_eq!(reader.position(), Position(25));
    sure(subject.append("b-1", Expect::Any, vec![event("x")]).await);
    let found = sure(reader.next().await);
    assert_eq!((found.len(), reader.position()), (1, Position(26)));
}

/// H10: without any wake-up an event is seen one poll later, and in order.
pub async fn h10_a_lost_wake_up_delays_and_loses_nothing(subject: &Subject) {
    let poll = Duration::from_millis(25);
    let deaf = Arc::new(Deaf(Arc::clone(&subject.store)));
    let mut reader = subscribe(deaf, Position::START, Filter::default()).with_poll(poll);
    for position in 1..=3 {
        let begun = tokio::time::Instant::now();
        let (found, appended) = futures_util::join!(
            reader.next(),
            subject.append("a-1", Expect::Any, vec![event("x")]),
        );
        sure(appended);
        assert_eq!(sure(found)[0].position, Position(position));
        // One poll, and as much again as a busy machine may need.
        assert!(begun.elapsed() < poll + Duration::from_secs(5));
    }
    let stream = name("a-1");
    assert_eq!(
        sure(subject.store.read_stream(&stream, Version(0), 9).await).len(),
        3
    );
}

/// A log whose wake-ups are all lost.
struct Deaf(Arc<dyn EventStore>);

#[async_trait]
impl EventStore for Deaf {
    async fn append(&self, append: Append) -> Result<Appended> {
        self.0.append(append).await
    }

    async fn read_stream(
        &self,
        stream: &StreamName,
        after: Version,
        limit: usize,
    ) -> Result<Vec<Event>> {
        self.0.read_stream(stream, after, limit).await
    }

    async fn read_all(&self, after: Position, filter: &Filter, limit: usize) -> Result<Page> {
        self.0.read_all(after, filter, limit).await
    }

    async fn head(&self) -> Result<Head> {
        self.0.head().await
    }

    async fn wait(&self, _: Position, wait: Duration) -> Result<Head> {
        Clock::system().sleep(wait).await;
        self.0.head().await
    }
}
