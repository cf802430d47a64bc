//! NATS JetStream: topics and consumer groups.
