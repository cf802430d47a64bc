//! A refusal as a status of gRPC: the same decision, code and sentence as over HTTP.
//!
//! What a machine reads is in the status's details, in the shape that Google's API guide (AIP-193) has
//! for it: the code as `ErrorInfo.reason`, when to come again as `RetryInfo`.

use prost::Message;
use prost_types::{Any, Duration};
use tonic::{Code, Status};

use crate::support::failure::Failure;

impl From<Failure> for Status {
    fn from(failure: Failure) -> Self {
        let problem = failure.problem();
        let reason = problem.code.as_deref().unwrap_or_default();
        let code = code(problem.status, reason);
        let message = problem.detail.as_deref().unwrap_or(&problem.title);
        let mut details = vec![any(
            "google.rpc.ErrorInfo",
            &ErrorInfo {
                reason: reason.to_uppercase().replace('-', "_"),
                domain: DOMAIN.to_owned(),
            },
        )];
        details.extend(problem.retry_after.map(|seconds| {
            let retry_delay = Some(Duration {
                seconds: i64::try_from(seconds).unwrap_or(i64::MAX),
                nanos: 0,
            });
            any("google.rpc.RetryInfo", &RetryInfo { retry_delay })
        }));
        let whole = Whole {
            code: code.into(),
            message: message.to_owned(),
            details,
        };
        Self::with_details(code, message, whole.encode_to_vec().into())
    }
}

/// What an HTTP status says about a thing, and not about a path.
fn code(status: u16, reason: &str) -> Code {
    match status {
        400 => Code::InvalidArgument,
        401 => Code::Unauthenticated,
        403 => Code::PermissionDenied,
        404 => Code::NotFound,
        409 if matches!(reason, "email-taken" | "user-exists") => Code::AlreadyExists,
        409 | 422 => Code::FailedPrecondition,
        429 => Code::ResourceExhausted,
        408 | 504 => Code::DeadlineExceeded,
        425 | 502 | 503 => Code::Unavailable,
        _ => Code::Internal,
    }
}

fn any(kind: &str, message: &impl Message) -> Any {
    Any {
        type_url: format!("type.googleapis.com/{kind}"),
        value: message.encode_to_vec(),
    }
}

/// `google.rpc.Status`, which the metadata `grpc-status-details-bin` carries.
#[derive(Clone, PartialEq, Message)]
struct Whole {
    #[prost(int32, tag = "1")]
    code: i32,
    #[prost(string, tag = "2")]
    message: String,
    #[prost(message, repeated, tag = "3")]
    details: Vec<Any>,
}

/// `google.rpc.ErrorInfo`.
#[derive(Clone, PartialEq, Eq, Message)]
struct ErrorInfo {
    #[prost(string, tag = "1")]
    reason: String,
    #[prost(string, tag = "2")]
    domain: String,
}

/// `google.rpc.RetryInfo`.
#[derive(Clone, PartialEq, Eq, Message)]
struct RetryInfo {
    #[prost(message, optional, tag = "1")]
    retry_delay: Option<Duration>,
}

/// Whose reasons they are.
const DOMAIN: &str = "shop";

#[cfg(test)]
mod tests {
    use http::StatusCode;

    use super::*;

    #[test]
    fn a_refusal_is_the_same_over_grpc() {
        let status = Status::from(Failure::not_found("user"));
        assert_eq!(
            (status.code(), status.message()),
            (Code::NotFound, "there is no such user")
        );
        let whole = Whole::decode(status.details()).expect("a status");
        assert_eq!(whole.details.len(), 1);
        let info = ErrorInfo::decode(&*whole.details[0].value).expect("an ErrorInfo");
        assert_eq!((&*info.reason, &*info.domain), ("NOT_FOUND", "shop"));
    }

    #[test]
    fn what_may_work_later_says_when() {
        let busy = StatusCode::SERVICE_UNAVAILABLE;
        let status = Status::from(Failure::not_yet(busy, "storage-busy", "not now"));
        assert_eq!(status.code(), Code::Unavailable);
        let whole = Whole::decode(status.details()).expect("a status");
        let retry = RetryInfo::decode(&*whole.details[1].value).expect("a RetryInfo");
        assert_eq!(retry.retry_delay.map(|delay| delay.seconds), Some(1));
    }

    #[test]
    fn an_address_that_is_taken_exists_already() {
        let taken = Failure::new(StatusCode::CONFLICT, "email-taken", "taken");
        assert_eq!(Status::from(taken).code(), Code::AlreadyExists);
        let other = Failure::new(StatusCode::CONFLICT, "other", "no");
        assert_eq!(Status::from(other).code(), Code::FailedPrecondition);
    }
}
