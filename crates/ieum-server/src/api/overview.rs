//! The platform at a glance, its circuit breakers, and the stream that tells of both once a second.

use std::convert::Infallible;

use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderValue, header};
use axum::response::Response;
use futures_util::{StreamExt, stream};
use ieum_remote::wire::MAX_PAGE;
use ieum_remote::wire::breakers::{Breakers, ListBreakers};
use ieum_remote::wire::overview::{GetOverview, Overview};

use super::extract::{Json, Query};
use super::limits;
use super::routes::{Operation, Routes};
use crate::errors::{self, ApiResult};
use crate::live::{Board, Glance, Hub, MOST_LISTENERS, Refused};

/// What the routes of the live pages work on.
#[derive(Clone)]
pub(crate) struct Live {
    /// Reads the overview.
    pub(crate) glance: Glance,
    /// Who listens.
    pub(crate) hub: Hub,
}

/// The routes of the overview and its stream.
pub(crate) fn routes(live: Live) -> Routes {
    Routes::new()
        .add(
            Operation::get("/api/v1/overview", "getOverview")
                .summary(
                    "Answers the live map of services with rates, errors and latencies of the last \
                     minute, and the totals of sagas, lag, dead letters and breakers.",
                )
                .query("limit", "the most services, and the most edges, 1 to 1000")
                .answers(200, "the overview", "Overview")
                .refuses(&[errors::REGISTRY_UNAVAILABLE, errors::TOPICS_UNAVAILABLE]),
            overview,
        )
        .add(
            Operation::get("/api/v1/live", "listen")
                .summary(
                    "Sends the overview once a second, and which parts have changed, as server-sent \
                     events.",
                )
                .answers(200, "events without end, `text/event-stream`", "Text")
                .refuses(&[errors::TOO_MANY_LISTENERS, errors::STOPPING]),
            listen,
        )
        .with_state(live)
}

/// The route of breakers, which a process has that owns no log, too.
pub(crate) fn breaker_routes(board: Board) -> Routes {
    Routes::new()
        .add(
            Operation::get("/api/v1/breakers", "listBreakers")
                .summary(
                    "Lists the circuit breakers of this process and those that services reported, \
                     the last change first, with why they changed.",
                )
                .query("limit", "the most in the answer, 1 to 1000")
                .answers(200, "the breakers", "Breakers"),
            breakers,
        )
        .with_state(board)
}

async fn overview(
    State(live): State<Live>,
    Query(query): Query<GetOverview>,
) -> ApiResult<Json<Overview>> {
    let limit = limits::page(query.limit.or(Some(MAX_PAGE)))?;
    Ok(Json(live.glance.overview(limit).await?))
}

async fn breakers(
    State(board): State<Board>,
    Query(query): Query<ListBreakers>,
) -> ApiResult<Json<Breakers>> {
    let limit = limits::page(query.limit)?;
    let mut breakers = board.list();
    breakers.truncate(limit);
    Ok(Json(Breakers { breakers }))
}

async fn listen(State(live): State<Live>) -> ApiResult<Response> {
    let mut events = live.hub.listen().map_err(|refused| match refused {
        Refused::Full => errors::TOO_MANY_LISTENERS.problem(format!(
            "{MOST_LISTENERS} pages listen already; close one, or ask for `/api/v1/overview`"
        )),
        Refused::Stopping => errors::STOPPING.problem("the platform is stopping"),
    })?;
    let events = stream::poll_fn(move |context| events.poll_recv(context));
    let mut response = Response::new(Body::from_stream(events.map(Ok::<_, Infallible>)));
    let headers = response.headers_mut();
    for (name, value) in [
        (header::CONTENT_TYPE, "text/event-stream"),
        (header::CACHE_CONTROL, "no-store"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    // A proxy that collects an answer before it passes it on would collect for ever.
    headers.insert("x-accel-buffering", HeaderValue::from_static("no"));
    Ok(response)
}
