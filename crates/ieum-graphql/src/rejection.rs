//! Why a request is not executed: the *request errors* of the specification.
//!
//! Every error has a message for the client's developer, its place in the document or the variables
//! where that is known, and a stable `extensions.code`. None shows what is behind the gateway.

use std::fmt;

use bytes::Bytes;
use graphql_tools::parser::Pos;
use ieum_base::{Fault, Retry};
use serde::ser::{SerializeMap, Serializer};
use serde::{Deserialize, Serialize};

use crate::limits::{Exceeded, Limit};

/// A request that was refused before execution.
#[derive(Clone)]
pub struct Rejection(Box<Inner>);

#[derive(Clone)]
struct Inner {
    reason: Reason,
    errors: Vec<RequestError>,
}

/// Why a request was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Reason {
    /// The request has not the shape of a GraphQL request.
    Malformed,
    /// The HTTP method is neither GET nor POST.
    Method,
    /// The body's media type is not JSON in UTF-8.
    ContentType,
    /// The client accepts none of the media types that are offered.
    NotAcceptable,
    /// The document is not GraphQL.
    Syntax,
    /// The document does not fit the schema.
    Validation,
    /// The document has not the operation that was asked for.
    Operation,
    /// A variable has a wrong value.
    Variables,
    /// A limit is passed.
    Limit(Limit),
    /// Introspection is switched off.
    Introspection,
    /// Subscriptions are not supported.
    Subscription,
    /// A mutation came by a method that may only read.
    MutationNotAllowed,
    /// Planning took longer than it may.
    PlanningTimeout,
    /// There is no plan: the supergraph cannot answer the operation.
    Planning,
}

impl Reason {
    /// The `extensions.code` of its errors.
    pub fn code(self) -> &'static str {
        match self {
            Self::Malformed => "BAD_REQUEST",
            Self::Method => "METHOD_NOT_ALLOWED",
            Self::ContentType => "UNSUPPORTED_MEDIA_TYPE",
            Self::NotAcceptable => "NOT_ACCEPTABLE",
            Self::Syntax => "GRAPHQL_PARSE_FAILED",
            Self::Validation => "GRAPHQL_VALIDATION_FAILED",
            Self::Operation => "OPERATION_RESOLUTION_FAILURE",
            Self::Variables => "BAD_USER_INPUT",
            Self::Limit(limit) => limit.code(),
            Self::Introspection => "INTROSPECTION_DISABLED",
            Self::Subscription => "SUBSCRIPTIONS_NOT_SUPPORTED",
            Self::MutationNotAllowed => "MUTATION_NOT_ALLOWED",
            Self::PlanningTimeout => "PLANNING_TIMEOUT",
            Self::Planning => "QUERY_PLANNING_FAILED",
        }
    }
}

/// One error of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RequestError {
    message: String,
    locations: Vec<Location>,
    code: &'static str,
}

/// A place in a document; both count from 1, columns in characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Location {
    /// The line.
    pub line: usize,
    /// The column.
    pub column: usize,
}

impl RequestError {
    /// What is wrong, for the developer of the client.
    pub fn message(&self) -> &str {
        &self.message
    }

    /// Where in the document; empty if it is not about the document.
    pub fn locations(&self) -> &[Location] {
        &self.locations
    }

    /// The stable code.
    pub fn code(&self) -> &'static str {
        self.code
    }
}

impl Serialize for RequestError {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        struct Extensions {
            code: &'static str,
        }
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("message", &self.message)?;
        if !self.locations.is_empty() {
            map.serialize_entry("locations", &self.locations)?;
        }
        map.serialize_entry("extensions", &Extensions { code: self.code })?;
        map.end()
    }
}

impl Rejection {
    /// A rejection with one error that has no place in the document.
    pub fn new(reason: Reason, message: impl Into<String>) -> Self {
        Self::at(reason, message, [])
    }

    /// A rejection with one error at these places.
    pub(crate) fn at(
        reason: Reason,
        message: impl Into<String>,
        places: impl IntoIterator<Item = Pos>,
    ) -> Self {
        let mut rejection = Self(Box::new(Inner {
            reason,
            errors: Vec::new(),
        }));
        rejection.push(message.into(), places);
        rejection
    }

    /// Adds an error; beyond [`MAX_ERRORS`] it is dropped.
    pub(crate) fn push(&mut self, message: String, places: impl IntoIterator<Item = Pos>) {
        if self.0.errors.len() >= MAX_ERRORS {
            return;
        }
        let locations = places.into_iter().take(MAX_LOCATIONS).map(|pos| Location {
            line: pos.line,
            column: pos.column,
        });
        self.0.errors.push(RequestError {
            message: shorten(message),
            locations: locations.collect(),
            code: self.0.reason.code(),
        });
    }

    /// Why the request was refused.
    pub fn reason(&self) -> Reason {
        self.0.reason
    }

    /// The errors, at least one, at most 20.
    pub fn errors(&self) -> &[RequestError] {
        &self.0.errors
    }

    /// Whose fault it is.
    pub fn fault(&self) -> Fault {
        match self.reason() {
            Reason::Planning => Fault::Here,
            _ => Fault::Caller,
        }
    }

    /// Whether the same request may be sent again.
    pub fn retry(&self) -> Retry {
        match self.reason() {
            Reason::PlanningTimeout => Retry::SOON,
            _ => Retry::Never,
        }
    }

    /// The body of the answer: `{"errors":[…]}`, without `data`.
    pub fn body(&self) -> Bytes {
        #[derive(Serialize)]
        struct Body<'a> {
            errors: &'a [RequestError],
        }
        let body = Body {
            errors: self.errors(),
        };
        // Strings and numbers always have a form in JSON.
        serde_json::to_vec(&body).unwrap_or_default().into()
    }

    /// The body if it was found out while executing: `{"data":null,"errors":[…]}`.
    pub(crate) fn body_of_execution(&self) -> Bytes {
        let mut body = b"{\"data\":null,".to_vec();
        body.extend_from_slice(self.body().get(1..).unwrap_or_default());
        body.into()
    }
}

impl From<Exceeded> for Rejection {
    fn from(exceeded: Exceeded) -> Self {
        Self::at(
            Reason::Limit(exceeded.limit),
            exceeded.to_string(),
            exceeded.pos,
        )
    }
}

impl fmt::Display for Rejection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let first = self
            .errors()
            .first()
            .map_or("refused", RequestError::message);
        f.write_str(first)
    }
}

impl fmt::Debug for Rejection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}({self})", self.reason())
    }
}

impl std::error::Error for Rejection {}

/// Names in a message come from the document and may be as long as that.
fn shorten(message: String) -> String {
    if message.len() <= MAX_MESSAGE_BYTES {
        return message;
    }
    let mut end = MAX_MESSAGE_BYTES;
    while !message.is_char_boundary(end) {
        end -= 1;
    }
    format!("{}…", &message[..end])
}

const MAX_ERRORS: usize = 20;
const MAX_LOCATIONS: usize = 10;
const MAX_MESSAGE_BYTES: usize = 500;
