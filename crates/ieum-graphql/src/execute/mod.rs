//! The executor: runs a plan, merges what the subgraphs answer, writes the client's answer.
//!
//! ```text
//!  Plan ──compile──► Executable ──┐
//!                                 ├─► execute: request → (Subgraphs) → answer → … → project ──► Answer
//!  Variables ─────────────────────┘
//! ```
//!
//! It is our own, because this is where the time of a federated query goes and where its failures are
//! told. What makes it fast: an answer is read once into a tree of spans ([`tree`]), the shape of the
//! client's answer is compiled with the plan ([`shape`]), and both bodies, that to the next subgraph and
//! that to the client, are written straight from the tree. What makes it safe: every size is bounded
//! ([`Config`]), and a failure is an error with the client's path beside the data that did arrive.

mod answer;
mod compile;
mod config;
mod errors;
mod guards;
mod json;
mod keys;
mod places;
mod project;
mod report;
mod representation;
mod request;
mod run;
mod shape;
mod tree;
mod types;
mod uncompilable;
mod variables;

#[cfg(test)]
mod tests;

pub use compile::Executable;
pub use config::Config;
pub use types::{TypeRef, Types, Wrapping};
pub use uncompilable::Uncompilable;
pub use variables::Variables;

use bytes::Bytes;

use crate::transport::Subgraphs;
use errors::{Report, Text};
use project::{Projection, TooLarge};
use run::Execution;

/// The answer to an operation.
#[derive(Clone, Debug)]
pub struct Answer {
    /// The response: an object with `data` and, if there are any, `errors`.
    pub body: Bytes,
    /// How many errors there were.
    pub errors: usize,
    /// How many fetches were made.
    pub fetches: usize,
    /// How many places in the data were filled by entities of other subgraphs.
    pub entities: usize,
}

/// Runs a plan and writes the answer.
///
/// `introspection` is an object of JSON that answers the meta fields `__schema` and `__type` of the root,
/// by their response keys, if the operation has any.
///
/// Whatever fails on the way is an error in the answer. Dropping the future drops the fetches that are
/// under way; nothing is left behind.
pub async fn execute<S: Subgraphs>(
    plan: &Executable,
    variables: &Variables,
    introspection: Option<Bytes>,
    subgraphs: &S,
    config: &Config,
) -> Answer {
    let mut execution = Execution::new(plan, variables, config);
    if let Some(introspection) = introspection {
        execution.add(introspection);
    }
    execution.run(subgraphs).await;
    execution.finish()
}

impl Execution<'_> {
    /// Puts what is known already at the root.
    fn add(&mut self, data: Bytes) {
        if let Ok(tree::Value::Object(data)) = self.reader.read(&mut self.tree, data) {
            self.tree.merge(self.root, data, false);
        }
    }

    fn finish(mut self) -> Answer {
        let mut body = Vec::with_capacity(self.tree.text_len() + 64);
        body.extend_from_slice(OPEN);
        let projection = Projection {
            plan: self.plan,
            tree: &self.tree,
            flags: &self.flags,
            errors: &mut self.errors,
            limit: self.config.answer_bytes,
            out: &mut body,
            way: Vec::new(),
        };
        if let Err(TooLarge) = projection.root(self.root) {
            body.truncate(OPEN.len());
            body.extend_from_slice(b"null");
            let report = Report {
                message: Text::Ours("the answer would be larger than allowed"),
                code: Text::Ours("ANSWER_TOO_LARGE"),
                service: None,
                path: &[],
            };
            self.errors.step_back();
            self.errors.report(&self.plan.keys, report);
        }
        if self.errors.count() > 0 {
            body.extend_from_slice(b",\"errors\":[");
            self.errors.write(&mut body);
            body.push(b']');
        }
        body.push(b'}');
        Answer {
            body: body.into(),
            errors: self.errors.count(),
            fetches: self.fetches,
            entities: self.entities,
        }
    }
}

const OPEN: &[u8] = b"{\"data\":";
