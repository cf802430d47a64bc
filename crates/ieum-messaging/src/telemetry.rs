//! The names under which messaging is observed.
//!
//! Span attributes follow OpenTelemetry's semantic conventions for messaging.

/// Prefix of the span of one attempt to handle a message; the message's type follows.
pub const SPAN_PROCESS: &str = "process";

/// Attribute: which system carries the messages.
pub const SYSTEM: &str = "messaging.system";
/// The value of [`SYSTEM`].
pub const SYSTEM_IEUM: &str = "ieum";
/// Attribute: the topic.
pub const DESTINATION: &str = "messaging.destination.name";
/// Attribute: the consumer group.
pub const GROUP: &str = "messaging.consumer.group.name";
/// Attribute: the message's id.
pub const MESSAGE_ID: &str = "messaging.message.id";
/// Attribute: the message's type.
pub const MESSAGE_TYPE: &str = "messaging.message.type";
/// Attribute: the number of the attempt; 1 is the first.
pub const ATTEMPT: &str = "messaging.message.delivery_attempt";
/// Attribute: the order that a message is about.
pub const ORDER_ID: &str = "order.id";

/// Extension attribute of a message that names the order that it is about.
pub const ORDER_ID_EXTENSION: &str = "orderid";

/// Counter: messages whose handling succeeded, by topic, group and type.
pub const MESSAGES_HANDLED: &str = "ieum_messages_handled_total";
/// Counter: attempts that failed and are repeated, by topic and group.
pub const MESSAGES_RETRIED: &str = "ieum_messages_retried_total";
/// Counter: messages that were given up, by topic and group.
pub const MESSAGES_DEAD_LETTERED: &str = "ieum_messages_dead_lettered_total";
/// Counter: rows of the outbox that were published, by topic.
pub const OUTBOX_SENT: &str = "ieum_outbox_sent_total";
/// Counter: rows of the outbox that can never be sent, by topic.
pub const OUTBOX_UNSENDABLE: &str = "ieum_outbox_unsendable_total";
/// Counter: rounds of the relay that failed and are repeated.
pub const OUTBOX_RETRIES: &str = "ieum_outbox_retries_total";
