//! `grpc.health.v1.Health`: what `/health` says, in the words of gRPC.
//!
//! A service serves while it can be called: red is red in both. A watcher is told of a change when it
//! is seen, at the latest after the time for which a check's result is kept; it is told at once that
//! the service leaves, and then its stream ends, so that it does not keep the service from stopping.

use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::{self, BoxStream};
use ieum_base::Clock;
use tonic::{Request, Response, Status};
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_server::Health as Protocol;
use tonic_health::pb::{HealthCheckRequest, HealthCheckResponse};

use crate::Health;

/// Says how these services are. Clones are the same.
#[derive(Clone)]
pub(super) struct Serving {
    health: Health,
    names: Arc<[&'static str]>,
    /// The time between two looks, while somebody watches.
    pause: Duration,
    clock: Clock,
}

impl Serving {
    pub(super) fn new(
        health: Health,
        names: &[&'static str],
        pause: Duration,
        clock: Clock,
    ) -> Self {
        Self {
            health,
            names: names.into(),
            pause: pause.max(LEAST_PAUSE),
            clock,
        }
    }

    /// `None` for a service that is not here. The empty name is the process.
    async fn status(&self, service: &str) -> Option<ServingStatus> {
        if !service.is_empty() && !self.names.contains(&service) {
            return None;
        }
        Some(match self.health.report().await.callable {
            true => ServingStatus::Serving,
            false => ServingStatus::NotServing,
        })
    }
}

#[tonic::async_trait]
impl Protocol for Serving {
    type WatchStream = BoxStream<'static, Result<HealthCheckResponse, Status>>;

    async fn check(
        &self,
        request: Request<HealthCheckRequest>,
    ) -> Result<Response<HealthCheckResponse>, Status> {
        let status = self.status(&request.get_ref().service).await;
        let status = status.ok_or_else(|| Status::not_found("there is no such service here"))?;
        Ok(Response::new(answer(status)))
    }

    async fn watch(
        &self,
        request: Request<HealthCheckRequest>,
    ) -> Result<Response<Self::WatchStream>, Status> {
        let watch = Watch {
            serving: self.clone(),
            service: request.into_inner().service,
            told: None,
            is_over: false,
        };
        Ok(Response::new(stream::unfold(watch, Watch::next).boxed()))
    }
}

/// One watcher.
struct Watch {
    serving: Serving,
    service: String,
    told: Option<ServingStatus>,
    is_over: bool,
}

impl Watch {
    /// The next change; at the end a status that makes the watcher look elsewhere.
    async fn next(mut self) -> Option<(Result<HealthCheckResponse, Status>, Self)> {
        let leaving = self.serving.health.leaving().clone();
        while !self.is_over {
            let status = self.serving.status(&self.service).await;
            let status = status.unwrap_or(ServingStatus::ServiceUnknown);
            if self.told != Some(status) {
                self.told = Some(status);
                return Some((Ok(answer(status)), self));
            }
            if leaving.is_requested() {
                self.is_over = true;
                return Some((Err(Status::unavailable("the service is stopping")), self));
            }
            let pause = self.serving.clock.sleep(self.serving.pause);
            leaving.unless_requested(pause).await;
        }
        None
    }
}

fn answer(status: ServingStatus) -> HealthCheckResponse {
    HealthCheckResponse {
        status: status.into(),
    }
}

const LEAST_PAUSE: Duration = Duration::from_millis(100);
