//! The HTTP interface of users. Signing up and in is for everybody; a user is its owner's and the
//! staff's.

use ieum::chassis::{Identity, Json};
use std::sync::Arc;

use axum::Router;
use axum::extract::{Path, State};
use axum::routing::{get, post};
use http::StatusCode;
use ieum::base::Secret;
use serde::Deserialize;

use super::store::{self, User};
use super::token::Session;
use super::{Change, SignUp, Users};
use crate::support::failure::{Failure, Reply};
use crate::support::web::may_act_for;

/// The routes.
pub(super) fn router(users: Arc<Users>) -> Router {
    Router::new()
        .route("/users", post(sign_up))
        .route("/users/{id}", get(show).patch(change).delete(remove))
        .route("/sessions", post(sign_in))
        .with_state(users)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SignIn {
    email: String,
    password: Secret,
}

async fn sign_up(
    State(users): State<Arc<Users>>,
    Json(body): Json<SignUp>,
) -> Reply<(StatusCode, Json<User>)> {
    Ok((StatusCode::CREATED, Json(users.sign_up(body).await?)))
}

/// Opens a session. An unknown address and a wrong password get the same answer, after the same
/// time.
async fn sign_in(
    State(users): State<Arc<Users>>,
    Json(body): Json<SignIn>,
) -> Reply<(StatusCode, Json<Session>)> {
    let key = body.email.trim().to_lowercase();
    let login = users.service.read(move |db| store::login(db, &key)).await?;
    let hash = login.as_ref().map(|login| login.hash.clone());
    let right = users
        .passwords
        .verify(body.password, hash)
        .await
        .map_err(Failure::internal)?;
    match login.filter(|_| right) {
        Some(login) => {
            let session = users.tokens.issue(&login.user_id, &login.roles);
            Ok((
                StatusCode::CREATED,
                Json(session.map_err(Failure::internal)?),
            ))
        }
        None => Err(Failure::new(
            StatusCode::UNAUTHORIZED,
            "wrong-credentials",
            "the e-mail address or the password is wrong",
        )),
    }
}

async fn show(
    State(users): State<Arc<Users>>,
    caller: Identity,
    Path(id): Path<String>,
) -> Reply<Json<User>> {
    let id = own(&caller, id)?;
    let user = users.service.read(move |db| store::find(db, &id)).await?;
    user.map(Json).ok_or_else(|| Failure::not_found("user"))
}

async fn change(
    State(users): State<Arc<Users>>,
    caller: Identity,
    Path(id): Path<String>,
    Json(body): Json<Change>,
) -> Reply<Json<User>> {
    let id = own(&caller, id)?;
    users.change(id, body).await.map(Json)
}

async fn remove(
    State(users): State<Arc<Users>>,
    caller: Identity,
    Path(id): Path<String>,
) -> Reply<StatusCode> {
    let id = own(&caller, id)?;
    users
        .service
        .write(move |work| store::delete(work, &id))
        .await?;
    Ok(StatusCode::NO_CONTENT)
}

/// The id, `me` being the caller's, if it is the caller's to see.
pub(super) fn own(caller: &Identity, id: String) -> Reply<String> {
    let id = if id == "me" {
        caller.user_id.clone()
    } else {
        id
    };
    if may_act_for(caller, &id) {
        Ok(id)
    } else {
        Err(Failure::not_found("user"))
    }
}
