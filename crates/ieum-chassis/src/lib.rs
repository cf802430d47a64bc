//! The life of a service: configuration, telemetry, health, identity, registration, graceful stop.
