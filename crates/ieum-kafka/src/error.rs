//! The client library's errors in the words of messaging.

use ieum_messaging::{Error, ErrorKind};
use rdkafka::error::{KafkaError, RDKafkaErrorCode as Code};

/// Something that failed at the brokers while `doing`.
pub(crate) fn failed(doing: &str, error: KafkaError) -> Error {
    let kind = match error.rdkafka_error_code() {
        Some(
            Code::FencedInstanceId
            | Code::IllegalGeneration
            | Code::UnknownMemberId
            | Code::RebalanceInProgress
            | Code::AssignmentLost,
        ) => ErrorKind::Superseded,
        Some(Code::MessageSizeTooLarge | Code::InvalidMessageSize) => ErrorKind::Invalid,
        Some(Code::QueueFull) => ErrorKind::Full,
        Some(Code::TopicAuthorizationFailed | Code::GroupAuthorizationFailed) => ErrorKind::Invalid,
        _ => ErrorKind::Unavailable,
    };
    let why = match kind {
        ErrorKind::Invalid => format!("{doing}: {error}"),
        _ => doing.to_owned(),
    };
    Error::new(kind, why).caused_by(error)
}

/// A helper thread that did not come back.
pub(crate) fn ended(error: tokio::task::JoinError) -> Error {
    Error::new(ErrorKind::Internal, "asking Kafka on a thread").caused_by(error)
}
