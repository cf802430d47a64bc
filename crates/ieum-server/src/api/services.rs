//! Services and routes for people; machines use Consul's API under `/v1/`.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use ieum_discovery::{Registered, Registry};
use ieum_remote::wire::services::{InstanceView, Routes as RouteList, ServiceView, Services};
use serde_json::Value;

use super::extract::Json;
use super::routes::{Operation, Routes};
use crate::errors::{self, ApiResult};

/// What the routes of services work on.
#[derive(Clone)]
pub(crate) struct Catalogue {
    /// The registry.
    pub(crate) registry: Arc<dyn Registry>,
    /// The gateway's routes as they are in force; none without a gateway.
    pub(crate) routes: Arc<dyn Fn() -> Vec<Value> + Send + Sync>,
}

/// The metadata under which an instance names the team that owns it.
const OWNER: &str = "owner";

/// The routes of services.
pub(crate) fn routes(catalogue: Catalogue) -> Routes {
    Routes::new()
        .add(
            Operation::get("/api/v1/services", "listServices")
                .summary("Lists services with their instances and the state of their checks.")
                .answers(200, "the services by name", "Services")
                .refuses(&[errors::REGISTRY_UNAVAILABLE]),
            list_services,
        )
        .add(
            Operation::get("/api/v1/routes", "listRoutes")
                .summary("Lists the gateway's routes in the order in which they are tried.")
                .answers(200, "the routes with their defaults filled in", "Routes"),
            list_routes,
        )
        .with_state(catalogue)
}

async fn list_services(State(catalogue): State<Catalogue>) -> ApiResult<Json<Services>> {
    let mut services = Vec::new();
    for (name, tags) in catalogue.registry.services().await? {
        let snapshot = catalogue.registry.watch(&name, 0, Duration::ZERO).await?;
        let owner = |registered: &Registered| registered.instance.meta.get(OWNER).cloned();
        services.push(ServiceView {
            owner: snapshot.instances.iter().find_map(owner),
            instances: snapshot.instances.into_iter().map(view).collect(),
            name,
            tags,
        });
    }
    Ok(Json(Services { services }))
}

async fn list_routes(State(catalogue): State<Catalogue>) -> Json<RouteList> {
    let routes = (catalogue.routes)();
    Json(RouteList { routes })
}

fn view(registered: Registered) -> InstanceView {
    let worst = registered.checks.iter().max_by_key(|check| check.status);
    let output = worst.map(|check| check.output.clone()).unwrap_or_default();
    InstanceView {
        status: registered.status(),
        output,
        authority: registered.instance.authority(),
        id: registered.instance.id.0,
        meta: registered.instance.meta,
    }
}
