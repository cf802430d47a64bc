//! What the services refuse, in the words of the ports.

use ieum_messaging::{Error, ErrorKind};

/// A call that failed.
#[derive(Debug)]
pub(crate) enum Failure {
    /// The service answered that it will not: its code, in its words.
    Refused {
        code: String,
        message: String,
        status: u16,
    },
    /// There was no answer.
    Unreachable(ieum_http::Error),
    /// The answer is none of the service's.
    Strange(String),
}

impl Failure {
    /// Whether the same call may be taken in a moment.
    pub(crate) fn is_passing(&self) -> bool {
        match self {
            Self::Refused { code, status, .. } => {
                *status >= 500 || *status == 429 || is_throttled(code)
            }
            Self::Unreachable(error) => !matches!(
                error.kind(),
                ieum_http::ErrorKind::Invalid
                    | ieum_http::ErrorKind::Forbidden
                    | ieum_http::ErrorKind::Tls
            ),
            Self::Strange(_) => false,
        }
    }

    /// The topic or the queue is not there.
    pub(crate) fn is_absent(&self) -> bool {
        let absent = |code: &str| {
            let absent = ["QueueDoesNotExist", "NotFound", "NotFoundException"];
            absent.contains(&code) || code.ends_with("NonExistentQueue")
        };
        matches!(self, Self::Refused { code, .. } if absent(code))
    }

    /// As an error of `doing` at `place`, with what to do.
    pub(crate) fn of(self, doing: &str, place: &str) -> Error {
        match self {
            Self::Refused {
                code,
                message,
                status,
            } => refused(doing, place, &code, &message, status),
            Self::Unreachable(error) if error.kind() == ieum_http::ErrorKind::Tls => {
                let why = format!(
                    "{doing}: {place} has no certificate that is trusted, or does not speak TLS \
                     (`scheme=http` for a local stand-in)"
                );
                Error::new(ErrorKind::Invalid, why).caused_by(error)
            }
            Self::Unreachable(error) if error.kind() == ieum_http::ErrorKind::Invalid => {
                let why = format!("{doing}: {place} cannot be called so: correct the URL");
                Error::new(ErrorKind::Invalid, why).caused_by(error)
            }
            Self::Unreachable(error) => {
                let why = format!("{doing} at {place} (check host, port, region and scheme)");
                Error::new(ErrorKind::Unavailable, why).caused_by(error)
            }
            Self::Strange(why) => {
                let why = format!("{doing}: {place} does not answer as SNS and SQS do: {why}");
                Error::new(ErrorKind::Invalid, why)
            }
        }
    }
}

/// Whether a refusal with this code means "later".
pub(crate) fn is_throttled(code: &str) -> bool {
    code.contains("Throttl") || ["TooManyRequestsException", "ServiceUnavailable"].contains(&code)
}

fn refused(doing: &str, place: &str, code: &str, message: &str, status: u16) -> Error {
    let invalid = |what: &str| {
        let why = format!("{doing}: {place} {what} ({code}: {message})");
        Error::new(ErrorKind::Invalid, why)
    };
    match code {
        "InvalidClientTokenId" | "UnrecognizedClientException" | "InvalidAccessKeyId" => {
            invalid("does not know the access key of the URL: correct it")
        }
        "SignatureDoesNotMatch" | "InvalidSignatureException" | "RequestExpired" => invalid(
            "refuses the signature: correct the secret and the region of the URL, and see that this \
             machine's clock is right",
        ),
        "AccessDenied" | "AccessDeniedException" | "AuthorizationError" => invalid(
            "does not let the access key do this: allow it (docs/reference/aws.md names the actions)",
        ),
        "OverLimit" => Error::new(ErrorKind::Full, format!("{doing} at {place} ({message})")),
        _ if status >= 500 || status == 429 || is_throttled(code) => {
            let why = format!("{doing} at {place} ({code}: {message})");
            Error::new(ErrorKind::Unavailable, why)
        }
        _ => invalid("refuses it"),
    }
}
