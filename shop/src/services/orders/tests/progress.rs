//! How far an order is, as it is noted and as it is streamed.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::response::Response;
use http::{Request, StatusCode};
use http_body_util::BodyExt;
use serde_json::{Value, json};
use tower::ServiceExt;

use super::super::SPEC;
use super::super::progress::{self, Progress};
use super::super::steps::Step;
use super::*;
use crate::support::testing::Alone;

/// What is heard of an order, in the order of a saga.
fn hear(work: &Work<'_>, id: &str, kinds: &[&str]) -> Reply<()> {
    for kind in kinds {
        let message = heard(kind, Flow::Orchestrated, &json!({ "orderId": id }));
        match kind.split('.').next() {
            Some("inventory") => events::on_inventory(work, &message)?,
            Some("payment") => events::on_payment(work, &message)?,
            _ => events::on_shipping(work, &message)?,
        }
    }
    Ok(())
}

fn cancel(work: &Work<'_>, id: &str, reason: &str) -> Reply<()> {
    let reason = reason.to_owned();
    store::act(work, id, &Command::Cancel { reason }).map(drop)
}

fn complete(work: &Work<'_>, id: &str) -> Reply<()> {
    store::act(work, id, &Command::Confirm)?;
    store::act(work, id, &Command::Complete).map(drop)
}

/// The progress of an order with which this happened, in a saga.
async fn after(happens: impl Fn(&Work<'_>, &str) -> Reply<()> + Send + 'static) -> Progress {
    let bench = Bench::of(SPEC);
    let progress = bench.work(move |work| {
        let order = place(work, Flow::Orchestrated)?;
        happens(work, &order.id)?;
        progress::find(work, &order.id, work.now())
    });
    progress.await.expect("read").expect("an order")
}

fn has(progress: &Progress, steps: &[Step]) -> bool {
    let reached: Vec<_> = progress.steps.iter().map(|reached| reached.step).collect();
    reached.len() == steps.len() && steps.iter().all(|step| reached.contains(step))
}

const SETTLED: [&str; 3] = [
    "inventory.reserved",
    "payment.completed",
    "shipment.created",
];

#[tokio::test]
async fn an_order_is_over_once_all_that_was_done_for_it_was_heard_of() {
    let early = after(|work, id| {
        hear(work, id, &SETTLED[..2])?;
        complete(work, id)
    });
    let early = early.await;
    assert_eq!((early.status, early.is_over), (Status::Completed, false));
    let whole = after(|work, id| {
        hear(work, id, &SETTLED)?;
        // Told twice, it is the same.
        hear(work, id, &SETTLED)?;
        complete(work, id)
    });
    let whole = whole.await;
    assert!(whole.is_over, "{whole:?}");
    let steps = [
        Step::Placed,
        Step::Reserved,
        Step::Paid,
        Step::Shipped,
        Step::Confirmed,
        Step::Completed,
    ];
    assert!(has(&whole, &steps), "{whole:?}");
}

#[tokio::test]
async fn a_cancelled_order_is_over_once_all_was_undone() {
    let kinds = [
        "inventory.reserved",
        "payment.completed",
        "shipment.failed",
        "payment.refunded",
        "inventory.released",
    ];
    for heard in 0..=kinds.len() {
        let cancelled = after(move |work, id| {
            hear(work, id, &kinds[..heard])?;
            cancel(work, id, "address-undeliverable")
        });
        let cancelled = cancelled.await;
        assert_eq!(cancelled.is_over, heard == kinds.len(), "{cancelled:?}");
    }
    let declined = ["inventory.reserved", "payment.failed", "inventory.released"];
    let declined = after(move |work, id| {
        hear(work, id, &declined)?;
        cancel(work, id, "payment-declined")
    });
    assert!(declined.await.is_over);
    let nothing_done = after(|work, id| cancel(work, id, "insufficient-inventory"));
    assert!(nothing_done.await.is_over);
}

#[tokio::test]
async fn what_is_heard_in_a_saga_is_noted_and_decides_nothing() {
    let progress = after(|work, id| hear(work, id, &["shipment.created", "inventory.released"]));
    let progress = progress.await;
    assert_eq!(
        (progress.status, progress.is_over),
        (Status::Pending, false)
    );
    assert!(
        has(&progress, &[Step::Placed, Step::Shipped, Step::Released]),
        "{progress:?}"
    );
}

/// An orders service with a pending order of `kim`.
async fn pending() -> (Alone, String) {
    let alone = Alone::start(SPEC).await;
    let placed = alone.service.write(|work| place(work, Flow::Orchestrated));
    let id = placed.await.expect("placed").id;
    (alone, id)
}

async fn follow(alone: &Alone, id: &str, user: &str) -> Response {
    let request = Request::get(format!("/orders/{id}/events"))
        .header("x-user-id", user)
        .header("last-event-id", "7")
        .body(Body::empty());
    let routes = progress::router(Arc::clone(&alone.service));
    let response = routes.oneshot(request.expect("a request")).await;
    response.expect("infallible")
}

/// The next frame of a stream as text; `None` at its end.
async fn next(response: &mut Response) -> Option<String> {
    let frame = response.body_mut().frame().await?.expect("a frame");
    let data = frame.into_data().expect("data");
    Some(String::from_utf8(data.to_vec()).expect("text"))
}

/// The progress that an event tells.
fn told(event: &str) -> Value {
    let data = event
        .strip_prefix("event: order\ndata: ")
        .and_then(|rest| rest.strip_suffix("\n\n"));
    serde_json::from_str(data.expect("an event")).expect("json")
}

#[tokio::test]
async fn a_stream_tells_each_step_and_ends_with_the_order() {
    let (alone, id) = pending().await;
    let mut stream = follow(&alone, &id, "kim").await;
    assert_eq!(stream.status(), StatusCode::OK);
    assert_eq!(stream.headers()["content-type"], "text/event-stream");
    assert_eq!(stream.headers()["cache-control"], "no-store");
    assert_eq!(next(&mut stream).await.as_deref(), Some("retry: 2000\n\n"));
    let first = told(&next(&mut stream).await.expect("the present"));
    assert_eq!(first["status"], "pending");
    assert_eq!(first["steps"][0]["step"], "placed");
    assert_eq!(first.get("userId"), None);
    let of = id.clone();
    let heard = alone
        .service
        .write(move |work| hear(work, &of, &SETTLED[..1]));
    heard.await.expect("heard");
    let second = told(&next(&mut stream).await.expect("a step"));
    assert_eq!(second["steps"][1]["step"], "reserved");
    let of = id.clone();
    let done = alone.service.write(move |work| {
        hear(work, &of, &SETTLED[1..])?;
        complete(work, &of)
    });
    done.await.expect("done");
    let last = told(&next(&mut stream).await.expect("the end"));
    assert_eq!(
        (&last["status"], &last["isOver"]),
        (&json!("completed"), &json!(true))
    );
    assert_eq!(next(&mut stream).await, None);
}

#[tokio::test(start_paused = true)]
async fn in_silence_it_says_that_it_lives_and_it_ends_when_the_service_leaves() {
    let (alone, id) = pending().await;
    let mut stream = follow(&alone, &id, "kim").await;
    let begun = tokio::time::Instant::now();
    next(&mut stream).await.expect("a beginning");
    next(&mut stream).await.expect("the present");
    for _ in 0..3 {
        let said = next(&mut stream).await;
        assert_eq!(said.as_deref(), Some(": keep-alive\n\n"));
    }
    assert_eq!(begun.elapsed().as_secs(), 45);
    alone.service.leaving().request();
    assert_eq!(next(&mut stream).await, None);
}

#[tokio::test(start_paused = true)]
async fn it_waits_a_little_for_what_is_heard_after_the_end_and_never_for_ever() {
    let (alone, id) = pending().await;
    let mut pending = follow(&alone, &id, "kim").await;
    let begun = tokio::time::Instant::now();
    while next(&mut pending).await.is_some() {}
    assert_eq!(begun.elapsed().as_secs(), 600);
    let of = id.clone();
    let given_up = alone
        .service
        .write(move |work| cancel(work, &of, "payment-declined"));
    given_up.await.expect("cancelled");
    let begun = tokio::time::Instant::now();
    let mut cancelled = follow(&alone, &id, "kim").await;
    let mut last = None;
    while let Some(said) = next(&mut cancelled).await {
        last = Some(said);
    }
    assert_eq!(told(&last.expect("an end"))["isOver"], true);
    assert!(begun.elapsed() <= Duration::from_secs(6), "{begun:?}");
}

#[tokio::test]
async fn an_order_is_followed_by_its_customer_and_the_staff() {
    let (alone, id) = pending().await;
    assert_eq!(
        follow(&alone, &id, "lee").await.status(),
        StatusCode::NOT_FOUND
    );
    assert_eq!(
        follow(&alone, "unknown", "kim").await.status(),
        StatusCode::NOT_FOUND
    );
    assert_eq!(follow(&alone, &id, "kim").await.status(), StatusCode::OK);
}

#[tokio::test]
async fn a_customer_has_only_so_many_streams() {
    let (alone, id) = pending().await;
    let mut open = Vec::new();
    let refused = loop {
        let stream = follow(&alone, &id, "kim").await;
        if stream.status() != StatusCode::OK {
            break stream;
        }
        open.push(stream);
        assert!(open.len() < 1_000, "no bound");
    };
    assert_eq!(refused.status(), StatusCode::TOO_MANY_REQUESTS);
    assert!(refused.headers().contains_key("retry-after"));
    let other = alone.service.write(|work| {
        let mut created = created(Flow::Orchestrated, TOKEN);
        created.user_id = "lee".into();
        store::place(work, created, vec![item()])
    });
    let other = other.await.expect("placed").id;
    assert_eq!(follow(&alone, &other, "lee").await.status(), StatusCode::OK);
    open.pop();
    assert_eq!(follow(&alone, &id, "kim").await.status(), StatusCode::OK);
}
