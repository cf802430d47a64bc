//! What is in stock now: asked from inventory, by gRPC and on behalf of whoever asks.

use std::collections::BTreeMap;
use std::time::Duration;

use http::StatusCode;
use ieum::chassis::Identity;
use tonic::{Code, Status};

use crate::proto::inventory::BatchGetStockRequest;
use crate::proto::inventory::inventory_client::InventoryClient;
use crate::support::failure::{Failure, Reply};
use crate::support::grpc::MOST_AT_ONCE;
use crate::support::service::Service;

/// The pieces in stock of each product that inventory knows: one call, however many orders they are in,
/// for each hundred of them.
pub(super) async fn available(
    service: &Service,
    caller: &Identity,
    product_ids: &[String],
) -> Reply<BTreeMap<String, i64>> {
    if product_ids.len() > MOST_PRODUCTS {
        let detail = format!("the stock of at most {MOST_PRODUCTS} products is told at once");
        return Err(Failure::invalid(detail));
    }
    let channel = service
        .client()
        .service("inventory")
        .grpc()
        .idempotent([METHOD])
        .timeout(PATIENCE)
        .on_behalf_of(&caller.user_id, &caller.roles)
        .map_err(Failure::internal)?;
    let mut inventory = InventoryClient::new(channel);
    let mut available = BTreeMap::new();
    for product_ids in product_ids.chunks(MOST_AT_ONCE) {
        let request = BatchGetStockRequest {
            product_ids: product_ids.to_vec(),
        };
        let answer = inventory.batch_get_stock(request).await;
        let stocks = answer
            .map_err(|status| refuse(&status))?
            .into_inner()
            .stocks;
        available.extend(stocks.into_iter().map(|it| (it.product_id, it.available)));
    }
    Ok(available)
}

fn refuse(status: &Status) -> Failure {
    match status.code() {
        Code::Unavailable | Code::DeadlineExceeded | Code::ResourceExhausted => {
            tracing::warn!(%status, "the stock could not be asked for");
            Failure::not_yet(
                StatusCode::SERVICE_UNAVAILABLE,
                "upstream-unavailable",
                "the stock is not known at the moment",
            )
        }
        _ => Failure::internal(status),
    }
}

/// What it calls.
const METHOD: &str = "/shop.inventory.v1.Inventory/BatchGetStock";
/// How long an order is kept waiting for what is beside it.
const PATIENCE: Duration = Duration::from_secs(2);
/// The products of one request.
const MOST_PRODUCTS: usize = 1_000;
