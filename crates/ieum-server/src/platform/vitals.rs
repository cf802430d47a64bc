//! What the API shows of the running parts: health, metrics, routes.

use std::collections::BTreeMap;
use std::sync::Arc;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use ieum_base::Stop;
use ieum_discovery::Resolver;
use ieum_gateway::Handle;
use ieum_telemetry::otlp::Outcomes;
use serde_json::Value;

use super::storage::Storage;
use super::topics::mirror;
use crate::api;
use crate::telemetry::{self, Measured, SagaFigures};
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

/// What is looked at for the health and the metrics.
pub(super) struct Seen<'a> {
    /// The log, if it is here.
    pub(super) storage: Option<&'a Storage>,
    /// The traces, if they are here.
    pub(super) traces: Option<&'a Store>,
    pub(super) resolver: &'a Resolver,
    pub(super) gateway: Option<Handle>,
    /// The copying of topics from a broker, if there is one.
    pub(super) mirror: Option<mirror::Status>,
    /// The saga engine, if it is here.
    pub(super) sagas: Option<ieum_saga::Handle>,
    /// What became of what this process exported.
    pub(super) exported: Option<Outcomes>,
    /// The registry that is followed, for people.
    pub(super) followed: Option<String>,
    /// Requested when nothing new is to be sent here.
    pub(super) retired: Stop,
}

/// The health and the metrics of the platform.
pub(super) fn of(seen: Seen<'_>) -> api::Vitals {
    let mut checks = BTreeMap::new();
    if let Some(storage) = seen.storage {
        checks.insert("log", log_check(storage));
    }
    let mut remarks = BTreeMap::new();
    if let Some(place) = seen.followed.clone() {
        remarks.insert("registry", registry_check(seen.resolver.clone(), place));
    }
    if let Some(mirror) = seen.mirror {
        let check: api::Check = Arc::new(move || std::future::ready(mirror.check()).boxed());
        remarks.insert("topics", check);
    }
    let log = seen.storage.map(|storage| Arc::clone(&storage.events));
    let (traces, resolver) = (seen.traces.cloned(), seen.resolver.clone());
    let topics = seen
        .storage
        .map(|storage| Arc::clone(&storage.topics.inspect));
    let (gateway, sagas, exported) = (seen.gateway, seen.sagas, seen.exported);
    let metrics = move || -> BoxFuture<'static, String> {
        let (log, traces, resolver) = (log.clone(), traces.clone(), resolver.clone());
        let (topics, sagas, exported) = (topics.clone(), sagas.clone(), exported.clone());
        let gateway = gateway.as_ref().map(Handle::metrics_text);
        async move {
            let head = match log {
                Some(log) => log.head().await.ok(),
                None => None,
            };
            let measured = Measured {
                position: head.map(|head| head.position.0),
                traces: traces.map(|traces| traces.held()).unwrap_or_default(),
                groups: match topics {
                    Some(topics) => topics.groups().await.unwrap_or_default(),
                    None => Vec::new(),
                },
                sagas: sagas.as_ref().map(SagaFigures::of),
                exported,
            };
            let endpoints = ieum_discovery::telemetry::render(&resolver.samples());
            telemetry::render(&measured, &[endpoints, gateway.unwrap_or_default()])
        }
        .boxed()
    };
    api::Vitals {
        checks: Arc::new(checks),
        remarks: Arc::new(remarks),
        retired: seen.retired,
        metrics: Arc::new(metrics),
    }
}

fn log_check(storage: &Storage) -> api::Check {
    Arc::new(storage.probe())
}

/// The registry is away if a watch of it failed and has not succeeded since.
fn registry_check(resolver: Resolver, place: String) -> api::Check {
    Arc::new(move || {
        let stale = resolver.samples().iter().filter(|s| s.stale).count();
        let result = match stale {
            0 => Ok(()),
            stale => Err(format!(
                "the registry at {place} does not answer; {stale} services go on with their last \
                 known endpoints"
            )),
        };
        std::future::ready(result).boxed()
    })
}
