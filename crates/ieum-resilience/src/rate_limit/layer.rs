//! The layer.

use tower::Layer;

use super::{Limiter, Quota, RateLimit};

/// Limits how often a service is called; what is too much is refused, never delayed. All services
/// made by one layer, and all their clones, share **one** limit.
#[derive(Clone, Debug)]
pub struct RateLimitLayer(Limiter);

impl RateLimitLayer {
    /// A layer with a limit of its own.
    pub fn new(quota: Quota) -> Self {
        Self(Limiter::new(quota))
    }

    /// A layer around a limit that others share.
    pub const fn with_limiter(limiter: Limiter) -> Self {
        Self(limiter)
    }
}

impl<S> Layer<S> for RateLimitLayer {
    type Service = RateLimit<S>;

    fn layer(&self, inner: S) -> Self::Service {
        RateLimit::new(inner, self.0.clone())
    }
}
