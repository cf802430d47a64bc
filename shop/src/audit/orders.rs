//! Did every order end, and as planned?

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context, Result};
use serde_json::Value;

use super::book::Reading;
use super::books::Books;

/// An order as its events tell it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Order {
    /// Where it stands: the last event decides.
    pub(super) end: End,
    /// How often it ended.
    ends: u64,
    /// The types of its events, in their order.
    history: Vec<String>,
    /// Whose it is.
    pub(super) user_id: String,
    /// The currency of its prices.
    pub(super) currency: String,
    /// Price times quantity, summed.
    pub(super) total: i64,
    /// Pieces per product.
    pub(super) pieces: BTreeMap<String, i64>,
}

/// How an order ended.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) enum End {
    /// It did not.
    #[default]
    Open,
    /// Completed.
    Completed,
    /// Cancelled, for this reason.
    Cancelled(String),
}

/// All orders by id.
pub(super) type Orders = BTreeMap<String, Order>;

/// Replays the events of all orders, with nothing but their JSON.
pub(super) fn replay(book: &Reading<'_>) -> Result<Orders> {
    let events = book.rows(
        "SELECT stream, type, CAST(data AS TEXT) FROM ieum_events WHERE category = 'order'
         ORDER BY position",
        |row| {
            Ok((
                row.get::<String>(0)?,
                row.get::<String>(1)?,
                row.get::<String>(2)?,
            ))
        },
    )?;
    let mut orders = Orders::new();
    for (stream, kind, data) in events {
        let id = stream.strip_prefix("order-").unwrap_or(&stream).to_owned();
        let data: Value = serde_json::from_str(&data)
            .with_context(|| format!("an event of order {id} is not JSON"))?;
        apply(orders.entry(id).or_default(), &kind, &data);
    }
    Ok(orders)
}

fn apply(order: &mut Order, kind: &str, data: &Value) {
    order.history.push(kind.to_owned());
    match kind {
        "OrderCreated" => {
            let text = |name: &str| data[name].as_str().unwrap_or_default().to_owned();
            (order.user_id, order.currency) = (text("userId"), text("currency"));
        }
        "ItemAdded" => {
            let number = |name: &str| data[name].as_i64().unwrap_or(0);
            order.total += number("price") * number("quantity");
            let product = data["productId"].as_str().unwrap_or_default().to_owned();
            *order.pieces.entry(product).or_default() += number("quantity");
        }
        "OrderCompleted" => order.come_to(End::Completed),
        "OrderCancelled" => {
            let reason = data["reason"].as_str().unwrap_or_default();
            order.come_to(End::Cancelled(reason.to_owned()));
        }
        _ => {}
    }
}

impl Order {
    fn come_to(&mut self, end: End) {
        self.end = end;
        self.ends += 1;
    }

    /// Created, with lines, and ended in a way that an order can.
    fn is_plausible(&self) -> bool {
        let lines = |kind: &&String| kind.as_str() == "ItemAdded";
        let Some((first, rest)) = self.history.split_first() else {
            return false;
        };
        let end: Vec<_> = rest.iter().skip_while(lines).map(String::as_str).collect();
        let ends: &[&[&str]] = &[
            &[],
            &["OrderConfirmed"],
            &["OrderConfirmed", "OrderCompleted"],
            &["OrderCancelled"],
        ];
        first == "OrderCreated" && end.len() < rest.len() && ends.contains(&end.as_slice())
    }
}

/// Counts how the orders ended, and compares the read model with the events.
pub(super) fn check(orders: &Orders, book: &Reading<'_>, books: &mut Books) -> Result<()> {
    for (id, order) in orders {
        books.orders += 1;
        if order.ends > 1 {
            books.find(format_args!("order {id} ended {} times", order.ends));
        }
        if !order.is_plausible() {
            let history = order.history.join(", ");
            books.find(format_args!("order {id} has no such life: {history}"));
        }
        match &order.end {
            End::Completed => books.completed += 1,
            End::Cancelled(reason) => {
                books.cancelled += 1;
                match reason.as_str() {
                    "payment-declined" => books.declined += 1,
                    "insufficient-inventory" => books.out_of_stock += 1,
                    "address-undeliverable" => books.undeliverable += 1,
                    other => books.find(format_args!("order {id} was cancelled for `{other}`")),
                }
            }
            End::Open => books.find(format_args!(
                "order {id} is neither completed nor cancelled"
            )),
        }
    }
    check_view(orders, book, books)
}

/// The read model shows what the events tell.
fn check_view(orders: &Orders, book: &Reading<'_>, books: &mut Books) -> Result<()> {
    let seen = book.rows("SELECT id, status, total, user_id FROM order_view", |row| {
        let seen: (String, i64, String) = (row.get(1)?, row.get(2)?, row.get(3)?);
        Ok((row.get::<String>(0)?, seen))
    })?;
    let seen: BTreeMap<_, _> = seen.into_iter().collect();
    for (id, order) in orders {
        let status = match order.end {
            End::Open => continue,
            End::Completed => "completed",
            End::Cancelled(_) => "cancelled",
        };
        let expected = (status.to_owned(), order.total, order.user_id.clone());
        if seen.get(id) != Some(&expected) {
            books.find(format_args!(
                "the read model does not show order {id} as {status}"
            ));
        }
    }
    for id in seen.keys().filter(|id| !orders.contains_key(*id)) {
        books.find(format_args!(
            "the read model shows order {id}, which does not exist"
        ));
    }
    Ok(())
}

/// The orders that have not ended.
pub(super) fn open(orders: &Orders) -> BTreeSet<String> {
    let open = orders.iter().filter(|(_, order)| order.end == End::Open);
    open.map(|(id, _)| id.clone()).collect()
}

/// Compares what was planned with what happened. A planned order that does not exist is added to
/// `stuck`.
pub(super) fn check_plan(
    orders: &Orders,
    plan: &Reading<'_>,
    stuck: &mut BTreeSet<String>,
    books: &mut Books,
) -> Result<()> {
    let planned = plan.rows("SELECT n, outcome, order_id FROM planned_orders", |row| {
        Ok((
            row.get::<i64>(0)?,
            row.get::<String>(1)?,
            row.get::<Option<String>>(2)?,
        ))
    })?;
    for (n, outcome, order_id) in planned {
        let Some(order) = order_id.as_ref().and_then(|id| orders.get(id)) else {
            stuck.insert(format!("planned order {n}"));
            books.find(format_args!("planned order {n} was not placed"));
            continue;
        };
        let expected = match outcome.as_str() {
            "declined" => End::Cancelled("payment-declined".to_owned()),
            "out-of-stock" => End::Cancelled("insufficient-inventory".to_owned()),
            "undeliverable" => End::Cancelled("address-undeliverable".to_owned()),
            _ => End::Completed,
        };
        if order.end != End::Open && order.end != expected {
            books.find(format_args!(
                "planned order {n} should have ended {outcome}, and ended {:?}",
                order.end
            ));
        }
    }
    Ok(())
}
