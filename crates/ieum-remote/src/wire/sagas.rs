//! Sagas and their definitions.
//!
//! | call | body or query | answer |
//! |---|---|---|
//! | `PUT /api/v1/sagas/definitions/{name}` | the definition | 200 [`Defined`], 201 if new |
//! | `GET /api/v1/sagas/definitions` | | 200 [`Definitions`] |
//! | `POST /api/v1/sagas` | [`Start`] | 201 [`Started`], 200 if the key had started one |
//! | `GET /api/v1/sagas` | [`List`] | 200 [`Sagas`] |
//! | `GET /api/v1/sagas/definitions/{name}` | | 200 a definition, 404 |
//! | `GET /api/v1/sagas/{id}` | | 200 [`Saga`], 404 |
//! | `POST /api/v1/sagas/{id}/cancel` | [`Command`] | 204, 409 from the pivot on |
//! | `POST /api/v1/sagas/{id}/resume` | [`Command`] | 204, 409 if it is not parked |
//! | `POST /api/v1/sagas/{id}/retry` | | 204: it does not wait any longer |
//! | `GET /api/v1/sagas/liveness` | | 200 [`Liveness`] |

use ieum_saga::SagaView;
use ieum_saga::engine::{DefinitionSummary, Stalled, Summary};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// The whole of a saga.
pub type Saga = SagaView;

/// Starts a saga. Idempotent by definition and key.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Start {
    /// The name of the definition.
    pub definition: String,
    /// The caller's key: the same key starts the same saga.
    pub key: String,
    /// What the templates call `input`.
    #[serde(default)]
    pub input: Value,
}

/// A saga was started, or had been.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Started {
    /// The saga's id.
    pub id: String,
    /// True if the key had started it before.
    #[serde(default)]
    pub duplicate: bool,
}

/// The query of a list of sagas.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct List {
    /// In this state: `running`, `compensating`, `parked`, `completed`, `compensated`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub state: Option<String>,
    /// Of this definition.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub definition: Option<String>,
    /// The most in the answer; the server's bound by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<usize>,
}

/// A list of sagas, the latest first.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Sagas {
    /// The sagas, one line each.
    pub sagas: Vec<Summary>,
}

/// The open sagas that nothing will ever move; must be empty.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Liveness {
    /// The sagas and why they stand still.
    pub stalled: Vec<Stalled>,
}

/// A definition was stored.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Defined {
    /// Its name.
    pub name: String,
    /// The hash that sagas of this version are pinned to.
    pub hash: String,
}

/// All definitions in their latest versions.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Definitions {
    /// By name.
    pub definitions: Vec<DefinitionSummary>,
}

/// What an operator tells a saga. The body may be left out.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Command {
    /// Why, for the saga's history.
    #[serde(default)]
    pub reason: String,
}
