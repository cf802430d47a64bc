//! Projections: views that are folded from the log.
//!
//! A view's rows and its checkpoint live in the *view's* database and move in one transaction, by
//! compare-and-set. So a crash repeats or skips nothing, and of two runners of one view the slower
//! one stops.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use ieum_base::{Backoff, Rng, Stop};

use crate::{
    Checkpoint, Error, ErrorKind, Event, EventStore, Filter, Head, Position, Result, subscribe,
};

/// A view and the place of its checkpoint.
#[async_trait]
pub trait Projection: Send {
    /// The view's name, for logs.
    fn name(&self) -> &str;

    /// Which events it is folded from.
    fn filter(&self) -> Filter;

    /// How far the view has come, from the view's own database.
    async fn checkpoint(&mut self) -> Result<Option<Checkpoint>>;

    /// Applies `events` and moves the checkpoint from `expected` to `to`, in one transaction.
    /// `Fenced` if it is not at `expected`. `events` may be empty: then only the checkpoint moves.
    async fn apply(
        &mut self,
        events: &[Event],
        expected: Option<Checkpoint>,
        to: Checkpoint,
    ) -> Result<()>;
}

/// Keeps `projection` up to date until `stop` is requested.
///
/// Failures that may pass are repeated with backoff. It ends with an error when going on would be
/// wrong: another runner moved the checkpoint (`Fenced`), the log was replaced
/// (`ForeignCheckpoint`), or an event is damaged.
pub async fn run(
    store: Arc<dyn EventStore>,
    projection: &mut dyn Projection,
    stop: &Stop,
) -> Result<()> {
    let backoff = Backoff::new(Duration::from_millis(50), Duration::from_secs(5));
    let mut attempt = 0;
    loop {
        let worked = stop.unless_requested(follow(&store, projection, &mut attempt));
        let Some(Err(error)) = worked.await else {
            return Ok(());
        };
        if !error.retry().is_worthwhile() {
            return Err(error);
        }
        attempt += 1;
        tracing::warn!(view = projection.name(), %error, attempt, "a projection pauses");
        let pause = tokio::time::sleep(backoff.delay(attempt, &Rng::system()));
        if stop.unless_requested(pause).await.is_none() {
            return Ok(());
        }
    }
}

/// Brings `projection` up to the log's present end, and answers where that is.
pub async fn catch_up(store: &dyn EventStore, projection: &mut dyn Projection) -> Result<Position> {
    let (mut at, goal) = start(store, projection).await?;
    let filter = projection.filter();
    loop {
        let position = at.map_or(Position::START, |at| at.position);
        if position >= goal.position {
            return Ok(position);
        }
        let page = store.read_all(position, &filter, PAGE).await?;
        let to = page.head.checkpoint(page.scanned_to);
        projection.apply(&page.events, at, to).await?;
        at = Some(to);
    }
}

const PAGE: usize = 512;

/// Follows the log; returns only with an error.
async fn follow(
    store: &Arc<dyn EventStore>,
    projection: &mut dyn Projection,
    attempt: &mut u32,
) -> Result<()> {
    let (mut at, head) = start(&**store, projection).await?;
    let position = at.map_or(Position::START, |at| at.position);
    let mut events =
        subscribe(Arc::clone(store), position, projection.filter()).with_page_size(PAGE);
    loop {
        let batch = events.next().await?;
        if events.incarnation() != Some(head.incarnation) {
            let context = format!("the log under view `{}`", projection.name());
            return Err(Error::new(ErrorKind::ForeignCheckpoint, context));
        }
        let to = head.checkpoint(events.position());
        projection.apply(&batch, at, to).await?;
        at = Some(to);
        *attempt = 0;
    }
}

async fn start(
    store: &dyn EventStore,
    projection: &mut dyn Projection,
) -> Result<(Option<Checkpoint>, Head)> {
    let at = projection.checkpoint().await?;
    let head = store.head().await?;
    if let Some(checkpoint) = at {
        head.accept(checkpoint)?;
    }
    Ok((at, head))
}
