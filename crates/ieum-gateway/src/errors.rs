//! Every error that the gateway answers by itself: code, status and title in one table.
//!
//! Codes are stable: programs switch on them and people look their pages up. Titles are those that
//! the guides use. What an upstream answers passes through as it is and never gets a code of ours.

mod grpc;

use std::borrow::Cow;
use std::time::Duration;

use http::header::{ALLOW, WWW_AUTHENTICATE};
use http::{HeaderName, HeaderValue, StatusCode};
use ieum_base::Fault;
use ieum_grpc::Code as GrpcCode;
use ieum_http::Problem;

/// Why the gateway refused a request, or failed to have it answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Code {
    /// The request cannot be understood, or not safely.
    BadRequest,
    /// The path could mean different things to different readers.
    AmbiguousPath,
    /// The target is longer than allowed.
    UriTooLong,
    /// The body is larger than allowed.
    BodyTooLarge,
    /// The body did not arrive in time.
    BodyTimeout,
    /// The body has a content coding that is not decoded here.
    UnsupportedEncoding,
    /// The request cannot be translated for the service.
    Untranslatable,
    /// The body has a media type that the route does not take.
    UnsupportedMediaType,
    /// gRPC was asked for over something other than HTTP/2.
    GrpcNeedsHttp2,
    /// A message of gRPC is larger than allowed.
    MessageTooLarge,
    /// No route has this path.
    NoRoute,
    /// Routes have this path, none of them this method.
    MethodNotAllowed,
    /// The method takes a stream of messages, which one request cannot be.
    StreamedRequest,
    /// The deadline that the caller set has passed.
    DeadlinePassed,
    /// The route asks for a token and there is none.
    TokenMissing,
    /// The token is not valid.
    TokenInvalid,
    /// The caller has none of the roles.
    RoleMissing,
    /// The route does not say who may call it.
    PolicyMissing,
    /// The rate limit is used up.
    RateLimited,
    /// No instance of the service is available.
    NoInstance,
    /// The circuit breaker of every endpoint is open.
    BreakerOpen,
    /// As many requests as allowed are in flight and waiting.
    BulkheadFull,
    /// No connection to the upstream could be opened.
    Unreachable,
    /// The upstream broke off, or did not speak HTTP.
    BadGateway,
    /// The upstream did not answer in time.
    Timeout,
    /// A part of a composed answer failed.
    PartFailed,
    /// The graph of the route was not composed yet.
    NoSupergraph,
    /// The descriptors of the route's services are not there yet.
    NoDescriptors,
    /// The service answered with a status of gRPC; the answer has that one's status.
    GrpcStatus,
    /// A defect of the gateway.
    Internal,
}

/// One row of the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Row {
    /// The stable code.
    pub code: &'static str,
    /// The status of the answer.
    pub status: StatusCode,
    /// The title of the problem details.
    pub title: &'static str,
    /// Whose fault it is.
    pub fault: Fault,
}

impl Code {
    /// All codes, in the order of their numbers.
    pub const ALL: [Self; 30] = [
        Self::BadRequest,
        Self::AmbiguousPath,
        Self::UriTooLong,
        Self::BodyTooLarge,
        Self::BodyTimeout,
        Self::UnsupportedEncoding,
        Self::Untranslatable,
        Self::UnsupportedMediaType,
        Self::GrpcNeedsHttp2,
        Self::MessageTooLarge,
        Self::NoRoute,
        Self::MethodNotAllowed,
        Self::StreamedRequest,
        Self::DeadlinePassed,
        Self::TokenMissing,
        Self::TokenInvalid,
        Self::RoleMissing,
        Self::PolicyMissing,
        Self::RateLimited,
        Self::NoInstance,
        Self::BreakerOpen,
        Self::BulkheadFull,
        Self::Unreachable,
        Self::BadGateway,
        Self::Timeout,
        Self::PartFailed,
        Self::NoSupergraph,
        Self::NoDescriptors,
        Self::GrpcStatus,
        Self::Internal,
    ];

    /// Its row.
    pub const fn row(self) -> Row {
        use Fault::{Caller, Here, Upstream};
        let (code, status, title, fault) = match self {
            Self::BadRequest => ("IEUM-1000", 400, "Bad Request", Caller),
            Self::AmbiguousPath => ("IEUM-1001", 400, "Bad Request", Caller),
            Self::UriTooLong => ("IEUM-1002", 414, "URI Too Long", Caller),
            Self::BodyTooLarge => ("IEUM-1003", 413, "Content Too Large", Caller),
            Self::BodyTimeout => ("IEUM-1004", 408, "Request Timeout", Caller),
            Self::UnsupportedEncoding => ("IEUM-1005", 415, "Unsupported Media Type", Caller),
            Self::Untranslatable => ("IEUM-1006", 400, "Bad Request", Caller),
            Self::UnsupportedMediaType => ("IEUM-1007", 415, "Unsupported Media Type", Caller),
            Self::GrpcNeedsHttp2 => ("IEUM-1008", 505, "HTTP Version Not Supported", Caller),
            Self::MessageTooLarge => ("IEUM-1009", 413, "Content Too Large", Caller),
            Self::NoRoute => ("IEUM-1010", 404, "Service not found", Caller),
            Self::MethodNotAllowed => ("IEUM-1011", 405, "Method Not Allowed", Caller),
            Self::StreamedRequest => ("IEUM-1012", 501, "Not Implemented", Caller),
            Self::DeadlinePassed => ("IEUM-1013", 504, "Gateway Timeout", Caller),
            Self::TokenMissing => ("IEUM-1020", 401, "Unauthorized", Caller),
            Self::TokenInvalid => ("IEUM-1021", 401, "Unauthorized", Caller),
            Self::RoleMissing => ("IEUM-1022", 403, "Forbidden", Caller),
            Self::PolicyMissing => ("IEUM-1023", 403, "Forbidden", Here),
            Self::RateLimited => ("IEUM-1030", 429, "Too Many Requests", Caller),
            Self::NoInstance => ("IEUM-1040", 503, "Service unavailable", Upstream),
            Self::BreakerOpen => ("IEUM-1041", 503, "Service unavailable", Upstream),
            Self::BulkheadFull => ("IEUM-1042", 503, "Service unavailable", Upstream),
            Self::Unreachable => ("IEUM-1043", 503, "Service unavailable", Upstream),
            Self::BadGateway => ("IEUM-1044", 502, "Bad Gateway", Upstream),
            Self::Timeout => ("IEUM-1045", 504, "Gateway Timeout", Upstream),
            Self::PartFailed => ("IEUM-1046", 502, "Bad Gateway", Upstream),
            Self::NoSupergraph => ("IEUM-1047", 503, "Service unavailable", Upstream),
            Self::NoDescriptors => ("IEUM-1048", 503, "Service unavailable", Upstream),
            Self::GrpcStatus => ("IEUM-1049", 500, "Internal Server Error", Upstream),
            Self::Internal => ("IEUM-1099", 500, "Internal Server Error", Here),
        };
        Row {
            code,
            status: match StatusCode::from_u16(status) {
                Ok(status) => status,
                Err(_) => StatusCode::INTERNAL_SERVER_ERROR,
            },
            title,
            fault,
        }
    }
}

/// A request that the gateway answers with a problem.
#[derive(Debug)]
pub(crate) struct Refusal {
    pub(crate) code: Code,
    detail: Cow<'static, str>,
    retry_after: Option<u64>,
    headers: Vec<(HeaderName, HeaderValue)>,
    members: Vec<(&'static str, serde_json::Value)>,
    /// The status in gRPC, if not the one that belongs to the code.
    grpc: Option<GrpcCode>,
}

impl Refusal {
    /// `detail` is for people; it never holds a secret.
    pub(crate) fn new(code: Code, detail: impl Into<Cow<'static, str>>) -> Box<Self> {
        let headers = match code {
            Code::TokenMissing => vec![(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"))],
            Code::TokenInvalid => {
                let challenge = HeaderValue::from_static("Bearer error=\"invalid_token\"");
                vec![(WWW_AUTHENTICATE, challenge)]
            }
            _ => Vec::new(),
        };
        Box::new(Self {
            code,
            detail: detail.into(),
            retry_after: None,
            headers,
            members: Vec::new(),
            grpc: None,
        })
    }

    /// With a `Retry-After`, in whole seconds, rounded up.
    pub(crate) fn retry_after(mut self: Box<Self>, wait: Duration) -> Box<Self> {
        self.retry_after = Some(wait.as_millis().div_ceil(1_000).max(1) as u64);
        self
    }

    /// With the methods that are allowed.
    pub(crate) fn allow(mut self: Box<Self>, methods: &str) -> Box<Self> {
        if let Ok(methods) = HeaderValue::from_str(methods) {
            self.headers.push((ALLOW, methods));
        }
        self
    }

    /// With one more header.
    pub(crate) fn header(mut self: Box<Self>, name: HeaderName, value: HeaderValue) -> Box<Self> {
        self.headers.push((name, value));
        self
    }

    /// With one more member of the problem document.
    pub(crate) fn member(
        mut self: Box<Self>,
        name: &'static str,
        value: impl Into<serde_json::Value>,
    ) -> Box<Self> {
        self.members.push((name, value.into()));
        self
    }

    /// The answer.
    pub(crate) fn into_response<B: From<bytes::Bytes>>(self, instance: &str) -> http::Response<B> {
        let mut response = self.problem().instance(instance).into_response();
        for (name, value) in self.headers {
            response.headers_mut().append(name, value);
        }
        response
    }

    /// The problem document.
    pub(crate) fn problem(&self) -> Problem {
        let row = self.code.row();
        let mut problem = Problem::new(row.status)
            .code(row.code)
            .title(row.title)
            .detail(self.detail.clone());
        problem.retry_after = self.retry_after;
        for (name, value) in &self.members {
            problem = problem.with(*name, value.clone());
        }
        problem
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_unique_and_in_order() {
        let codes: Vec<_> = Code::ALL.iter().map(|code| code.row().code).collect();
        assert!(codes.is_sorted_by(|a, b| a < b), "{codes:?}");
    }

    #[test]
    fn a_refusal_is_a_problem_with_the_guides_title() {
        let refusal = Refusal::new(Code::NoRoute, "no route has this path");
        let response: http::Response<bytes::Bytes> = refusal.into_response("/nowhere");
        assert_eq!(response.status(), 404);
        let body: serde_json::Value = serde_json::from_slice(response.body()).expect("JSON");
        assert_eq!(body["title"], "Service not found");
        assert_eq!(body["code"], "IEUM-1010");
        assert_eq!(body["instance"], "/nowhere");
    }

    #[test]
    fn waits_are_rounded_up_to_seconds() {
        let refusal = Refusal::new(Code::RateLimited, "slow down");
        let refusal = refusal.retry_after(Duration::from_millis(1_200));
        assert_eq!(refusal.problem().retry_after, Some(2));
    }
}
