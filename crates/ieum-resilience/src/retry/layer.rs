//! The layer.

use ieum_base::Rng;
use tower::Layer;

use super::{Budget, Config, RetryService};

/// Makes failed calls again. All services made by one layer, and all their clones, share **one**
/// budget: make a layer per target.
#[derive(Clone, Debug)]
pub struct RetryLayer<P> {
    config: Config,
    budget: Budget,
    policy: P,
    rng: Rng,
}

impl<P> RetryLayer<P> {
    /// A layer with a budget of its own.
    pub fn new(config: Config, policy: P) -> Self {
        Self::with_budget(config, policy, Budget::new(config.budget), Rng::system())
    }

    /// A layer with a budget that others share, and a source for its jitter.
    pub const fn with_budget(config: Config, policy: P, budget: Budget, rng: Rng) -> Self {
        Self {
            config,
            budget,
            policy,
            rng,
        }
    }
}

impl<S, P: Clone> Layer<S> for RetryLayer<P> {
    type Service = RetryService<S, P>;

    fn layer(&self, inner: S) -> Self::Service {
        let Self {
            config,
            budget,
            policy,
            rng,
        } = self.clone();
        RetryService::new(inner, config, policy, budget, rng)
    }
}
