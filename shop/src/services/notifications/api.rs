//! The HTTP interface of notifications.

use ieum::chassis::{Identity, Json};
use std::sync::Arc;

use axum::Router;
use axum::extract::{Query, State};
use axum::response::Response;
use axum::routing::{get, post};
use http::{HeaderMap, StatusCode};
use serde::Deserialize;
use serde_json::json;

use super::events::ORDER_COMPLETED;
use super::store::{self, Mail, Notification};
use crate::support::failure::{Failure, Reply};
use crate::support::participant::{Answer, Call};
use crate::support::service::Service;
use crate::support::web::Page;

/// The routes.
pub(super) fn router(service: Arc<Service>) -> Router {
    Router::new()
        .route("/notifications", get(list))
        .route("/mails", post(send))
        .with_state(service)
}

/// What the caller was told, latest first.
async fn list(
    State(service): State<Arc<Service>>,
    caller: Identity,
    Query(page): Query<Page>,
) -> Reply<(HeaderMap, Json<Vec<Notification>>)> {
    let (limit, after) = (page.limit(), page.after.clone());
    let notifications = service
        .read(move |db| store::of_user(db, &caller.user_id, after.as_deref(), limit))
        .await?;
    let last = notifications.last().map(Notification::id);
    let headers = page.next("/notifications", last, notifications.len());
    Ok((headers, Json(notifications)))
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Send {
    order_id: String,
    user_id: String,
    template: String,
}

/// Sends a mail about an order.
async fn send(
    State(service): State<Arc<Service>>,
    call: Call,
    Json(body): Json<Send>,
) -> Reply<Response> {
    if body.template != ORDER_COMPLETED.0 {
        return Err(Failure::invalid(format!(
            "there is no template `{}`",
            body.template
        )));
    }
    service
        .participate(call, move |work| {
            let mail = Mail {
                user_id: &body.user_id,
                kind: ORDER_COMPLETED.0,
                message: ORDER_COMPLETED.1,
                order_id: Some(&body.order_id),
                event: None,
            };
            let id = store::send(work, &mail)?;
            Ok(Answer::json(StatusCode::CREATED, json!({ "id": id })))
        })
        .await
}
