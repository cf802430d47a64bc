//! Consul's filter expressions: `Service.Meta.version == "2" and "primary" in Service.Tags`.
//!
//! An expression is read once, against the [`Shape`] of what it is to judge: a selector that such
//! answers do not have, or an operator that its values do not know, is refused as Consul refuses it,
//! instead of matching nothing in silence. It is then asked about each entry as the client would see
//! it. Length, depth and the size of patterns are bounded, and patterns run in linear time.
//!
//! The language is that of `go-bexpr` as Consul documents it; selectors are not values of other
//! selectors.

mod expression;
mod lexer;
mod parser;
mod shape;
#[cfg(test)]
mod tests;

use serde::Serialize;

use self::expression::Expression;
pub(super) use self::shape::{AGENT_SERVICE, CATALOG_SERVICE, CHECK, ENTRY, NODE, Shape};
use super::error::{Refused, Result};

/// A filter that can be asked.
#[derive(Debug)]
pub(super) struct Filter(Expression);

impl Filter {
    /// Reads an expression on entries of `shape`.
    pub(super) fn parse(text: &str, shape: &Shape) -> Result<Self> {
        parser::parse(text, shape).map(Self).map_err(|why| {
            Refused::bad_request(format!(
                "Failed to create boolean expression evaluator: {why}"
            ))
        })
    }

    /// Whether an entry passes.
    pub(super) fn passes<T: Serialize>(&self, entry: &T) -> bool {
        serde_json::to_value(entry).is_ok_and(|value| self.0.holds(&value))
    }
}
