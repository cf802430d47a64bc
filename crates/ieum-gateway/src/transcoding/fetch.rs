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
use crate::phases::transcode::rpc;
use crate::upstream::Upstream;
use crate::worker::Worker;

/// The descriptors of `services`; or why there are none, for people. Without a span: they are asked
/// for so often, and for nobody's request, that they would fill the store of traces.
pub(super) async fn descriptors(
    worker: &Worker,
    upstream: &Upstream,
    services: &[String],
) -> Result<Descriptors, String> {
    let mut unknown = String::new();
    for method in METHODS {
        match by(worker, upstream, services, method).await {
            Err(Failed::Unimplemented) => unknown = format!("it does not serve `{method}`"),
            Err(Failed::Because(why)) => return Err(why),
            Ok(descriptors) => return Ok(descriptors),
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
) -> Result<Descriptors, Failed> {
    let mut fetch = Fetch::new(services);
    while let Some(questions) = fetch.ask() {
        for answer in ask(worker, upstream, method, questions.into()).await? {
            let taken = fetch.answered(&answer);
            taken.map_err(|error| Failed::Because(error.to_string()))?;
        }
    }
    let descriptors = fetch.finish();
    descriptors.map_err(|error| Failed::Because(error.to_string()))
}

/// Sends questions and waits for all their answers.
async fn ask(
    worker: &Worker,
    upstream: &Upstream,
    method: &'static str,
    questions: Bytes,
) -> Result<Vec<Bytes>, Failed> {
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
    let whole = rpc::collect(response, most, usize::MAX).await;
    let (answers, status) = whole.map_err(|error| because(error.to_string()))?;
    match status {
        Status { code: Code::Ok, .. } => Ok(answers),
        Status {
            code: Code::Unimplemented,
            ..
        } => Err(Failed::Unimplemented),
        Status { code, message, .. } => Err(because(format!("it answered {code}: {message}"))),
    }
}
