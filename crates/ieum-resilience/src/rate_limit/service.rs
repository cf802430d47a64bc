//! The service and its response future.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use pin_project_lite::pin_project;
use tower::Service;

use super::{Error, Limited, Limiter};

/// A service behind a rate limit. Clones share the limit. It admits in `call`.
#[derive(Clone, Debug)]
pub struct RateLimit<S> {
    inner: S,
    limiter: Limiter,
}

impl<S> RateLimit<S> {
    pub(super) const fn new(inner: S, limiter: Limiter) -> Self {
        Self { inner, limiter }
    }
}

impl<S, Request> Service<Request> for RateLimit<S>
where
    S: Service<Request>,
{
    type Response = S::Response;
    type Error = Error<S::Error>;
    type Future = ResponseFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(cx).map_err(Error::Inner)
    }

    fn call(&mut self, request: Request) -> Self::Future {
        match self.limiter.check() {
            Ok(_) => ResponseFuture {
                call: Some(self.inner.call(request)),
                limited: None,
            },
            Err(limited) => ResponseFuture {
                call: None,
                limited: Some(limited),
            },
        }
    }
}

pin_project! {
    /// The answer, or the refusal.
    #[derive(Debug)]
    pub struct ResponseFuture<F> {
        #[pin]
        call: Option<F>,
        limited: Option<Limited>,
    }
}

impl<F, T, E> Future for ResponseFuture<F>
where
    F: Future<Output = Result<T, E>>,
{
    type Output = Result<T, Error<E>>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        if let Some(limited) = this.limited.take() {
            return Poll::Ready(Err(Error::Limited(limited)));
        }
        match this.call.as_pin_mut() {
            Some(call) => call.poll(cx).map_err(Error::Inner),
            None => Poll::Pending,
        }
    }
}
