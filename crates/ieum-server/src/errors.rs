//! The error codes of the platform: one table, each row with its status, title and page.
//!
//! A code is stable: programs switch on it and people look it up, so a row is never renumbered. The
//! ranges: 1000 the gateway, 2000 the log, 2100 topics and groups, 3000 services on the chassis (and
//! what no server can read), 4000 sagas, 5000 the platform itself. The pages are the files of `docs/errors/`, compiled in, so that a
//! platform without internet explains itself (`GET /api/v1/errors/{code}`).

use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use ieum_base::Retry;
use ieum_http::Problem;
use ieum_remote::wire::Refusal;

/// One row of the table.
#[derive(Debug)]
pub struct ErrorCode {
    /// `IEUM-NNNN`.
    pub code: &'static str,
    /// The HTTP status that it is answered with.
    pub status: u16,
    /// A short text that is the same at each occurrence.
    pub title: &'static str,
    /// What happened and what to do, in Markdown.
    pub page: &'static str,
}

macro_rules! codes {
    ($($name:ident = $status:literal $code:literal $title:literal;)+) => {
        $(
            #[doc = concat!("`", $code, "`: ", $title, ".")]
            pub const $name: &ErrorCode = &ErrorCode {
                code: $code,
                status: $status,
                title: $title,
                page: include_str!(concat!("../../../docs/errors/", $code, ".md")),
            };
        )+

        /// All rows, by code.
        pub const ALL: &[&ErrorCode] = &[$($name),+];
    };
}

codes! {
    GATEWAY_BAD_REQUEST = 400 "IEUM-1000" "Bad Request";
    GATEWAY_AMBIGUOUS_PATH = 400 "IEUM-1001" "Bad Request";
    GATEWAY_URI_TOO_LONG = 414 "IEUM-1002" "URI Too Long";
    GATEWAY_BODY_TOO_LARGE = 413 "IEUM-1003" "Content Too Large";
    GATEWAY_BODY_TIMEOUT = 408 "IEUM-1004" "Request Timeout";
    GATEWAY_UNSUPPORTED_ENCODING = 415 "IEUM-1005" "Unsupported Media Type";
    GATEWAY_UNTRANSLATABLE = 400 "IEUM-1006" "Bad Request";
    GATEWAY_UNSUPPORTED_MEDIA_TYPE = 415 "IEUM-1007" "Unsupported Media Type";
    GATEWAY_WRONG_VERSION = 505 "IEUM-1008" "HTTP Version Not Supported";
    GATEWAY_MESSAGE_TOO_LARGE = 413 "IEUM-1009" "Content Too Large";
    GATEWAY_NO_ROUTE = 404 "IEUM-1010" "Service not found";
    GATEWAY_METHOD_NOT_ALLOWED = 405 "IEUM-1011" "Method Not Allowed";
    GATEWAY_STREAMED_REQUEST = 501 "IEUM-1012" "Not Implemented";
    GATEWAY_DEADLINE = 504 "IEUM-1013" "Gateway Timeout";
    GATEWAY_TOKEN_MISSING = 401 "IEUM-1020" "Unauthorized";
    GATEWAY_TOKEN_INVALID = 401 "IEUM-1021" "Unauthorized";
    GATEWAY_ROLE_MISSING = 403 "IEUM-1022" "Forbidden";
    GATEWAY_POLICY_MISSING = 403 "IEUM-1023" "Forbidden";
    GATEWAY_RATE_LIMITED = 429 "IEUM-1030" "Too Many Requests";
    GATEWAY_NO_INSTANCE = 503 "IEUM-1040" "Service unavailable";
    GATEWAY_BREAKER_OPEN = 503 "IEUM-1041" "Service unavailable";
    GATEWAY_BULKHEAD_FULL = 503 "IEUM-1042" "Service unavailable";
    GATEWAY_UNREACHABLE = 503 "IEUM-1043" "Service unavailable";
    GATEWAY_BAD_GATEWAY = 502 "IEUM-1044" "Bad Gateway";
    GATEWAY_TIMEOUT = 504 "IEUM-1045" "Gateway Timeout";
    GATEWAY_PART_FAILED = 502 "IEUM-1046" "Bad Gateway";
    GATEWAY_NO_SUPERGRAPH = 503 "IEUM-1047" "Service unavailable";
    GATEWAY_NO_DESCRIPTORS = 503 "IEUM-1048" "Service unavailable";
    GATEWAY_GRPC_STATUS = 500 "IEUM-1049" "Internal Server Error";
    GATEWAY_INTERNAL = 500 "IEUM-1099" "Internal Server Error";
    LOG_CONFLICT = 409 "IEUM-2001" "Version conflict";
    LOG_CONDITION_FAILED = 409 "IEUM-2002" "Condition failed";
    LOG_PARTIAL_DUPLICATE = 409 "IEUM-2003" "Partial duplicate";
    LOG_FENCED = 409 "IEUM-2004" "Epoch is over";
    LOG_FOREIGN_CHECKPOINT = 409 "IEUM-2005" "Foreign checkpoint";
    LOG_INVALID = 400 "IEUM-2006" "Invalid append";
    LOG_FULL = 503 "IEUM-2007" "No space left";
    LOG_CORRUPT = 500 "IEUM-2008" "Damaged data";
    LOG_UNAVAILABLE = 503 "IEUM-2009" "Log unavailable";
    LOG_INTERNAL = 500 "IEUM-2010" "Internal error";
    MESSAGE_INVALID = 400 "IEUM-2101" "Invalid message";
    GROUP_BUSY = 409 "IEUM-2102" "Group is busy";
    GROUP_SUPERSEDED = 409 "IEUM-2103" "Superseded";
    TOPICS_FULL = 503 "IEUM-2104" "No space left";
    TOPICS_UNAVAILABLE = 503 "IEUM-2105" "Broker unavailable";
    TOPICS_INTERNAL = 500 "IEUM-2106" "Internal error";
    SERVICE_NO_SUCH_PATH = 404 "IEUM-3001" "No such path";
    SERVICE_METHOD_NOT_ALLOWED = 405 "IEUM-3002" "Method not allowed";
    SERVICE_MALFORMED = 400 "IEUM-3003" "Malformed request";
    SERVICE_NO_IDENTITY = 401 "IEUM-3004" "No identity";
    SERVICE_ROLE_MISSING = 403 "IEUM-3005" "Role missing";
    SERVICE_NOT_THE_OWNER = 403 "IEUM-3006" "Not the owner";
    SERVICE_INTERNAL = 500 "IEUM-3007" "Internal error";
    SERVICE_DEPENDENCY = 503 "IEUM-3008" "Dependency unavailable";
    SERVER_NOT_A_REQUEST = 400 "IEUM-3009" "Not a request";
    SERVER_HEAD_TOO_LARGE = 431 "IEUM-3010" "Head too large";
    SERVER_HEAD_TOO_SLOW = 408 "IEUM-3011" "Head too slow";
    SAGA_UNKNOWN = 404 "IEUM-4001" "Unknown saga";
    SAGA_UNKNOWN_DEFINITION = 404 "IEUM-4002" "Unknown saga definition";
    SAGA_INVALID_DEFINITION = 422 "IEUM-4003" "Invalid saga definition";
    SAGA_INVALID_START = 422 "IEUM-4004" "Invalid start of a saga";
    SAGA_TOO_LARGE = 413 "IEUM-4005" "Input too large";
    SAGA_KEY_REUSED = 422 "IEUM-4006" "Key used for another input";
    SAGA_TOO_LATE = 409 "IEUM-4007" "Saga is past its pivot";
    SAGA_ENDED = 409 "IEUM-4008" "Saga has ended";
    SAGA_NOT_PARKED = 409 "IEUM-4009" "Saga is not parked";
    SAGA_BUSY = 503 "IEUM-4010" "Too many open sagas";
    SAGA_SUPERSEDED = 503 "IEUM-4011" "Saga engine superseded";
    SAGA_UNREADABLE = 500 "IEUM-4012" "Saga cannot be read";
    NO_SUCH_PATH = 404 "IEUM-5001" "No such path";
    METHOD_NOT_ALLOWED = 405 "IEUM-5002" "Method not allowed";
    MALFORMED_BODY = 400 "IEUM-5003" "Malformed request";
    BODY_TOO_LARGE = 413 "IEUM-5004" "Body too large";
    TOKEN_REQUIRED = 401 "IEUM-5005" "Token required";
    FOREIGN_HOST = 403 "IEUM-5006" "Foreign host";
    FOREIGN_ORIGIN = 403 "IEUM-5007" "Foreign origin";
    INTERNAL = 500 "IEUM-5008" "Internal error";
    NOT_FOUND = 404 "IEUM-5009" "Not found";
    MALFORMED_PARAMETER = 400 "IEUM-5010" "Malformed parameter";
    REGISTRATION_INVALID = 400 "IEUM-5011" "Invalid registration";
    REGISTRY_UNAVAILABLE = 503 "IEUM-5012" "Registry unavailable";
    MEDIA_TYPE = 415 "IEUM-5013" "Media type not supported";
    STOPPING = 503 "IEUM-5015" "Stopping";
    NOT_PLAYED = 501 "IEUM-5016" "Role missing";
    TOO_MANY_LISTENERS = 503 "IEUM-5017" "Too many listeners";
}

impl ErrorCode {
    /// The row of `code`, in any case.
    pub fn find(code: &str) -> Option<&'static Self> {
        let row = |row: &&&Self| row.code.eq_ignore_ascii_case(code);
        ALL.iter().find(row).copied()
    }

    /// The problem that a caller is answered with; `detail` says what happened this time.
    pub fn problem(&self, detail: impl Into<String>) -> Problem {
        let status = StatusCode::from_u16(self.status);
        Problem::new(status.unwrap_or(StatusCode::INTERNAL_SERVER_ERROR))
            .code(self.code)
            .title(self.title)
            .kind(format!("/api/v1/errors/{}", self.code))
            .detail(detail)
    }
}

/// What a handler fails with.
#[derive(Debug)]
pub struct ApiError(Problem);

/// The result of a handler.
pub type ApiResult<T> = Result<T, ApiError>;

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        IntoResponse::into_response(self.0)
    }
}

impl From<Problem> for ApiError {
    fn from(problem: Problem) -> Self {
        Self(problem)
    }
}

impl From<Refusal> for ApiError {
    fn from(refusal: Refusal) -> Self {
        let Some(code) = ErrorCode::find(&refusal.code) else {
            return Self(INTERNAL.problem(refusal.detail));
        };
        let mut problem = code.problem(refusal.detail);
        problem.retry_after = refusal.retry_after;
        if let Some(stream) = refusal.stream {
            problem = problem.with("stream", stream.as_str());
        }
        for (name, value) in [("actual", refusal.actual), ("found", refusal.found)] {
            if let Some(value) = value {
                problem = problem.with(name, value);
            }
        }
        Self(problem)
    }
}

impl From<ieum_eventstore::Error> for ApiError {
    fn from(error: ieum_eventstore::Error) -> Self {
        report(error.fault(), &error);
        Refusal::from(&error).into()
    }
}

impl From<ieum_messaging::Error> for ApiError {
    fn from(error: ieum_messaging::Error) -> Self {
        report(error.fault(), &error);
        Refusal::from(&error).into()
    }
}

impl From<ieum_discovery::Error> for ApiError {
    fn from(error: ieum_discovery::Error) -> Self {
        use ieum_discovery::ErrorKind as Kind;
        report(error.fault(), &error);
        let code = match error.kind() {
            Kind::Invalid => REGISTRATION_INVALID,
            Kind::NotFound => NOT_FOUND,
            Kind::Unavailable => REGISTRY_UNAVAILABLE,
            _ => INTERNAL,
        };
        let mut problem = code.problem(error.to_string());
        if let Retry::After(wait) = error.retry() {
            problem = problem.retry_after(wait.as_secs().max(1));
        }
        Self(problem)
    }
}

/// What is our fault is logged with its causes; what is the caller's is only answered.
fn report(fault: ieum_base::Fault, error: &(dyn std::error::Error + 'static)) {
    if fault == ieum_base::Fault::Here {
        tracing::error!(error, "a request failed");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_unique_and_in_order_and_each_has_its_page() {
        assert!(ALL.is_sorted_by(|a, b| a.code < b.code));
        for row in ALL {
            let heading = format!("# {}: {}\n", row.code, row.title);
            assert!(row.page.starts_with(&heading), "{}", row.code);
            assert!(row.page.contains("**What to do.**"), "{}", row.code);
            assert!((400..600).contains(&row.status), "{}", row.code);
        }
    }

    #[test]
    fn what_the_ports_refuse_keeps_its_facts() {
        use ieum_eventstore::{Error, ErrorKind, Version};
        let stream = "order-1".parse().expect("valid");
        let kind = ErrorKind::Conflict {
            stream,
            actual: Version(3),
        };
        let ApiError(problem) = Error::new(kind, "appending").into();
        assert_eq!(problem.status, 409);
        assert_eq!(problem.code.as_deref(), Some("IEUM-2001"));
        assert_eq!(problem.members["actual"], 3);
        assert_eq!(problem.members["stream"], "order-1");
    }

    #[test]
    fn the_table_agrees_with_the_gateway() {
        for code in ieum_gateway::Code::ALL {
            let row = code.row();
            let ours = ErrorCode::find(row.code).expect("in the table");
            let expected = (row.code, row.status.as_u16(), row.title);
            assert_eq!((ours.code, ours.status, ours.title), expected);
        }
    }

    #[test]
    fn the_table_agrees_with_the_wire() {
        use ieum_messaging::{Error, ErrorKind};
        for (kind, code) in [
            (ErrorKind::Busy, GROUP_BUSY),
            (ErrorKind::Superseded, GROUP_SUPERSEDED),
            (ErrorKind::Invalid, MESSAGE_INVALID),
            (ErrorKind::Unavailable, TOPICS_UNAVAILABLE),
        ] {
            let refusal = Refusal::from(&Error::new(kind, "pulling"));
            assert_eq!(refusal.code, code.code);
            assert_eq!(refusal.status, code.status);
            assert_eq!(refusal.title, code.title);
        }
    }
}
