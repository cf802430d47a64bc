//! The service.

use std::task::{Context, Poll};

use tower::Service;

use super::{Breaker, Error, Policy, ResponseFuture};

/// A service behind a breaker. Clones share the breaker. It admits in `call`: a refusal is the
/// response future's error, and `poll_ready` is the inner service's alone.
#[derive(Clone, Debug)]
pub struct CircuitBreaker<S, P> {
    inner: S,
    breaker: Breaker,
    policy: P,
}

impl<S, P> CircuitBreaker<S, P> {
    pub(super) const fn new(inner: S, breaker: Breaker, policy: P) -> Self {
        Self {
            inner,
            breaker,
            policy,
        }
    }

    /// The shared breaker.
    pub const fn breaker(&self) -> &Breaker {
        &self.breaker
    }
}

impl<S, P, Request> Service<Request> for CircuitBreaker<S, P>
where
    S: Service<Request>,
    P: Policy<S::Response, S::Error> + Clone,
{
    type Response = S::Response;
    type Error = Error<S::Error>;
    type Future = ResponseFuture<S::Future, P>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(cx).map_err(Error::Inner)
    }

    fn call(&mut self, request: Request) -> Self::Future {
        match self.breaker.try_acquire() {
            Ok(permit) => {
                ResponseFuture::admitted(self.inner.call(request), permit, self.policy.clone())
            }
            Err(open) => ResponseFuture::refused(open),
        }
    }
}
