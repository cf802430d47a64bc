//! What depends on an event type, a topic, a service or a route, over HTTP.

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
            services: services.into_keys().collect(),
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
    let texts = |key: &str| {
        let texts = route[key].as_array().into_iter().flatten();
        texts.filter_map(Value::as_str).map(str::to_owned)
    };
    Route {
        name: text("name"),
        path: text("path"),
        // The others are addresses, which are nobody's by name.
        services: texts("upstreams")
            .filter(|name| !name.contains(':'))
            .collect(),
        // A route without methods takes all of them.
        writes: texts("methods").next().is_none()
            || texts("methods").any(|method| !READING.contains(&method.as_str())),
    }
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
    fn a_route_leads_to_services_and_writes_or_only_reads() {
        check(
            &json!({"upstreams": ["users"], "methods": ["GET", "HEAD"]}),
            &["users"],
            false,
        );
        check(
            &json!({"upstreams": ["b", "a"], "methods": ["GET", "POST"]}),
            &["a", "b"],
            true,
        );
        check(
            &json!({"upstreams": ["http://10.0.0.5:80"], "methods": []}),
            &[],
            true,
        );
        check(&json!({}), &[], true);
    }
}
