//! Where each call lives. Names in a path are percent-encoded by [`segment`].

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Serialize;
use serde_json::Value;

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
/// The platforms on one log.
pub const PLATFORMS: &str = "/api/v1/platforms";
/// What a platform heard, for the others on its log.
pub const HEARD: &str = "/api/v1/platforms/heard";
/// The gateway's routes.
pub const ROUTES: &str = "/api/v1/routes";
/// Traces; an id follows.
pub const TRACES: &str = "/api/v1/traces";
/// The map of services and the totals.
pub const OVERVIEW: &str = "/api/v1/overview";
/// Circuit breakers.
pub const BREAKERS: &str = "/api/v1/breakers";
/// The live stream of the console.
pub const LIVE: &str = "/api/v1/live";

/// What depends on a subject; its name follows.
pub const IMPACT: &str = "/api/v1/impact";

/// Where dead letters of a topic and a group, both [`segment`]s, are replayed or skipped.
pub fn settle(topic: &str, group: &str, verb: &str) -> String {
    format!("{TOPICS}/{topic}/groups/{group}/dead-letters/{verb}")
}

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

/// `path` with the members of `query`, a struct of texts, numbers and booleans, as its query; what
/// is absent is left out.
pub fn with_query<Q: Serialize>(path: &str, query: &Q) -> String {
    let mut whole = path.to_owned();
    let Ok(Value::Object(members)) = serde_json::to_value(query) else {
        return whole;
    };
    for (name, value) in members {
        let text = match value {
            Value::Null => continue,
            Value::String(text) => text,
            other => other.to_string(),
        };
        whole.push(if whole.contains('?') { '&' } else { '?' });
        whole.push_str(&name);
        whole.push('=');
        whole.extend(utf8_percent_encode(&text, SEGMENT));
    }
    whole
}

#[cfg(test)]
mod tests {
    use super::super::log::{ReadLog, ReadStream};
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

    #[test]
    fn a_query_has_what_is_present() {
        let query = ReadLog {
            category: Some("a.events,b.events".into()),
            wait: Some(ieum_base::HumanDuration::from_millis(1_500)),
            ..ReadLog::default()
        };
        assert_eq!(
            with_query(LOG, &query),
            "/api/v1/log?after=0&category=a.events%2Cb.events&wait=1500ms"
        );
        assert_eq!(with_query("/x", &ReadStream::default()), "/x?after=0");
    }
}
