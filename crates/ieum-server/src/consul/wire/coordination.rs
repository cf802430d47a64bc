//! What clients send to sessions and transactions.

use std::time::Duration;

use axum::body::Bytes;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ieum_discovery::CheckId;
use serde::Deserialize;
use serde_json::Value;

use super::requests::{folded, from_body, undecodable};
use super::values::{Time, duration};
use crate::consul::error::{Refused, Result};

/// A session that is asked for.
#[derive(Debug)]
pub(in crate::consul) struct SessionRequest {
    pub(in crate::consul) name: String,
    pub(in crate::consul) node: String,
    /// `None` if nothing was said.
    pub(in crate::consul) lock_delay: Option<Duration>,
    pub(in crate::consul) behavior: String,
    pub(in crate::consul) ttl: Option<Duration>,
    pub(in crate::consul) node_checks: Vec<CheckId>,
    pub(in crate::consul) service_checks: Vec<CheckId>,
}

/// The same, its names folded.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "lowercase", default)]
struct Session {
    name: String,
    node: String,
    lockdelay: Option<Value>,
    behavior: String,
    ttl: Time,
    checks: Option<Vec<CheckId>>,
    nodechecks: Option<Vec<CheckId>>,
    servicechecks: Vec<Value>,
}

/// A check of an instance, its names folded.
#[derive(Debug, Deserialize)]
struct ServiceCheck {
    id: CheckId,
}

/// Reads the body of `session/create`; none is one without settings.
pub(in crate::consul) fn session_request(body: &Bytes) -> Result<SessionRequest> {
    let session = match body.iter().all(u8::is_ascii_whitespace) {
        true => Session::default(),
        false => from_body::<Session>(body)?,
    };
    let checks = session.servicechecks.into_iter();
    let checks = checks.map(|check| folded::<ServiceCheck>(check).map(|check| check.id));
    let node_checks = match (session.nodechecks, session.checks) {
        (None, None) => vec![CheckId("serfHealth".to_owned())],
        (new, old) => new.into_iter().chain(old).flatten().collect(),
    };
    Ok(SessionRequest {
        name: session.name,
        node: session.node,
        lock_delay: session
            .lockdelay
            .map(|delay| lock_delay(&delay))
            .transpose()?,
        behavior: session.behavior,
        ttl: session.ttl.0,
        node_checks,
        service_checks: checks.collect::<Result<_>>()?,
    })
}

/// As text, in nanoseconds, or, as Consul takes numbers below 1,000, in seconds.
fn lock_delay(given: &Value) -> Result<Duration> {
    let read = match given {
        Value::String(text) => duration(text),
        Value::Number(number) => number.as_u64().map(|number| match number {
            0..1_000 => Duration::from_secs(number),
            nanos => Duration::from_nanos(nanos),
        }),
        _ => None,
    };
    read.ok_or_else(|| Refused::bad_request(format!("Request decode failed: lock delay {given}")))
}

/// One operation of a transaction.
#[derive(Debug)]
pub(in crate::consul) struct KvOperation {
    pub(in crate::consul) verb: String,
    pub(in crate::consul) key: String,
    pub(in crate::consul) value: Bytes,
    pub(in crate::consul) flags: u64,
    pub(in crate::consul) index: u64,
    pub(in crate::consul) session: String,
}

/// The same, its names folded.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Kv {
    verb: String,
    key: String,
    value: String,
    flags: u64,
    index: u64,
    session: String,
}

/// One entry of a transaction, its names folded.
#[derive(Debug, Deserialize)]
struct Operation {
    kv: Option<Value>,
}

/// Reads the body of `txn`.
pub(in crate::consul) fn kv_operations(body: &Bytes) -> Result<Vec<KvOperation>> {
    let operations: Vec<Value> = serde_json::from_slice(body).map_err(|e| undecodable(&e))?;
    let read = operations.into_iter().map(|operation| {
        let operation: Operation = folded(operation)?;
        let Some(kv) = operation.kv else {
            return Err(Refused::bad_request(
                "only `KV` operations are supported in a transaction",
            ));
        };
        let kv: Kv = folded(kv)?;
        let value = STANDARD.decode(&kv.value).map_err(|error| {
            Refused::bad_request(format!(
                "Request decode failed: value of {:?}: {error}",
                kv.key
            ))
        })?;
        Ok(KvOperation {
            verb: kv.verb,
            key: kv.key,
            value: value.into(),
            flags: kv.flags,
            index: kv.index,
            session: kv.session,
        })
    });
    read.collect()
}
