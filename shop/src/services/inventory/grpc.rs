//! The gRPC interface of inventory. What is in stock is for everybody, as over HTTP.

use std::collections::VecDeque;
use std::sync::Arc;

use futures_util::StreamExt;
use futures_util::stream;
use ieum::sql::Reader;
use tonic::{Request, Response, Status};

use super::store::{self, Shelf};
use crate::proto::inventory as proto;
use crate::proto::inventory::inventory_server::{self, InventoryServer};
use crate::support::failure::{Failure, Reply};
use crate::support::grpc::{Answers, changes, not_too_many};
use crate::support::service::Service;

/// Serves the stock beside the HTTP interface.
pub(super) fn serve(service: &Arc<Service>) -> anyhow::Result<()> {
    let calls = Calls(Arc::clone(service));
    service.grpc(inventory_server::SERVICE_NAME, InventoryServer::new(calls))
}

struct Calls(Arc<Service>);

#[tonic::async_trait]
impl inventory_server::Inventory for Calls {
    type ListStockStream = Answers<proto::Stock>;
    type WatchStockStream = Answers<proto::Stock>;

    async fn get_stock(
        &self,
        request: Request<proto::GetStockRequest>,
    ) -> Result<Response<proto::Stock>, Status> {
        let id = request.into_inner().product_id;
        let shelf = self.0.read(move |db| store::shelf(db, &id)).await?;
        let shelf = shelf.ok_or_else(|| Failure::not_found(STOCK))?;
        Ok(Response::new(shelf.into()))
    }

    async fn batch_get_stock(
        &self,
        request: Request<proto::BatchGetStockRequest>,
    ) -> Result<Response<proto::BatchGetStockResponse>, Status> {
        let ids = request.into_inner().product_ids;
        not_too_many(&ids)?;
        let stocks = self.0.read(move |db| {
            let found = ids.iter().map(|id| store::shelf(db, id));
            let found = found.collect::<Reply<Vec<_>>>()?;
            Ok(found.into_iter().flatten().map(Into::into).collect())
        });
        let stocks = stocks.await?;
        Ok(Response::new(proto::BatchGetStockResponse { stocks }))
    }

    async fn list_stock(
        &self,
        _: Request<proto::ListStockRequest>,
    ) -> Result<Response<Self::ListStockStream>, Status> {
        let list = List {
            service: Arc::clone(&self.0),
            page: VecDeque::new(),
            after: Some(String::new()),
        };
        Ok(Response::new(stream::unfold(list, List::next).boxed()))
    }

    async fn watch_stock(
        &self,
        request: Request<proto::WatchStockRequest>,
    ) -> Result<Response<Self::WatchStockStream>, Status> {
        let id = request.into_inner().product_id;
        let read = move |db: &Reader<'_>| Ok(store::shelf(db, &id)?.map(proto::Stock::from));
        Ok(Response::new(changes(&self.0, STOCK, read).await?))
    }
}

/// The whole stock, of which a page is in memory.
struct List {
    service: Arc<Service>,
    page: VecDeque<Shelf>,
    /// The last product of the page; `None` after the last page.
    after: Option<String>,
}

impl List {
    async fn next(mut self) -> Option<(Result<proto::Stock, Status>, Self)> {
        if let Some(after) = self.after.take().filter(|_| self.page.is_empty()) {
            let page = self
                .service
                .read(move |db| store::shelves(db, &after, PAGE));
            match page.await {
                Ok(page) => self.page = page.into(),
                Err(failure) => return Some((Err(failure.into()), self)),
            }
        }
        let shelf = self.page.pop_front()?;
        self.after = Some(shelf.product_id.clone());
        Some((Ok(shelf.into()), self))
    }
}

impl From<Shelf> for proto::Stock {
    fn from(shelf: Shelf) -> Self {
        Self {
            product_id: shelf.product_id,
            available: shelf.stock,
            reserved: shelf.reserved,
        }
    }
}

const STOCK: &str = "product in stock";
/// How many shelves are read at once.
const PAGE: u32 = 100;

#[cfg(test)]
mod tests;
