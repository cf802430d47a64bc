//! What depends on an event type, a topic, a service or a route, over HTTP.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;

use axum::extract::State;
use ieum_messaging::Inspect;
use ieum_remote::wire::impact::{GetImpact, Impact};
use ieum_saga::definition::Definition;
use serde_json::Value;

use super::Catalogue;
use super::extract::{Json, Path, Query};
use super::routes::{Operation, Routes};
use crate::errors::{self, ApiError, ApiResult};
use crate::impact::{Contract, Group, Landscape, Publishers, Route, Unknown, read_contracts};

/// What an impact is told from.
#[derive(Clone)]
pub(crate) struct Sources {
    /// Services and routes.
    pub(crate) catalogue: Catalogue,
    /// The consumer groups.
    pub(crate) groups: Arc<dyn Inspect>,
    /// The sagas that are defined here; none without the engine.
    pub(crate) definitions: Arc<dyn Fn() -> Vec<Definition> + Send + Sync>,
    /// Who publishes what.
    pub(crate) publishers: Publishers,
    /// Folders with contracts.
    pub(crate) folders: Arc<[PathBuf]>,
}

/// The methods that only read.
const READING: [&str; 3] = ["GET", "HEAD", "OPTIONS"];

/// The route of impacts.
pub(crate) fn routes(sources: Sources) -> Routes {
    Routes::new()
        .add(
            Operation::get("/api/v1/impact/{subject}", "getImpact")
                .summary(
                    "Answers who publishes and consumes an event type or a topic, and which routes, \
                     contracts and sagas depend on it, on a service or on a route.",
                )
                .query("kind", "event-type, topic, service or route")
                .answers(200, "what depends on it", "Impact")
                .refuses(&[
                    errors::NOT_FOUND,
                    errors::REGISTRY_UNAVAILABLE,
                    errors::TOPICS_UNAVAILABLE,
                    errors::LOG_UNAVAILABLE,
                ]),
            get,
        )
        .with_state(sources)
}

async fn get(
    State(sources): State<Sources>,
    Path(subject): Path<String>,
    Query(query): Query<GetImpact>,
) -> ApiResult<Json<Impact>> {
    let landscape = sources.landscape().await?;
    let impact = landscape.impact(&subject, query.kind);
    impact
        .map(Json)
        .map_err(|unknown| refuse(&subject, &unknown))
}

impl Sources {
    async fn landscape(&self) -> ApiResult<Landscape> {
        let services = self.catalogue.registry.services().await?;
        let groups = self.groups.groups().await?.into_iter().map(|state| Group {
            topic: state.topic,
            name: state.group,
        });
        let look = self.publishers.look().await?;
        Ok(Landscape {
            services: services.into_iter().map(|(name, _)| name).collect(),
            routes: (self.catalogue.routes)().iter().map(route).collect(),
            topics: look.topics,
            groups: groups.collect(),
            definitions: (self.definitions)(),
            contracts: self.contracts().await,
            told: look.told,
            seen: look.seen,
        })
    }

    /// A folder that is away takes nothing else with it.
    async fn contracts(&self) -> Vec<Contract> {
        let mut contracts = Vec::new();
        for folder in self.folders.iter() {
            match read_contracts(folder).await {
                Ok(found) => contracts.extend(found),
                Err(error) => {
                    let folder = folder.display();
                    tracing::warn!(%folder, %error, "a folder of contracts cannot be read");
                }
            }
        }
        contracts
    }
}

/// A route as an impact needs it, from the one that is in force.
fn route(route: &Value) -> Route {
    let text = |key: &str| route[key].as_str().unwrap_or_default().to_owned();
    let methods = route["methods"].as_array().map_or(&[][..], Vec::as_slice);
    let reads = |method: &Value| {
        method
            .as_str()
            .is_some_and(|method| READING.contains(&method))
    };
    Route {
        name: text("name"),
        path: text("path"),
        services: services(route),
        // A route without methods takes all of them.
        writes: methods.is_empty() || !methods.iter().all(reads),
    }
}

/// The services that answer a route: its own, and those of its parts.
fn services(route: &Value) -> BTreeSet<String> {
    let compose = route["compose"].as_object();
    let parts = compose.into_iter().flat_map(|parts| parts.values());
    let single = [route, &route["split"], &route["transcode"]];
    let named = single.into_iter().chain(parts);
    let named = named.filter_map(|part| part["service"].as_str());
    let subgraphs = &route["graphql"]["subgraphs"];
    let listed = subgraphs.as_array().into_iter().flatten();
    let placed = subgraphs.as_object().into_iter().flatten();
    let placed = placed.filter_map(|(name, place)| match &place["service"] {
        Value::String(service) => Some(service.as_str()),
        _ if place["url"].is_string() => None,
        _ => Some(name.as_str()),
    });
    let subgraphs = listed.filter_map(Value::as_str).chain(placed);
    named.chain(subgraphs).map(str::to_owned).collect()
}

fn refuse(subject: &str, unknown: &Unknown) -> ApiError {
    let names = unknown
        .nearest
        .iter()
        .map(|near| format!("`{}`", near.name));
    let names = names.collect::<Vec<_>>().join(", ");
    let near = match names.is_empty() {
        true => String::new(),
        false => format!("; there is {names}"),
    };
    let subject: String = subject.chars().take(100).collect();
    let detail = format!("no event, topic, service or route is called `{subject}`{near}");
    let problem = errors::NOT_FOUND.problem(detail);
    problem
        .with("nearest", serde_json::json!(unknown.nearest))
        .into()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn check(given: &Value, services: &[&str], writes: bool) {
        let found = route(given);
        let expected = services.iter().map(|&name| name.to_owned()).collect();
        assert_eq!(
            (found.services, found.writes),
            (expected, writes),
            "{given}"
        );
    }

    #[test]
    fn every_service_behind_a_route_is_found() {
        check(
            &json!({"service": "users", "methods": ["GET"]}),
            &["users"],
            false,
        );
        let split = json!({"service": "users", "split": {"service": "old", "percent": 10}});
        check(&split, &["old", "users"], true);
        let parts = json!({"compose": {"a": {"service": "x"}, "b": {"url": "http://h"}}});
        check(&parts, &["x"], true);
        let graph = json!({"graphql": {"subgraphs": ["users", "orders"]}, "methods": ["POST"]});
        check(&graph, &["orders", "users"], true);
        let placed = json!({"graphql": {"subgraphs": {"a": {}, "b": {"service": "c"},
            "d": {"url": "http://h"}}}});
        check(&placed, &["a", "c"], true);
        check(
            &json!({"transcode": {"service": "users"}}),
            &["users"],
            true,
        );
        check(&json!({"url": "http://h"}), &[], true);
    }
}
