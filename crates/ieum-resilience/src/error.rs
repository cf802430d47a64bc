//! What is wrong with a setting.

use std::fmt;

/// A setting whose value is out of its range.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{field}` {message}")]
pub struct InvalidSetting {
    /// The setting's name as configuration writes it.
    pub field: &'static str,
    /// What is wrong with it, as a fragment: `must be above 0`.
    pub message: String,
}

impl InvalidSetting {
    pub(crate) fn new(field: &'static str, message: impl fmt::Display) -> Self {
        Self {
            field,
            message: message.to_string(),
        }
    }
}
