//! An answer that is stored with its effect and given again.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{Error, ErrorKind, Result};

/// What a request was answered.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Answer {
    /// The HTTP status.
    pub status: u16,
    /// The body.
    pub body: Value,
}

impl Answer {
    /// An answer with `status` and `body`.
    pub const fn new(status: u16, body: Value) -> Self {
        Self { status, body }
    }

    /// True if the effect happened (2xx).
    pub const fn is_success(&self) -> bool {
        self.status >= 200 && self.status < 300
    }

    /// True if the answer is final: the same request may not be answered otherwise later. Timeouts,
    /// overload and failures are not: nothing is stored and the effect is forgotten.
    pub const fn is_final(&self) -> bool {
        !matches!(self.status, 408 | 425 | 429 | 500..=599)
    }

    /// A problem detail (RFC 9457) with a code, as the platform's own answers are.
    pub(crate) fn problem(status: u16, title: &str, code: &str) -> Self {
        let body = serde_json::json!({ "title": title, "status": status, "code": code });
        Self { status, body }
    }

    pub(crate) fn body_json(&self) -> String {
        self.body.to_string()
    }

    pub(crate) fn from_row(status: u16, body: &str) -> Result<Self> {
        let body = serde_json::from_str(body).map_err(|error| {
            Error::with_source(ErrorKind::Corrupt, "a stored answer is damaged", error)
        })?;
        Ok(Self { status, body })
    }
}
