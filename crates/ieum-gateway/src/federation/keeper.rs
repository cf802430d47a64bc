//! The keeper: asks the subgraphs for their schemas, composes them, swaps the supergraph.
//!
//! It runs on one thread of the gateway, through the same upstreams as requests, and composes on a
//! thread that serves nobody. It looks again when the instances of a subgraph change, and every
//! `refresh`; sooner, with backoff, while something is wrong.

use std::sync::{Arc, Weak};
use std::time::Duration;

use futures_util::future::{join_all, select_all};
use ieum_base::{Backoff, Stop, TaskKind};
use ieum_discovery::Service;
use ieum_graphql::Supergraph;
use ieum_graphql::supergraph::{SubgraphSource, compose};

use super::schema::{self, Bounds};
use super::state::Turned;
use super::{Federation, Live};
use crate::table::Target;
use crate::worker::Worker;

/// Begins to keep what of the present table nobody keeps yet.
pub(crate) fn begin_new(worker: &Arc<Worker>) {
    for route in &worker.table().routes {
        let Target::Graphql(federation) = &route.target else {
            continue;
        };
        if federation.claim() {
            let keeper = Keeper::new(federation, worker, &route.name);
            worker
                .tasks
                .spawn(TaskKind::Background, "graphql-keeper", keeper.run());
        }
    }
}

/// Keeps one federation until no route uses it any more.
struct Keeper {
    federation: Weak<Federation>,
    worker: Weak<Worker>,
    route: Box<str>,
    services: Vec<Arc<Service>>,
    gone: Stop,
    stop: Stop,
    refresh: Duration,
}

impl Keeper {
    fn new(federation: &Arc<Federation>, worker: &Arc<Worker>, route: &str) -> Self {
        let subgraphs = federation.subgraphs.iter();
        Self {
            federation: Arc::downgrade(federation),
            worker: Arc::downgrade(worker),
            route: route.into(),
            services: subgraphs.map(|s| Arc::clone(&s.upstream.service)).collect(),
            gone: federation.gone.clone(),
            stop: worker.tasks.stop().clone(),
            refresh: federation.refresh(),
        }
    }

    async fn run(self) {
        let ended = self.stop.unless_requested(self.rounds());
        // Either ends it; which one does not matter.
        let _ = self.gone.unless_requested(ended).await;
    }

    async fn rounds(&self) {
        let mut failures = 0;
        loop {
            let seen: Vec<u64> = self
                .services
                .iter()
                .map(|service| service.index())
                .collect();
            let (Some(federation), Some(worker)) =
                (self.federation.upgrade(), self.worker.upgrade())
            else {
                return;
            };
            let is_well = self.round(&federation, &worker).await;
            failures = if is_well { 0 } else { failures + 1 };
            let wait = self.wait(&worker, failures);
            let clock = worker.clock.clone();
            drop((federation, worker));
            // What changes often is not looked at more often than this.
            clock.sleep(LEAST_PAUSE.min(wait)).await;
            let changed = select_all(
                self.services
                    .iter()
                    .zip(seen)
                    .map(|(service, index)| Box::pin(service.changed(index))),
            );
            if tokio::time::timeout(wait, changed).await.is_ok() {
                // Other instances are another beginning: what failed with the former says nothing of them.
                failures = 0;
            }
        }
    }

    /// Around `refresh`; less while something is wrong.
    fn wait(&self, worker: &Worker, failures: u32) -> Duration {
        let spread = 0.8 + 0.4 * worker.rng.fraction();
        let wait = match failures {
            0 => self.refresh,
            _ => Backoff::new(FIRST_RETRY, LONGEST_RETRY.min(self.refresh)).ceiling(failures),
        };
        wait.mul_f64(spread)
    }

    /// Asks all subgraphs, and composes if there is something new. True if nothing is wrong.
    async fn round(&self, federation: &Arc<Federation>, worker: &Worker) -> bool {
        let config = worker.table();
        let bounds = Bounds {
            most: usize::try_from(config.config.limits.part.0).unwrap_or(usize::MAX),
            timeout: config.config.timeouts.request.0,
        };
        drop(config);
        let asked = federation.subgraphs.iter();
        let answers = join_all(asked.map(|subgraph| schema::ask(worker, subgraph, bounds))).await;
        for turned in federation.state.learn(answers) {
            self.tell(federation, &turned);
        }
        if let Some(schemas) = federation.state.news() {
            self.renew(federation, &schemas).await;
        }
        federation.state.is_well()
    }

    fn tell(&self, federation: &Federation, turned: &Turned) {
        let (route, subgraph) = (&self.route, &federation.subgraphs[turned.place].name);
        let is_first = federation.live.load().is_none();
        match &turned.problem {
            None => tracing::info!(%route, %subgraph, "a subgraph answers its schema"),
            // At a start services come one after the other.
            Some(problem) if is_first => tracing::info!(
                %route, %subgraph, problem,
                "a subgraph is waited for: it does not answer its schema yet"
            ),
            Some(problem) => tracing::warn!(
                %route, %subgraph, problem,
                "a subgraph does not answer its schema; the last supergraph stays in use"
            ),
        }
    }

    /// Composes another supergraph and puts it in the place of the present one.
    async fn renew(&self, federation: &Arc<Federation>, schemas: &[Arc<str>]) {
        let sources = federation.subgraphs.iter().zip(schemas);
        let sources: Vec<SubgraphSource> = sources
            .map(|(subgraph, sdl)| SubgraphSource {
                name: subgraph.name.to_string(),
                url: format!("http://{}{}", subgraph.name, subgraph.target),
                sdl: sdl.to_string(),
            })
            .collect();
        let engine = Arc::clone(federation);
        let composed = tokio::task::spawn_blocking(move || engine.composed(&sources)).await;
        let composed = composed.unwrap_or_else(|_| Err("composing them panicked".to_owned()));
        let is_composed = composed.is_ok();
        match composed {
            Ok(live) => {
                federation.publish(&live);
                federation.state.composed(None);
                tracing::info!(route = %self.route, "a supergraph was composed and is in use");
            }
            Err(problem) => {
                tracing::error!(
                    route = %self.route, problem,
                    "the subgraphs cannot be composed; a supergraph that is there stays in use"
                );
                federation.state.composed(Some(problem));
            }
        }
        // Counted last: who sees the count finds what was counted.
        federation.metrics.composed(is_composed);
    }
}

impl Federation {
    /// CPU only, and much of it.
    fn composed(&self, sources: &[SubgraphSource]) -> Result<Arc<Live>, String> {
        let sdl: Arc<str> = compose(sources).map_err(|error| error.to_string())?.into();
        if let Some(known) = self.known(&sdl) {
            return Ok(known);
        }
        let supergraph = Supergraph::parse(&sdl).map_err(|error| error.to_string())?;
        self.engine(&sdl, supergraph)
    }
}

/// Before the second look at something that was wrong.
const FIRST_RETRY: Duration = Duration::from_millis(250);

/// Between two looks while something is wrong, at most: callers are waiting.
const LONGEST_RETRY: Duration = Duration::from_secs(5);

/// Between two looks, however often instances change.
const LEAST_PAUSE: Duration = Duration::from_millis(200);
