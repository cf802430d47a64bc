//! The service and its handlers.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use tower::{Service, ServiceExt as _};

/// Makes an answer of a failure.
pub trait Handler<Request, T, E> {
    /// What is kept of the request in case the call fails.
    type Kept: Send + 'static;

    /// Keeps what an answer would need.
    fn keep(&self, request: &Request) -> Self::Kept;

    /// The answer in place of `error`, or the error.
    fn handle(&self, kept: Self::Kept, error: E) -> impl Future<Output = Result<T, E>> + Send;
}

/// A function of the error is a handler that needs nothing of the request.
impl<F, Request, T, E> Handler<Request, T, E> for F
where
    F: Fn(E) -> Result<T, E>,
    T: Send,
    E: Send,
{
    type Kept = ();

    fn keep(&self, _: &Request) {}

    fn handle(&self, (): (), error: E) -> impl Future<Output = Result<T, E>> + Send {
        std::future::ready(self(error))
    }
}

/// The handler that asks another service.
#[derive(Clone, Copy, Debug)]
pub struct Alternate<A>(pub(super) A);

impl<A, Request, T, E> Handler<Request, T, E> for Alternate<A>
where
    A: Service<Request, Response = T, Error = E> + Clone + Send + Sync,
    A::Future: Send,
    Request: Clone + Send + 'static,
    E: Send,
{
    type Kept = Request;

    fn keep(&self, request: &Request) -> Request {
        request.clone()
    }

    async fn handle(&self, kept: Request, _: E) -> Result<T, E> {
        self.0.clone().oneshot(kept).await
    }
}

/// A service with a fallback.
#[derive(Clone, Copy, Debug)]
pub struct Fallback<S, H> {
    inner: S,
    handler: H,
}

/// The answer, or the fallback's. Boxed: the call and the fallback take turns in it.
pub type ResponseFuture<T, E> = Pin<Box<dyn Future<Output = Result<T, E>> + Send>>;

impl<S, H> Fallback<S, H> {
    pub(super) const fn new(inner: S, handler: H) -> Self {
        Self { inner, handler }
    }
}

impl<S, H, Request> Service<Request> for Fallback<S, H>
where
    S: Service<Request>,
    S::Future: Send + 'static,
    S::Response: Send,
    S::Error: Send,
    H: Handler<Request, S::Response, S::Error> + Clone + Send + Sync + 'static,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = ResponseFuture<S::Response, S::Error>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request) -> Self::Future {
        let kept = self.handler.keep(&request);
        let call = self.inner.call(request);
        let handler = self.handler.clone();
        Box::pin(async move {
            match call.await {
                Ok(answer) => Ok(answer),
                Err(error) => handler.handle(kept, error).await,
            }
        })
    }
}
