//! What a client is told whose request cannot be read.
//!
//! hyper finds such a request malformed before any service sees it, and answers with a bare status
//! line. There is no hook for that answer, but it is always the same but for its date, is written on
//! its own, and is the last on its connection. So it is known by its bytes, and replaced by problem
//! details. Nothing else costs more than the look at a length: every answer of a service has a field
//! more ([`tell_apart`]).

use bytes::Bytes;
use http::header::{CACHE_CONTROL, CONNECTION};
use http::{HeaderValue, Response, StatusCode};

use crate::Problem;
use crate::problem::MEDIA_TYPE;

/// Why a request is refused before it is one.
struct Refusal {
    status: StatusCode,
    code: &'static str,
    title: &'static str,
    detail: &'static str,
}

const REFUSALS: [Refusal; 3] = [
    Refusal {
        status: StatusCode::BAD_REQUEST,
        code: "IEUM-3009",
        title: "Not a request",
        detail: "the request cannot be read, or its end is in doubt",
    },
    Refusal {
        status: StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
        code: "IEUM-3010",
        title: "Head too large",
        detail: "the request's head has too many fields or too many bytes",
    },
    Refusal {
        status: StatusCode::URI_TOO_LONG,
        code: "IEUM-3010",
        title: "Head too large",
        detail: "the request's target has too many bytes",
    },
];

/// What is sent instead of `written`, if that is a refusal of hyper's own.
pub(super) fn of(written: &[u8]) -> Option<Bytes> {
    if written.len() > LONGEST {
        return None;
    }
    let line_and_fields = written.strip_prefix(b"HTTP/1.1 ")?;
    let refusal = REFUSALS.iter().find_map(|refusal| {
        let rest = line_and_fields.strip_prefix(refusal.status.as_str().as_bytes())?;
        let reason = refusal.status.canonical_reason()?.as_bytes();
        let fields = rest.strip_prefix(b" ")?.strip_prefix(reason)?;
        let date = fields.strip_prefix(FIELDS)?.strip_suffix(b"\r\n\r\n")?;
        (date.len() == DATE).then_some((refusal, date))
    });
    let (refusal, date) = refusal?;
    Some(refusal.words(&String::from_utf8_lossy(date)))
}

/// What is sent to a client that does not get to the end of its request's head.
pub(super) fn too_slow() -> Bytes {
    // A date is for clocks that caches compare; this is never stored.
    TOO_SLOW.words("")
}

const TOO_SLOW: Refusal = Refusal {
    status: StatusCode::REQUEST_TIMEOUT,
    code: "IEUM-3011",
    title: "Head too slow",
    detail: "the request's head did not arrive in time",
};

/// Makes an answer of a service differ from one of hyper's own, which has no fields but those that
/// every answer has. What is added says what holds anyway: a refusal is not stored.
pub(super) fn tell_apart<B>(response: &mut Response<B>) {
    let refuses = REFUSALS.iter().any(|r| r.status == response.status());
    if refuses && response.headers().keys().all(|name| name == CONNECTION) {
        let no_store = HeaderValue::from_static("no-store");
        response.headers_mut().insert(CACHE_CONTROL, no_store);
    }
}

impl Refusal {
    fn words(&self, date: &str) -> Bytes {
        let Self {
            status,
            code,
            title,
            detail,
        } = *self;
        let problem = Problem::new(status)
            .code(code)
            .title(title)
            .kind(format!("/api/v1/errors/{code}"))
            .detail(detail);
        // A map of JSON values always serialises.
        let body = serde_json::to_string(&problem).unwrap_or_default();
        let length = body.len();
        let date = match date {
            "" => String::new(),
            date => format!("date: {date}\r\n"),
        };
        Bytes::from(format!(
            "HTTP/1.1 {status}\r\ncontent-type: {MEDIA_TYPE}\r\nconnection: close\r\n\
             content-length: {length}\r\n{date}\r\n{body}"
        ))
    }
}

/// The fields of hyper's own answers, up to the date's value.
const FIELDS: &[u8] = b"\r\nconnection: close\r\ncontent-length: 0\r\ndate: ";
/// The length of a date (RFC 9110, 5.6.7).
const DATE: usize = 29;
/// No answer of hyper's own is longer.
const LONGEST: usize = 160;

#[cfg(test)]
mod tests {
    use super::*;

    const DATED: &str = "content-length: 0\r\ndate: Sat, 21 Nov 2026 10:00:00 GMT\r\n\r\n";

    #[test]
    fn only_a_whole_answer_of_hypers_own_is_replaced() {
        let own = format!("HTTP/1.1 400 Bad Request\r\nconnection: close\r\n{DATED}");
        let words = of(own.as_bytes()).expect("hyper's own");
        let text = std::str::from_utf8(&words).expect("UTF-8");
        assert!(text.starts_with("HTTP/1.1 400 Bad Request\r\n"), "{text}");
        assert!(text.contains("\"code\":\"IEUM-3009\""), "{text}");
        assert!(
            text.contains("date: Sat, 21 Nov 2026 10:00:00 GMT\r\n"),
            "{text}"
        );
        for other in [
            format!("HTTP/1.1 404 Not Found\r\nconnection: close\r\n{DATED}"),
            format!("HTTP/1.1 400 Bad Request\r\n{DATED}"),
            format!("HTTP/1.1 400 Bad Request\r\nconnection: close\r\nx: y\r\n{DATED}"),
            format!("{own}x"),
            format!("x{own}"),
            String::new(),
        ] {
            assert_eq!(of(other.as_bytes()), None, "{other}");
        }
    }
}
