//! The statuses of gRPC, and what they are in HTTP: the one place of this mapping.
//!
//! There are three questions, with different answers. What does a *client* make of an answer that is
//! not gRPC ([`Code::of_http`]), what does *somebody who refuses in gRPC* mean by an HTTP status
//! ([`Code::of_refusal`]), and what is a status to *those who speak HTTP* ([`Code::http_status`])?

use std::fmt;

use http::{HeaderMap, HeaderValue, StatusCode};

/// The name of the field, in trailers or in an answer of trailers only, that carries the code.
pub const GRPC_STATUS: &str = "grpc-status";

/// A status of gRPC. The numbers are fixed by the protocol.
///
/// Source: the gRPC project's "Status codes and their use in gRPC".
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub enum Code {
    /// It succeeded.
    Ok = 0,
    /// The caller took it back.
    Cancelled = 1,
    /// It failed, and nobody said how.
    Unknown = 2,
    /// The arguments are wrong, whatever the state of the system.
    InvalidArgument = 3,
    /// The deadline passed; it may have happened nevertheless.
    DeadlineExceeded = 4,
    /// What was asked for is not there.
    NotFound = 5,
    /// What was to be made is there already.
    AlreadyExists = 6,
    /// The caller is known and may not.
    PermissionDenied = 7,
    /// A quota, a limit or a store is used up.
    ResourceExhausted = 8,
    /// The system is not in a state in which it can be done.
    FailedPrecondition = 9,
    /// It lost against another change; the whole may be tried again.
    Aborted = 10,
    /// Beyond the end.
    OutOfRange = 11,
    /// Nobody serves this method.
    Unimplemented = 12,
    /// Something is broken inside.
    Internal = 13,
    /// Nobody is there to serve it now.
    Unavailable = 14,
    /// Data is lost or damaged.
    DataLoss = 15,
    /// The caller is not known.
    Unauthenticated = 16,
}

impl Code {
    /// All, by their numbers.
    pub const ALL: [Self; 17] = [
        Self::Ok,
        Self::Cancelled,
        Self::Unknown,
        Self::InvalidArgument,
        Self::DeadlineExceeded,
        Self::NotFound,
        Self::AlreadyExists,
        Self::PermissionDenied,
        Self::ResourceExhausted,
        Self::FailedPrecondition,
        Self::Aborted,
        Self::OutOfRange,
        Self::Unimplemented,
        Self::Internal,
        Self::Unavailable,
        Self::DataLoss,
        Self::Unauthenticated,
    ];

    /// Its number on the wire.
    pub const fn number(self) -> u8 {
        self as u8
    }

    /// The code with this number.
    pub fn from_number(number: u8) -> Option<Self> {
        Self::ALL.get(usize::from(number)).copied()
    }

    /// The code of a `grpc-status` field. What is no code is [`Self::Unknown`], as the protocol says.
    pub fn of_field(value: &HeaderValue) -> Self {
        let digits = value.as_bytes();
        let number = match digits {
            [one @ b'0'..=b'9'] => Some(one - b'0'),
            [b'1', one @ b'0'..=b'9'] => Some(10 + one - b'0'),
            _ => None,
        };
        number.and_then(Self::from_number).unwrap_or(Self::Unknown)
    }

    /// The code in trailers, or in the head of an answer of trailers only; `None` if they have none.
    pub fn of_fields(fields: &HeaderMap) -> Option<Self> {
        fields.get(GRPC_STATUS).map(Self::of_field)
    }

    /// The value of a `grpc-status` field.
    pub fn field(self) -> HeaderValue {
        HeaderValue::from(u16::from(self.number()))
    }

    /// Its name in the protocol's documents: `DEADLINE_EXCEEDED`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Ok => "OK",
            Self::Cancelled => "CANCELLED",
            Self::Unknown => "UNKNOWN",
            Self::InvalidArgument => "INVALID_ARGUMENT",
            Self::DeadlineExceeded => "DEADLINE_EXCEEDED",
            Self::NotFound => "NOT_FOUND",
            Self::AlreadyExists => "ALREADY_EXISTS",
            Self::PermissionDenied => "PERMISSION_DENIED",
            Self::ResourceExhausted => "RESOURCE_EXHAUSTED",
            Self::FailedPrecondition => "FAILED_PRECONDITION",
            Self::Aborted => "ABORTED",
            Self::OutOfRange => "OUT_OF_RANGE",
            Self::Unimplemented => "UNIMPLEMENTED",
            Self::Internal => "INTERNAL",
            Self::Unavailable => "UNAVAILABLE",
            Self::DataLoss => "DATA_LOSS",
            Self::Unauthenticated => "UNAUTHENTICATED",
        }
    }

    /// What a client makes of an answer without `grpc-status`: somebody on the way answered who does
    /// not speak gRPC.
    ///
    /// Source: the gRPC project's "HTTP to gRPC Status Code Mapping".
    pub fn of_http(status: StatusCode) -> Self {
        match status.as_u16() {
            400 | 431 => Self::Internal,
            401 => Self::Unauthenticated,
            403 => Self::PermissionDenied,
            404 => Self::Unimplemented,
            429 | 502 | 503 | 504 => Self::Unavailable,
            _ => Self::Unknown,
        }
    }

    /// The code with which somebody refuses who speaks gRPC and would otherwise answer `status`.
    ///
    /// It follows the meaning of the codes and not [`Self::of_http`], which has to guess: a rate limit
    /// is a resource used up, and a gateway's timeout is a deadline. A path names a method, so that
    /// nobody at it is a method that nobody implements.
    pub fn of_refusal(status: StatusCode) -> Self {
        match status.as_u16() {
            401 => Self::Unauthenticated,
            403 => Self::PermissionDenied,
            404 | 405 | 501 => Self::Unimplemented,
            408 | 504 => Self::DeadlineExceeded,
            409 => Self::Aborted,
            412 => Self::FailedPrecondition,
            413 | 414 | 429 | 431 => Self::ResourceExhausted,
            499 => Self::Cancelled,
            400..=499 => Self::InvalidArgument,
            502 | 503 => Self::Unavailable,
            500..=599 => Self::Internal,
            _ => Self::Unknown,
        }
    }

    /// What it is to those who speak HTTP.
    ///
    /// Source: the comments of `google/rpc/code.proto`.
    pub fn http_status(self) -> StatusCode {
        let status = match self {
            Self::Ok => 200,
            Self::InvalidArgument | Self::FailedPrecondition | Self::OutOfRange => 400,
            Self::Unauthenticated => 401,
            Self::PermissionDenied => 403,
            Self::NotFound => 404,
            Self::AlreadyExists | Self::Aborted => 409,
            Self::ResourceExhausted => 429,
            Self::Cancelled => 499,
            Self::Unknown | Self::Internal | Self::DataLoss => 500,
            Self::Unimplemented => 501,
            Self::Unavailable => 503,
            Self::DeadlineExceeded => 504,
        };
        StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
    }

    /// True if it tells against the endpoint that answered: breakers count it.
    ///
    /// These are the codes that both linkerd (its default failure codes) and Envoy (whose outlier
    /// detection counts what is 5xx in HTTP) count. Not `PERMISSION_DENIED`, which linkerd counts, nor
    /// `UNIMPLEMENTED`, which Envoy counts: any caller can provoke them at a healthy endpoint.
    pub const fn is_failure(self) -> bool {
        matches!(
            self,
            Self::Unknown
                | Self::DeadlineExceeded
                | Self::Internal
                | Self::Unavailable
                | Self::DataLoss
        )
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_survives_its_field() {
        for code in Code::ALL {
            assert_eq!(Code::of_field(&code.field()), code);
            assert_eq!(Code::from_number(code.number()), Some(code));
        }
        assert_eq!(Code::from_number(17), None);
    }

    #[test]
    fn what_is_no_code_is_unknown() {
        for text in ["", "17", "20", "-1", "00", "x", "1 ", "100"] {
            let value = HeaderValue::from_str(text).expect("a field's value");
            assert_eq!(Code::of_field(&value), Code::Unknown, "{text:?}");
        }
        assert_eq!(Code::of_fields(&HeaderMap::new()), None);
    }

    #[test]
    fn a_refusal_says_what_it_means_and_not_what_a_client_would_guess() {
        let check = |status: u16, guessed: Code, meant: Code| {
            let status = StatusCode::from_u16(status).expect("a status");
            assert_eq!(Code::of_http(status), guessed, "{status}");
            assert_eq!(Code::of_refusal(status), meant, "{status}");
        };
        check(400, Code::Internal, Code::InvalidArgument);
        check(401, Code::Unauthenticated, Code::Unauthenticated);
        check(403, Code::PermissionDenied, Code::PermissionDenied);
        check(404, Code::Unimplemented, Code::Unimplemented);
        check(413, Code::Unknown, Code::ResourceExhausted);
        check(429, Code::Unavailable, Code::ResourceExhausted);
        check(500, Code::Unknown, Code::Internal);
        check(502, Code::Unavailable, Code::Unavailable);
        check(503, Code::Unavailable, Code::Unavailable);
        check(504, Code::Unavailable, Code::DeadlineExceeded);
    }

    #[test]
    fn only_success_is_a_success_in_http() {
        for code in Code::ALL {
            assert_eq!(code.http_status().is_success(), code == Code::Ok, "{code}");
        }
    }
}
