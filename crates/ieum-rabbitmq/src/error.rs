//! The client library's errors in the words of messaging.

use ieum_base::EngineUrl;
use ieum_messaging::{Error, ErrorKind};
use lapin::protocol::{AMQPErrorKind, AMQPHardError, AMQPSoftError};

/// Something that failed at the broker while `doing`. A lost connection is `Unavailable`; what the
/// broker refuses for good is `Invalid`.
pub(crate) fn failed(doing: &str, error: lapin::Error) -> Error {
    let kind = match amqp(&error) {
        Some(AMQPErrorKind::Soft(AMQPSoftError::ACCESSREFUSED)) => ErrorKind::Invalid,
        _ => ErrorKind::Unavailable,
    };
    let why = match kind {
        ErrorKind::Invalid => format!("{doing}: the user may not: {error}"),
        _ => doing.to_owned(),
    };
    Error::new(kind, why).caused_by(error)
}

/// Why there is no connection to `url`, and what to do about it. The password is not shown.
pub(crate) fn no_connection(url: &EngineUrl, error: lapin::Error) -> Error {
    let vhost = super::connection::virtual_host(url);
    let user = url.user().unwrap_or("guest");
    let (kind, why) = match amqp(&error) {
        Some(AMQPErrorKind::Soft(AMQPSoftError::ACCESSREFUSED)) => (
            ErrorKind::Invalid,
            format!(
                "{url}: RabbitMQ refuses the user `{user}` or its password; check the URL, and that \
                 the user may connect from here"
            ),
        ),
        Some(AMQPErrorKind::Hard(AMQPHardError::NOTALLOWED)) => (
            ErrorKind::Invalid,
            format!(
                "{url}: there is no virtual host `{vhost}` that the user `{user}` may use; add it by \
                 `rabbitmqctl add_vhost` and `set_permissions`, or name another one in the URL's path"
            ),
        ),
        _ => (
            ErrorKind::Unavailable,
            format!("{url}: no connection: {error}; check host and port, and that RabbitMQ runs"),
        ),
    };
    Error::new(kind, why).caused_by(error)
}

/// An answer that did not come in time.
pub(crate) fn too_late(doing: &str) -> Error {
    Error::new(
        ErrorKind::Unavailable,
        format!("{doing}: no answer in time"),
    )
}

/// What a turn that is over says to whoever still works in it.
pub(crate) fn superseded(queue: &str) -> Error {
    Error::new(ErrorKind::Superseded, format!("queue `{queue}`"))
}

/// True if the broker already has something of the name with other properties.
pub(crate) fn is_inequivalent(error: &lapin::Error) -> bool {
    matches!(
        amqp(error),
        Some(AMQPErrorKind::Soft(AMQPSoftError::PRECONDITIONFAILED))
    )
}

/// True if the broker has nothing of the name.
pub(crate) fn is_missing(error: &lapin::Error) -> bool {
    matches!(
        amqp(error),
        Some(AMQPErrorKind::Soft(AMQPSoftError::NOTFOUND))
    )
}

fn amqp(error: &lapin::Error) -> Option<&AMQPErrorKind> {
    match error.kind() {
        lapin::ErrorKind::ProtocolError(error) => Some(error.kind()),
        _ => None,
    }
}
