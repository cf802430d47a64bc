//! Asking a subgraph for its schema, as Apollo's federation specification says:
//! `{ _service { sdl } }`.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{ACCEPT, CONTENT_TYPE};
use http::{HeaderValue, Method, Request, StatusCode};
use ieum_discovery::balance::Policy;
use serde::Deserialize;

use super::Subgraph;
use crate::body::{RequestBody, Source};
use crate::phases::{balance, connect};
use crate::worker::Worker;

/// What asking is bounded by.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bounds {
    /// Bytes of the whole answer.
    pub(super) most: usize,
    /// Until the end of the answer.
    pub(super) timeout: Duration,
}

#[derive(Deserialize)]
struct Answer {
    data: Option<Data>,
}

#[derive(Deserialize)]
struct Data {
    #[serde(rename = "_service")]
    service: Option<Service>,
}

#[derive(Deserialize)]
struct Service {
    sdl: Option<Arc<str>>,
}

/// The schema of a subgraph, from one of its instances; or why there is none, for people. Without a
/// span: it is asked for so often, and for nobody's request, that it would fill the store of traces.
pub(super) async fn ask(
    worker: &Worker,
    subgraph: &Subgraph,
    bounds: Bounds,
) -> Result<Arc<str>, String> {
    let asked = tokio::time::timeout(bounds.timeout, ask_one(worker, subgraph, bounds));
    let answered = asked.await;
    answered.unwrap_or_else(|_| Err("it did not answer in time".to_owned()))
}

async fn ask_one(worker: &Worker, subgraph: &Subgraph, bounds: Bounds) -> Result<Arc<str>, String> {
    let upstream = &subgraph.upstream;
    let picked = balance::pick(upstream, Policy::default(), &[]).await;
    let mut picked = picked.map_err(|refusal| refusal.problem().to_string())?;
    let (request, source) = question(subgraph);
    let sent = connect::send(
        worker,
        upstream,
        &mut picked,
        request,
        &source,
        bounds.timeout,
    );
    let response = sent.await;
    let response = response.map_err(|failed| failed.refusal.problem().to_string())?;
    let status = response.status();
    let body = ieum_http::body::collect(response.into_body(), bounds.most).await;
    let body = body.map_err(|error| error.to_string())?;
    read(status, &body)
}

fn question(subgraph: &Subgraph) -> (Box<Request<RequestBody>>, Source) {
    let body = Bytes::from_static(QUESTION);
    let mut request = Box::new(Request::new(RequestBody::from(body.clone())));
    *request.method_mut() = Method::POST;
    *request.uri_mut() = subgraph.upstream.uri(&subgraph.target);
    let headers = request.headers_mut();
    let json = HeaderValue::from_static("application/json");
    headers.insert(CONTENT_TYPE, json.clone());
    headers.insert(ACCEPT, json);
    (request, Source::Whole(body))
}

fn read(status: StatusCode, body: &[u8]) -> Result<Arc<str>, String> {
    let answer = serde_json::from_slice::<Answer>(body);
    let sdl = answer.map(|answer| answer.data?.service?.sdl);
    match sdl {
        Ok(Some(sdl)) if status.is_success() => Ok(sdl),
        _ if !status.is_success() => Err(format!("it answered with {}", status.as_u16())),
        Ok(_) => Err("its answer has no `data._service.sdl`: is it a subgraph?".to_owned()),
        Err(_) => Err("its answer is not what GraphQL answers".to_owned()),
    }
}

const QUESTION: &[u8] =
    br#"{"query":"query ieum_schema{_service{sdl}}","operationName":"ieum_schema"}"#;

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(status: u16, body: &str, expected: Result<&str, &str>) {
        let status = StatusCode::from_u16(status).expect("a status");
        let read = read(status, body.as_bytes());
        let read = read.as_deref().map_err(String::as_str);
        match (read, expected) {
            (Err(why), Err(part)) => assert!(why.contains(part), "{why}"),
            (read, expected) => assert_eq!(read, expected),
        }
    }

    #[test]
    fn a_schema_is_read_and_whatever_else_is_told() {
        let sdl = r#"{"data":{"_service":{"sdl":"type Query { a: Int }"}}}"#;
        check(200, sdl, Ok("type Query { a: Int }"));
        check(503, sdl, Err("503"));
        check(200, r#"{"errors":[{"message":"no"}]}"#, Err("_service"));
        check(200, r#"{"data":{"_service":null}}"#, Err("_service"));
        check(200, "<html>", Err("not what GraphQL answers"));
    }
}
