//! `ieum routes`: what the gateway offers outside, and who answers.

use ieum_remote::wire::paths;
use ieum_remote::wire::services::Routes as Body;
use serde_json::Value;

use super::Outcome;
use super::answer::{Shown, show};
use super::platform::Asking;
use super::table::{or_nothing, table};

/// List the gateway's routes in the order in which they are tried.
#[derive(Debug, clap::Args)]
pub(super) struct Routes {
    #[command(flatten)]
    asking: Asking,
}

impl Routes {
    pub(super) fn run(self) -> Outcome {
        show(&self.asking, paths::ROUTES, |body: &Body| {
            Shown::rows(
                body.routes.is_empty(),
                render(body),
                "the gateway has no route",
            )
        })
    }
}

fn render(body: &Body) -> String {
    let rows = body.routes.iter().map(|route| {
        let methods = joined(&route["methods"]);
        [
            or_nothing(route["name"].as_str()),
            if methods.is_empty() {
                "all".to_owned()
            } else {
                methods
            },
            or_nothing(route["path"].as_str()),
            answered_by(route),
            or_nothing(route["auth"].as_str()),
            joined(&route["roles"]),
        ]
    });
    let header = ["ROUTE", "METHODS", "PATH", "ANSWERED BY", "AUTH", "ROLES"];
    table(header, rows)
}

/// Who answers; behind the last of them which share of the requests it has, if the route shares them.
fn answered_by(route: &Value) -> String {
    let upstreams = joined(&route["upstreams"]);
    match route["split"]["percent"].as_u64() {
        None => upstreams,
        Some(percent) => format!("{upstreams} {percent} %"),
    }
}

fn joined(list: &Value) -> String {
    let texts = list.as_array().into_iter().flatten();
    let texts: Vec<_> = texts.filter_map(Value::as_str).collect();
    texts.join(",")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_route_says_who_answers_and_who_may_call() {
        let routes = vec![
            json!({"name": "a", "path": "/a", "methods": [], "upstreams": ["users"], "auth": "none"}),
            json!({"name": "b", "path": "/b", "methods": ["GET", "POST"],
                "upstreams": ["users", "orders"], "auth": "jwt", "roles": ["admin"]}),
            json!({"name": "c", "path": "/c", "upstreams": ["old", "new"], "split": {"percent": 10}}),
        ];
        let text = render(&Body { routes });
        for part in [
            "none",
            "all",
            "users,orders",
            "GET,POST",
            "admin",
            "old,new 10 %",
        ] {
            assert!(text.contains(part), "{text}");
        }
    }
}
