//! An operation that is ready to run.

use std::collections::HashMap;

use graphql_tools::static_graphql::query::{Field, FragmentDefinition, VariableDefinition};

use crate::execute::Executable;
use crate::plan::{Node, OperationKind, Plan, Selected};

/// A validated and planned operation: it can be executed any number of times, with any variables.
#[derive(Debug)]
pub struct Prepared {
    pub(super) name: Option<String>,
    pub(super) plan: Plan,
    pub(super) executable: Executable,
    pub(super) variables: Vec<VariableDefinition>,
    pub(super) introspection: Vec<Field>,
    pub(super) fragments: HashMap<String, FragmentDefinition>,
}

impl Prepared {
    /// Whether the operation reads or writes.
    pub fn kind(&self) -> OperationKind {
        self.plan.kind
    }

    /// The operation's name in the document, if it has one.
    pub fn name(&self) -> Option<&str> {
        self.name.as_deref()
    }

    /// What is fetched, and what is answered.
    pub fn plan(&self) -> &Plan {
        &self.plan
    }

    /// How many fetches the plan holds, those of conditions included.
    pub fn fetches(&self) -> usize {
        self.executable.fetches()
    }

    /// About how many bytes of memory it takes. A short document can mean thousands of fields.
    pub(super) fn bytes(&self) -> usize {
        fn fields(selected: &[Selected]) -> usize {
            let below = |each: &Selected| match each {
                Selected::Field { selections, .. } | Selected::Fragment { selections, .. } => {
                    1 + fields(selections)
                }
            };
            selected.iter().map(below).sum()
        }
        self.text_bytes() + fields(&self.plan.response) * BYTES_OF_FIELD
    }

    /// Bytes of the operations for subgraphs.
    fn text_bytes(&self) -> usize {
        fn bytes(node: &Node) -> usize {
            match node {
                Node::Sequence(nodes) | Node::Parallel(nodes) => nodes.iter().map(bytes).sum(),
                Node::Fetch(fetch) => fetch.operation.len(),
                Node::Entities(entities) => entities.operation.len(),
                Node::Condition(condition) => [&condition.then, &condition.otherwise]
                    .into_iter()
                    .flatten()
                    .map(|node| bytes(node))
                    .sum(),
            }
        }
        self.plan.root.as_ref().map_or(0, bytes)
    }
}

/// What a field takes in the plan and in what is compiled of it, measured on plans of 3,000 fields.
const BYTES_OF_FIELD: usize = 512;
