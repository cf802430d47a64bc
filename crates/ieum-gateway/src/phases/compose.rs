//! Compose: several parts asked at the same time, one JSON object answered.
//!
//! Each part is a call of its own, with its upstream's breaker, budget and timeout. A part that the
//! whole cannot do without fails the whole; an optional one becomes null, and `errors` says why, so
//! that a client can tell "none" from "unknown".

use bytes::Bytes;
use futures_util::future::join_all;
use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderValue, Response, StatusCode};
use ieum_http::ErrorKind;
use serde_json::{Map, Value, json};

use super::accept::Exchange;
use super::proxy::{self, Answered, Call};
use super::transform::Kept;
use crate::body::{RequestBody, ResponseBody, Source};
use crate::errors::{Code, Refusal};
use crate::table::{Part, Route, Table, Values};

/// What the parts need to know of the request.
pub(super) struct Asked {
    pub(super) path: String,
    pub(super) headers: HeaderMap,
}

/// Why a part has no value.
struct PartFailure {
    refusal: Box<Refusal>,
    /// What the upstream answered, if it did.
    status: StatusCode,
}

/// Asks all parts and joins their answers.
pub(super) async fn answer(
    table: &Table,
    exchange: &mut Exchange,
    route: &Route,
    parts: &[Part],
    asked: Asked,
) -> Result<Response<ResponseBody>, Box<Refusal>> {
    let values = Values {
        user: exchange.identity.as_ref().map(|identity| &*identity.user),
        pattern: &route.pattern,
        path: &asked.path,
        query: exchange.target.query(),
    };
    let answers = parts
        .iter()
        .map(|part| ask(table, exchange, part, &values, &asked.headers));
    let answers = join_all(answers).await;
    exchange.tries = u32::try_from(parts.len()).unwrap_or(u32::MAX);
    let body = join(parts, answers)?;
    let mut response = Response::new(ResponseBody::from(Bytes::from(body.to_string())));
    let json = HeaderValue::from_static("application/json");
    response.headers_mut().insert(CONTENT_TYPE, json);
    Ok(response)
}

/// The object of all values, or the failure of the first part that is needed.
fn join(parts: &[Part], answers: Vec<Result<Value, PartFailure>>) -> Result<Value, Box<Refusal>> {
    let mut whole = Map::new();
    let mut errors = Map::new();
    for (part, answer) in parts.iter().zip(answers) {
        match answer {
            Ok(value) => {
                whole.insert(part.name.to_string(), value);
            }
            Err(failure) if part.optional => {
                let problem = failure.refusal.problem();
                whole.insert(part.name.to_string(), Value::Null);
                errors.insert(
                    part.name.to_string(),
                    json!({
                        "status": failure.status.as_u16(),
                        "code": problem.code,
                        "title": problem.title,
                    }),
                );
            }
            Err(failure) => {
                let part = failure.refusal.member("part", &*part.name);
                return Err(part.member("partStatus", failure.status.as_u16()));
            }
        }
    }
    if !errors.is_empty() {
        whole.insert("errors".to_owned(), Value::Object(errors));
    }
    Ok(Value::Object(whole))
}

async fn ask(
    table: &Table,
    exchange: &Exchange,
    part: &Part,
    values: &Values<'_>,
    headers: &HeaderMap,
) -> Result<Value, PartFailure> {
    let target = part.path.fill(values).and_then(|path| path.parse().ok());
    let Some(target) = target else {
        let detail = format!("the path of the part `{}` cannot be filled in", part.name);
        return Err(refused(Refusal::new(Code::AmbiguousPath, detail)));
    };
    let kept = Kept::for_part(target, headers);
    let request = kept.request(table, exchange, &part.upstream, RequestBody::EMPTY);
    let call = Call {
        table,
        exchange,
        upstream: &part.upstream,
        rules: part.rules,
    };
    let whole = async {
        match proxy::run(&call, request, Some(&kept), &Source::Empty).await {
            Ok(answered) => read(table, part, answered).await,
            Err(unanswered) => Err(refused(unanswered.refusal)),
        }
    };
    // The tries bound the head of the answer, this bounds its body too.
    match tokio::time::timeout(part.rules.timeout, whole).await {
        Ok(outcome) => outcome,
        Err(_) => {
            let detail = format!("the part `{}` was not answered in time", part.name);
            Err(refused(Refusal::new(Code::Timeout, detail)))
        }
    }
}

async fn read(table: &Table, part: &Part, answered: Answered) -> Result<Value, PartFailure> {
    let Answered { response, held, .. } = answered;
    let status = response.status();
    if !status.is_success() {
        let detail = format!(
            "the part `{}` was answered with {}",
            part.name,
            status.as_u16()
        );
        let refusal = Refusal::new(Code::PartFailed, detail);
        return Err(PartFailure { refusal, status });
    }
    let limit = usize::try_from(table.config.limits.part.0).unwrap_or(usize::MAX);
    let collected = ieum_http::body::collect(response.into_body(), limit).await;
    drop(held);
    let value = collected.and_then(|bytes| ieum_http::body::json(&bytes));
    value.map_err(|error| {
        let what = match error.kind() {
            ErrorKind::TooLarge => "is too large",
            ErrorKind::Decode => "is no JSON",
            _ => "broke off",
        };
        let detail = format!("the answer of the part `{}` {what}", part.name);
        refused(Refusal::new(Code::PartFailed, detail))
    })
}

fn refused(refusal: Box<Refusal>) -> PartFailure {
    PartFailure {
        status: refusal.code.row().status,
        refusal,
    }
}
