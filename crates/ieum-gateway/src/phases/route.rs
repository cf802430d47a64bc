//! Route: the most specific route for the path.

use http::Method;
use ieum_base::redact;

use super::accept::Exchange;
use crate::errors::{Code, Refusal};
use crate::table::{Found, Route, Table};
use crate::telemetry::MethodLabel;

/// Finds the route and names the exchange's span after it.
pub(super) fn find<'t>(
    table: &'t Table,
    exchange: &mut Exchange,
    path: &str,
) -> Result<&'t Route, Box<Refusal>> {
    match table.find(path, &exchange.method) {
        Found::Route(index) => {
            let route = &table.routes[index];
            exchange.route = Some(index);
            if exchange.span.is_recorded() {
                describe(exchange, route);
            }
            Ok(route)
        }
        Found::OtherMethods(methods) => {
            let refusal = Refusal::new(Code::MethodNotAllowed, "no route answers this method here");
            Err(refusal.allow(&names(methods)))
        }
        Found::Nothing => Err(Refusal::new(Code::NoRoute, "no route has this path")),
    }
}

fn describe(exchange: &mut Exchange, route: &Route) {
    let span = &mut exchange.span;
    let method = MethodLabel::from(&exchange.method).as_str();
    span.rename(format!("{method} {}", route.pattern));
    span.set("http.request.method", method);
    span.set("http.route", route.pattern.to_string());
    span.set(
        "url.path",
        redact::path(exchange.target.path()).into_owned(),
    );
    span.set("client.address", exchange.client.to_string());
    span.set("ieum.route", route.name.to_string());
}

/// Their names in order, as `Allow` has them.
pub(super) fn names(mut methods: Vec<Method>) -> String {
    methods.sort_by(|a, b| a.as_str().cmp(b.as_str()));
    let names: Vec<&str> = methods.iter().map(Method::as_str).collect();
    names.join(", ")
}
