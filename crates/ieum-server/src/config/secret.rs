//! Where a secret comes from: the environment or a file, never the configuration itself.

use std::path::Path;

use ieum_base::{Secret, redact};

/// A secret that is not there.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct MissingSecret {
    message: String,
    /// What to do about it.
    pub help: String,
}

impl MissingSecret {
    pub(super) fn new(message: String, help: &str) -> Self {
        Self {
            message,
            help: help.to_owned(),
        }
    }
}

/// The secret in the environment variable `name`.
pub(super) fn from_env(name: &str) -> Result<Secret, MissingSecret> {
    match std::env::var(name) {
        Ok(found) => not_empty(&found),
        Err(_) if !redact::is_variable_name(name) => Err(MissingSecret {
            message: "the name of an environment variable is expected".to_owned(),
            help: "write the variable's name, in capitals, and not the secret itself".to_owned(),
        }),
        Err(std::env::VarError::NotPresent) => Err(MissingSecret {
            message: format!("the environment variable `{name}` with the secret is not set"),
            help: format!("set it before starting: `{name}=… ieum up`, or name a file instead"),
        }),
        Err(std::env::VarError::NotUnicode(_)) => Err(MissingSecret {
            message: format!("the environment variable `{name}` is not UTF-8 text"),
            help: "set it again, as text".to_owned(),
        }),
    }
}

/// The secret that is the content of the file at `path`, without the white space at its end.
pub(super) fn from_file(path: &Path) -> Result<Secret, MissingSecret> {
    let found = std::fs::read_to_string(path).map_err(|error| MissingSecret {
        message: format!(
            "the file `{}` with the secret cannot be read: {error}",
            path.display()
        ),
        help: "create it with the secret as its only content, readable by this user".to_owned(),
    })?;
    not_empty(&found)
}

/// An empty secret protects nothing: it counts as missing.
fn not_empty(found: &str) -> Result<Secret, MissingSecret> {
    let found = found.trim_end();
    if found.is_empty() {
        return Err(MissingSecret {
            message: "the secret is empty".to_owned(),
            help: "set a value: an empty secret protects nothing".to_owned(),
        });
    }
    Ok(Secret::new(found.to_owned()))
}
