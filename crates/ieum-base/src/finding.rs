//! What `ieum doctor` finds out about an engine.

use std::fmt;

use serde::Serialize;

/// One thing that was looked at, in sentences for people.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Finding {
    /// How bad it is.
    pub level: Level,
    /// What was found, like `version 15.18` or `fsync is off`.
    pub what: String,
    /// What that means and what to do; nothing if all is well.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub advice: Option<String>,
}

/// How bad a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// As it should be.
    Fine,
    /// It works, and a promise is weaker than it could be.
    Weak,
    /// It does not work.
    Broken,
}

impl Finding {
    /// Something that is as it should be.
    pub fn fine(what: impl Into<String>) -> Self {
        Self {
            level: Level::Fine,
            what: what.into(),
            advice: None,
        }
    }

    /// Something that weakens a promise, with what it means and what to do.
    pub fn weak(what: impl Into<String>, advice: impl Into<String>) -> Self {
        Self {
            level: Level::Weak,
            what: what.into(),
            advice: Some(advice.into()),
        }
    }

    /// Something that does not work, with what to do.
    pub fn broken(what: impl Into<String>, advice: impl Into<String>) -> Self {
        Self {
            level: Level::Broken,
            what: what.into(),
            advice: Some(advice.into()),
        }
    }
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Fine => "fine",
            Self::Weak => "weak",
            Self::Broken => "broken",
        })
    }
}
