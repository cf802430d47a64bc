//! `ieum trace`: one request, order or saga as a tree over every service that it touched.

use ieum_remote::wire::{paths, traces};

use super::Outcome;
use super::answer::{Shown, show_or};
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

impl Trace {
    pub(super) fn run(self) -> Outcome {
        let missing = || {
            format!(
                "no trace `{}` is kept, and none about an order or saga of this id \
                 (traces are kept in memory; services send them a moment after the work)",
                self.id
            )
        };
        let Some(segment) = paths::segment(&self.id) else {
            anyhow::bail!(missing());
        };
        let path = format!("{}/{segment}", paths::TRACES);
        let render = |trace: &traces::Trace| Shown::Text(Tree::new(trace).to_string());
        show_or(&self.asking, &path, |_| Some(missing()), render)
    }
}
