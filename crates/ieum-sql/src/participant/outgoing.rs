//! A message as a row of the outbox.

use ieum_messaging::{Limits, Message, OutboxRow, names};

use crate::{Error, ErrorKind, Result};

/// The message as it is stored, or why no engine would take it.
pub(crate) fn outgoing(topic: &str, message: &Message) -> Result<String> {
    let refused = |why: String| Error::new(ErrorKind::Invalid, why);
    names::check_topic(topic).map_err(|error| refused(error.to_string()))?;
    message
        .validate(&Limits::default())
        .map_err(|error| refused(error.to_string()))?;
    serde_json::to_string(message).map_err(|error| refused(error.to_string()))
}

/// The row as the relay takes it, or why it is no message.
pub(crate) fn incoming(id: i64, topic: String, json: &str) -> Result<OutboxRow, String> {
    match serde_json::from_str::<Message>(json) {
        Ok(message) => Ok(OutboxRow { id, topic, message }),
        Err(error) => Err(format!("the row is not a message: {error}")),
    }
}
