//! A request's life, one file per phase, in this order and by these names in code, docs, metrics
//! and traces:
//!
//! `accept → parse → normalise → route → identify → authorise → limit → cache → split → transform →
//! (compose | federate | transcode | proxy) → balance → connect → respond`
//!
//! Each phase either hands the request on or refuses it; a refusal skips to `respond`, and so does an
//! answer that `cache` has. Nothing is sent inside before `authorise` and `limit` have agreed.

pub(crate) mod accept;
mod authorise;
pub(crate) mod balance;
pub(crate) mod cache;
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
mod split;
pub(crate) mod transcode;
pub(crate) mod transform;
mod tunnel;

use std::borrow::Cow;
use std::convert::Infallible;
use std::sync::Arc;

use http::{Request, Response};
use hyper::body::Incoming;

use crate::body::ResponseBody;
use crate::errors::{Code, Refusal};
use crate::federation::Federation;
use crate::table::{Part, Route, Table, Target};
use crate::transcoding::Transcoding;
use crate::upstream::Upstream;

use accept::Exchange;
use cache::Looked;
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
    let writer = cache::writer(&table, &exchange, &request);
    let answer = match prepare(&table, &mut exchange, request) {
        Err(refusal) => Err(refusal),
        Ok(Work::Ask(route, path, request)) => {
            Box::pin(ask(&table, &mut exchange, route, &path, *request)).await
        }
        Ok(work) => perform(&table, &mut exchange, work).await,
    };
    let answer = match answer {
        Ok(answer) => answer,
        Err(refusal) => respond::refuse(&mut exchange, *refusal),
    };
    if let Some(writer) = writer {
        let stale = writer.made_stale(&answer);
        Box::pin(writer.forget(stale)).await;
    }
    Ok(respond::finish(table, exchange, answer))
}

/// Does what is left to do.
async fn perform(
    table: &Table,
    exchange: &mut Exchange,
    work: Work<'_>,
) -> Result<Response<ResponseBody>, Box<Refusal>> {
    match work {
        Work::Proxy(route, upstream, outgoing) => {
            proxy::forward(table, exchange, route, upstream, outgoing).await
        }
        Work::Grpc(asked) => Box::pin(grpc::answer(table, exchange, *asked)).await,
        Work::Compose(route, parts, asked) => {
            Box::pin(compose::answer(table, exchange, route, parts, *asked)).await
        }
        Work::Federate(route, federation, request) => {
            Box::pin(federate::answer(
                table, exchange, route, federation, *request,
            ))
            .await
        }
        Work::Transcode(route, transcoding, path, request) => {
            let answer = transcode::answer(table, exchange, route, transcoding, &path, *request);
            Box::pin(answer).await
        }
        Work::Ask(..) => Err(Refusal::new(Code::Internal, "asked twice")),
    }
}

/// The phases that ask somebody: a limit that other gateways share, the kept answers.
async fn ask(
    table: &Table,
    exchange: &mut Exchange,
    route: &Route,
    path: &str,
    request: Request<Incoming>,
) -> Result<Response<ResponseBody>, Box<Refusal>> {
    limit::admit_shared(route, exchange).await?;
    let Some(kept) = &route.cache else {
        let work = dispatch(table, exchange, route, path.into(), request)?;
        return perform(table, exchange, work).await;
    };
    let looked = cache::look_up(table, kept, route, exchange, path, &request).await;
    if let Looked::Hit(answer) = looked {
        return Ok(*answer);
    }
    let work = dispatch(table, exchange, route, path.into(), request)?;
    let answer = perform(table, exchange, work).await?;
    Ok(match looked {
        Looked::Miss(pending) => cache::keep(kept, route, exchange, pending, answer),
        Looked::Hit(_) | Looked::Past => answer,
    })
}

/// What is left to do for a request that may pass.
enum Work<'t> {
    Proxy(&'t Route, &'t Upstream, Outgoing),
    Grpc(Box<grpc::Asked<'t>>),
    Compose(&'t Route, &'t [Part], Box<Asked>),
    Federate(&'t Route, &'t Arc<Federation>, Box<Request<Incoming>>),
    Transcode(&'t Route, &'t Transcoding, Box<str>, Box<Request<Incoming>>),
    /// Somebody must be asked first.
    Ask(&'t Route, Box<str>, Box<Request<Incoming>>),
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
    if route.asks() {
        return Ok(Work::Ask(
            route,
            path.into_owned().into(),
            Box::new(request),
        ));
    }
    dispatch(table, exchange, route, path, request)
}

/// Who answers, and with what it is asked.
fn dispatch<'t>(
    table: &'t Table,
    exchange: &mut Exchange,
    route: &'t Route,
    path: Cow<'_, str>,
    request: Request<Incoming>,
) -> Result<Work<'t>, Box<Refusal>> {
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
            let upstream = match &route.split {
                None => upstream,
                Some(split) => split::upstream(split, upstream, exchange, request.headers()),
            };
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
