//! What analytics needs of the events of orders.

use ieum::contract::consumer::matchers::{equal, integer, like};
use ieum::contract::consumer::{Recording, event};
use ieum::contract::model::Message;
use serde_json::json;

use super::{SPEC, events};
use crate::support::contract::{came, keep};
use crate::support::testing::Bench;

#[tokio::test]
async fn a_placed_order_is_noted_with_its_amount() {
    let placed = event("order.placed")
        .given("an order was placed")
        .json(json!({
            "type": equal("order.placed"), "source": like("/orders"), "id": like("e-1"),
            "data": { "orderId": like("o-1"), "userId": like("u-1"), "totalAmount": integer(200) }
        }));
    let bench = Bench::of(SPEC);
    let taken =
        Recording::new("analytics", "orders")
            .event(placed)
            .consume(async |example: &Message| {
                let message = came(example);
                bench
                    .work(move |work| events::on_any(work, &message))
                    .await
                    .map_err(|failure| failure.to_string())
            });
    let pact = taken.await.expect("taken");
    let noted = "SELECT count(*) FROM facts WHERE name = 'order_placed' AND order_id = 'o-1'
                 AND user_id = 'u-1' AND amount = 200";
    assert_eq!(bench.number(noted).await, 1);
    keep(&pact);
}
