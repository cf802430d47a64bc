//! The service.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use tower::{Service, ServiceExt as _};

use super::{Bulkhead, Error};

/// A service behind a bulkhead. Clones share the bulkhead. It admits in `call`: the response future
/// waits for a place, then calls.
#[derive(Clone, Debug)]
pub struct BulkheadService<S> {
    inner: S,
    bulkhead: Bulkhead,
}

/// Waits for a place, then for the answer. Boxed: it holds the queue's timer while it waits.
pub type ResponseFuture<T, E> = Pin<Box<dyn Future<Output = Result<T, Error<E>>> + Send>>;

impl<S> BulkheadService<S> {
    pub(super) const fn new(inner: S, bulkhead: Bulkhead) -> Self {
        Self { inner, bulkhead }
    }
}

impl<S, Request> Service<Request> for BulkheadService<S>
where
    S: Service<Request> + Clone + Send + 'static,
    S::Future: Send,
    Request: Send + 'static,
{
    type Response = S::Response;
    type Error = Error<S::Error>;
    type Future = ResponseFuture<S::Response, S::Error>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        // Readiness is asked for once a place is held; a ready slot must not be kept while queueing.
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request) -> Self::Future {
        let bulkhead = self.bulkhead.clone();
        let inner = self.inner.clone();
        Box::pin(async move {
            let _permit = bulkhead.acquire().await?;
            inner.oneshot(request).await.map_err(Error::Inner)
        })
    }
}
