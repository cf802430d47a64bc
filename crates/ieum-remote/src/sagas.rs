//! Sagas over HTTP: define, start, look.

use std::time::Duration;

use http::Method;
use ieum_saga::SagaView;
use ieum_saga::definition::Definition;
use ieum_saga::engine::{DefinitionSummary, Stalled, Summary};
use serde_json::Value;

use crate::Result;
use crate::api::{Api, Outcome, json, segment};
use crate::wire::paths;
use crate::wire::sagas::{Command, Defined, Definitions, List, Liveness, Start, Started};

/// The sagas of a platform. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Sagas(pub(crate) Api);

impl Sagas {
    /// Stores a definition. Idempotent; a changed one is a new version, and sagas in flight keep
    /// theirs.
    pub async fn define(&self, definition: &Definition) -> Result<Defined> {
        let defined = self.try_define(definition).await;
        defined.map_err(|f| f.into_error(&format!("defining saga `{}`", definition.name)))
    }

    /// The definitions, by name.
    pub async fn definitions(&self) -> Result<Vec<DefinitionSummary>> {
        let path = paths::SAGA_DEFINITIONS;
        let answer = self.0.get::<Definitions>(path, Duration::ZERO).await;
        let answer = answer.map_err(|failure| failure.into_error("listing definitions"));
        Ok(answer?.definitions)
    }

    /// Starts a saga. Idempotent by definition and key. The task's trace goes along.
    pub async fn start(&self, definition: &str, key: &str, input: Value) -> Result<Started> {
        let body = Start {
            definition: definition.to_owned(),
            key: key.to_owned(),
            input,
        };
        let started = self.0.post(paths::SAGAS, &body, Duration::ZERO).await;
        started.map_err(|f| f.into_error(&format!("starting a saga `{definition}`")))
    }

    /// One saga with its steps and its history; `NotFound` if there is none.
    pub async fn get(&self, id: &str) -> Result<SagaView> {
        let found = self.try_get(id).await;
        found.map_err(|failure| failure.into_error(&format!("reading saga `{id}`")))
    }

    /// Sagas, the latest first.
    pub async fn list(&self, list: &List) -> Result<Vec<Summary>> {
        let path = paths::with_query(paths::SAGAS, list);
        let answer = self
            .0
            .get::<crate::wire::sagas::Sagas>(&path, Duration::ZERO);
        let answer = answer.await.map_err(|f| f.into_error("listing sagas"));
        Ok(answer?.sagas)
    }

    /// The open sagas that nothing will ever move: it must be empty.
    pub async fn liveness(&self) -> Result<Vec<Stalled>> {
        let path = paths::SAGA_LIVENESS;
        let answer = self.0.get::<Liveness>(path, Duration::ZERO).await;
        let answer = answer.map_err(|f| f.into_error("looking for sagas that stand still"));
        Ok(answer?.stalled)
    }

    /// Asks for a saga to be undone. `Conflict` from its pivot on.
    pub async fn cancel(&self, id: &str, reason: &str) -> Result<()> {
        let told = self.tell(id, "cancel", reason).await;
        told.map_err(|failure| failure.into_error(&format!("cancelling saga `{id}`")))
    }

    /// Lets a parked saga go on, in the direction that it had.
    pub async fn resume(&self, id: &str, reason: &str) -> Result<()> {
        let told = self.tell(id, "resume", reason).await;
        told.map_err(|failure| failure.into_error(&format!("resuming saga `{id}`")))
    }

    /// Ends the wait before a saga's next attempt.
    pub async fn retry_now(&self, id: &str) -> Result<()> {
        let told = self.tell(id, "retry", "").await;
        told.map_err(|failure| failure.into_error(&format!("retrying saga `{id}`")))
    }

    async fn tell(&self, id: &str, verb: &str, reason: &str) -> Outcome<()> {
        let path = format!("{}/{}/{verb}", paths::SAGAS, segment(id)?);
        let command = Command {
            reason: reason.to_owned(),
        };
        let body = (verb != "retry").then(|| json(&command)).transpose()?;
        self.0.tell(Method::POST, &path, body).await
    }

    async fn try_define(&self, definition: &Definition) -> Outcome<Defined> {
        let path = format!("{}/{}", paths::SAGA_DEFINITIONS, segment(&definition.name)?);
        self.0.put(&path, definition).await
    }

    async fn try_get(&self, id: &str) -> Outcome<SagaView> {
        let path = format!("{}/{}", paths::SAGAS, segment(id)?);
        self.0.get(&path, Duration::ZERO).await
    }
}
