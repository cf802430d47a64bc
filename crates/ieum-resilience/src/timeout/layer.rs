//! The layer.

use std::time::Duration;

use tower::Layer;

use super::Timeout;

/// Bounds the time of each call. Nothing is shared: each call has its own time.
#[derive(Clone, Copy, Debug)]
pub struct TimeoutLayer(Duration);

impl TimeoutLayer {
    /// A layer that allows `duration` from `call` to the response.
    pub const fn new(duration: Duration) -> Self {
        Self(duration)
    }
}

impl<S> Layer<S> for TimeoutLayer {
    type Service = Timeout<S>;

    fn layer(&self, inner: S) -> Self::Service {
        Timeout::new(inner, self.0)
    }
}
