//! Asking a service what it looks like, by gRPC's reflection.

use bytes::Bytes;
use http::uri::PathAndQuery;
use http::{Method, Request, StatusCode};
use ieum_discovery::Outcome;
use ieum_discovery::balance::Policy;
use ieum_grpc::descriptors::reflection::{Fetch, METHODS};
use ieum_grpc::{Code, Descriptors, Status};

use crate::body::RequestBody;
use crate::phases::balance;
use crate::phases::transcode::rpc::{self, ReadError};
use crate::upstream::Upstream;
use crate::worker::Worker;

/// All that `services` say of themselves; or why it is not all, for people. Without a span: they are asked
/// for so often, and for nobody's request, that they would fill the store of traces.
pub(super) async fn all(
    worker: &Worker,
    upstream: &Upstream,
    services: &[String],
) -> Result<Fetch, String> {
    let mut unknown = String::new();
    for method in METHODS {
        match by(worker, upstream, services, method).await {
            Err(Failed::Unimplemented) => unknown = format!("it does not serve `{method}`"),
            Err(Failed::Because(why)) => return Err(why),
            Ok(fetch) => return Ok(fetch),
        }
    }
    Err(unknown)
}

enum Failed {
    /// The service does not know this version of the protocol.
    Unimplemented,
    /// Something else, for people.
    Because(String),
}

async fn by(
    worker: &Worker,
    upstream: &Upstream,
    services: &[String],
    method: &'static str,
) -> Result<Fetch, Failed> {
    let mut fetch = Fetch::new(services);
    while let Some(questions) = fetch.ask() {
        ask(worker, upstream, method, questions.into(), &mut fetch).await?;
    }
    Ok(fetch)
}

/// Sends questions and waits for all their answers.
async fn ask(
    worker: &Worker,
    upstream: &Upstream,
    method: &'static str,
    questions: Bytes,
    fetch: &mut Fetch,
) -> Result<(), Failed> {
    let because = |why: String| Failed::Because(why);
    let picked = balance::pick(upstream, Policy::default(), &[]).await;
    let mut picked = picked.map_err(|refusal| because(refusal.problem().to_string()))?;
    let target = worker.target(picked.endpoint(), upstream.is_secure);
    let target = target.map_err(|error| because(error.to_string()))?;
    let mut request = Box::new(Request::new(RequestBody::from(questions)));
    *request.method_mut() = Method::POST;
    *request.uri_mut() = upstream.uri(&PathAndQuery::from_static(method));
    rpc::describe(request.headers_mut());
    let response = match worker.http2.send(&target, request).await {
        Ok(response) => response,
        Err(failed) => {
            picked.record(Outcome::FAILURE);
            return Err(because(failed.error.to_string()));
        }
    };
    // What it says of itself is not what requests depend on.
    picked.record(Outcome::Success);
    if response.status() == StatusCode::NOT_FOUND {
        return Err(Failed::Unimplemented);
    }
    let most = u64::try_from(Descriptors::MOST_BYTES).unwrap_or(u64::MAX);
    // What is kept is bounded, and each is looked at when it comes.
    let status = rpc::read(response, most, |answer| {
        let taken = fetch.answered(&answer);
        taken.map_err(|error| ReadError::Refused(error.to_string()))
    });
    let status = status.await.map_err(|error| because(error.to_string()))?;
    match status {
        Status { code: Code::Ok, .. } => Ok(()),
        Status {
            code: Code::Unimplemented,
            ..
        } => Err(Failed::Unimplemented),
        Status { code, message, .. } => Err(because(format!("it answered {code}: {message}"))),
    }
}
