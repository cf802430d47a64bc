//! The checker: which checks are to run, and one task for each.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use ieum_base::{ByteSize, HumanDuration, Rng, Stop, TaskKind, Tasks};
use ieum_http::{Connector, HttpClient, client, connector, egress, pool};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tokio::sync::Semaphore;

use super::Checked;
use super::life::Life;
use super::probe::Prober;
use crate::{CheckDefinition, CheckId, CheckKind, InstanceId};

/// How checks are run.
///
/// ```toml
/// concurrency = 64
/// jitter = 0.1
/// least-interval = "100ms"
/// most-output = "4KiB"
/// least-deregister-after = "1m"
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct Config {
    /// The most checks that ask at the same time. Default 64; at least 1.
    #[schemars(range(min = 1))]
    pub concurrency: usize,
    /// How much sooner than its interval a check may run, as a share of it, so that checks spread.
    /// Default 0.1; range 0 to 1.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub jitter: f64,
    /// The least time between two runs of a check, whatever was registered. Default `100ms`.
    pub least_interval: HumanDuration,
    /// The most of an answer that is kept. Default `4KiB`, as in Consul.
    pub most_output: ByteSize,
    /// The least `DeregisterCriticalServiceAfter` of a check; a shorter one is raised to it. Default
    /// `1m`, as in Consul.
    pub least_deregister_after: HumanDuration,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            concurrency: 64,
            jitter: 0.1,
            least_interval: HumanDuration::from_millis(100),
            most_output: ByteSize(4 << 10),
            least_deregister_after: HumanDuration::from_secs(60),
        }
    }
}

/// Runs the checks of a registry.
pub struct Checker {
    shared: Arc<Shared>,
    tasks: Tasks,
}

/// A view of a running checker. Clones see the same one.
#[derive(Clone, Debug)]
pub struct Handle(Arc<Counters>);

/// What the lives of all checks share.
pub(super) struct Shared {
    pub(super) registry: Arc<dyn Checked>,
    pub(super) config: Config,
    pub(super) prober: Prober,
    pub(super) asking: Semaphore,
    pub(super) rng: Rng,
    counters: Arc<Counters>,
}

#[derive(Debug, Default)]
struct Counters {
    running: AtomicUsize,
}

impl Handle {
    /// How many checks are run.
    pub fn running(&self) -> usize {
        self.0.running.load(Ordering::Relaxed)
    }
}

impl Checker {
    /// A checker for the checks of `registry` that calls only what `egress` allows.
    pub fn new(
        registry: Arc<dyn Checked>,
        config: Config,
        egress: egress::Policy,
        rng: Rng,
        tasks: Tasks,
    ) -> Self {
        let connector = connector::Config {
            connect_timeout: LONGEST_CONNECT,
            egress,
            ..connector::Config::default()
        };
        let http = client::Config {
            connector,
            // A check must find out whether new connections are accepted, so none is kept.
            pool: pool::Config {
                most_idle: 0,
                ..pool::Config::default()
            },
            ..client::Config::default()
        };
        let connector = Connector::new(connector);
        let prober = Prober {
            http: HttpClient::with_connector(connector.clone(), http, tasks.clone()),
            connector,
            most_output: usize::try_from(config.most_output.0).unwrap_or(usize::MAX),
        };
        Self {
            shared: Arc::new(Shared {
                registry,
                config,
                prober,
                asking: Semaphore::new(config.concurrency.clamp(1, Semaphore::MAX_PERMITS)),
                rng,
                counters: Arc::default(),
            }),
            tasks,
        }
    }

    /// A view of it.
    pub fn handle(&self) -> Handle {
        Handle(Arc::clone(&self.shared.counters))
    }

    /// Runs checks as they are registered and removed, until the stop.
    pub async fn run(self, stop: Stop) {
        let mut membership = self.shared.registry.live().membership();
        let mut lives = HashMap::new();
        loop {
            membership.mark_unchanged();
            self.reconcile(&mut lives, &stop);
            match stop.unless_requested(membership.changed()).await {
                Some(Ok(())) => {}
                // The stop, or the registry is gone: the children hear the same stop.
                Some(Err(_)) | None => return,
            }
        }
    }

    /// Ends the lives of checks that are gone or otherwise, and begins those that are new.
    fn reconcile(&self, lives: &mut HashMap<CheckId, (Wanted, Stop)>, stop: &Stop) {
        let mut wanted = self.shared.registry.live().look(wanted);
        lives.retain(|id, (running, life)| {
            let stays = wanted.get(id) == Some(running);
            if stays {
                wanted.remove(id);
            } else {
                life.request();
            }
            stays
        });
        for (id, wanted) in wanted {
            let life = stop.child();
            self.begin(wanted.clone(), life.clone());
            lives.insert(id, (wanted, life));
        }
    }

    fn begin(&self, wanted: Wanted, stop: Stop) {
        let shared = Arc::clone(&self.shared);
        self.tasks
            .spawn(TaskKind::Background, "health-check", async move {
                let _running = Running::enter(Arc::clone(&shared.counters));
                stop.unless_requested(Life::new(&shared, &wanted).run())
                    .await;
            });
    }
}

/// A check that is to run. Only what matters to running it: a new name restarts nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Wanted {
    pub(super) id: CheckId,
    pub(super) instance: InstanceId,
    pub(super) kind: CheckKind,
    pub(super) deregister_after: Option<Duration>,
}

fn wanted(catalog: &crate::catalog::Catalog) -> BTreeMap<CheckId, Wanted> {
    let of = |instance: &InstanceId, check: &CheckDefinition| Wanted {
        id: check.id.clone(),
        instance: instance.clone(),
        kind: check.kind.clone(),
        deregister_after: check.deregister_after,
    };
    catalog
        .all()
        .flat_map(|r| r.checks.iter().map(|c| of(&r.instance.id, &c.definition)))
        .map(|wanted| (wanted.id.clone(), wanted))
        .collect()
}

/// Counts a life, also when it is dropped.
struct Running(Arc<Counters>);

impl Running {
    fn enter(counters: Arc<Counters>) -> Self {
        counters.running.fetch_add(1, Ordering::Relaxed);
        Self(counters)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.0.running.fetch_sub(1, Ordering::Relaxed);
    }
}

impl fmt::Debug for Checker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Checker")
            .field("config", &self.shared.config)
            .finish_non_exhaustive()
    }
}

/// Connecting is bounded by the check's own timeout; this only bounds what that may be.
const LONGEST_CONNECT: Duration = Duration::from_secs(300);
