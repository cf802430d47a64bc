//! The gRPC interface of users: the functions and the rules of the HTTP interface.

use std::sync::Arc;

use ieum::base::Secret;
use ieum::chassis::ADMIN;
use ieum::sql::Reader;
use prost_types::Timestamp;
use tonic::{Request, Response, Status};

use super::api::own;
use super::store::{self, User};
use super::{SignUp, Users};
use crate::proto::users as proto;
use crate::proto::users::users_server::{self, UsersServer};
use crate::support::failure::Failure;
use crate::support::grpc::{Answers, MOST_AT_ONCE, caller, changes, not_too_many};
use crate::support::web::may_act_for;

/// Serves users beside the HTTP interface.
pub(super) fn serve(users: Arc<Users>) -> anyhow::Result<()> {
    let service = Arc::clone(&users.service);
    service.grpc(users_server::SERVICE_NAME, UsersServer::new(Calls(users)))
}

struct Calls(Arc<Users>);

#[tonic::async_trait]
impl users_server::Users for Calls {
    type WatchUserStream = Answers<proto::User>;

    async fn get_user(
        &self,
        request: Request<proto::GetUserRequest>,
    ) -> Result<Response<proto::User>, Status> {
        let caller = caller(&request)?;
        let id = own(&caller, request.into_inner().id)?;
        let user = self.0.service.read(move |db| store::find(db, &id)).await?;
        let user = user.ok_or_else(|| Failure::not_found("user"))?;
        Ok(Response::new(user.into()))
    }

    async fn batch_get_users(
        &self,
        request: Request<proto::BatchGetUsersRequest>,
    ) -> Result<Response<proto::BatchGetUsersResponse>, Status> {
        let caller = caller(&request)?;
        let mut ids = request.into_inner().ids;
        not_too_many(&ids)?;
        ids.retain(|id| may_act_for(&caller, id));
        let asked = ids.clone();
        let found = self.0.service.read(move |db| store::find_all(db, &ids));
        let found = found.await?;
        let named = |id: &String| found.iter().find(|user| user.id == *id).cloned();
        let users = asked.iter().filter_map(named).map(Into::into).collect();
        Ok(Response::new(proto::BatchGetUsersResponse { users }))
    }

    async fn list_users(
        &self,
        request: Request<proto::ListUsersRequest>,
    ) -> Result<Response<proto::ListUsersResponse>, Status> {
        let caller = caller(&request)?;
        caller.require_role(ADMIN).map_err(Failure::from)?;
        let asked = request.into_inner();
        let limit = page_size(asked.page_size)?;
        let after = Some(asked.page_token).filter(|token| !token.is_empty());
        let users = self
            .0
            .service
            .read(move |db| store::list(db, after.as_deref(), limit));
        let users = users.await?;
        let is_full = u32::try_from(users.len()).is_ok_and(|shown| shown == limit);
        let last = users.last().filter(|_| is_full);
        Ok(Response::new(proto::ListUsersResponse {
            next_page_token: last.map(|user| user.id.clone()).unwrap_or_default(),
            users: users.into_iter().map(Into::into).collect(),
        }))
    }

    async fn create_user(
        &self,
        request: Request<proto::CreateUserRequest>,
    ) -> Result<Response<proto::User>, Status> {
        let asked = request.into_inner();
        let user = self.0.sign_up(SignUp {
            email: asked.email,
            name: asked.name,
            password: Secret::new(asked.password),
        });
        Ok(Response::new(user.await?.into()))
    }

    async fn watch_user(
        &self,
        request: Request<proto::WatchUserRequest>,
    ) -> Result<Response<Self::WatchUserStream>, Status> {
        let caller = caller(&request)?;
        let id = own(&caller, request.into_inner().id)?;
        let read = move |db: &Reader<'_>| Ok(store::find(db, &id)?.map(proto::User::from));
        let users = changes(&self.0.service, "user", read).await?;
        Ok(Response::new(users))
    }
}

fn page_size(asked: i32) -> Result<u32, Failure> {
    match usize::try_from(asked) {
        Ok(0) => Ok(20),
        Ok(size) => Ok(u32::try_from(size.min(MOST_AT_ONCE)).unwrap_or(20)),
        Err(_) => Err(Failure::invalid("a page has 1 to 100 users")),
    }
}

impl From<User> for proto::User {
    fn from(user: User) -> Self {
        let micros = user.created_at.as_micros();
        let nanos = i32::try_from(micros.rem_euclid(1_000_000) * 1_000);
        Self {
            id: user.id,
            email: user.email,
            name: user.name,
            created_at: Some(Timestamp {
                seconds: micros.div_euclid(1_000_000),
                nanos: nanos.unwrap_or_default(),
            }),
        }
    }
}

#[cfg(test)]
mod tests;
