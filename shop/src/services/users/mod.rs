//! users: who the customers are, and who they say they are.
//!
//! A user is an event-sourced aggregate in the service's own database; the table `users` is folded
//! from its events in the same transaction, so that an address is unique. Passwords are kept as
//! argon2id hashes beside it and never in an event. Sessions are ES256 tokens.

mod api;
#[cfg(test)]
mod contract;
mod domain;
mod graph;
mod grpc;
mod password;
mod store;
#[cfg(test)]
mod tests;
mod token;

use std::sync::Arc;

use anyhow::{Context, Result};
use ieum::base::{Secret, Stop};
use serde::Deserialize;

use crate::support::failure::{Failure, Reply};
use crate::support::keys::SigningKey;
use crate::support::service::{Service, Serving, Settings, Spec};

use self::domain::{Email, Name};
use self::password::{Passwords, acceptable};
use self::store::User;
use self::token::Tokens;

/// What it is.
pub(crate) const SPEC: Spec = Spec {
    name: "users",
    owner: "identity",
    topic: "user.events",
    port: 3001,
    tables: &[store::TABLES],
    hears: &[],
};

/// The member of staff that exists from the start.
#[derive(Clone, Debug)]
pub(crate) struct Admin {
    /// The address to sign in with.
    pub(crate) email: String,
    /// The password; it replaces the one from an earlier start.
    pub(crate) password: Secret,
}

impl Admin {
    /// The shop's own member of staff.
    pub(crate) fn with_password(password: Secret) -> Self {
        Self {
            email: STAFF.to_owned(),
            password,
        }
    }
}

/// The address that the staff signs in with.
pub(crate) const STAFF: &str = "admin@shop.example";

/// What users keeps from the others.
#[derive(Debug)]
pub(crate) struct Secrets {
    /// Signs sessions.
    pub(crate) key: SigningKey,
    /// Made at the start, if given.
    pub(crate) admin: Option<Admin>,
}

/// What a sign-up says. There is no role in it, and an unknown field is refused.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SignUp {
    email: String,
    name: String,
    password: Secret,
}

/// What is to be different about a user.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Change {
    #[serde(default)]
    email: Option<String>,
    #[serde(default)]
    name: Option<String>,
    #[serde(default)]
    password: Option<Secret>,
}

/// What the handlers need beside the service.
struct Users {
    service: Arc<Service>,
    passwords: Passwords,
    tokens: Tokens,
}

/// Opens the database and begins to serve. Nobody becomes staff by signing up: the administrator, if
/// there is one, is made here.
pub(crate) async fn start(settings: Settings, secrets: Secrets, stop: Stop) -> Result<Serving> {
    let Secrets { key, admin } = secrets;
    let service = Service::open(SPEC, settings).await?;
    let users = Users {
        passwords: Passwords::new().await?,
        tokens: Tokens::new(&key, service.clock().clone())?,
        service: Arc::clone(&service),
    };
    if let Some(admin) = admin {
        users.employ(admin).await?;
    }
    let users = Arc::new(users);
    grpc::serve(Arc::clone(&users))?;
    let routes = api::router(Arc::clone(&users)).merge(graph::router(users));
    service.serve(routes, stop)
}

impl Users {
    /// Signs somebody up.
    async fn sign_up(&self, wanted: SignUp) -> Reply<User> {
        let email = Email::parse(&wanted.email).map_err(Failure::invalid)?;
        let name = Name::parse(&wanted.name).map_err(Failure::invalid)?;
        acceptable(&wanted.password).map_err(Failure::invalid)?;
        let hash = self.passwords.hash(wanted.password).await;
        let hash = hash.map_err(Failure::internal)?;
        self.service
            .write(move |work| store::create(work, email, name, &hash))
            .await
    }

    async fn employ(&self, admin: Admin) -> Result<()> {
        let email = Email::parse(&admin.email).map_err(anyhow::Error::msg)?;
        let name = Name::parse("Shop").map_err(anyhow::Error::msg)?;
        let hash = self.passwords.hash(admin.password).await?;
        let employed = self
            .service
            .write(move |work| store::employ(work, &email, &name, &hash));
        employed
            .await
            .map_err(|failure| anyhow::anyhow!("{failure}"))
            .context("the administrator could not be made")
    }

    /// Changes what is given of a user. Whether the caller may, is checked before.
    async fn change(&self, id: String, change: Change) -> Reply<User> {
        let email = change.email.as_deref().map(Email::parse);
        let email = email.transpose().map_err(Failure::invalid)?;
        let name = change.name.as_deref().map(Name::parse);
        let name = name.transpose().map_err(Failure::invalid)?;
        let hash = match change.password {
            None => None,
            Some(password) => {
                acceptable(&password).map_err(Failure::invalid)?;
                let hash = self.passwords.hash(password).await;
                Some(hash.map_err(Failure::internal)?)
            }
        };
        let changed = self.service.write(move |work| {
            let user = store::update(work, &id, email, name)?;
            if let Some(hash) = hash {
                store::set_password(work, &id, &hash)?;
            }
            Ok(user)
        });
        changed.await
    }
}
