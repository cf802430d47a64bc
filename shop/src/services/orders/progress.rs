//! An order while it happens: how far it is, and a stream that says so at each step.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::{Path, State};
use axum::response::Response;
use axum::routing::get;
use futures_util::stream::{self, BoxStream, StreamExt};
use ieum::base::{Clock, Deadline, Timestamp};
use ieum::chassis::{Identity, Json};
use ieum::eventstore::Event as Recorded;
use ieum::eventstore::decider::decode;
use ieum::sql::Reader;
use serde::Serialize;

use super::domain::{Event, Rules, Status};
use super::steps::{self, Reached, Step};
use super::store::CATEGORY;
use crate::support::events;
use crate::support::failure::{Failure, Reply};
use crate::support::service::Service;
use crate::support::streams;
use crate::support::watch::{self, Changes};
use crate::support::web::may_act_for;

/// The routes.
pub(super) fn router(service: Arc<Service>) -> Router {
    Router::new()
        .route("/orders/{id}/progress", get(show))
        .route("/orders/{id}/events", get(follow))
        .with_state(service)
}

/// How far an order is.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Progress {
    /// The order.
    pub(super) id: String,
    #[serde(skip)]
    pub(super) user_id: String,
    /// Where it stands.
    pub(super) status: Status,
    /// Why it was cancelled.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) reason: Option<String>,
    /// What became of it so far, oldest first.
    pub(super) steps: Vec<Reached>,
    /// Whether nothing more is to come.
    pub(super) is_over: bool,
}

/// How far an order is now.
async fn show(
    State(service): State<Arc<Service>>,
    caller: Identity,
    Path(id): Path<String>,
) -> Reply<Json<Progress>> {
    let now = service.clock().now();
    let read = move |db: &Reader<'_>| of_caller(db, &id, &caller, now);
    let progress = service.read(read).await?;
    let progress = progress.ok_or_else(|| Failure::not_found("order"))?;
    Ok(Json(progress))
}

/// The same as an event, again at each step, until the order is over. Each event is whole, so whoever
/// lost the stream asks again and has missed nothing: there are no ids, and a `Last-Event-ID` changes
/// nothing.
async fn follow(
    State(service): State<Arc<Service>>,
    caller: Identity,
    Path(id): Path<String>,
) -> Reply<Response> {
    let user_id = caller.user_id.clone();
    let clock = service.clock().clone();
    let now = clock.clone();
    let read = move |db: &Reader<'_>| of_caller(db, &id, &caller, now.now());
    let changes = watch::changes(&service, "order", Some(&user_id), read).await?;
    let written = until_over(changes, &clock).map(|progress| events::event("order", &progress));
    Ok(events::answer(written.boxed(), clock))
}

/// The order with this id, if it is the caller's to see.
fn of_caller(
    db: &Reader<'_>,
    id: &str,
    caller: &Identity,
    now: Timestamp,
) -> Reply<Option<Progress>> {
    Ok(find(db, id, now)?.filter(|progress| may_act_for(caller, &progress.user_id)))
}

/// How far the order with this id is at this time.
pub(super) fn find(db: &Reader<'_>, id: &str, now: Timestamp) -> Reply<Option<Progress>> {
    let events = streams::read(db, &streams::name(CATEGORY, id)?)?;
    let order = streams::fold(&Rules, &events)?.state;
    let Some(created) = order.created else {
        return Ok(None);
    };
    let mut steps = steps::heard(db, id)?;
    for event in &events {
        steps.extend(own(event)?);
    }
    steps.sort_by_key(|reached| (reached.at, reached.step));
    let since = events.last().map(|event| event.recorded_at);
    let is_long_ago = since.is_some_and(|since| since.after(PATIENCE) <= now);
    let all_is_heard = heard_all(order.status, order.reason.as_deref(), &steps);
    let progress = Progress {
        id: id.to_owned(),
        user_id: created.user_id,
        status: order.status,
        reason: order.reason,
        steps,
        is_over: false,
    };
    let is_over = progress.is_final() && (all_is_heard || is_long_ago);
    Ok(Some(Progress {
        is_over,
        ..progress
    }))
}

/// The step that an event of the order itself is.
fn own(stored: &Recorded) -> Reply<Option<Reached>> {
    let event: Event = decode(stored).map_err(Failure::internal)?;
    let at: Timestamp = stored.recorded_at;
    let step = match event {
        Event::OrderCreated(_) => Step::Placed,
        Event::ItemAdded(_) => return Ok(None),
        Event::OrderConfirmed {} => Step::Confirmed,
        Event::OrderCompleted {} => Step::Completed,
        Event::OrderCancelled { .. } => Step::Cancelled,
    };
    Ok(Some(Reached { step, at }))
}

/// Whether everything that belongs to this end of an order was heard of.
fn heard_all(status: Status, reason: Option<&str>, steps: &[Reached]) -> bool {
    let reached = |step: Step| steps.iter().any(|reached| reached.step == step);
    let expected: &[Step] = match (status, reason) {
        (Status::Pending | Status::Confirmed, _) => return false,
        (Status::Completed, _) => &[Step::Reserved, Step::Paid, Step::Shipped],
        (Status::Cancelled, Some("payment-declined")) => {
            &[Step::Reserved, Step::Declined, Step::Released]
        }
        (Status::Cancelled, Some("address-undeliverable")) => &[
            Step::Reserved,
            Step::Paid,
            Step::Undeliverable,
            Step::Refunded,
            Step::Released,
        ],
        (Status::Cancelled, _) => &[],
    };
    let is_undone = |(done, undone)| !reached(done) || reached(undone);
    expected.iter().all(|step| reached(*step))
        && (status == Status::Completed || UNDONE.into_iter().all(is_undone))
}

/// What is done for an order, and what undoes it.
const UNDONE: [(Step, Step); 3] = [
    (Step::Reserved, Step::Released),
    (Step::Paid, Step::Refunded),
    (Step::Shipped, Step::Recalled),
];

/// The changes up to the last one, and not for ever. What others did may be heard a little after the
/// order has ended; after that the order is over as it is.
fn until_over(changes: Changes<Progress>, clock: &Clock) -> BoxStream<'static, Progress> {
    let watching = Watching {
        changes,
        deadline: Deadline::after(LIFE),
        last: None,
        clock: clock.clone(),
    };
    stream::unfold(watching, Watching::next).boxed()
}

struct Watching {
    changes: Changes<Progress>,
    deadline: Deadline,
    /// What was said last.
    last: Option<Progress>,
    clock: Clock,
}

impl Watching {
    async fn next(mut self) -> Option<(Progress, Self)> {
        if self.last.as_ref().is_some_and(|last| last.is_over) {
            return None;
        }
        let left = self.clock.sleep(self.deadline.left());
        let progress = tokio::select! {
            // The service leaves, or cannot read: who watches asks again.
            change = self.changes.next() => change?.ok()?,
            () = left => self.last.take().filter(Progress::is_final)?.over(),
        };
        if progress.is_final() {
            self.deadline = self.deadline.at_most(PATIENCE);
        }
        self.last = Some(progress.clone());
        Some((progress, self))
    }
}

impl Progress {
    const fn is_final(&self) -> bool {
        matches!(self.status, Status::Completed | Status::Cancelled)
    }

    fn over(self) -> Self {
        Self {
            is_over: true,
            ..self
        }
    }
}

/// How long a stream lasts at most; whoever asks again shows the token again.
const LIFE: Duration = Duration::from_secs(600);
/// How long after its end something may still be heard of an order.
const PATIENCE: Duration = Duration::from_secs(5);
