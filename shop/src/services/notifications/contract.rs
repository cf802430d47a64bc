//! What notifications needs of the events of orders.

use ieum::contract::consumer::matchers::{equal, like};
use ieum::contract::consumer::{Recording, event};
use ieum::contract::model::Message;
use serde_json::json;

use super::{SPEC, events};
use crate::support::contract::{came, keep};
use crate::support::testing::Bench;

#[tokio::test]
async fn a_customer_is_told_that_the_order_is_done() {
    let completed = event("order.completed")
        .given("an order was completed")
        .json(json!({
            "type": equal("order.completed"), "source": like("/orders"), "id": like("e-1"),
            "data": { "orderId": like("o-1"), "userId": like("u-1") }
        }));
    let bench = Bench::of(SPEC);
    let taken = Recording::new("notifications", "orders")
        .event(completed)
        .consume(async |example: &Message| {
            let message = came(example);
            bench
                .work(move |work| events::on_order(work, &message))
                .await
                .map_err(|failure| failure.to_string())
        });
    let pact = taken.await.expect("taken");
    let told = "SELECT count(*) FROM notifications WHERE kind = 'order-completed'
                AND user_id = 'u-1' AND order_id = 'o-1'";
    assert_eq!(bench.number(told).await, 1);
    keep(&pact);
}
