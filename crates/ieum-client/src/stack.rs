//! The layers between a caller and an endpoint.

use std::time::Duration;

use ieum_base::{Retry, Rng};
use ieum_http::Sent;
use ieum_resilience::bulkhead::{self, BulkheadLayer};
use ieum_resilience::retry::{self, RetryLayer};
use ieum_resilience::timeout::{self, TimeoutLayer};
use ieum_resilience::{Budget, Bulkhead};
use tower::{ServiceBuilder, ServiceExt};

use crate::call::{Answer, Call, Failure};
use crate::dispatch::Dispatch;
use crate::{Config, Error, ErrorKind};

/// What all calls to one service share.
#[derive(Clone, Debug)]
pub(crate) struct Protections {
    budget: Budget,
    bulkhead: Bulkhead,
    config: Config,
}

impl Protections {
    pub(crate) fn new(config: Config) -> Self {
        Self {
            budget: Budget::new(config.retry.budget),
            bulkhead: Bulkhead::new(config.bulkhead),
            config,
        }
    }

    #[cfg(feature = "grpc")]
    pub(crate) const fn budget(&self) -> &Budget {
        &self.budget
    }

    #[cfg(feature = "grpc")]
    pub(crate) const fn bulkhead(&self) -> &Bulkhead {
        &self.bulkhead
    }

    /// Makes a call through the layers. The answer comes with the number of attempts.
    pub(crate) async fn call(&self, call: Call, dispatch: Dispatch) -> Result<Answer, Error> {
        let service = dispatch.service.name().to_owned();
        let retry = self.config.retry;
        let layers = ServiceBuilder::new()
            // 1. Bounds the whole call, its waits included. An attempt's own limit is the same
            //    moment at the latest; it must win, because it teaches the endpoint's breaker.
            .layer(TimeoutLayer::new(call.deadline.left() + GRACE))
            // 2. Once more, elsewhere, if that is safe and the budget pays for it.
            .layer(RetryLayer::with_budget(
                retry,
                Again,
                self.budget.clone(),
                Rng::system(),
            ))
            // 3. A slow service must not hold all of its callers: each attempt takes a place, and
            //    none is held while a retry waits.
            .layer(BulkheadLayer::with_bulkhead(self.bulkhead.clone()))
            // 4. One attempt: pick an endpoint whose breaker is closed, send, report.
            .service(dispatch);
        layers
            .oneshot(call)
            .await
            .map_err(|failure| flatten(&service, failure))
    }
}

/// The attempt itself knows whether another one makes sense.
#[derive(Clone, Copy, Debug)]
struct Again;

impl retry::Policy<Call, Answer, bulkhead::Error<Failure>> for Again {
    fn clone_request(&self, call: &Call) -> Option<Call> {
        Some(call.clone())
    }

    fn judge(&self, result: Result<&Answer, &bulkhead::Error<Failure>>) -> Retry {
        match result {
            Ok(answer) => answer.again,
            Err(bulkhead::Error::Inner(failure)) => failure.again,
            // It has waited for a place already.
            Err(_) => Retry::Never,
        }
    }
}

type Layered = timeout::Error<retry::Error<bulkhead::Error<Failure>>>;

fn flatten(service: &str, failure: Layered) -> Error {
    let (attempts, last) = match failure {
        timeout::Error::Inner(failed) => (failed.attempts, failed.last),
        elapsed => {
            return Error::new(ErrorKind::Timeout, service)
                .sent_as(Sent::Sent)
                .caused_by(elapsed.to_string());
        }
    };
    let error = match last {
        bulkhead::Error::Inner(failure) => failure.error,
        full => Error::new(ErrorKind::Unavailable, service).caused_by(full.to_string()),
    };
    error.after_attempts(attempts)
}

const GRACE: Duration = Duration::from_millis(20);
