//! Whether what came is what the contract says.
//!
//! The rules are those of the Pact specification: an example and, for some of its values, a rule that
//! is asked instead of equality. Robustness decides the rest: a *response* or message may have more
//! fields than the example, a *request* may not. Where the specification leaves a corner open, this
//! does what the libraries of the Pact foundation do; a black-box test compares the two on hundreds
//! of cases.

mod body;
mod http;
mod json;
mod message;
mod text;
mod value;

use std::fmt;

use serde_json::Value;

use crate::path::{Path, Token};
use crate::rules::Category;

pub(crate) use body::parameters;
pub use http::{match_request, match_response};
pub use message::match_message;
pub(crate) use value::type_of;

/// One difference between what was expected and what came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mismatch {
    /// Where: `$.status`, `$.headers.content-type`, `$.body.items[0].price`.
    pub path: String,
    /// What was expected and what came, as a fragment: `expected an integer, was "12"`.
    pub text: String,
}

impl Mismatch {
    pub(crate) fn new(path: impl Into<String>, text: impl Into<String>) -> Self {
        Self {
            path: path.into(),
            text: text.into(),
        }
    }
}

impl fmt::Display for Mismatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.path, self.text)
    }
}

/// What holds while values are compared.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Context<'a> {
    /// The rules.
    pub(crate) rules: &'a Category,
    /// Whether a field that the example does not have is a mismatch: in requests.
    pub(crate) strict: bool,
    /// What the paths of mismatches begin with instead of `$`.
    pub(crate) root: &'a str,
}

impl<'a> Context<'a> {
    /// The same with other rules.
    pub(crate) const fn with<'b>(self, rules: &'b Category) -> Context<'b>
    where
        'a: 'b,
    {
        Context {
            rules,
            strict: self.strict,
            root: self.root,
        }
    }

    /// A mismatch at a place.
    pub(crate) fn mismatch(&self, place: &Path, text: impl Into<String>) -> Mismatch {
        let below = match place.tokens() {
            [Token::Root, ..] => place.to_string().split_off(1),
            _ => place.to_string(),
        };
        Mismatch::new(format!("{}{below}", self.root), text)
    }
}

/// Asks all rules of a list; all must hold, or any one, as the list says.
pub(crate) fn judge<T>(
    list: &crate::rule::RuleList,
    mut ask: impl FnMut(&crate::rule::Rule) -> Vec<T>,
) -> Vec<T> {
    let mut found = Vec::new();
    for rule in &list.rules {
        let failures = ask(rule);
        if list.any && failures.is_empty() {
            return Vec::new();
        }
        found.extend(failures);
    }
    found
}

/// A value as a message shows it, cut to a bound.
pub(crate) fn shown(value: &Value) -> String {
    cut(&value.to_string())
}

/// A text of at most [`MOST_SHOWN`] characters.
pub(crate) fn cut(text: &str) -> String {
    match text.char_indices().nth(MOST_SHOWN) {
        Some((at, _)) => format!("{}…", &text[..at]),
        None => text.to_owned(),
    }
}

/// How much of a value a message shows.
const MOST_SHOWN: usize = 160;

#[cfg(test)]
mod tests;
