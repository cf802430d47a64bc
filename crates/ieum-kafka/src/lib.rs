//! Kafka: topics and consumer groups.
