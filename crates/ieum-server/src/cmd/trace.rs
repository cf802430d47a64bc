//! `ieum trace`: one request, order or saga as a tree over every service that it touched.

use std::process::ExitCode;

use anyhow::bail;
use ieum_remote::ErrorKind;
use ieum_remote::wire::traces;
use serde::Serialize;

use super::Outcome;
use super::platform::Asking;
use crate::traces::Tree;

/// Print a trace as a tree. ID is a trace id, or the id of an order or a saga.
#[derive(Debug, clap::Args)]
pub(super) struct Trace {
    /// A trace id, an order's id, or a saga's id.
    id: String,
    #[command(flatten)]
    asking: Asking,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Answer<'a> {
    #[serde(flatten)]
    trace: &'a traces::Trace,
    orphans: usize,
}

impl Trace {
    pub(super) fn run(self) -> Outcome {
        let trace = self
            .asking
            .run(async |platform| match platform.trace(&self.id).await {
                Ok(trace) => Ok(trace),
                Err(error) if error.kind() == ErrorKind::NotFound => bail!(
                    "no trace `{}` is kept, and none about an order or saga of this id \
                     (traces are kept in memory; services send them a moment after the work)",
                    self.id
                ),
                Err(error) => Err(self.asking.explain(error)),
            })?;
        let tree = Tree::new(&trace);
        if self.asking.json {
            let answer = Answer {
                trace: &trace,
                orphans: tree.orphans(),
            };
            super::print(&serde_json::to_string_pretty(&answer)?)?;
        } else {
            super::print(&tree.to_string())?;
        }
        Ok(ExitCode::SUCCESS)
    }
}
