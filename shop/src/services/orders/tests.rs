//! What orders does inside a transaction.

mod progress;
#[cfg(feature = "postgres")]
mod races;

use ieum::messaging::Message;
use serde_json::json;

use super::domain::{Command, Created, Flow, Item, Status};
use super::store::{self, View};
use super::{SPEC, events};
use crate::support::failure::Reply;
use crate::support::money::Currency;
use crate::support::testing::{Bench, event};
use crate::support::work::Work;

const TOKEN: &str = "card_e3f3f75502d64431b614ed6382bef17a";

/// Places an order of two at 100.
fn place(work: &Work<'_>, flow: Flow) -> Reply<View> {
    place_with(work, flow, TOKEN)
}

/// Places it with this token of a card.
fn place_with(work: &Work<'_>, flow: Flow, token: &str) -> Reply<View> {
    store::place(work, created(flow, token), vec![item()])
}

fn created(flow: Flow, token: &str) -> Created {
    Created {
        user_id: "kim".into(),
        user_name: "김이음".into(),
        currency: Currency::KRW,
        card_token: Some(token.into()),
        address: None,
        flow,
    }
}

fn item() -> Item {
    Item {
        product_id: "shoe".into(),
        quantity: 2,
        price: 100,
    }
}

/// An event of another service about an order in this flow.
fn heard(kind: &str, flow: Flow, data: &serde_json::Value) -> Message {
    let mut message = event("/other", kind, data);
    let flow = flow.as_str().into();
    message.extensions.insert("flow".to_owned(), flow);
    message
}

#[tokio::test]
async fn placing_tells_both_flows_in_the_same_transaction() {
    let bench = Bench::of(SPEC);
    let placed = bench
        .work(|work| place(work, Flow::Choreographed))
        .await
        .expect("placed");
    assert_eq!(
        (placed.total, placed.total_amount, placed.status),
        (200, 200, Status::Pending)
    );
    let told = bench.told().await;
    let kinds: Vec<_> = told.iter().map(|message| message.kind.as_str()).collect();
    assert_eq!(kinds, ["order.created", "order.placed"]);
    for message in &told {
        assert_eq!(message.extension("flow"), Some("choreographed"));
        assert_eq!(message.ordering_key(), placed.id);
        let data: serde_json::Value = message.decode().expect("json");
        assert_eq!(
            (&data["totalAmount"], &data["cardToken"]),
            (&json!(200), &json!(TOKEN))
        );
        // A template of the saga may ask for it: what is absent is null, not missing.
        assert!(
            data.as_object()
                .is_some_and(|data| data.contains_key("address"))
        );
    }
}

#[tokio::test]
async fn an_order_that_was_refused_leaves_nothing() {
    let bench = Bench::of(SPEC);
    let refused = bench.work(|work| {
        let placed = place(work, Flow::Orchestrated)?;
        store::act(work, &placed.id, &Command::Complete)
    });
    assert_eq!(
        refused.await.expect_err("not confirmed").problem().status,
        409
    );
    assert_eq!(bench.kinds().await, [""; 0]);
    assert_eq!(bench.number("SELECT count(*) FROM ieum_events").await, 0);
}

#[tokio::test]
async fn a_card_number_given_as_a_token_is_refused_and_written_nowhere() {
    let bench = Bench::of(SPEC);
    for number in [
        "4242424242424242",
        "4242 4242 4242 4242",
        "card_4242424242424242",
    ] {
        let refused = bench.work(move |work| place_with(work, Flow::Orchestrated, number));
        let refused = refused.await.expect_err("no token");
        let problem = refused.problem();
        assert_eq!(
            (problem.status, problem.code.as_deref()),
            (422, Some("invalid-card-token"))
        );
        assert!(
            !format!("{problem:?}").contains("4242"),
            "it is not repeated"
        );
    }
    assert_eq!(bench.kinds().await, [""; 0]);
    assert_eq!(bench.rows_with("4242").await, [""; 0]);
    let placed = bench.work(|work| place(work, Flow::Orchestrated));
    placed.await.expect("placed");
    assert_eq!(
        bench.rows_with(TOKEN).await,
        ["ieum_events", "ieum_outbox"],
        "the search finds what is there"
    );
}

#[tokio::test]
async fn events_alone_complete_or_cancel_an_order() {
    let bench = Bench::of(SPEC);
    let ends = bench.work(|work| {
        let (good, bad) = (
            place(work, Flow::Choreographed)?,
            place(work, Flow::Choreographed)?,
        );
        let shipped = json!({ "orderId": good.id });
        events::on_shipping(
            work,
            &heard("shipment.created", Flow::Choreographed, &shipped),
        )?;
        let released = json!({ "orderId": bad.id, "reason": "payment-declined" });
        events::on_inventory(
            work,
            &heard("inventory.released", Flow::Choreographed, &released),
        )?;
        Ok((store::find(work, &good.id)?, store::find(work, &bad.id)?))
    });
    let (good, bad) = ends.await.expect("done");
    assert_eq!(good.map(|order| order.status), Some(Status::Completed));
    let bad = bad.expect("known");
    assert_eq!(
        (bad.status, bad.reason.as_deref()),
        (Status::Cancelled, Some("payment-declined"))
    );
    let kinds = bench.kinds().await;
    assert_eq!(
        kinds[4..],
        ["order.confirmed", "order.completed", "order.cancelled"]
    );
}
