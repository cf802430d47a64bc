//! Where each call lives. Names in a path are percent-encoded by [`segment`].

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

/// The log.
pub const LOG: &str = "/api/v1/log";
/// The log's end.
pub const LOG_HEAD: &str = "/api/v1/log/head";
/// Streams of the log; a name follows.
pub const STREAMS: &str = "/api/v1/log/streams";
/// Checkpoints; a name follows.
pub const CHECKPOINTS: &str = "/api/v1/log/checkpoints";
/// Fences; a name follows.
pub const FENCES: &str = "/api/v1/log/fences";
/// Topics; a name follows.
pub const TOPICS: &str = "/api/v1/topics";
/// All consumer groups.
pub const GROUPS: &str = "/api/v1/groups";
/// All dead letters.
pub const DEAD_LETTERS: &str = "/api/v1/dead-letters";
/// Sagas; an id follows.
pub const SAGAS: &str = "/api/v1/sagas";
/// Definitions of sagas; a name follows.
pub const SAGA_DEFINITIONS: &str = "/api/v1/sagas/definitions";
/// Open sagas with nothing to run.
pub const SAGA_LIVENESS: &str = "/api/v1/sagas/liveness";
/// Services and their instances.
pub const SERVICES: &str = "/api/v1/services";
/// The gateway's routes.
pub const ROUTES: &str = "/api/v1/routes";
/// Traces; an id follows.
pub const TRACES: &str = "/api/v1/traces";

/// What stays as it is in a path segment: RFC 3986's unreserved characters.
const SEGMENT: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

/// A name as one segment of a path. The two dot segments, which a URL cannot carry, are answered
/// as `None`; so is the empty name.
pub fn segment(name: &str) -> Option<String> {
    let legal = !matches!(name, "" | "." | "..");
    legal.then(|| utf8_percent_encode(name, SEGMENT).to_string())
}

/// A value in a query.
pub fn query_value(value: &str) -> String {
    utf8_percent_encode(value, SEGMENT).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_one_segment() {
        assert_eq!(segment("order.events").as_deref(), Some("order.events"));
        assert_eq!(
            segment("a/b c%주").as_deref(),
            Some("a%2Fb%20c%25%EC%A3%BC")
        );
        for wrong in ["", ".", ".."] {
            assert_eq!(segment(wrong), None);
        }
    }
}
