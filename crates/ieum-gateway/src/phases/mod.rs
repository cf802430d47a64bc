//! A request's life, one file per phase, in this order and by these names in code, docs, metrics
//! and traces:
//!
//! `accept → parse → normalise → route → identify → authorise → limit → transform →
//! (compose | proxy) → balance → connect → respond`
//!
//! Each phase either hands the request on or refuses it; a refusal skips to `respond`. Nothing is
//! sent inside before `authorise` and `limit` have agreed. (The `cache` phase has its place between
//! `limit` and `transform`; no route can ask for it yet, so nothing is stored.)

pub(crate) mod accept;
mod authorise;
mod balance;
mod compose;
mod connect;
mod forwarded;
mod identify;
pub(crate) mod limit;
pub(crate) mod normalise;
mod parse;
mod proxy;
pub(crate) mod respond;
mod route;
pub(crate) mod transform;
mod tunnel;

use std::sync::Arc;

use http::{Request, Response};
use hyper::body::Incoming;

use crate::body::ResponseBody;
use crate::errors::Refusal;
use crate::table::{Table, Target};
use crate::worker::Worker;

use accept::Exchange;

/// Answers one request.
pub(crate) async fn answer(
    worker: Arc<Worker>,
    request: Request<Incoming>,
) -> Response<ResponseBody> {
    let table = worker.table();
    let mut exchange = accept::begin(worker, &table, &request);
    let answer = match run(&table, &mut exchange, request).await {
        Ok(answer) => answer,
        Err(refusal) => respond::refuse(&mut exchange, *refusal),
    };
    respond::finish(table, exchange, answer)
}

async fn run(
    table: &Table,
    exchange: &mut Exchange,
    request: Request<Incoming>,
) -> Result<Response<ResponseBody>, Box<Refusal>> {
    parse::check(table, &request)?;
    let target = exchange.target.clone();
    let path = normalise::request(target.path())?;
    let route = route::find(table, exchange, &path)?;
    exchange.identity = identify::caller(table, route, request.headers())?;
    authorise::check(route, exchange.identity.as_deref())?;
    limit::admit(route, exchange, &request)?;
    match &route.target {
        Target::Compose(parts) => {
            let base = transform::for_parts(table, exchange, request.headers());
            drop(request);
            compose::answer(table, exchange, route, parts, &path, base).await
        }
        Target::Upstream(upstream) => {
            let outgoing = transform::request(table, exchange, route, &path, request)?;
            proxy::forward(table, exchange, route, upstream, outgoing).await
        }
    }
}
