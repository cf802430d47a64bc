//! The facade: what a service in Rust depends on.
