//! Who asks, and how a refusal is told: the one place where a [`Failure`] becomes an error of GraphQL.

use async_graphql::{Context, ErrorExtensionValues, PathSegment, ServerError};
use http::StatusCode;
use ieum::chassis::Identity;

use super::Place;
use crate::support::failure::{Failure, Reply};
use crate::support::web;

/// The user that the gateway established, as a request carries it.
pub(super) struct Caller(pub(super) Option<Identity>);

/// Who asks.
pub(crate) fn caller<'a>(ctx: &Context<'a>) -> Reply<&'a Identity> {
    let caller = ctx.data_opt::<Caller>();
    caller.and_then(|caller| caller.0.as_ref()).ok_or_else(|| {
        let detail = "this is for users: sign in and send the token to the gateway";
        Failure::new(StatusCode::UNAUTHORIZED, "unauthorized", detail)
    })
}

/// Refuses everybody but `owner` and the staff. Said before anything is looked up, it does not tell
/// whether there is such a user.
pub(crate) fn may_act_for(ctx: &Context<'_>, owner: &str) -> Reply<()> {
    if web::may_act_for(caller(ctx)?, owner) {
        return Ok(());
    }
    let detail = "this belongs to another user";
    Err(Failure::new(StatusCode::FORBIDDEN, "forbidden", detail))
}

/// What `reply` brought; `null`, with an error at the field's path, if it is a refusal.
pub(crate) fn tell<T>(ctx: &Context<'_>, place: Place, reply: Reply<T>) -> Option<T> {
    match reply {
        Ok(value) => Some(value),
        Err(failure) => {
            let error = ServerError {
                extensions: Some(extensions(&failure)),
                ..ServerError::new(say(&failure), Some(ctx.item.pos))
            };
            let mut error = ctx.set_error_path(error);
            if let Some(index) = place.index() {
                // The library leaves out which one of the entities it is.
                let after_entities = error.path.len().min(1);
                error.path.insert(after_entities, PathSegment::Index(index));
            }
            ctx.add_error(error);
            None
        }
    }
}

/// The sentence for people.
pub(crate) fn say(failure: &Failure) -> String {
    let problem = failure.problem();
    let detail = problem.detail.as_deref();
    detail.unwrap_or(&problem.title).to_owned()
}

/// For machines: a word of GraphQL's own vocabulary, and the code that the HTTP interface has.
pub(super) fn extensions(failure: &Failure) -> ErrorExtensionValues {
    let problem = failure.problem();
    let mut extensions = ErrorExtensionValues::default();
    extensions.set("code", code(problem.status_code()));
    if let Some(reason) = &problem.code {
        extensions.set("reason", reason.as_ref());
    }
    extensions
}

/// The codes that Apollo's servers made common, by the status that HTTP would have.
fn code(status: StatusCode) -> &'static str {
    match status {
        StatusCode::UNAUTHORIZED => "UNAUTHENTICATED",
        StatusCode::FORBIDDEN => "FORBIDDEN",
        StatusCode::NOT_FOUND | StatusCode::GONE => "NOT_FOUND",
        StatusCode::CONFLICT => "CONFLICT",
        StatusCode::TOO_MANY_REQUESTS => "RATE_LIMITED",
        StatusCode::SERVICE_UNAVAILABLE | StatusCode::BAD_GATEWAY => "UNAVAILABLE",
        StatusCode::GATEWAY_TIMEOUT => "TIMEOUT",
        status if status.is_client_error() => "BAD_USER_INPUT",
        _ => "INTERNAL_SERVER_ERROR",
    }
}

/// What the schema or the request carries for its resolvers.
pub(crate) fn shared<'a, T: Send + Sync + 'static>(ctx: &Context<'a>) -> Reply<&'a T> {
    let shared = ctx.data_opt::<T>();
    shared.ok_or_else(|| Failure::internal("a request lacks what its resolvers share"))
}

/// How many entries of a list are asked for; 20 if that is not said.
///
/// # Errors
/// Fewer than 1, more than 100.
pub(crate) fn first(wanted: Option<i32>) -> Reply<u32> {
    let valid = u32::try_from(wanted.unwrap_or(20))
        .ok()
        .filter(|n| (1..=MOST).contains(n));
    valid.ok_or_else(|| Failure::invalid(format!("`first` is 1 to {MOST}")))
}

/// The most entries of a list.
const MOST: u32 = 100;
