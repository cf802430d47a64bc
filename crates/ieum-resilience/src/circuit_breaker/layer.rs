//! The layer.

use tower::Layer;

use super::{Breaker, CircuitBreaker, Config, ErrorsAreFailures};

/// Puts a breaker in front of a service. All services made by one layer, and all their clones, share
/// **one** breaker: make a layer per target.
#[derive(Clone, Debug)]
pub struct CircuitBreakerLayer<P = ErrorsAreFailures> {
    breaker: Breaker,
    policy: P,
}

impl CircuitBreakerLayer {
    /// A layer with a breaker of its own that takes each error for a failure.
    pub fn new(config: Config) -> Self {
        Self::with_breaker(Breaker::new(config), ErrorsAreFailures)
    }
}

impl<P> CircuitBreakerLayer<P> {
    /// A layer around a breaker that others share, with a judgement of what failed.
    pub const fn with_breaker(breaker: Breaker, policy: P) -> Self {
        Self { breaker, policy }
    }
}

impl<S, P: Clone> Layer<S> for CircuitBreakerLayer<P> {
    type Service = CircuitBreaker<S, P>;

    fn layer(&self, inner: S) -> Self::Service {
        CircuitBreaker::new(inner, self.breaker.clone(), self.policy.clone())
    }
}
