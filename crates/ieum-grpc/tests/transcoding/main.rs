//! Transcoding, from requests to messages and back, by tables.

#![expect(
    clippy::expect_used,
    clippy::panic,
    reason = "a helper of a test fails the test"
)]

mod answers;
mod anything;
mod descriptors;
mod paths;
mod requests;
mod support;
