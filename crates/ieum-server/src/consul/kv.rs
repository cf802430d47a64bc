//! `/v1/kv`: keys and values, with locks and blocking queries.

use axum::Router;
use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::extract::{DefaultBodyLimit, Path, Query as Parameters, State};
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodRouter, get};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ieum_base::Uuid;
use ieum_discovery::kv::{Entry, Op, Store, Watched};
use serde::Serialize;

use super::Consul;
use super::blocking::{Query, indexed, with_index};
use super::error::{Refused, Result};

pub(super) fn routes(most_value: usize) -> Router<Consul> {
    Router::new()
        .route("/v1/kv/", methods())
        .route("/v1/kv/{*key}", methods())
        .layer(DefaultBodyLimit::max(most_value))
}

fn methods() -> MethodRouter<Consul> {
    get(read).put(write).delete(delete)
}

/// An entry as clients read it.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Shown {
    lock_index: u64,
    key: String,
    flags: u64,
    /// In base64; `null` if it is empty, as in Consul.
    value: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    session: Option<Uuid>,
    create_index: u64,
    modify_index: u64,
}

impl Shown {
    pub(super) fn of(entry: &Entry, with_value: bool) -> Self {
        let value = with_value && !entry.value.is_empty();
        Self {
            lock_index: entry.lock_index,
            key: entry.key.clone(),
            flags: entry.flags,
            value: value.then(|| STANDARD.encode(&entry.value)),
            session: entry.session,
            create_index: entry.created,
            modify_index: entry.modified,
        }
    }

    /// What a key that is not there looks like where it may be absent.
    pub(super) fn absent(key: String) -> Self {
        Self {
            lock_index: 0,
            key,
            flags: 0,
            value: None,
            session: None,
            create_index: 0,
            modify_index: 0,
        }
    }
}

async fn read(
    State(consul): State<Consul>,
    key: Option<Path<String>>,
    Parameters(parameters): Parameters<Vec<(String, String)>>,
) -> Result<Response> {
    let key = key.map(|Path(key)| key).unwrap_or_default();
    let query = Query::new(parameters);
    query.check(&consul)?;
    let names = query.switch("keys")?;
    let watched = if names || query.switch("recurse")? {
        Watched::Tree(key.clone())
    } else if key.is_empty() {
        return Err(Refused::bad_request("Missing key name"));
    } else {
        Watched::Key(key.clone())
    };
    let blocking = query.blocking(&consul)?;
    let kv = &consul.kv;
    kv.watch(&watched, blocking.index, blocking.wait).await?;
    match names {
        true => {
            names_of(
                kv,
                &watched,
                &key,
                query.get("separator").unwrap_or_default(),
            )
            .await
        }
        false => entries_of(kv, &watched, query.switch("raw")?).await,
    }
}

/// The names of keys, up to a separator.
async fn names_of(kv: &Store, tree: &Watched, prefix: &str, separator: &str) -> Result<Response> {
    let (index, names) = kv
        .look(|state| {
            let keys = state.tree(prefix).map(|entry| entry.key.as_str());
            let names = up_to(keys, prefix, separator).into_iter();
            let names: Vec<String> = names.map(str::to_owned).collect();
            (tree.index(state), names)
        })
        .await?;
    Ok(match names.is_empty() {
        true => not_there(index),
        false => indexed(index, &names),
    })
}

/// Entries with their values, or the bare value of the first.
async fn entries_of(kv: &Store, watched: &Watched, bare: bool) -> Result<Response> {
    let (index, entries) = kv
        .look(|state| {
            let entries: Vec<Entry> = match watched {
                Watched::Tree(prefix) => state.tree(prefix).cloned().collect(),
                Watched::Key(key) => state.entry(key).cloned().into_iter().collect(),
                Watched::Sessions => Vec::new(),
            };
            (watched.index(state), entries)
        })
        .await?;
    Ok(match entries.first() {
        None => not_there(index),
        Some(entry) if bare => raw(index, entry.value.clone()),
        Some(_) => {
            let shown = entries.iter().map(|entry| Shown::of(entry, true));
            indexed(index, &shown.collect::<Vec<_>>())
        }
    })
}

async fn write(
    State(consul): State<Consul>,
    key: Option<Path<String>>,
    Parameters(parameters): Parameters<Vec<(String, String)>>,
    value: Result<Bytes, BytesRejection>,
) -> Result<Response> {
    let query = Query::new(parameters);
    query.check(&consul)?;
    query.one_of(&["cas", "acquire", "release"])?;
    let key = named(key)?;
    let value = value.map_err(|rejected| too_large(&consul, &rejected))?;
    let flags = query.number("flags")?.unwrap_or(0);
    let op = if let Some(index) = query.number("cas")? {
        Op::Cas {
            key,
            value,
            flags,
            index,
        }
    } else if let Some(session) = query.get("acquire") {
        Op::Lock {
            key,
            value,
            flags,
            session: session_id(session)?,
        }
    } else if let Some(session) = query.get("release") {
        Op::Unlock {
            key,
            value,
            flags,
            session: session_id(session)?,
        }
    } else {
        Op::Set { key, value, flags }
    };
    done(&consul, op).await
}

async fn delete(
    State(consul): State<Consul>,
    key: Option<Path<String>>,
    Parameters(parameters): Parameters<Vec<(String, String)>>,
) -> Result<Response> {
    let query = Query::new(parameters);
    query.check(&consul)?;
    query.one_of(&["recurse", "cas"])?;
    let op = if query.switch("recurse")? {
        let prefix = key.map(|Path(key)| key).unwrap_or_default();
        Op::DeleteTree { prefix }
    } else if let Some(index) = query.number("cas")? {
        let key = named(key)?;
        Op::DeleteCas { key, index }
    } else {
        Op::Delete { key: named(key)? }
    };
    done(&consul, op).await
}

/// `true`, or `false` if somebody else was quicker.
async fn done(consul: &Consul, op: Op) -> Result<Response> {
    let outcome = consul.kv.run(vec![op]).await?;
    let invalid = outcome
        .as_ref()
        .err()
        .and_then(|refused| refused.iter().find(|refusal| refusal.invalid));
    match invalid {
        Some(refusal) => Err(Refused::bad_request(refusal.what.clone())),
        None => Ok(axum::Json(outcome.is_ok()).into_response()),
    }
}

fn named(key: Option<Path<String>>) -> Result<String> {
    key.map(|Path(key)| key)
        .ok_or_else(|| Refused::bad_request("Missing key name"))
}

pub(super) fn session_id(text: &str) -> Result<Uuid> {
    text.parse()
        .map_err(|_| Refused::bad_request(format!("invalid session {text:?}")))
}

fn too_large(consul: &Consul, rejected: &BytesRejection) -> Refused {
    let status = rejected.status();
    if status != StatusCode::PAYLOAD_TOO_LARGE {
        return Refused::new(status, rejected.body_text());
    }
    let most = consul.kv.config().most_value();
    Refused::new(
        status,
        format!("Request body too large, max size: {most} bytes"),
    )
}

fn not_there(index: u64) -> Response {
    with_index(index, StatusCode::NOT_FOUND.into_response())
}

/// Whatever the value is, a browser must not take it for a page of ours.
fn raw(index: u64, value: Bytes) -> Response {
    let headers = [
        (header::CONTENT_TYPE, "text/plain"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::CONTENT_SECURITY_POLICY, "sandbox"),
    ];
    let headers: [(HeaderName, HeaderValue); 3] =
        headers.map(|(name, value)| (name, HeaderValue::from_static(value)));
    with_index(index, (headers, value).into_response())
}

/// The keys up to the first `separator` behind `prefix`, each once.
fn up_to<'a>(keys: impl Iterator<Item = &'a str>, prefix: &str, separator: &str) -> Vec<&'a str> {
    let mut names: Vec<&str> = keys
        .map(|key| {
            let found = match separator {
                "" => None,
                _ => key[prefix.len()..].find(separator),
            };
            found.map_or(key, |at| &key[..prefix.len() + at + separator.len()])
        })
        .collect();
    names.dedup();
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_end_at_the_first_separator_behind_the_prefix() {
        let keys = ["a", "a/b", "a/c/d", "a/c/e", "a/f"];
        let check = |prefix: &str, separator: &str, expected: &[&str]| {
            let keys = keys.into_iter().filter(|key| key.starts_with(prefix));
            assert_eq!(
                up_to(keys, prefix, separator),
                expected,
                "{prefix} {separator}"
            );
        };
        check("", "", &keys);
        check("", "/", &["a", "a/"]);
        check("a/", "/", &["a/b", "a/c/", "a/f"]);
        check("a/c", "/", &["a/c/"]);
    }
}
