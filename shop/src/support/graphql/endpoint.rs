//! A schema over HTTP, as the specification "GraphQL over HTTP" (draft of 2025) says: one operation
//! in a `POST` of JSON.

use async_graphql::parser::types::{DocumentOperations, ExecutableDocument, OperationType};
use async_graphql::{Executor, Request, Response, ServerError};
use axum::Router;
use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, State};
use axum::response::IntoResponse;
use axum::routing::post;
use http::header::{ACCEPT, CONTENT_TYPE};
use http::{HeaderMap, StatusCode};
use ieum::base::trace::{self, Span, Tracer};
use ieum::chassis::Identity;
use serde_json::json;

use super::Entities;
use super::answer::{Caller, extensions, say};
use super::weight::{nesting, weight};
use crate::support::failure::{Failure, Reply};

/// Serves `schema` at `POST /graphql`. `prepare` adds to each request what its resolvers share, such
/// as a [`super::Batch`].
pub(crate) fn router<E: Executor>(
    schema: E,
    tracer: Tracer,
    prepare: fn(Request) -> Request,
) -> Router {
    let graph = Graph {
        schema,
        tracer,
        prepare,
    };
    Router::new()
        .route("/graphql", post(answer::<E>))
        .layer(DefaultBodyLimit::max(MOST_BYTES))
        .with_state(graph)
}

#[derive(Clone)]
struct Graph<E> {
    schema: E,
    tracer: Tracer,
    prepare: fn(Request) -> Request,
}

async fn answer<E: Executor>(
    State(graph): State<Graph<E>>,
    caller: Option<Identity>,
    headers: HeaderMap,
    body: Bytes,
) -> Reply<axum::response::Response> {
    let media = Media::accepted(&headers)?;
    let request = read(&headers, &body)?;
    Ok(media.render(&graph.execute(request, caller).await))
}

impl<E: Executor> Graph<E> {
    async fn execute(&self, mut request: Request, caller: Option<Identity>) -> Response {
        if request.query.len() > LONGEST_QUERY {
            return refused(format!("a document has at most {LONGEST_QUERY} bytes"));
        }
        if nesting(&request.query) > DEEPEST {
            return refused(format!("brackets are nested at most {DEEPEST} deep"));
        }
        let mut span = self.tracer.span("graphql").start();
        let name = request.operation_name.clone();
        match request.parsed_query() {
            Ok(document) if weight(document) > HEAVIEST => {
                return refused(format!("a document selects at most {HEAVIEST} times"));
            }
            Ok(document) => describe(&mut span, document, name.as_deref()),
            Err(error) => return Response::from_errors(vec![error]),
        }
        let request = (self.prepare)(request)
            .data(Caller(caller))
            .data(Entities::default());
        let executed = self.schema.execute(request);
        let response = trace::scope(span.context().clone(), executed).await;
        if !response.errors.is_empty() {
            span.fail(format!("{} errors", response.errors.len()));
        }
        response
    }
}

/// The request in a body of JSON. A form, which a browser would send to anybody, is refused.
fn read(headers: &HeaderMap, body: &[u8]) -> Reply<Request> {
    if !essence(headers, CONTENT_TYPE).any(|media| media == JSON) {
        let detail = "a GraphQL request is JSON: send content-type: application/json";
        let status = StatusCode::UNSUPPORTED_MEDIA_TYPE;
        return Err(Failure::new(status, "unsupported-media-type", detail));
    }
    serde_json::from_slice(body).map_err(|error| {
        let (line, column) = (error.line(), error.column());
        let place = format!("line {line}, column {column}");
        Failure::invalid(format!("the body is no GraphQL request: {place}"))
    })
}

/// Names the span after the operation; its text and its variables are nobody's business.
fn describe(span: &mut Span, document: &ExecutableDocument, name: Option<&str>) {
    let chosen = match (&document.operations, name) {
        (DocumentOperations::Single(only), _) => Some(only),
        (DocumentOperations::Multiple(all), Some(name)) => all.get(name),
        (DocumentOperations::Multiple(all), None) => all.values().next().filter(|_| all.len() == 1),
    };
    let Some(operation) = chosen else {
        return;
    };
    let kind = match operation.node.ty {
        OperationType::Query => "query",
        OperationType::Mutation => "mutation",
        OperationType::Subscription => "subscription",
    };
    span.rename(format!("graphql {kind}"));
    span.set("graphql.operation.type", kind);
    if let Some(name) = name {
        let short: String = name.chars().take(LONGEST_NAME).collect();
        span.set("graphql.operation.name", short);
    }
}

/// A request that was not executed.
fn refused(detail: String) -> Response {
    let failure = Failure::invalid(detail);
    Response::from_errors(vec![ServerError {
        extensions: Some(extensions(&failure)),
        ..ServerError::new(say(&failure), None)
    }])
}

/// How an answer is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Media {
    /// `application/graphql-response+json`: the status tells whether the request was executed.
    Response,
    /// `application/json`: always 200, for clients that know no better.
    Json,
}

impl Media {
    fn accepted(headers: &HeaderMap) -> Reply<Self> {
        let mut media: Vec<_> = essence(headers, ACCEPT).collect();
        if media.is_empty() {
            media.push(JSON.to_owned());
        }
        if media.iter().any(|media| media == RESPONSE) {
            return Ok(Self::Response);
        }
        let json = [JSON, "application/*", "*/*"];
        if media.iter().any(|media| json.contains(&media.as_str())) {
            return Ok(Self::Json);
        }
        let detail = format!("the answer is {RESPONSE} or {JSON}");
        let status = StatusCode::NOT_ACCEPTABLE;
        Err(Failure::new(status, "not-acceptable", detail))
    }

    fn render(self, response: &Response) -> axum::response::Response {
        // An error without a path is about the request: it was not executed, and there is no data.
        let executed = response.errors.is_empty()
            || response.errors.iter().all(|error| !error.path.is_empty());
        let (status, media) = match self {
            Self::Json => (StatusCode::OK, JSON),
            Self::Response if executed => (StatusCode::OK, RESPONSE),
            Self::Response => (StatusCode::BAD_REQUEST, RESPONSE),
        };
        let body = if executed {
            serde_json::to_vec(response)
        } else {
            serde_json::to_vec(&json!({ "errors": response.errors }))
        };
        match body {
            Ok(body) => (status, [(CONTENT_TYPE, media)], body).into_response(),
            Err(error) => Failure::internal(error).into_response(),
        }
    }
}

/// The media types in a header, without their parameters.
fn essence(headers: &HeaderMap, name: http::HeaderName) -> impl Iterator<Item = String> {
    let values = headers.get_all(name).iter();
    let media = values
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .map(|media| media.split(';').next().unwrap_or_default().trim())
        .filter(|media| !media.is_empty());
    media
        .map(str::to_ascii_lowercase)
        .collect::<Vec<_>>()
        .into_iter()
}

const JSON: &str = "application/json";
const RESPONSE: &str = "application/graphql-response+json";
/// The largest body of a request.
const MOST_BYTES: usize = 256 << 10;
/// The longest document, in bytes.
const LONGEST_QUERY: usize = 16 << 10;
/// How deep brackets may be nested: those of fields, of arguments and of their values.
const DEEPEST: usize = 32;
/// How many fields and fragments a document may select, fragments counted wherever they are spread.
const HEAVIEST: usize = 2_000;
/// The longest name of an operation that a span shows, in characters.
const LONGEST_NAME: usize = 64;
