//! What the API shows of the running parts: health, metrics, routes.

use std::collections::BTreeMap;
use std::sync::Arc;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use ieum_discovery::Resolver;
use ieum_eventstore::EventStore;
use ieum_gateway::Handle;
use serde_json::Value;

use super::storage::Storage;
use crate::api;
use crate::telemetry::{self, Measured};
use crate::traces::Store;

/// The gateway's routes, as the API lists them.
pub(super) fn routes_of(gateway: Option<Handle>) -> Arc<dyn Fn() -> Vec<Value> + Send + Sync> {
    Arc::new(move || {
        let routes = gateway.iter().flat_map(Handle::routes);
        routes
            .filter_map(|route| serde_json::to_value(route).ok())
            .collect()
    })
}

/// The health and the metrics of the platform.
pub(super) fn of(
    storage: &Storage,
    traces: &Store,
    resolver: &Resolver,
    gateway: Option<Handle>,
) -> api::Vitals {
    let database = storage.log.database().clone();
    let log: api::Check = Arc::new(move || {
        let database = database.clone();
        async move { database.probe().await.map_err(|error| error.to_string()) }.boxed()
    });
    let (log_store, traces, resolver) = (storage.log.clone(), traces.clone(), resolver.clone());
    let metrics = move || -> BoxFuture<'static, String> {
        let (log, traces, resolver) = (log_store.clone(), traces.clone(), resolver.clone());
        let gateway = gateway.as_ref().map(Handle::metrics_text);
        async move {
            let head = log.head().await.ok();
            let measured = Measured {
                position: head.map(|head| head.position.0),
                traces: traces.held(),
            };
            let endpoints = ieum_discovery::telemetry::render(&resolver.samples());
            telemetry::render(measured, &[endpoints, gateway.unwrap_or_default()])
        }
        .boxed()
    };
    api::Vitals {
        checks: Arc::new(BTreeMap::from([("log", log)])),
        metrics: Arc::new(metrics),
    }
}
