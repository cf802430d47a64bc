//! `/v1/txn`: several operations on keys as one.

use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, Query as Parameters, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::put;
use axum::{Json, Router};
use ieum_discovery::kv::Op;
use serde_json::{Value, json};

use super::Consul;
use super::blocking::Query;
use super::error::{Refused, Result};
use super::kv::{Shown, session_id};
use super::wire::{KvOperation, kv_operations};

/// The route. Values come in base64, a third longer than they are.
pub(super) fn routes(most_value: usize) -> Router<Consul> {
    Router::new()
        .route("/v1/txn", put(run))
        .layer(DefaultBodyLimit::max(most_value.saturating_mul(2)))
}

async fn run(
    State(consul): State<Consul>,
    Parameters(parameters): Parameters<Vec<(String, String)>>,
    body: Bytes,
) -> Result<Response> {
    Query::new(parameters).check(&consul)?;
    let operations = kv_operations(&body)?;
    if operations.len() > MOST_OPERATIONS {
        let count = operations.len();
        return Err(Refused::new(
            StatusCode::PAYLOAD_TOO_LARGE,
            format!("Transaction contains too many operations ({count} > {MOST_OPERATIONS})"),
        ));
    }
    let ops = operations.into_iter().map(op).collect::<Result<_>>()?;
    Ok(match consul.kv.run(ops).await? {
        Ok(found) => {
            let shown = found.into_iter().map(|found| match &found.entry {
                Some(entry) => Shown::of(entry, found.with_value),
                None => Shown::absent(found.key),
            });
            let results: Vec<Value> = shown.map(|shown| json!({ "KV": shown })).collect();
            Json(json!({"Results": results, "Errors": null})).into_response()
        }
        Err(refused) => {
            let errors = refused.into_iter();
            let errors: Vec<Value> = errors
                .map(|refusal| json!({"OpIndex": refusal.op, "What": refusal.what}))
                .collect();
            let body = Json(json!({"Results": null, "Errors": errors}));
            (StatusCode::CONFLICT, body).into_response()
        }
    })
}

fn op(operation: KvOperation) -> Result<Op> {
    let KvOperation {
        verb,
        key,
        value,
        flags,
        index,
        session,
    } = operation;
    Ok(match verb.as_str() {
        "set" => Op::Set { key, value, flags },
        "cas" => Op::Cas {
            key,
            value,
            flags,
            index,
        },
        "lock" => Op::Lock {
            key,
            value,
            flags,
            session: session_id(&session)?,
        },
        "unlock" => Op::Unlock {
            key,
            value,
            flags,
            session: session_id(&session)?,
        },
        "get" => Op::Get { key },
        "get-or-empty" => Op::GetOrEmpty { key },
        "get-tree" => Op::GetTree { prefix: key },
        "check-index" => Op::CheckIndex { key, index },
        "check-session" => Op::CheckSession {
            key,
            session: session_id(&session)?,
        },
        "check-not-exists" => Op::CheckNotExists { key },
        "delete" => Op::Delete { key },
        "delete-tree" => Op::DeleteTree { prefix: key },
        "delete-cas" => Op::DeleteCas { key, index },
        _ => {
            let text = format!("unknown KV verb {verb:?}");
            return Err(Refused::bad_request(text));
        }
    })
}

/// Consul's bound.
const MOST_OPERATIONS: usize = 128;
