//! Errors on the wire: problem details (RFC 9457).
//!
//! Every error that leaves a process of ieum has this shape, whatever part of it failed, so that a
//! client needs one decoder. `code` is stable: programs switch on it, people look its page up.

use std::borrow::Cow;
use std::ops::{Deref, DerefMut};

use bytes::Bytes;
use http::header::{CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderValue, Response, StatusCode};
use http_body_util::Full;
use ieum_base::redact;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// The media type of problem details.
pub const MEDIA_TYPE: &str = "application/problem+json";

/// An error as its receiver sees it. A pointer wide, so that a `Result` with it stays small; its
/// members are those of [`Details`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(transparent)]
pub struct Problem(Box<Details>);

/// The members of a problem document.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[schemars(rename = "Problem")]
pub struct Details {
    /// A URI that names the kind of problem; `about:blank` says that the title tells it all.
    #[serde(rename = "type", default = "about_blank")]
    pub kind: Cow<'static, str>,
    /// A short name of the kind, the same at each occurrence.
    #[serde(default)]
    pub title: Cow<'static, str>,
    /// The HTTP status, 400 to 599.
    #[serde(default)]
    pub status: u16,
    /// What happened this time, for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
    /// The URI of this occurrence.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub instance: Option<String>,
    /// The stable code: `IEUM-NNNN` for ieum's own, a word such as `insufficient-inventory` for a
    /// service's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<Cow<'static, str>>,
    /// Seconds after which another attempt makes sense; sent as the header `Retry-After`.
    #[serde(
        default,
        rename = "retryAfter",
        skip_serializing_if = "Option::is_none"
    )]
    pub retry_after: Option<u64>,
    /// Further members.
    #[serde(flatten)]
    pub members: Map<String, Value>,
}

const fn about_blank() -> Cow<'static, str> {
    Cow::Borrowed("about:blank")
}

impl Problem {
    /// A problem of this status; its title is the status's reason phrase until another is set.
    pub fn new(status: StatusCode) -> Self {
        Self(Box::new(Details {
            kind: about_blank(),
            title: Cow::Borrowed(status.canonical_reason().unwrap_or("Error")),
            status: status.as_u16(),
            detail: None,
            instance: None,
            code: None,
            retry_after: None,
            members: Map::new(),
        }))
    }

    /// The same problem with its stable code.
    #[must_use]
    pub fn code(mut self, code: impl Into<Cow<'static, str>>) -> Self {
        self.0.code = Some(code.into());
        self
    }

    /// The same problem with another title.
    #[must_use]
    pub fn title(mut self, title: impl Into<Cow<'static, str>>) -> Self {
        self.0.title = title.into();
        self
    }

    /// The same problem with another type URI.
    #[must_use]
    pub fn kind(mut self, uri: impl Into<Cow<'static, str>>) -> Self {
        self.0.kind = uri.into();
        self
    }

    /// The same problem with what happened this time. Never put a secret in here; what can be
    /// recognised as one is hidden, for a detail often quotes its request.
    #[must_use]
    pub fn detail(mut self, detail: impl Into<String>) -> Self {
        let detail = detail.into();
        self.0.detail = Some(match redact::text(&detail) {
            Cow::Borrowed(_) => detail,
            Cow::Owned(shown) => shown,
        });
        self
    }

    /// The same problem with the path of this occurrence, without secrets in it.
    #[must_use]
    pub fn instance(mut self, path: &str) -> Self {
        self.0.instance = Some(redact::path(path).into_owned());
        self
    }

    /// The same problem with a `Retry-After` of so many seconds.
    #[must_use]
    pub fn retry_after(mut self, seconds: u64) -> Self {
        self.0.retry_after = Some(seconds);
        self
    }

    /// The same problem with one more member. A name that the RFC defines is ignored.
    #[must_use]
    pub fn with(mut self, name: impl Into<String>, value: impl Into<Value>) -> Self {
        let name = name.into();
        if !RESERVED.contains(&name.as_str()) {
            self.0.members.insert(name, value.into());
        }
        self
    }

    /// The status as a type; 500 if it is not one.
    pub fn status_code(&self) -> StatusCode {
        StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
    }

    /// The response that carries it; in its extensions also as it is, for whoever logs it.
    pub fn into_response<B: From<Bytes>>(self) -> Response<B> {
        // A map of JSON values always serialises.
        let body = serde_json::to_vec(&self).unwrap_or_default();
        let mut response = Response::new(B::from(Bytes::from(body)));
        *response.status_mut() = self.status_code();
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(MEDIA_TYPE));
        if let Some(seconds) = self.retry_after {
            headers.insert(RETRY_AFTER, HeaderValue::from(seconds));
        }
        response.extensions_mut().insert(self);
        response
    }

    /// The problem in a collected answer. An answer that is no problem document (a proxy's HTML, an
    /// empty body) becomes one of its status, so that a caller has one shape to look at.
    pub fn from_response(response: &Response<Bytes>) -> Self {
        let parsed = is_problem(response.headers())
            .then(|| serde_json::from_slice::<Self>(response.body()).ok())
            .flatten();
        let mut problem = parsed.unwrap_or_else(|| Self::new(response.status()));
        problem.status = response.status().as_u16();
        if problem.title.is_empty() {
            problem.title = Self::new(response.status()).0.title;
        }
        if problem.retry_after.is_none() {
            problem.retry_after = response
                .headers()
                .get(RETRY_AFTER)
                .and_then(|value| value.to_str().ok()?.trim().parse().ok());
        }
        problem
    }
}

/// True if the headers announce problem details.
pub fn is_problem(headers: &http::HeaderMap) -> bool {
    headers
        .get(CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .is_some_and(|value| {
            let media_type = value.split(';').next().unwrap_or_default().trim();
            media_type.eq_ignore_ascii_case(MEDIA_TYPE)
        })
}

impl std::fmt::Display for Problem {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}", self.status, self.title)?;
        if let Some(code) = &self.code {
            write!(f, " ({code})")?;
        }
        match &self.detail {
            Some(detail) => write!(f, ": {detail}"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for Problem {}

impl Deref for Problem {
    type Target = Details;

    fn deref(&self) -> &Details {
        &self.0
    }
}

impl DerefMut for Problem {
    fn deref_mut(&mut self) -> &mut Details {
        &mut self.0
    }
}

impl From<Problem> for Response<Full<Bytes>> {
    fn from(problem: Problem) -> Self {
        problem.into_response()
    }
}

#[cfg(feature = "axum")]
impl axum::response::IntoResponse for Problem {
    fn into_response(self) -> axum::response::Response {
        Self::into_response::<axum::body::Body>(self)
    }
}

const RESERVED: [&str; 7] = [
    "type",
    "title",
    "status",
    "detail",
    "instance",
    "code",
    "retryAfter",
];

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn collected(problem: Problem) -> Response<Bytes> {
        problem.into_response()
    }

    #[test]
    fn the_document_has_the_members_of_the_rfc_and_our_code() {
        let problem = Problem::new(StatusCode::CONFLICT)
            .code("IEUM-0412")
            .detail("stream is at version 3")
            .with("actual", 3)
            .with("status", 200);
        assert_eq!(
            serde_json::to_value(&problem).expect("serialises"),
            json!({
                "type": "about:blank", "title": "Conflict", "status": 409,
                "code": "IEUM-0412", "detail": "stream is at version 3", "actual": 3,
            }),
        );
    }

    #[test]
    fn a_problem_repeats_no_secret_of_its_request() {
        let problem = Problem::new(StatusCode::NOT_FOUND)
            .detail("there is no order `4242424242424242` at http://u:hunter2@host/")
            .instance("/orders/4242424242424242");
        let expected = "there is no order `***` at http://***@host/";
        assert_eq!(problem.detail.as_deref(), Some(expected));
        assert_eq!(problem.instance.as_deref(), Some("/orders/***"));
    }

    #[test]
    fn a_problem_survives_the_wire() {
        let problem = Problem::new(StatusCode::TOO_MANY_REQUESTS)
            .code("IEUM-0429")
            .retry_after(7)
            .with("limit", 100);
        let response = collected(problem.clone());
        assert_eq!(response.headers()[RETRY_AFTER], "7");
        assert_eq!(response.headers()[CONTENT_TYPE], MEDIA_TYPE);
        assert_eq!(Problem::from_response(&response), problem);
    }

    #[test]
    fn an_answer_that_is_no_problem_document_becomes_one() {
        let response = Response::builder()
            .status(503)
            .header(RETRY_AFTER, "2")
            .header(CONTENT_TYPE, "text/html")
            .body(Bytes::from_static(b"<h1>sorry</h1>"))
            .expect("valid");
        let problem = Problem::from_response(&response);
        assert_eq!(
            (problem.status, &*problem.title),
            (503, "Service Unavailable")
        );
        assert_eq!(problem.retry_after, Some(2));
    }

    #[test]
    fn the_status_line_wins_over_the_document() {
        let response = Response::builder()
            .status(502)
            .header(CONTENT_TYPE, "application/problem+json; charset=utf-8")
            .body(Bytes::from_static(br#"{"status":200,"title":"odd"}"#))
            .expect("valid");
        assert_eq!(Problem::from_response(&response).status, 502);
    }
}
