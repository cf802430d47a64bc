//! What inventory does when it hears of something.
//!
//! New products come with their first stock. In the choreographed flow it sets pieces aside when an
//! order was created, and puts them back when the payment failed or was refunded.

use http::StatusCode;
use ieum::messaging::Message;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::domain::{Line, Refusal};
use super::store;
use crate::support::failure::{Failure, Reply};
use crate::support::work::{CHOREOGRAPHED, Work};

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ProductCreated {
    product_id: String,
    stock: i64,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct OrderCreated {
    order_id: String,
    items: Vec<Line>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Failed {
    order_id: String,
    reason: String,
}

/// `product.created`: the first stock.
pub(super) fn on_product(work: &Work<'_>, message: &Message) -> Reply<()> {
    let product: ProductCreated = message.decode()?;
    store::stock_up(work, &product.product_id, product.stock)
}

/// `order.created`: set the pieces aside. What follows needs to know more than the stock, so the
/// order's data travel on.
pub(super) fn on_order(work: &Work<'_>, message: &Message) -> Reply<()> {
    let order: OrderCreated = message.decode()?;
    match store::reserve(work, &order.order_id, &order.items)? {
        Ok(()) => {
            let data: Map<String, Value> = message.decode()?;
            work.publish("inventory.reserved", &order.order_id, CHOREOGRAPHED, &data)
        }
        Err(Refusal::Insufficient {
            product_id,
            wanted,
            stock,
        }) => {
            let data = json!({
                "orderId": order.order_id,
                "reason": "insufficient-inventory",
                "productId": product_id, "wanted": wanted, "stock": stock,
            });
            work.publish("inventory.rejected", &order.order_id, CHOREOGRAPHED, &data)
        }
        Err(Refusal::Unknown(product_id)) => Err(Failure::not_yet(
            StatusCode::TOO_EARLY,
            "unknown-product",
            &format!("nothing is known of product {product_id} yet"),
        )),
    }
}

/// `payment.failed`, `payment.refunded`: put the pieces back.
pub(super) fn on_payment(work: &Work<'_>, message: &Message) -> Reply<()> {
    let failed: Failed = message.decode()?;
    store::release(work, &failed.order_id)?;
    let data = json!({ "orderId": failed.order_id, "reason": failed.reason });
    work.publish("inventory.released", &failed.order_id, CHOREOGRAPHED, &data)
}
