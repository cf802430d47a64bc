//! The service and its response future.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use pin_project_lite::pin_project;
use tokio::time::Sleep;
use tower::Service;

use super::{Elapsed, Error};

/// A service whose calls are cancelled when they take too long.
#[derive(Clone, Copy, Debug)]
pub struct Timeout<S> {
    inner: S,
    duration: Duration,
}

impl<S> Timeout<S> {
    pub(super) const fn new(inner: S, duration: Duration) -> Self {
        Self { inner, duration }
    }
}

impl<S, Request> Service<Request> for Timeout<S>
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
        ResponseFuture {
            call: Some(self.inner.call(request)),
            sleep: tokio::time::sleep(self.duration),
            after: self.duration,
        }
    }
}

pin_project! {
    /// The answer, or the end of the time; whichever is first.
    #[derive(Debug)]
    pub struct ResponseFuture<F> {
        #[pin]
        call: Option<F>,
        #[pin]
        sleep: Sleep,
        after: Duration,
    }
}

impl<F, T, E> Future for ResponseFuture<F>
where
    F: Future<Output = Result<T, E>>,
{
    type Output = Result<T, Error<E>>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        if let Some(call) = this.call.as_mut().as_pin_mut()
            && let Poll::Ready(result) = call.poll(cx)
        {
            return Poll::Ready(result.map_err(Error::Inner));
        }
        if this.sleep.poll(cx).is_pending() {
            return Poll::Pending;
        }
        // Cancels the call now, not when somebody drops the future.
        this.call.set(None);
        Poll::Ready(Err(Error::Elapsed(Elapsed { after: *this.after })))
    }
}
