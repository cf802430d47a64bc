//! The stock over gRPC: lists that end, watches that do not, and how many there may be.

use futures_util::TryStreamExt;
use tonic::Code;

use super::super::SPEC;
use super::inventory_server::Inventory as _;
use super::*;
use crate::support::testing::Alone;

/// An inventory with this many products, of which each has ten pieces.
async fn stocked(products: u32) -> (Alone, Calls) {
    let alone = Alone::start(SPEC).await;
    let stocked = alone.service.write(move |work| {
        (0..products).try_for_each(|id| store::stock_up(work, &format!("p-{id:04}"), 10))
    });
    stocked.await.expect("stocked");
    let calls = Calls(Arc::clone(&alone.service));
    (alone, calls)
}

fn watch(id: &str) -> Request<proto::WatchStockRequest> {
    let product_id = id.to_owned();
    Request::new(proto::WatchStockRequest { product_id })
}

async fn take(calls: &Calls, order: &'static str, quantity: u32) {
    let product_id = "p-0000".to_owned();
    let lines = [super::super::domain::Line {
        product_id,
        quantity,
    }];
    let taken = calls
        .0
        .write(move |work| store::reserve(work, order, &lines));
    taken.await.expect("written").expect("enough");
}

#[tokio::test]
async fn a_list_is_whole_over_its_pages_and_in_order() {
    let (_alone, calls) = stocked(2 * PAGE + 1).await;
    let listed = calls
        .list_stock(Request::new(proto::ListStockRequest {}))
        .await;
    let listed = listed.expect("listed").into_inner();
    let listed: Vec<_> = listed.try_collect().await.expect("a whole list");
    let expected = (0..=2 * PAGE).map(|id| format!("p-{id:04}"));
    let ids = listed.into_iter().map(|stock| stock.product_id);
    assert!(ids.eq(expected));
}

#[tokio::test]
async fn several_are_told_in_the_order_asked_for() {
    let (_alone, calls) = stocked(2).await;
    let product_ids = ["p-0001", "unknown", "p-0000"].map(str::to_owned).to_vec();
    let got = calls.batch_get_stock(Request::new(proto::BatchGetStockRequest { product_ids }));
    let got = got.await.expect("told").into_inner().stocks;
    let ids: Vec<_> = got.iter().map(|stock| &*stock.product_id).collect();
    assert_eq!(ids, ["p-0001", "p-0000"]);
}

#[tokio::test]
async fn a_watcher_sees_the_latest_and_is_let_go_when_the_service_leaves() {
    let (_alone, calls) = stocked(1).await;
    let mut stock = calls
        .watch_stock(watch("p-0000"))
        .await
        .expect("watched")
        .into_inner();
    let first = stock.try_next().await.expect("no end").expect("a stock");
    assert_eq!((first.available, first.reserved), (10, 0));
    take(&calls, "o-1", 1).await;
    take(&calls, "o-2", 2).await;
    // Both happened before it looked again.
    let next = stock.try_next().await.expect("no end").expect("a stock");
    assert_eq!((next.available, next.reserved), (7, 3));
    calls.0.leaving().request();
    let end = stock.try_next().await.expect_err("an end");
    assert_eq!(end.code(), Code::Unavailable);
    assert_eq!(stock.try_next().await.expect("over"), None);
}

#[tokio::test]
async fn there_are_only_so_many_watchers() {
    let (_alone, calls) = stocked(1).await;
    let unknown = calls.watch_stock(watch("unknown")).await;
    assert_eq!(unknown.err().map(|no| no.code()), Some(Code::NotFound));
    let mut watchers = Vec::new();
    let refused = loop {
        match calls.watch_stock(watch("p-0000")).await {
            Ok(watcher) => watchers.push(watcher),
            Err(refused) => break refused,
        }
        assert!(watchers.len() < 10_000, "no bound");
    };
    assert_eq!(refused.code(), Code::ResourceExhausted);
    watchers.pop();
    calls
        .watch_stock(watch("p-0000"))
        .await
        .expect("a place is free");
}
