//! The HTTP interface of products. Reading is for everybody, writing for the staff.

use ieum::chassis::{ADMIN, Identity, Json};
use std::sync::Arc;

use axum::Router;
use axum::extract::{Path, Query, State};
use axum::response::Response;
use axum::routing::get;
use http::{HeaderMap, StatusCode};
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::catalogue::Catalogue;
use super::store::{self, Product};
use crate::support::failure::{Failure, Reply};
use crate::support::idempotency::Key;
use crate::support::money::Currency;
use crate::support::participant::Answer;
use crate::support::web::Page;

/// The routes.
pub(super) fn router(catalogue: Arc<Catalogue>) -> Router {
    Router::new()
        .route("/products", get(search).post(create))
        .route("/products/{id}", get(show).patch(change))
        .with_state(catalogue)
}

#[derive(Clone, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Create {
    name: String,
    price: i64,
    #[serde(default)]
    currency: Currency,
    #[serde(default)]
    stock: u32,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Change {
    #[serde(default)]
    name: Option<String>,
    #[serde(default)]
    price: Option<i64>,
}

/// Adds a product with its first stock. With an `Idempotency-Key`, once.
async fn create(
    State(catalogue): State<Arc<Catalogue>>,
    caller: Identity,
    key: Key,
    Json(body): Json<Create>,
) -> Reply<Response> {
    caller.require_role(ADMIN)?;
    checked(Some(&body.name), Some(body.price))?;
    let request = key.of(&caller, "POST /products", &body)?;
    catalogue
        .service()
        .once(request, move |work| {
            let product = Product {
                id: work.new_id().to_string(),
                name: body.name.trim().to_owned(),
                price: body.price,
                currency: body.currency.to_string(),
                created_at: work.now(),
            };
            store::put(work, &product, product.created_at)?;
            let data = json!({
                "productId": product.id, "name": product.name, "price": product.price,
                "currency": product.currency, "stock": body.stock,
            });
            work.publish("product.created", &product.id, None, &data)?;
            let mut answer = serde_json::to_value(&product)?;
            answer["stock"] = body.stock.into();
            Ok(Answer::json(StatusCode::CREATED, answer))
        })
        .await
}

/// Changes name or price; orders keep the price that they were placed at.
async fn change(
    State(catalogue): State<Arc<Catalogue>>,
    caller: Identity,
    Path(id): Path<String>,
    Json(body): Json<Change>,
) -> Reply<Json<Product>> {
    caller.require_role(ADMIN)?;
    checked(body.name.as_deref(), body.price)?;
    let of = id.clone();
    let changed = catalogue.service().write(move |work| {
        let mut product = store::take(work, &of)?.ok_or_else(|| Failure::not_found("product"))?;
        if let Some(name) = body.name {
            name.trim().clone_into(&mut product.name);
        }
        product.price = body.price.unwrap_or(product.price);
        store::put(work, &product, work.now())?;
        let data = json!({
            "productId": product.id, "name": product.name, "price": product.price,
            "currency": product.currency,
        });
        work.publish("product.updated", &product.id, None, &data)?;
        Ok(product)
    });
    let changed = changed.await;
    // Whatever became of it: that it was changed is not always known.
    catalogue.changed(&id).await;
    Ok(Json(changed?))
}

async fn show(
    State(catalogue): State<Arc<Catalogue>>,
    Path(id): Path<String>,
) -> Reply<Json<Product>> {
    let product = catalogue.find(&id).await?;
    product
        .map(Json)
        .ok_or_else(|| Failure::not_found("product"))
}

async fn search(
    State(catalogue): State<Arc<Catalogue>>,
    Query(page): Query<Page>,
) -> Reply<(HeaderMap, Json<Vec<Product>>)> {
    let (limit, after, q) = (page.limit(), page.after.clone(), page.q.clone());
    let products = catalogue
        .service()
        .read(move |db| store::search(db, q.as_deref(), after.as_deref(), limit))
        .await?;
    let last = products.last().map(|product| product.id.as_str());
    let headers = page.next("/products", last, products.len());
    Ok((headers, Json(products)))
}

fn checked(name: Option<&str>, price: Option<i64>) -> Reply<()> {
    if name.is_some_and(|name| name.trim().is_empty() || name.chars().count() > 200) {
        return Err(Failure::invalid("a name has 1 to 200 characters"));
    }
    if price.is_some_and(|price| price < 0) {
        return Err(Failure::invalid("a price is not negative"));
    }
    Ok(())
}
