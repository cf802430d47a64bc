//! users as a subgraph: the type `User`, which others extend. The functions and the rules are those of
//! the HTTP interface: a user is its owner's and the staff's.
//!
//! Signing up and in, and passwords, are not here: both are public and slowed down at the gateway, and
//! a document of GraphQL is no place for a secret.

use std::collections::BTreeMap;
use std::sync::Arc;

use async_graphql::{Context, EmptySubscription, ID, Object, Schema, SimpleObject};
use axum::Router;

use super::{Change, Users, store};
use crate::support::failure::{Failure, Reply};
use crate::support::graphql::{
    self, Batch, DateTime, Entities, Place, caller, first, may_act_for, shared, tell,
};

/// The routes.
pub(super) fn router(users: Arc<Users>) -> Router {
    let tracer = users.service.tracer().clone();
    graphql::router(schema(users), tracer, |request| {
        request.data(Arc::<Asked>::default())
    })
}

fn schema(users: Arc<Users>) -> Schema<Query, Mutation, EmptySubscription> {
    graphql::subgraph(Query(Arc::clone(&users)), Mutation(users)).finish()
}

/// The users that one request asks for by their ids, all at once.
type Asked = Batch<String, store::User>;

/// A customer or a member of staff.
#[derive(SimpleObject)]
struct User {
    id: ID,
    name: String,
    email: String,
    /// When the user signed up.
    created_at: DateTime,
}

struct Query(Arc<Users>);

#[Object]
impl Query {
    /// A user, for itself and for the staff.
    async fn user(&self, ctx: &Context<'_>, id: ID) -> Option<User> {
        tell(ctx, Place::ELSEWHERE, self.find(ctx, id.0).await)
    }

    /// Who asks.
    async fn me(&self, ctx: &Context<'_>) -> Option<User> {
        let me = async { self.find(ctx, caller(ctx)?.user_id.clone()).await };
        tell(ctx, Place::ELSEWHERE, me.await)
    }

    /// All users in the order in which they signed up, for the staff.
    async fn users(
        &self,
        ctx: &Context<'_>,
        #[graphql(default_with = "Some(20)", desc = "How many, 1 to 100.")] first: Option<i32>,
        #[graphql(desc = "The id of the last user of the page before.")] after: Option<ID>,
    ) -> Option<Vec<User>> {
        tell(ctx, Place::ELSEWHERE, self.page(ctx, first, after).await)
    }

    #[graphql(entity)]
    async fn find_user(&self, ctx: &Context<'_>, id: ID) -> async_graphql::Result<Option<User>> {
        let place = Entities::next(ctx)?;
        Ok(tell(ctx, place, self.find(ctx, id.0).await))
    }
}

impl Query {
    async fn find(&self, ctx: &Context<'_>, id: String) -> Reply<User> {
        may_act_for(ctx, &id)?;
        let asked = shared::<Arc<Asked>>(ctx)?;
        let user = asked.load(id, |all| find_all(&self.0, all)).await?;
        user.map(User::from)
            .ok_or_else(|| Failure::not_found("user"))
    }

    async fn page(
        &self,
        ctx: &Context<'_>,
        wanted: Option<i32>,
        after: Option<ID>,
    ) -> Reply<Vec<User>> {
        caller(ctx)?.require_role(ieum::chassis::ADMIN)?;
        let limit = first(wanted)?;
        let users = self.0.service.read(move |db| {
            let after = after.as_deref();
            store::list(db, after.map(String::as_str), limit)
        });
        Ok(users.await?.into_iter().map(User::from).collect())
    }
}

struct Mutation(Arc<Users>);

#[Object]
impl Mutation {
    /// Changes what is given of a user, for itself and for the staff.
    async fn update_user(
        &self,
        ctx: &Context<'_>,
        id: ID,
        name: Option<String>,
        email: Option<String>,
    ) -> Option<User> {
        let change = Change {
            email,
            name,
            password: None,
        };
        let changed = async {
            may_act_for(ctx, &id)?;
            self.0.change(id.0, change).await.map(User::from)
        };
        tell(ctx, Place::ELSEWHERE, changed.await)
    }
}

async fn find_all(users: &Users, ids: Vec<String>) -> Reply<BTreeMap<String, store::User>> {
    let found = users.service.read(move |db| store::find_all(db, &ids));
    let by_id = |user: store::User| (user.id.clone(), user);
    Ok(found.await?.into_iter().map(by_id).collect())
}

impl From<store::User> for User {
    fn from(user: store::User) -> Self {
        Self {
            id: user.id.into(),
            name: user.name,
            email: user.email,
            created_at: DateTime(user.created_at),
        }
    }
}

#[cfg(test)]
mod tests;
