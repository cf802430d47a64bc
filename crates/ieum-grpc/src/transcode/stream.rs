//! Streams of messages over HTTP: lines of JSON, or server-sent events.

use bytes::{BufMut, Bytes, BytesMut};

/// How a stream of messages is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StreamForm {
    /// `application/x-ndjson`: each message is a line. An error is a last line `{"error": …}`.
    Lines,
    /// `text/event-stream` (WHATWG HTML, "Server-sent events"): each message is an event's data. An
    /// error is a last event of the type `error`.
    Events,
}

impl StreamForm {
    /// The form that an `Accept` asks for; lines, unless it names events and prefers nothing else.
    pub fn wanted(accept: Option<&str>) -> Self {
        let quality = |wanted: &str| {
            let ranges = accept.unwrap_or_default().split(',');
            let named = ranges.filter_map(|range| range_quality(range, wanted));
            named.fold(0, u16::max)
        };
        let events = quality("text/event-stream");
        if events > 0 && events >= quality("application/x-ndjson") {
            Self::Events
        } else {
            Self::Lines
        }
    }

    /// The media type.
    pub const fn media_type(self) -> &'static str {
        match self {
            Self::Lines => "application/x-ndjson",
            Self::Events => "text/event-stream",
        }
    }

    /// A message, whose JSON has no line breaks.
    pub fn message(self, json: &[u8]) -> Bytes {
        match self {
            Self::Lines => joined(&[json, b"\n"]),
            Self::Events => joined(&[b"data: ", json, b"\n\n"]),
        }
    }

    /// What ends a stream that failed after it had begun: the problem as JSON without line breaks.
    pub fn error(self, problem: &[u8]) -> Bytes {
        match self {
            Self::Lines => joined(&[b"{\"error\":", problem, b"}\n"]),
            Self::Events => joined(&[b"event: error\ndata: ", problem, b"\n\n"]),
        }
    }
}

/// The quality, in thousandths, that a range of an `Accept` gives to the media type that it names.
fn range_quality(range: &str, wanted: &str) -> Option<u16> {
    let mut parts = range.split(';').map(str::trim);
    if !parts.next()?.eq_ignore_ascii_case(wanted) {
        return None;
    }
    let quality = parts.find_map(|part| part.strip_prefix("q=").or(part.strip_prefix("Q=")));
    let quality: f32 = quality.map_or(Some(1.0), |q| q.parse().ok())?;
    Some((quality.clamp(0.0, 1.0) * 1000.0) as u16)
}

fn joined(parts: &[&[u8]]) -> Bytes {
    let mut all = BytesMut::with_capacity(parts.iter().map(|part| part.len()).sum());
    for part in parts {
        all.put_slice(part);
    }
    all.freeze()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_are_sent_to_those_who_ask_for_them() {
        for (accept, expected) in [
            (None, StreamForm::Lines),
            (Some("*/*"), StreamForm::Lines),
            (Some("application/json"), StreamForm::Lines),
            (Some("text/event-stream"), StreamForm::Events),
            (
                Some("text/html, TEXT/event-stream;q=0.5"),
                StreamForm::Events,
            ),
            (Some("text/event-stream;q=0"), StreamForm::Lines),
            (
                Some("text/event-stream;q=0.5, application/x-ndjson"),
                StreamForm::Lines,
            ),
        ] {
            assert_eq!(StreamForm::wanted(accept), expected, "{accept:?}");
        }
    }

    #[test]
    fn each_form_frames_messages_and_the_error() {
        let check = |form: StreamForm, message: &str, error: &str| {
            assert_eq!(form.message(b"{\"a\":1}"), message);
            assert_eq!(form.error(b"{\"status\":503}"), error);
        };
        check(
            StreamForm::Lines,
            "{\"a\":1}\n",
            "{\"error\":{\"status\":503}}\n",
        );
        let error = "event: error\ndata: {\"status\":503}\n\n";
        check(StreamForm::Events, "data: {\"a\":1}\n\n", error);
    }
}
