//! GraphQL over HTTP, as its specification's working draft says (graphql.github.io/graphql-over-http).
//!
//! Pure functions over the types of the `http` crate: [`negotiate`] the answer's media type, [`read`] the
//! request, [`admit`] the operation by the method, and write the response, [`answered`] or [`rejected`].
//!
//! | | `application/graphql-response+json` | `application/json` |
//! |---|---|---|
//! | data, with or without errors | 200 | 200 |
//! | document or variables wrong | 400 | 200 |
//! | a limit passed | 400; 413 for bytes | 400; 413 for bytes |
//! | no GraphQL request | 400, 405, 406, 415 | 400, 405, 406, 415 |
//! | no plan, no plan in time | 500, 503 | 500, 503 |
//!
//! Where the draft and the released audit (npm `graphql-http`) differ, the audit's older text holds: 400
//! rather than 422 for an invalid document, and 200 rather than 294 for data with errors, because
//! clients know those.

mod accept;
mod query;

use ::http::header::{ALLOW, CONTENT_TYPE};
use ::http::{HeaderMap, HeaderValue, Method, Response, StatusCode, Uri};
use bytes::Bytes;

use crate::engine::Prepared;
use crate::execute::Answer;
use crate::limits::Limit;
use crate::plan::OperationKind;
use crate::rejection::{Reason, Rejection};
use crate::request::Request;

pub use accept::negotiate;

/// The media type of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Media {
    /// `application/graphql-response+json`: the status tells of the request, the body of the rest.
    GraphqlResponse,
    /// `application/json`: for clients that treat other statuses than 200 as not from GraphQL.
    Json,
}

impl Media {
    /// The value of `Content-Type`.
    pub fn content_type(self) -> &'static str {
        match self {
            Self::GraphqlResponse => "application/graphql-response+json; charset=utf-8",
            Self::Json => "application/json; charset=utf-8",
        }
    }
}

/// Reads a request: `POST` with a JSON body, or `GET` with parameters in the query string. The body is
/// collected and bounded by the caller; that of a `GET` is ignored.
///
/// # Errors
/// [`Reason::Method`] for other methods, [`Reason::ContentType`] if a body is not `application/json` in
/// UTF-8, [`Reason::Malformed`] if the parameters are wrong.
pub fn read(
    method: &Method,
    uri: &Uri,
    headers: &HeaderMap,
    body: &[u8],
) -> Result<Request, Rejection> {
    match *method {
        Method::GET => query::read(uri.query().unwrap_or_default()),
        Method::POST => {
            content_type(headers)?;
            Request::from_json(body)
        }
        _ => {
            let message = "only GET and POST are supported";
            Err(Rejection::new(Reason::Method, message))
        }
    }
}

/// Whether a method may run an operation: a `GET` must not write.
///
/// # Errors
/// [`Reason::MutationNotAllowed`].
pub fn admit(method: &Method, prepared: &Prepared) -> Result<(), Rejection> {
    if prepared.kind() == OperationKind::Mutation && *method != Method::POST {
        let message = "mutations are accepted by POST only";
        return Err(Rejection::new(Reason::MutationNotAllowed, message));
    }
    Ok(())
}

/// The response with an executed operation's answer.
pub fn answered(media: Media, answer: Answer) -> Response<Bytes> {
    response(media, StatusCode::OK, answer.body)
}

/// The response to a request that was not executed.
pub fn rejected(media: Media, rejection: &Rejection) -> Response<Bytes> {
    let reason = rejection.reason();
    let mut response = response(media, status(media, reason), rejection.body());
    let allowed = match reason {
        Reason::Method => "GET, POST",
        Reason::MutationNotAllowed => "POST",
        _ => return response,
    };
    let headers = response.headers_mut();
    headers.insert(ALLOW, HeaderValue::from_static(allowed));
    response
}

/// The status of a rejection.
pub fn status(media: Media, reason: Reason) -> StatusCode {
    match reason {
        Reason::Malformed => StatusCode::BAD_REQUEST,
        Reason::Method | Reason::MutationNotAllowed => StatusCode::METHOD_NOT_ALLOWED,
        Reason::NotAcceptable => StatusCode::NOT_ACCEPTABLE,
        Reason::ContentType => StatusCode::UNSUPPORTED_MEDIA_TYPE,
        Reason::Limit(Limit::DocumentBytes | Limit::VariablesBytes) => {
            StatusCode::PAYLOAD_TOO_LARGE
        }
        Reason::Limit(_) => StatusCode::BAD_REQUEST,
        Reason::PlanningTimeout => StatusCode::SERVICE_UNAVAILABLE,
        Reason::Planning => StatusCode::INTERNAL_SERVER_ERROR,
        Reason::Syntax
        | Reason::Validation
        | Reason::Operation
        | Reason::Variables
        | Reason::Introspection
        | Reason::Subscription => match media {
            Media::GraphqlResponse => StatusCode::BAD_REQUEST,
            Media::Json => StatusCode::OK,
        },
    }
}

fn response(media: Media, status: StatusCode, body: Bytes) -> Response<Bytes> {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    let content_type = HeaderValue::from_static(media.content_type());
    response.headers_mut().insert(CONTENT_TYPE, content_type);
    response
}

/// A body must say that it is JSON: a browser sends other types across sites without asking first.
fn content_type(headers: &HeaderMap) -> Result<(), Rejection> {
    let wrong = |message: &str| Rejection::new(Reason::ContentType, message);
    let mut values = headers.get_all(CONTENT_TYPE).iter();
    let (Some(value), None) = (values.next(), values.next()) else {
        return Err(wrong("a request needs one content-type"));
    };
    let text = value.to_str().unwrap_or_default();
    let mut parts = text.split(';').map(str::trim);
    let media = parts.next().unwrap_or_default();
    if !media.eq_ignore_ascii_case("application/json") {
        return Err(wrong("the content-type must be application/json"));
    }
    let charsets = parts.filter_map(|parameter| {
        let (name, value) = parameter.split_once('=')?;
        name.trim().eq_ignore_ascii_case("charset").then_some(value)
    });
    for charset in charsets {
        if !charset
            .trim()
            .trim_matches('"')
            .eq_ignore_ascii_case("utf-8")
        {
            return Err(wrong("the charset must be utf-8"));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
