//! A document that is not GraphQL: what was wrong, and where.

use std::fmt;

use graphql_tools::parser::Pos;

/// Why a document could not be read.
#[derive(Clone, Debug)]
pub(crate) struct SyntaxError {
    message: String,
    pub(crate) pos: Pos,
}

impl SyntaxError {
    pub(crate) fn new(message: impl Into<String>, pos: Pos) -> Self {
        Self {
            message: message.into(),
            pos,
        }
    }
}

impl fmt::Display for SyntaxError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}
