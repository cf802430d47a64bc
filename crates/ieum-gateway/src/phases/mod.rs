//! A request's life, one file per phase, in this order and by these names in code, docs, metrics
//! and traces:
//!
//! `accept → parse → normalise → route → identify → authorise → limit → transform →
//! (compose | federate | transcode | proxy) → balance → connect → respond`
//!
//! Each phase either hands the request on or refuses it; a refusal skips to `respond`. Nothing is
//! sent inside before `authorise` and `limit` have agreed. (The `cache` phase has its place between
//! `limit` and `transform`; no route can ask for it yet, so nothing is stored.)

pub(crate) mod accept;
mod authorise;
pub(crate) mod balance;
mod compose;
pub(crate) mod connect;
mod federate;
mod forwarded;
pub(crate) mod grpc;
mod identify;
pub(crate) mod limit;
pub(crate) mod normalise;
mod parse;
mod proxy;
pub(crate) mod respond;
mod route;
pub(crate) mod transcode;
pub(crate) mod transform;
mod tunnel;

use std::borrow::Cow;
use std::convert::Infallible;
use std::sync::Arc;

use http::{Request, Response};
use hyper::body::Incoming;

use crate::body::ResponseBody;
use crate::errors::Refusal;
use crate::federation::Federation;
use crate::table::{Part, Route, Table, Target};
use crate::transcoding::Transcoding;
use crate::upstream::Upstream;

use accept::Exchange;
use compose::Asked;
use transform::Outgoing;

/// Answers one request.
///
/// The state of a request on its way is kept small, because it is moved and because many are on
/// their way at once: what needs no waiting is done in [`prepare`], rare branches are boxed.
pub(crate) async fn answer(
    table: Arc<Table>,
    mut exchange: Box<Exchange>,
    request: Request<Incoming>,
) -> Result<Response<ResponseBody>, Infallible> {
    let answer = match prepare(&table, &mut exchange, request) {
        Err(refusal) => Err(refusal),
        Ok(Work::Proxy(route, upstream, outgoing)) => {
            proxy::forward(&table, &mut exchange, route, upstream, outgoing).await
        }
        Ok(Work::Grpc(asked)) => Box::pin(grpc::answer(&table, &mut exchange, *asked)).await,
        Ok(Work::Compose(route, parts, asked)) => {
            Box::pin(compose::answer(&table, &mut exchange, route, parts, *asked)).await
        }
        Ok(Work::Federate(route, federation, request)) => {
            let answer = federate::answer(&table, &mut exchange, route, federation, *request);
            Box::pin(answer).await
        }
        Ok(Work::Transcode(route, transcoding, path, request)) => {
            let (exchange, request) = (&mut exchange, *request);
            let answer = transcode::answer(&table, exchange, route, transcoding, &path, request);
            Box::pin(answer).await
        }
    };
    let answer = match answer {
        Ok(answer) => answer,
        Err(refusal) => respond::refuse(&mut exchange, *refusal),
    };
    Ok(respond::finish(table, exchange, answer))
}

/// What is left to do for a request that may pass.
enum Work<'t> {
    Proxy(&'t Route, &'t Upstream, Outgoing),
    Grpc(Box<grpc::Asked<'t>>),
    Compose(&'t Route, &'t [Part], Box<Asked>),
    Federate(&'t Route, &'t Arc<Federation>, Box<Request<Incoming>>),
    Transcode(&'t Route, &'t Transcoding, Box<str>, Box<Request<Incoming>>),
}

/// The phases that wait for nobody.
fn prepare<'t>(
    table: &'t Table,
    exchange: &mut Exchange,
    request: Request<Incoming>,
) -> Result<Work<'t>, Box<Refusal>> {
    parse::check(table, &request)?;
    let target = exchange.target.clone();
    let path: Cow<'_, str> = normalise::request(target.path())?;
    let route = route::find(table, exchange, &path)?;
    exchange.identity = identify::caller(table, route, request.headers())?;
    authorise::check(route, exchange.identity.as_deref())?;
    limit::admit(route, exchange, &request)?;
    match &route.target {
        Target::Compose(parts) => {
            let asked = Box::new(Asked {
                path: path.into_owned(),
                headers: request.into_parts().0.headers,
            });
            Ok(Work::Compose(route, parts, asked))
        }
        Target::Graphql(federation) => Ok(Work::Federate(route, federation, Box::new(request))),
        Target::Transcode(transcoding) => {
            let path = path.into_owned().into();
            Ok(Work::Transcode(route, transcoding, path, Box::new(request)))
        }
        Target::Upstream(upstream) => {
            if let Some(most) = route.grpc {
                let path = path.into_owned().into();
                return Ok(Work::Grpc(Box::new(grpc::Asked {
                    route,
                    upstream,
                    most,
                    path,
                    request,
                })));
            }
            let outgoing = transform::request(table, exchange, route, upstream, &path, request)?;
            Ok(Work::Proxy(route, upstream, outgoing))
        }
    }
}
