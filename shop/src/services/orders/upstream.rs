//! What orders asks of others before it takes an order: who the customer is, what things cost.

use ieum::chassis::Identity;
use std::collections::BTreeMap;

use http::StatusCode;
use ieum::client::{Client, Error, ErrorKind};
use serde::{Deserialize, Serialize};

use super::domain::Item;
use crate::support::failure::{Failure, Reply};
use crate::support::money::Currency;
use crate::support::web::percent_encoded;

/// A line of an order, as it is wanted.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Wanted {
    pub(super) product_id: String,
    pub(super) quantity: u32,
}

/// What is known of an order before it is placed.
#[derive(Debug)]
pub(super) struct Basket {
    pub(super) user_name: String,
    pub(super) currency: Currency,
    pub(super) items: Vec<Item>,
}

#[derive(Deserialize)]
struct User {
    name: String,
}

#[derive(Deserialize)]
struct Product {
    price: i64,
    #[serde(default)]
    currency: Currency,
}

/// Asks users and products, on behalf of `caller`.
pub(super) async fn look_up(
    client: &Client,
    caller: &Identity,
    user_id: &str,
    wanted: &[Wanted],
) -> Reply<Basket> {
    let user: User = ask(client, caller, "users", "user", user_id).await?;
    let mut products = BTreeMap::new();
    let mut items = Vec::with_capacity(wanted.len());
    for line in wanted {
        let id = line.product_id.as_str();
        let product: &Product = match products.entry(id) {
            std::collections::btree_map::Entry::Occupied(known) => known.into_mut(),
            std::collections::btree_map::Entry::Vacant(unknown) => {
                unknown.insert(ask(client, caller, "products", "product", id).await?)
            }
        };
        items.push(Item {
            product_id: line.product_id.clone(),
            quantity: line.quantity,
            price: product.price,
        });
    }
    Ok(Basket {
        user_name: user.name,
        currency: only_currency(products.values())?,
        items,
    })
}

/// `GET /{other}/{id}` at the service of that name.
async fn ask<T: serde::de::DeserializeOwned>(
    client: &Client,
    caller: &Identity,
    other: &str,
    what: &str,
    id: &str,
) -> Reply<T> {
    let path = format!("/{other}/{}", percent_encoded(id));
    let other = client.service(other);
    let request = other
        .get(&path)
        .on_behalf_of(&caller.user_id, &caller.roles);
    let answer = request
        .send()
        .await
        .map_err(|error| refuse(&error, what, id))?;
    answer.json().map_err(|error| refuse(&error, what, id))
}

/// An order for what does not exist can never work; one that cannot be checked may, later.
fn refuse(error: &Error, what: &str, id: &str) -> Failure {
    match error.kind() {
        ErrorKind::NotFound => Failure::new(
            StatusCode::UNPROCESSABLE_ENTITY,
            if what == "user" {
                "unknown-user"
            } else {
                "unknown-product"
            },
            format!("there is no {what} {id}"),
        ),
        ErrorKind::Unavailable | ErrorKind::Timeout | ErrorKind::Failed => {
            tracing::warn!(%error, "an order could not be checked");
            Failure::not_yet(
                StatusCode::SERVICE_UNAVAILABLE,
                "upstream-unavailable",
                &format!("the {what} cannot be checked at the moment"),
            )
        }
        _ => Failure::internal(error),
    }
}

fn only_currency<'a>(products: impl Iterator<Item = &'a Product>) -> Reply<Currency> {
    let mut currencies = products.map(|product| product.currency);
    let first = currencies.next().unwrap_or_default();
    if currencies.all(|currency| currency == first) {
        return Ok(first);
    }
    Err(Failure::new(
        StatusCode::UNPROCESSABLE_ENTITY,
        "mixed-currencies",
        "all products of an order have one currency",
    ))
}
