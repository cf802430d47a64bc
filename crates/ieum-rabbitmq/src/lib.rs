//! RabbitMQ: topics and consumer groups.
