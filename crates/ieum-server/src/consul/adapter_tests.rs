//! The adapter of `ieum-discovery` against this API over a real connection: both sides of the wire
//! keep the port's promises.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use ieum_base::{Clock, EngineUrl, Stop, TaskKind, Tasks};
use ieum_discovery::balance::Policy;
use ieum_discovery::catalog::Limits;
use ieum_discovery::embedded::Registry;
use ieum_discovery::{Instance, InstanceId, Registration, Resolver, conformance, consul};
use ieum_http::HttpClient;

use super::router;
use crate::config;

/// Serves the API on a port of its own, as long as `tasks` run.
async fn serve(tasks: &Tasks) -> SocketAddr {
    let store = Arc::new(ieum_eventstore::memory::Store::new());
    let registry = Registry::open(store, Clock::system(), Limits::default()).await;
    let (registry, config) = (registry.expect("a registry"), config::Registry::default());
    let kv = super::store(&registry, &config, false, tasks);
    let router = router(registry, kv, &config);
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0")
        .await
        .expect("a port");
    let address = listener.local_addr().expect("an address");
    let stop = tasks.stop().clone();
    tasks.spawn(TaskKind::Essential, "server", async move {
        let stopped = async move { stop.requested().await };
        let served = axum::serve(listener, router)
            .with_graceful_shutdown(stopped)
            .await;
        served.expect("served");
    });
    address
}

fn connect(address: SocketAddr, tasks: &Tasks) -> Arc<consul::Registry> {
    let url: EngineUrl = format!("consul://{address}").parse().expect("a URL");
    let http = HttpClient::new(tasks.clone());
    Arc::new(consul::Registry::connect(&url, http).expect("an adapter"))
}

#[tokio::test]
async fn the_adapter_conforms() {
    let tasks = Tasks::new(Stop::new());
    let address = serve(&tasks).await;
    let report = conformance::run(async || connect(address, &tasks) as _).await;
    assert!(report.failed.is_empty(), "{:#?}", report.failed);
    assert_eq!(report.passed, conformance::names());
}

#[tokio::test]
async fn a_resolver_far_away_hears_of_a_change_at_once() {
    let tasks = Tasks::new(Stop::new());
    let registry = connect(serve(&tasks).await, &tasks);
    let resolver = Resolver::new(Arc::clone(&registry) as _, tasks.clone());
    let service = resolver.service("users");
    service.ready().await;
    assert!(service.pick(Policy::P2c, &[]).is_none());
    let registration = Registration {
        instance: Instance {
            id: InstanceId("users-1".to_owned()),
            service: "users".to_owned(),
            address: "127.0.0.1".to_owned(),
            port: 3_001,
            tags: Vec::new(),
            meta: Default::default(),
            weight: 1,
        },
        checks: Vec::new(),
    };
    let registered = ieum_discovery::Registry::register(&*registry, registration).await;
    registered.expect("registered");
    let arrives = tokio::time::timeout(Duration::from_secs(10), service.available()).await;
    arrives.expect("the change arrives");
    let picked = service.pick(Policy::P2c, &[]).expect("an endpoint");
    assert_eq!(picked.authority().as_str(), "127.0.0.1:3001");
}

#[tokio::test]
async fn a_registry_that_is_not_there_is_unavailable_and_not_empty() {
    let tasks = Tasks::new(Stop::new());
    let free = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = free.local_addr().expect("an address");
    drop(free);
    let registry = connect(address, &tasks);
    let watched = ieum_discovery::Registry::watch(&*registry, "users", 0, Duration::ZERO).await;
    let error = watched.expect_err("nobody listens");
    assert_eq!(error.kind(), ieum_discovery::ErrorKind::Unavailable);
    assert!(error.retry().is_worthwhile());
}
