//! The layer.

use tower::Layer;

use super::{Alternate, Fallback};

/// Answers in place of a service that failed. Clones share the handler's state as the handler's own
/// clones do.
#[derive(Clone, Copy, Debug)]
pub struct FallbackLayer<H>(H);

impl<H> FallbackLayer<H> {
    /// A layer that asks `handler` for an answer to a failure.
    pub const fn new(handler: H) -> Self {
        Self(handler)
    }
}

impl<A> FallbackLayer<Alternate<A>> {
    /// A layer that sends the request to `alternate` when the service failed.
    pub const fn to(alternate: A) -> Self {
        Self(Alternate(alternate))
    }
}

impl<S, H: Clone> Layer<S> for FallbackLayer<H> {
    type Service = Fallback<S, H>;

    fn layer(&self, inner: S) -> Self::Service {
        Fallback::new(inner, self.0.clone())
    }
}
