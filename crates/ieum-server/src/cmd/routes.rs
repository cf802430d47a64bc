//! `ieum routes`: what the gateway offers outside, and who answers.

use ieum_remote::wire::paths;
use ieum_remote::wire::services::Routes as Body;
use serde_json::Value;

use super::Outcome;
use super::answer::{Shown, show};
use super::platform::Asking;
use super::table::{NOTHING, or_nothing, table};

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
        let methods = route["methods"].as_array().map(|methods| {
            let methods = methods.iter().filter_map(Value::as_str);
            methods.collect::<Vec<_>>().join(",")
        });
        [
            or_nothing(route["name"].as_str()),
            methods.unwrap_or_else(|| "all".to_owned()),
            or_nothing(route["path"].as_str()),
            upstream(route),
            or_nothing(route["auth"].as_str()),
        ]
    });
    table(["ROUTE", "METHODS", "PATH", "ANSWERED BY", "AUTH"], rows)
}

/// Who answers: a service, an address, or what the gateway puts together.
fn upstream(route: &Value) -> String {
    for key in ["service", "url"] {
        if let Some(name) = route[key].as_str() {
            return name.to_owned();
        }
    }
    let kinds = ["compose", "graphql", "transcode"];
    let kind = kinds.into_iter().find(|kind| !route[*kind].is_null());
    kind.map_or_else(|| NOTHING.to_owned(), |kind| format!("({kind})"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_route_says_who_answers() {
        let routes = vec![
            json!({"name": "a", "path": "/a", "service": "users", "auth": "none"}),
            json!({"name": "b", "path": "/b", "compose": {}, "methods": ["GET", "POST"]}),
        ];
        let text = render(&Body { routes });
        for part in ["users", "none", "all", "(compose)", "GET,POST"] {
            assert!(text.contains(part), "{text}");
        }
    }
}
