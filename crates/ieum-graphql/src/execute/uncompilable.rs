//! Why a plan cannot be compiled.

use std::fmt;

use ieum_base::{Fault, Retry};

/// A plan that does not fit the schema, or says something that no executor of ours does. It is a defect
/// of the planner or of its translation: a client cannot cause it by a valid operation.
#[derive(Debug)]
pub struct Uncompilable(String);

impl Uncompilable {
    pub(crate) fn unknown_type(name: &str) -> Self {
        Self(format!(
            "the plan selects fields of `{name}`, which is no type of the schema"
        ))
    }

    pub(crate) fn unknown_field(of: &str, name: &str) -> Self {
        Self(format!(
            "the plan selects `{name}` of `{of}`, which has no such field"
        ))
    }

    pub(crate) fn unsupported(what: &str) -> Self {
        Self(format!("the plan has {what}"))
    }

    /// Ours.
    pub fn fault(&self) -> Fault {
        Fault::Here
    }

    /// Never: the same plan is the same plan.
    pub fn retry(&self) -> Retry {
        Retry::Never
    }
}

impl fmt::Display for Uncompilable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Uncompilable {}
