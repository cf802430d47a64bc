//! What NATS and JetStream answer, in the words of the ports.

use async_nats::jetstream::{self, ErrorCode};
use async_nats::{ConnectError, ConnectErrorKind};
use ieum_base::EngineUrl;
use ieum_messaging::{Error, ErrorKind};

/// What JetStream refuses, as an error of `doing`. A refusal that is expected is looked at before.
pub(crate) fn refused(doing: &str, error: jetstream::Error) -> Error {
    let kind = match error.error_code() {
        ErrorCode::INSUFFICIENT_RESOURCES
        | ErrorCode::STORAGE_RESOURCES_EXCEEDED
        | ErrorCode::MEMORY_RESOURCES_EXCEEDED
        | ErrorCode::ACCOUNT_RESOURCES_EXCEEDED
        | ErrorCode::MAXIMUM_STREAMS_LIMIT
        | ErrorCode::MAXIMUM_CONSUMERS_LIMIT
        | ErrorCode::STREAM_STORE_FAILED => ErrorKind::Full,
        ErrorCode::STREAM_MESSAGE_EXCEEDS_MAXIMUM | ErrorCode::STREAM_HEADER_EXCEEDS_MAXIMUM => {
            ErrorKind::Invalid
        }
        // What is refused because of the server's state passes; what we asked wrongly does not.
        _ if error.code() == 400 => ErrorKind::Internal,
        _ => ErrorKind::Unavailable,
    };
    let context = match kind {
        ErrorKind::Invalid | ErrorKind::Internal => format!("{doing}: {error}"),
        _ => format!("{doing} ({error})"),
    };
    Error::new(kind, context).caused_by(error)
}

/// Why there is no connection, with what to do.
pub(crate) fn not_connected(url: &EngineUrl, error: ConnectError) -> Error {
    let invalid = |what: &str| {
        let why = format!("{url} {what}");
        Error::new(ErrorKind::Invalid, why)
    };
    let error_of_ours = match error.kind() {
        ConnectErrorKind::AuthorizationViolation | ConnectErrorKind::Authentication => {
            invalid("refuses the user and password, or the token, of the URL: correct them")
        }
        ConnectErrorKind::ServerParse => invalid("is no URL of a NATS server"),
        // A certificate that is refused comes as an error of the stream.
        _ if error.kind() == ConnectErrorKind::Tls || is_certificate(&error) => invalid(
            "cannot be reached over TLS: is its certificate trusted (`?ca=FILE`), and is it `tls://`?",
        ),
        _ => {
            let doing = format!(
                "connecting to {url} ({error}; is a NATS server listening at this host and port?)"
            );
            Error::new(ErrorKind::Unavailable, doing)
        }
    };
    error_of_ours.caused_by(error)
}

fn is_certificate(error: &ConnectError) -> bool {
    error.to_string().contains("certificate")
}

/// The server has no JetStream, or the account has not.
pub(crate) fn no_jetstream(url: &EngineUrl, why: &str) -> Error {
    let why = format!(
        "{url} has no JetStream ({why}): start the server with `-js`, or with `jetstream {{ … }}` in \
         its configuration, and let the account use it"
    );
    Error::new(ErrorKind::Invalid, why)
}
