//! Executable documents: from text to a checked syntax tree.
//!
//! In this order, because each step makes the next one safe: count tokens and brackets
//! ([`lexer`]), build the tree ([`parser`]), count what it expands to ([`complexity`]), validate it
//! against the schema ([`validate`]), choose the operation and split off introspection ([`select`]), with
//! its conditions decided ([`conditions`]) and its [`aliases`] out of the planner's way.

mod aliases;
mod complexity;
mod conditions;
pub(crate) mod lexer;
mod overlaps;
pub(crate) mod parser;
mod select;
mod strings;
mod syntax;
mod validate;
pub(crate) mod variables;

pub(crate) use conditions::Given;
pub(crate) use select::{Selection, conditions_hold};
pub(crate) use validate::Rules;

use crate::limits::Limits;
use crate::rejection::{Reason, Rejection};
use crate::supergraph::ApiSchema;

/// Reads and checks a document and chooses the operation.
pub(crate) fn select(
    text: &str,
    operation_name: Option<&str>,
    schema: &ApiSchema,
    rules: &Rules,
    limits: &Limits,
    given: &Given,
) -> Result<Selection, Rejection> {
    let syntax = |error: syntax::SyntaxError| {
        let message = format!("Syntax error: {error}");
        Rejection::at(Reason::Syntax, message, [error.pos])
    };
    lexer::scan(text, limits).map_err(|error| match error {
        lexer::ScanError::Syntax(error) => syntax(error),
        lexer::ScanError::Exceeded(exceeded) => exceeded.into(),
    })?;
    let parsed = parser::parse(text).map_err(syntax)?;
    complexity::check(&parsed.document, limits)?;
    rules.check(&parsed, schema)?;
    Selection::of(parsed.document, operation_name, schema, given)
}

#[cfg(test)]
mod tests;
