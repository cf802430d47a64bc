//! What inventory does inside a transaction.

#[cfg(feature = "postgres")]
mod races;

use serde_json::json;

use super::domain::{Line, Refusal};
use super::store;
use super::{SPEC, events};
use crate::support::sabotage::Sabotage;
use crate::support::testing::{Bench, event};
use crate::support::work::Work;

const STOCK: &str = "SELECT stock FROM stock WHERE product_id = 'shoe'";

fn shoes(quantity: u32) -> Vec<Line> {
    vec![Line {
        product_id: "shoe".into(),
        quantity,
    }]
}

/// Ten shoes on the shelf.
fn shelve(work: &Work<'_>) {
    let product = json!({ "productId": "shoe", "stock": 10, "name": "가죽운동화", "price": 100 });
    events::on_product(work, &event("/products", "product.created", &product)).expect("shelved");
}

#[tokio::test]
async fn an_order_of_two_of_ten_leaves_eight() {
    let bench = Bench::of(SPEC);
    let shelf = bench.work(|work| {
        shelve(work);
        assert_eq!(store::reserve(work, "o-1", &shoes(2))?, Ok(()));
        Ok(serde_json::to_value(store::shelf(work, "shoe")?)?)
    });
    let expected = json!({ "productId": "shoe", "stock": 8, "reserved": 2 });
    assert_eq!(shelf.await.expect("a shelf"), expected);
}

#[tokio::test]
async fn what_is_put_back_is_put_back_once() {
    let bench = Bench::of(SPEC);
    let acted = bench.work(|work| {
        shelve(work);
        assert_eq!(store::reserve(work, "o-1", &shoes(2))?, Ok(()));
        store::release(work, "o-1")?;
        store::release(work, "o-1")?;
        store::release(work, "never-reserved")
    });
    acted.await.expect("done");
    assert_eq!(bench.number(STOCK).await, 10);
}

#[tokio::test]
async fn too_many_are_refused_and_nothing_is_taken() {
    let bench = Bench::of(SPEC);
    let refusal = bench.work(|work| {
        shelve(work);
        store::reserve(work, "o-1", &shoes(11))
    });
    let expected = Refusal::Insufficient {
        product_id: "shoe".into(),
        wanted: 11,
        stock: 10,
    };
    assert_eq!(refusal.await.expect("answered"), Err(expected));
    assert_eq!(bench.number(STOCK).await, 10);
}

#[tokio::test]
async fn events_alone_reserve_reject_and_release() {
    let bench = Bench::of(SPEC);
    let acted = bench.work(|work| {
        shelve(work);
        let order = |id: &str, quantity: u32| {
            json!({ "orderId": id, "items": [{ "productId": "shoe", "quantity": quantity }] })
        };
        for order in [order("o-1", 2), order("o-2", 9)] {
            events::on_order(work, &event("/orders", "order.created", &order))?;
        }
        let failed = json!({ "orderId": "o-1", "reason": "payment-declined" });
        events::on_payment(work, &event("/payments", "payment.failed", &failed))
    });
    acted.await.expect("done");
    assert_eq!(bench.number(STOCK).await, 10);
    let expected = [
        "inventory.reserved",
        "inventory.rejected",
        "inventory.released",
    ];
    assert_eq!(bench.kinds().await, expected);
}

#[tokio::test]
async fn a_product_that_is_not_known_yet_is_waited_for() {
    let bench = Bench::of(SPEC);
    let early = bench.work(|work| {
        let order = json!({ "orderId": "o-1", "items": [{ "productId": "new", "quantity": 1 }] });
        events::on_order(work, &event("/orders", "order.created", &order))
    });
    let failure = early.await.expect_err("too early");
    assert_eq!(failure.problem().status, 425);
    assert!(failure.problem().retry_after.is_some());
}

#[tokio::test]
async fn the_planted_defect_leaks_a_piece() {
    let bench = Bench::of(SPEC).with(Sabotage::LeakStock);
    let acted = bench.work(|work| {
        shelve(work);
        assert_eq!(store::reserve(work, "o-1", &shoes(2))?, Ok(()));
        assert_eq!(store::reserve(work, "o-2", &shoes(2))?, Ok(()));
        Ok(())
    });
    acted.await.expect("done");
    assert_eq!(bench.number(STOCK).await, 5);
}
