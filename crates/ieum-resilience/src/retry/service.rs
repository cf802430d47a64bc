//! The service.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use ieum_base::{Retry, Rng};
use tower::{Service, ServiceExt as _};

use super::{Budget, Config, Error, Policy};

/// A service whose failed calls are made again. Clones share the budget.
#[derive(Clone, Debug)]
pub struct RetryService<S, P> {
    inner: S,
    config: Config,
    policy: P,
    budget: Budget,
    rng: Rng,
}

/// Makes the attempts, waiting between them. Boxed: an attempt, a wait and a copy of the request
/// take turns in it.
pub type ResponseFuture<T, E> = Pin<Box<dyn Future<Output = Result<T, Error<E>>> + Send>>;

impl<S, P> RetryService<S, P> {
    pub(super) const fn new(inner: S, config: Config, policy: P, budget: Budget, rng: Rng) -> Self {
        Self {
            inner,
            config,
            policy,
            budget,
            rng,
        }
    }

    async fn run<Request>(self, mut request: Request) -> Result<S::Response, Error<S::Error>>
    where
        S: Service<Request> + Clone,
        P: Policy<Request, S::Response, S::Error>,
    {
        self.budget.deposit();
        let mut attempts = 1;
        loop {
            let copy = self.policy.clone_request(&request);
            let result = self.inner.clone().oneshot(request).await;
            let (at_least, copy) = match self.next_attempt(result.as_ref(), copy, attempts) {
                Ok(next) => next,
                Err(retry) => {
                    return result.map_err(|last| Error {
                        attempts,
                        retry,
                        last,
                    });
                }
            };
            drop(result);
            let backoff = self.config.backoff().delay(attempts, &self.rng);
            tokio::time::sleep(backoff.max(at_least)).await;
            request = copy;
            attempts += 1;
        }
    }

    /// What another attempt needs (the least wait and the request), or why there is none.
    fn next_attempt<Request>(
        &self,
        result: Result<&S::Response, &S::Error>,
        copy: Option<Request>,
        attempts: u32,
    ) -> Result<(Duration, Request), Retry>
    where
        S: Service<Request>,
        P: Policy<Request, S::Response, S::Error>,
    {
        let Retry::After(at_least) = self.policy.judge(result) else {
            return Err(Retry::Never);
        };
        let copy = copy.ok_or(Retry::Never)?;
        let may = attempts <= self.config.retries && self.budget.try_withdraw();
        may.then_some((at_least, copy)).ok_or(Retry::Exhausted)
    }
}

impl<S, P, Request> Service<Request> for RetryService<S, P>
where
    S: Service<Request> + Clone + Send + Sync + 'static,
    S::Future: Send,
    S::Response: Send,
    S::Error: Send,
    P: Policy<Request, S::Response, S::Error> + Clone + Send + Sync + 'static,
    Request: Send + 'static,
{
    type Response = S::Response;
    type Error = Error<S::Error>;
    type Future = ResponseFuture<S::Response, S::Error>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        // Each attempt asks a clone for readiness; asking here would reserve a place and leave it.
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request) -> Self::Future {
        Box::pin(self.clone().run(request))
    }
}
