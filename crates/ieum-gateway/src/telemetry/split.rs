//! What the split phase counts.

use std::sync::Arc;

use prometheus_client::encoding::EncodeLabelSet;

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct Sided {
    pub(super) path: Arc<str>,
    pub(super) side: &'static str,
}
