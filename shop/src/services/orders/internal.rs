//! What the saga `place-order` asks of orders. Not for users: the gateway has no route here, and a
//! request with a user's identity is refused.

use ieum::chassis::Json;
use std::sync::Arc;

use axum::Router;
use axum::extract::{Path, State};
use axum::response::Response;
use axum::routing::post;
use http::StatusCode;
use serde::Deserialize;
use serde_json::json;

use super::domain::Command;
use super::store;
use crate::support::failure::{Failure, Reply};
use crate::support::participant::{Answer, Call};
use crate::support::service::Service;

/// The routes.
pub(super) fn router(service: Arc<Service>) -> Router {
    Router::new()
        .route("/orders/{id}/validate", post(validate))
        .route("/orders/{id}/confirm", post(confirm))
        .route("/orders/{id}/complete", post(complete))
        .route("/orders/{id}/cancel", post(cancel))
        .with_state(service)
}

#[derive(Deserialize)]
struct Cancel {
    reason: String,
}

async fn validate(service: State<Arc<Service>>, id: Path<String>, call: Call) -> Reply<Response> {
    act(service, id, call, Command::Validate).await
}

async fn confirm(service: State<Arc<Service>>, id: Path<String>, call: Call) -> Reply<Response> {
    act(service, id, call, Command::Confirm).await
}

async fn complete(service: State<Arc<Service>>, id: Path<String>, call: Call) -> Reply<Response> {
    act(service, id, call, Command::Complete).await
}

async fn cancel(
    service: State<Arc<Service>>,
    id: Path<String>,
    call: Call,
    Json(body): Json<Cancel>,
) -> Reply<Response> {
    let command = Command::Cancel {
        reason: body.reason,
    };
    act(service, id, call, command).await
}

/// Carries out a command. A status that does not allow it is a final no, which is kept.
async fn act(
    State(service): State<Arc<Service>>,
    Path(id): Path<String>,
    call: Call,
    command: Command,
) -> Reply<Response> {
    service
        .participate(call, move |work| match store::act(work, &id, &command) {
            Ok(order) => {
                let answer = json!({ "orderId": id, "status": order.status.as_str() });
                Ok(Answer::json(StatusCode::OK, answer))
            }
            Err(failure) if is_final(&failure) => Ok(Answer::refusal(failure.problem())),
            Err(failure) => Err(failure),
        })
        .await
}

fn is_final(failure: &Failure) -> bool {
    failure.problem().status == StatusCode::CONFLICT.as_u16()
}
