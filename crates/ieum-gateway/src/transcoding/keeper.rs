//! The keeper: asks a service for its descriptors, makes a translator, swaps it.
//!
//! It runs on one thread of the gateway, through the same upstream as requests. It looks again when
//! the instances of the service change, and every `refresh`; sooner, with backoff, while something is
//! wrong.

use std::sync::{Arc, Weak};
use std::time::Duration;

use ieum_base::{Backoff, Stop, TaskKind};
use ieum_discovery::Service;
use ieum_grpc::descriptors::reflection::Fetch;
use ieum_grpc::transcode::{Settings, Transcoder};

use super::{Transcoding, fetch};
use crate::table::Target;
use crate::worker::Worker;

/// Begins to keep what of the present table nobody keeps yet.
pub(crate) fn begin_new(worker: &Arc<Worker>) {
    for route in &worker.table().routes {
        let Target::Transcode(transcoding) = &route.target else {
            continue;
        };
        if transcoding.claim() {
            let keeper = Keeper::new(transcoding, worker, &route.name);
            let tasks = &worker.tasks;
            tasks.spawn(TaskKind::Background, "descriptor-keeper", keeper.run());
        }
    }
}

/// Keeps the descriptors of one route until it is gone.
struct Keeper {
    transcoding: Weak<Transcoding>,
    worker: Weak<Worker>,
    service: Arc<Service>,
    route: Box<str>,
    refresh: Duration,
    gone: Stop,
    stop: Stop,
}

impl Keeper {
    fn new(transcoding: &Arc<Transcoding>, worker: &Arc<Worker>, route: &str) -> Self {
        Self {
            transcoding: Arc::downgrade(transcoding),
            worker: Arc::downgrade(worker),
            service: Arc::clone(&transcoding.upstream.service),
            route: route.into(),
            refresh: transcoding.refresh(),
            gone: transcoding.gone.clone(),
            stop: worker.tasks.stop().clone(),
        }
    }

    async fn run(self) {
        let ended = self.stop.unless_requested(self.rounds());
        // Either ends it; which one does not matter.
        let _ = self.gone.unless_requested(ended).await;
    }

    async fn rounds(&self) {
        let mut failures = 0;
        let mut problem = None;
        // What the translator in use was made of.
        let mut set = Vec::new();
        loop {
            let seen = self.service.index();
            let (Some(transcoding), Some(worker)) =
                (self.transcoding.upgrade(), self.worker.upgrade())
            else {
                return;
            };
            let found = self.round(&transcoding, &worker, &mut set).await;
            failures = if found.is_ok() { 0 } else { failures + 1 };
            self.tell(found, &mut problem);
            transcoding.tell(problem.clone());
            let wait = self.wait(&worker, failures);
            let clock = worker.clock.clone();
            drop((transcoding, worker));
            // What changes often is not looked at more often than this.
            clock.sleep(LEAST_PAUSE.min(wait)).await;
            let _ = tokio::time::timeout(wait, self.service.changed(seen)).await;
        }
    }

    /// Asks once. The error is for people.
    async fn round(
        &self,
        transcoding: &Transcoding,
        worker: &Worker,
        set: &mut Vec<u8>,
    ) -> Result<(), String> {
        let plan = &transcoding.plan;
        let within = worker.table().config.timeouts.request.0;
        let fetched = fetch::all(worker, &transcoding.upstream, &plan.services);
        let fetched = tokio::time::timeout(within, fetched).await;
        let fetched = fetched.unwrap_or_else(|_| Err("it did not answer in time".to_owned()))?;
        let known = match transcoding.live() {
            Some(_) => std::mem::take(set),
            None => Vec::new(),
        };
        let (services, settings) = (plan.services.clone(), plan.settings);
        // Work for the processor, and as much as the service likes: not on this thread.
        let making =
            tokio::task::spawn_blocking(move || make(fetched, &known, &services, settings));
        let made = making
            .await
            .unwrap_or_else(|_| Err("reading it panicked".to_owned()));
        let Made {
            set: news,
            transcoder,
        } = made?;
        *set = news;
        let Some(transcoder) = transcoder else {
            return Ok(());
        };
        transcoding.live.store(Some(Arc::new(transcoder)));
        tracing::info!(route = %self.route, "the descriptors of a service are in use");
        Ok(())
    }

    /// Tells what turned, and nothing twice.
    fn tell(&self, found: Result<(), String>, before: &mut Option<String>) {
        let problem = found.err();
        match &problem {
            Some(problem) if before.as_ref() != Some(problem) => tracing::warn!(
                route = %self.route, problem,
                "a service does not say what it looks like; what is known of it stays in use"
            ),
            None if before.is_some() => {
                tracing::info!(route = %self.route, "a service says what it looks like again");
            }
            _ => {}
        }
        *before = problem;
    }

    /// Around `refresh`; less while something is wrong.
    fn wait(&self, worker: &Worker, failures: u32) -> Duration {
        let spread = 0.8 + 0.4 * worker.rng.fraction();
        let wait = match failures {
            0 => self.refresh,
            _ => Backoff::new(FIRST_RETRY, self.refresh).ceiling(failures),
        };
        wait.mul_f64(spread)
    }
}

/// What was made of descriptors.
struct Made {
    /// The descriptors themselves.
    set: Vec<u8>,
    /// None if they are those that were known.
    transcoder: Option<Transcoder>,
}

fn make(
    fetched: Fetch,
    known: &[u8],
    services: &[String],
    settings: Settings,
) -> Result<Made, String> {
    let descriptors = fetched.finish().map_err(|error| error.to_string())?;
    let set = descriptors.to_set();
    if set == known {
        let transcoder = None;
        return Ok(Made { set, transcoder });
    }
    let made = Transcoder::new(descriptors, services, settings);
    let transcoder = Some(made.map_err(|error| error.to_string())?);
    Ok(Made { set, transcoder })
}

/// Before the second look at something that was wrong.
const FIRST_RETRY: Duration = Duration::from_millis(250);

/// Between two looks, however often instances change.
const LEAST_PAUSE: Duration = Duration::from_millis(200);
