//! The layer.

use tower::Layer;

use super::{Bulkhead, BulkheadService, Config};

/// Puts a bulkhead in front of a service. All services made by one layer, and all their clones,
/// share **one** bulkhead: make a layer per target.
#[derive(Clone, Debug)]
pub struct BulkheadLayer(Bulkhead);

impl BulkheadLayer {
    /// A layer with a bulkhead of its own.
    pub fn new(config: Config) -> Self {
        Self(Bulkhead::new(config))
    }

    /// A layer around a bulkhead that others share.
    pub const fn with_bulkhead(bulkhead: Bulkhead) -> Self {
        Self(bulkhead)
    }
}

impl<S> Layer<S> for BulkheadLayer {
    type Service = BulkheadService<S>;

    fn layer(&self, inner: S) -> Self::Service {
        BulkheadService::new(inner, self.0.clone())
    }
}
