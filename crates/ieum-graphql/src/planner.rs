//! The port to the planner: an operation in, the fetches that answer it out.
//!
//! A planner is somebody else's library (docs/adr/0010); everything that the executor and the engine
//! need to know of it is here.

use std::fmt;
use std::time::Duration;

use graphql_tools::static_graphql::query::Document;

use crate::plan::Node;

/// Plans operations over one supergraph. Planning is pure CPU work: call it where blocking is allowed.
pub(crate) trait Planner: Send + Sync {
    /// Plans the one operation of a document.
    ///
    /// The document was validated against the clients' schema, holds one operation and the fragments
    /// that it uses, and no meta field at its root. The same document gives the same plan.
    ///
    /// # Errors
    /// If it takes longer than the budget, or if there is no plan.
    fn plan(&self, document: &Document, budget: Budget) -> Result<Node, PlanError>;
}

/// What planning one operation may cost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Budget {
    /// Time; looked at while planning, so that it is passed by a little at most.
    pub(crate) time: Duration,
    /// Fields once selections on interfaces are spread over their object types.
    pub(crate) fields: usize,
}

/// Why there is no plan.
#[derive(Clone, Debug)]
pub(crate) enum PlanError {
    /// It took longer than the budget's time.
    TooSlow,
    /// It would have more fields than the budget.
    TooLarge { allowed: usize },
    /// The planner found no way, or failed; what it said, for the log.
    Failed(String),
}

impl fmt::Display for PlanError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooSlow => f.write_str("planning took too long"),
            Self::TooLarge { allowed } => write!(f, "more than {allowed} fields to plan"),
            Self::Failed(reason) => write!(f, "no plan: {reason}"),
        }
    }
}
