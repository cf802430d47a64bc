//! How the error of a port travels: as problem details (RFC 9457) from which the other side makes
//! the same typed error again.
//!
//! | error | status | code | further members |
//! |---|---|---|---|
//! | log: `Conflict` | 409 | `IEUM-2001` | `stream`, `actual` |
//! | log: `ConditionFailed` | 409 | `IEUM-2002` | `found` |
//! | log: `PartialDuplicate` | 409 | `IEUM-2003` | |
//! | log: `Fenced` | 409 | `IEUM-2004` | `actual` |
//! | log: `ForeignCheckpoint` | 409 | `IEUM-2005` | |
//! | log: `Invalid` | 400 | `IEUM-2006` | |
//! | log: `Full` | 503 | `IEUM-2007` | |
//! | log: `Corrupt` | 500 | `IEUM-2008` | |
//! | log: `Unavailable` | 503 | `IEUM-2009` | |
//! | log: `Internal` | 500 | `IEUM-2010` | |
//! | messages: `Invalid` | 400 | `IEUM-2101` | |
//! | messages: `Busy` | 409 | `IEUM-2102` | |
//! | messages: `Superseded` | 409 | `IEUM-2103` | |
//! | messages: `Full` | 503 | `IEUM-2104` | |
//! | messages: `Unavailable` | 503 | `IEUM-2105` | |
//! | messages: `Internal` | 500 | `IEUM-2106` | |
//!
//! Busy, full and unavailable also carry `Retry-After`. The code decides; an answer without a code
//! that is known here (a proxy's page, a later server) is judged by its status.

use std::time::Duration;

use ieum_base::Retry;
use ieum_eventstore as log;
use ieum_eventstore::{Position, StreamName, Version};
use ieum_messaging as messages;
use serde::{Deserialize, Serialize};

/// The problem details of a refused call.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Refusal {
    /// A short text that is the same for each problem of this code.
    #[serde(default)]
    pub title: String,
    /// The HTTP status.
    #[serde(default)]
    pub status: u16,
    /// `IEUM-NNNN`.
    #[serde(default)]
    pub code: String,
    /// What was being done, and what was wrong with it.
    #[serde(default)]
    pub detail: String,
    /// The stream of a conflict.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stream: Option<StreamName>,
    /// The version or epoch that holds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub actual: Option<u64>,
    /// The position of the event that broke a condition.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub found: Option<u64>,
    /// How many seconds to wait before the next attempt; the header `Retry-After`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_after: Option<u64>,
}

impl Refusal {
    /// Reads the body of an answer with `status`. What is no problem details becomes a refusal with
    /// that status and the beginning of the text.
    pub fn read(status: u16, body: &[u8]) -> Self {
        let read = serde_json::from_slice::<Self>(body);
        let mut refusal = read.unwrap_or_else(|_| Self {
            detail: beginning(body),
            ..Self::default()
        });
        refusal.status = status;
        refusal
    }

    /// The error of the log that it stands for. `doing` says what was asked.
    pub fn into_log_error(self, doing: &str) -> log::Error {
        let kind = self.log_kind();
        self.with_context(doing, |context| log::Error::new(kind, context))
    }

    /// The error of topics and groups that it stands for. `doing` says what was asked.
    pub fn into_messages_error(self, doing: &str) -> messages::Error {
        let kind = self.messages_kind();
        self.with_context(doing, |context| messages::Error::new(kind, context))
    }

    fn log_kind(&self) -> log::ErrorKind {
        use log::ErrorKind as Kind;
        match (LogCode::read(&self.code), self) {
            (
                Some(LogCode::Conflict),
                Self {
                    stream: Some(stream),
                    actual: Some(actual),
                    ..
                },
            ) => Kind::Conflict {
                stream: stream.clone(),
                actual: Version(*actual),
            },
            (
                Some(LogCode::ConditionFailed),
                Self {
                    found: Some(found), ..
                },
            ) => Kind::ConditionFailed {
                found: Position(*found),
            },
            (
                Some(LogCode::Fenced),
                Self {
                    actual: Some(actual),
                    ..
                },
            ) => Kind::Fenced { actual: *actual },
            (Some(LogCode::PartialDuplicate), _) => Kind::PartialDuplicate,
            (Some(LogCode::ForeignCheckpoint), _) => Kind::ForeignCheckpoint,
            (Some(LogCode::Invalid), _) => Kind::Invalid,
            (Some(LogCode::Full), _) => Kind::Full,
            (Some(LogCode::Corrupt), _) => Kind::Corrupt,
            (Some(LogCode::Unavailable), _) => Kind::Unavailable,
            (Some(_), _) => Kind::Internal,
            (None, _) => match self.verdict() {
                Verdict::Wrong => Kind::Invalid,
                Verdict::Later => Kind::Unavailable,
            },
        }
    }

    fn messages_kind(&self) -> messages::ErrorKind {
        use messages::ErrorKind as Kind;
        let known = MESSAGES.iter().find(|(_, code, ..)| *code == self.code);
        known.map_or_else(
            || match self.verdict() {
                Verdict::Wrong => Kind::Invalid,
                Verdict::Later => Kind::Unavailable,
            },
            |(kind, ..)| *kind,
        )
    }

    /// What a status alone says. Only what the caller got wrong is final: a message is never given
    /// up because of a proxy, a token that expired, or a server that is being replaced.
    fn verdict(&self) -> Verdict {
        match self.status {
            400 | 405 | 406 | 411 | 413 | 414 | 415 | 422 | 431 | 501 => Verdict::Wrong,
            _ => Verdict::Later,
        }
    }

    fn with_context<E>(self, doing: &str, make: impl FnOnce(String) -> E) -> E {
        let said = if self.detail.is_empty() {
            &self.title
        } else {
            &self.detail
        };
        if said.is_empty() {
            make(format!("{doing}: status {}", self.status))
        } else {
            make(format!("{doing}: {said}"))
        }
    }
}

enum Verdict {
    Wrong,
    Later,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum LogCode {
    Conflict,
    ConditionFailed,
    PartialDuplicate,
    Fenced,
    ForeignCheckpoint,
    Invalid,
    Full,
    Corrupt,
    Unavailable,
    Internal,
}

const LOG: [(LogCode, &str, u16, &str); 10] = [
    (LogCode::Conflict, "IEUM-2001", 409, "Version conflict"),
    (
        LogCode::ConditionFailed,
        "IEUM-2002",
        409,
        "Condition failed",
    ),
    (
        LogCode::PartialDuplicate,
        "IEUM-2003",
        409,
        "Partial duplicate",
    ),
    (LogCode::Fenced, "IEUM-2004", 409, "Epoch is over"),
    (
        LogCode::ForeignCheckpoint,
        "IEUM-2005",
        409,
        "Foreign checkpoint",
    ),
    (LogCode::Invalid, "IEUM-2006", 400, "Invalid append"),
    (LogCode::Full, "IEUM-2007", 503, "No space left"),
    (LogCode::Corrupt, "IEUM-2008", 500, "Damaged data"),
    (LogCode::Unavailable, "IEUM-2009", 503, "Log unavailable"),
    (LogCode::Internal, "IEUM-2010", 500, "Internal error"),
];

const MESSAGES: [(messages::ErrorKind, &str, u16, &str); 6] = {
    use messages::ErrorKind as Kind;
    [
        (Kind::Invalid, "IEUM-2101", 400, "Invalid message"),
        (Kind::Busy, "IEUM-2102", 409, "Group is busy"),
        (Kind::Superseded, "IEUM-2103", 409, "Superseded"),
        (Kind::Full, "IEUM-2104", 503, "No space left"),
        (Kind::Unavailable, "IEUM-2105", 503, "Broker unavailable"),
        (Kind::Internal, "IEUM-2106", 500, "Internal error"),
    ]
};

impl LogCode {
    fn read(code: &str) -> Option<Self> {
        LOG.iter().find(|row| row.1 == code).map(|row| row.0)
    }

    fn of(kind: &log::ErrorKind) -> Self {
        use log::ErrorKind as Kind;
        match kind {
            Kind::Conflict { .. } => Self::Conflict,
            Kind::ConditionFailed { .. } => Self::ConditionFailed,
            Kind::PartialDuplicate => Self::PartialDuplicate,
            Kind::Fenced { .. } => Self::Fenced,
            Kind::ForeignCheckpoint => Self::ForeignCheckpoint,
            Kind::Invalid => Self::Invalid,
            Kind::Full => Self::Full,
            Kind::Corrupt => Self::Corrupt,
            Kind::Unavailable => Self::Unavailable,
            _ => Self::Internal,
        }
    }
}

impl From<&log::Error> for Refusal {
    fn from(error: &log::Error) -> Self {
        use log::ErrorKind as Kind;
        let sought = LogCode::of(error.kind());
        let row = LOG.iter().find(|row| row.0 == sought).unwrap_or(&LOG[9]);
        let mut refusal = Self {
            title: row.3.to_owned(),
            status: row.2,
            code: row.1.to_owned(),
            detail: error.to_string(),
            retry_after: retry_after(error.retry()),
            ..Self::default()
        };
        match error.kind() {
            Kind::Conflict { stream, actual } => {
                refusal.stream = Some(stream.clone());
                refusal.actual = Some(actual.0);
            }
            Kind::ConditionFailed { found } => refusal.found = Some(found.0),
            Kind::Fenced { actual } => refusal.actual = Some(*actual),
            _ => {}
        }
        refusal
    }
}

impl From<&messages::Error> for Refusal {
    fn from(error: &messages::Error) -> Self {
        let sought = error.kind();
        let row = MESSAGES.iter().find(|row| row.0 == sought);
        let (_, code, status, title) = row.unwrap_or(&MESSAGES[5]);
        Self {
            title: (*title).to_owned(),
            status: *status,
            code: (*code).to_owned(),
            detail: error.to_string(),
            retry_after: retry_after(error.retry()),
            ..Self::default()
        }
    }
}

/// Whole seconds, at least one: `Retry-After` has no smaller unit.
fn retry_after(retry: Retry) -> Option<u64> {
    match retry {
        Retry::After(wait) => Some(wait.max(Duration::from_secs(1)).as_secs()),
        _ => None,
    }
}

/// The first characters of a body that is not ours, for an error's text.
fn beginning(body: &[u8]) -> String {
    let text = String::from_utf8_lossy(&body[..body.len().min(400)]);
    text.chars()
        .filter(|c| !c.is_control())
        .take(200)
        .collect::<String>()
        .trim()
        .to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn over_the_wire(refusal: &Refusal) -> Refusal {
        let json = serde_json::to_vec(refusal).expect("json");
        Refusal::read(refusal.status, &json)
    }

    #[test]
    fn every_error_of_the_log_survives_the_wire() {
        use log::ErrorKind as Kind;
        let stream: StreamName = "order-1".parse().expect("valid");
        let kinds = [
            Kind::Conflict {
                stream,
                actual: Version(7),
            },
            Kind::ConditionFailed { found: Position(9) },
            Kind::PartialDuplicate,
            Kind::Fenced { actual: 3 },
            Kind::ForeignCheckpoint,
            Kind::Invalid,
            Kind::Full,
            Kind::Corrupt,
            Kind::Unavailable,
            Kind::Internal,
        ];
        assert_eq!(kinds.len(), LOG.len());
        for kind in kinds {
            let error = log::Error::new(kind.clone(), "appending");
            let back = over_the_wire(&Refusal::from(&error)).into_log_error("appending");
            assert_eq!(back.kind(), &kind);
            assert_eq!(back.retry(), error.retry());
        }
    }

    #[test]
    fn every_error_of_topics_survives_the_wire() {
        for (kind, code, status, _) in MESSAGES {
            let error = messages::Error::new(kind, "pulling");
            let refusal = over_the_wire(&Refusal::from(&error));
            assert_eq!((refusal.code.as_str(), refusal.status), (code, status));
            assert_eq!(refusal.into_messages_error("pulling").kind(), kind);
        }
    }

    #[test]
    fn an_unknown_answer_is_judged_by_its_status() {
        let cases = [
            (400, log::ErrorKind::Invalid),
            (413, log::ErrorKind::Invalid),
            (401, log::ErrorKind::Unavailable),
            (404, log::ErrorKind::Unavailable),
            (502, log::ErrorKind::Unavailable),
        ];
        for (status, kind) in cases {
            let refusal = Refusal::read(status, b"<html>\n<h1>nginx</h1>");
            let error = refusal.into_log_error("reading");
            assert_eq!(error.kind(), &kind, "{status}");
            assert!(error.to_string().contains("nginx"), "{error}");
        }
    }

    #[test]
    fn a_conflict_without_its_facts_is_not_made_up() {
        let json = br#"{"code":"IEUM-2001","detail":"?"}"#;
        let error = Refusal::read(409, json).into_log_error("appending");
        assert_eq!(error.kind(), &log::ErrorKind::Internal);
    }
}
