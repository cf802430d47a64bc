//! Executable documents: from text to a checked syntax tree.

pub(crate) mod lexer;
pub(crate) mod parser;
mod strings;
mod syntax;

pub(crate) use syntax::SyntaxError;
