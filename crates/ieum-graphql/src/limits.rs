//! What a document and its variables may be at most.
//!
//! A GraphQL document of a few bytes can mean an answer of any size: aliases and fragments multiply,
//! nesting makes recursive programs overflow their stack, and some rules of validation compare fields
//! in pairs. Each limit here is applied before the work that it bounds is done.

use std::fmt;

use graphql_tools::parser::Pos;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The limits of a request. Every one is a count; 0 refuses everything.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "GraphqlLimits")]
#[serde(deny_unknown_fields, default, rename_all = "kebab-case")]
pub struct Limits {
    /// Bytes of a document's text. Default 131,072 (ours: 15,000 tokens rarely need more).
    pub document_bytes: usize,
    /// Tokens of a document, counted while reading. Default 15,000 (Apollo Router, `parser_max_tokens`).
    pub tokens: usize,
    /// Fields within fields, fragments included; at most 100. Default 32 (ours: the deepest
    /// introspection query that tools send has 15; Apollo's example is 100, GraphQL Armor's default 6).
    pub depth: usize,
    /// Aliases of an operation, fragments expanded. Default 30 (Apollo Router's example).
    pub aliases: usize,
    /// Fields at the root of an operation. Default 20 (Apollo Router's example).
    pub root_fields: usize,
    /// Directives of a document. Default 50 (GraphQL Armor).
    pub directives: usize,
    /// Fields of an operation, fragments expanded. Default 5,000 (GraphQL Armor's maximal cost).
    pub fields: usize,
    /// Definitions (operations and fragments) of a document. Default 200 (ours).
    pub definitions: usize,
    /// Pairs of fields with one response name that validation has to compare. Default 50,000 (ours:
    /// some 10 ms of work).
    pub overlaps: usize,
    /// Elements of one list, in the variables or the document. Default 1,000 (ours; Shopify's is 250).
    pub list_elements: usize,
    /// Values in the variables, nested ones included. Default 10,000 (ours).
    pub values: usize,
    /// Bytes of the variables as JSON. Default 1,048,576 (a request's body at the gateway).
    pub variables_bytes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            document_bytes: 128 * 1024,
            tokens: 15_000,
            depth: 32,
            aliases: 30,
            root_fields: 20,
            directives: 50,
            fields: 5_000,
            definitions: 200,
            overlaps: 50_000,
            list_elements: 1_000,
            values: 10_000,
            variables_bytes: 1024 * 1024,
        }
    }
}

impl Limits {
    /// The depth of brackets that can be needed: a field at the last level with arguments, and inline
    /// fragments between levels. It bounds the recursion of every pass over a document.
    pub(crate) fn nesting(&self) -> usize {
        2 * self.depth.min(MAX_DEPTH) + 16
    }

    /// The depth that holds: the configured one, never more than 100 (the stack is finite).
    pub(crate) fn depth(&self) -> usize {
        self.depth.min(MAX_DEPTH)
    }
}

/// The names of the limits, as the configuration and the errors write them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Limit {
    /// `document-bytes`
    DocumentBytes,
    /// `tokens`
    Tokens,
    /// Brackets within brackets; follows from `depth`.
    Nesting,
    /// `depth`
    Depth,
    /// `aliases`
    Aliases,
    /// `root-fields`
    RootFields,
    /// `directives`
    Directives,
    /// `fields`
    Fields,
    /// `definitions`
    Definitions,
    /// `overlaps`
    Overlaps,
    /// `list-elements`
    ListElements,
    /// `values`
    Values,
    /// `variables-bytes`
    VariablesBytes,
    /// The time for a plan, or the size of what is planned (`planning-timeout`, `planned-fields`).
    Planning,
}

impl Limit {
    /// The value of an error's `extensions.code`.
    pub fn code(self) -> &'static str {
        match self {
            Self::DocumentBytes => "DOCUMENT_TOO_LARGE",
            Self::Tokens => "TOO_MANY_TOKENS",
            Self::Nesting | Self::Depth => "MAX_DEPTH_LIMIT",
            Self::Aliases => "MAX_ALIASES_LIMIT",
            Self::RootFields => "MAX_ROOT_FIELDS_LIMIT",
            Self::Directives => "MAX_DIRECTIVES_LIMIT",
            Self::Fields => "MAX_FIELDS_LIMIT",
            Self::Definitions => "MAX_DEFINITIONS_LIMIT",
            Self::Overlaps => "MAX_OVERLAPS_LIMIT",
            Self::ListElements => "MAX_LIST_LIMIT",
            Self::Values | Self::VariablesBytes => "VARIABLES_TOO_LARGE",
            Self::Planning => "PLANNING_LIMIT",
        }
    }

    fn noun(self) -> &'static str {
        match self {
            Self::DocumentBytes => "bytes in the document",
            Self::Tokens => "tokens in the document",
            Self::Nesting => "brackets within brackets",
            Self::Depth => "fields within fields",
            Self::Aliases => "aliases",
            Self::RootFields => "fields at the root",
            Self::Directives => "directives",
            Self::Fields => "fields with fragments expanded",
            Self::Definitions => "operations and fragments",
            Self::Overlaps => "pairs of fields with one response name",
            Self::ListElements => "elements in one list",
            Self::Values => "values in the variables",
            Self::VariablesBytes => "bytes of variables",
            Self::Planning => "fields to plan",
        }
    }
}

/// A limit that a request goes beyond.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Exceeded {
    pub(crate) limit: Limit,
    pub(crate) allowed: usize,
    pub(crate) pos: Option<Pos>,
}

impl Exceeded {
    pub(crate) fn new(limit: Limit, allowed: usize, pos: Option<Pos>) -> Self {
        Self {
            limit,
            allowed,
            pos,
        }
    }
}

impl fmt::Display for Exceeded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "more than {} {}, which is not allowed",
            self.allowed,
            self.limit.noun()
        )
    }
}

/// The deepest that a configuration may allow: several recursive passes, ours and the planner's, must
/// fit a thread's stack.
const MAX_DEPTH: usize = 100;
