//! What a command shows of an answer: the answer itself for programs, a text for people.
//!
//! Each list of the console has a command that asks the same path with the same parameters. With
//! `--json` it prints the body as it came, so that the two cannot tell different things.

use std::process::ExitCode;

use ieum_remote::{Error, ErrorKind};
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::Outcome;
use super::platform::Asking;
use crate::console::{self, Lines};

/// What is shown to people.
pub(super) enum Shown {
    /// What was found.
    Text(String),
    /// There is nothing, which is no failure.
    Nothing(&'static str),
}

impl Shown {
    /// The text, or the remark if there is no row.
    pub(super) fn rows(is_empty: bool, text: String, nothing: &'static str) -> Self {
        match is_empty {
            true => Self::Nothing(nothing),
            false => Self::Text(text),
        }
    }
}

/// Asks for `path` and shows the answer: as JSON, or as `render` puts it.
pub(super) fn show<T: DeserializeOwned>(
    asking: &Asking,
    path: &str,
    render: impl FnOnce(&T) -> Shown,
) -> Outcome {
    show_or(asking, path, |_| None, render)
}

/// The same; `missing` says what it means if the platform knows of no such thing, from its refusal.
pub(super) fn show_or<T: DeserializeOwned>(
    asking: &Asking,
    path: &str,
    missing: impl FnOnce(&Error) -> Option<String>,
    render: impl FnOnce(&T) -> Shown,
) -> Outcome {
    let body = asking.run(async |platform| match platform.get(path).await {
        Ok(body) => Ok(body),
        Err(error) if error.kind() == ErrorKind::NotFound => match missing(&error) {
            Some(text) => Err(anyhow::Error::msg(text)),
            None => Err(asking.explain(error)),
        },
        Err(error) => Err(asking.explain(error)),
    })?;
    print(asking, body, render)
}

/// Shows a body that was read.
pub(super) fn print<T: DeserializeOwned>(
    asking: &Asking,
    body: Value,
    render: impl FnOnce(&T) -> Shown,
) -> Outcome {
    if asking.json {
        console::print_json(&body, Lines::Many)?;
        return Ok(ExitCode::SUCCESS);
    }
    match render(&serde_json::from_value(body)?) {
        Shown::Text(text) => drop(console::print(&text)?),
        Shown::Nothing(remark) => console::remark(&remark),
    }
    Ok(ExitCode::SUCCESS)
}
