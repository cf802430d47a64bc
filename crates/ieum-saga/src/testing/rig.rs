//! Engines on one log, one after the other.

use std::sync::Arc;

use ieum_base::trace::SpanSink;
use ieum_base::{Clock, Rng, Stop, TaskKind, Tasks, Uuid};
use ieum_eventstore::memory;
use serde_json::Value;

use super::{Crash, Life, MortalLog, MortalParticipants, World};
use crate::definition::Definition;
use crate::engine::{Config, Deps, Handle, Receipt, Result, Service, Sharing, Start};
use crate::state::Status;

/// A log and the services around it: what is left when an engine dies.
#[derive(Clone)]
pub struct Rig {
    /// The log.
    pub log: memory::Store,
    /// The services.
    pub world: World,
    /// The settings of the next engine.
    pub config: Config,
    /// Whether the next engine shares the log.
    pub sharing: Sharing,
    /// The time of day.
    pub clock: Clock,
    /// Where the next engine's spans go.
    pub spans: Option<Arc<dyn SpanSink>>,
}

/// One run of an engine.
pub struct Process {
    /// The engine.
    pub handle: Handle,
    /// Whether it lives.
    pub life: Life,
    log: Arc<MortalLog<memory::Store>>,
    tasks: Tasks,
}

impl Rig {
    /// An empty log and obedient services.
    pub fn new() -> Self {
        Self {
            log: memory::Store::new(),
            world: World::default(),
            config: Config::default(),
            sharing: Sharing::Alone,
            clock: Clock::system(),
            spans: None,
        }
    }

    /// Starts an engine that lives until it is killed or stopped.
    pub async fn boot(&self) -> Result<Process> {
        self.boot_until(None, Life::new()).await
    }

    /// Starts an engine that shares the log, under the name of its platform.
    pub async fn join(&self, name: &str) -> Result<Process> {
        self.sharing(name).boot().await
    }

    /// The same rig, whose next engines share the log under `name`.
    #[must_use]
    pub fn sharing(&self, name: &str) -> Self {
        let name = name.to_owned();
        Self {
            sharing: Sharing::Shared { name },
            ..self.clone()
        }
    }

    /// Starts an engine that dies at `crash`. Its opening may already be the end of it: the future
    /// then never resolves, and `life` says so.
    pub async fn boot_until(&self, crash: Option<Crash>, life: Life) -> Result<Process> {
        let log = Arc::new(MortalLog::new(self.log.clone(), life.clone(), crash));
        let participants = MortalParticipants(self.world.clone(), life.clone());
        let deps = Deps {
            store: Arc::clone(&log) as Arc<dyn ieum_eventstore::EventStore>,
            checkpoints: Arc::clone(&log) as Arc<dyn ieum_eventstore::Checkpoints>,
            leases: Arc::clone(&log) as Arc<dyn ieum_eventstore::Leases>,
            sharing: self.sharing.clone(),
            participants: Arc::new(participants),
            clock: self.clock.clone(),
            rng: Rng::seeded(1),
            spans: self.spans.clone(),
            service: "ieum".into(),
        };
        let (service, handle) = Service::open(self.config.clone(), deps).await?;
        let tasks = Tasks::new(Stop::new());
        let stop = tasks.stop().clone();
        tasks.spawn(TaskKind::Background, "saga-engine", async move {
            // How it ended is asked of the handle.
            let _ended = service.run(stop).await;
        });
        Ok(Process {
            handle,
            life,
            log,
            tasks,
        })
    }
}

impl Default for Rig {
    fn default() -> Self {
        Self::new()
    }
}

impl Process {
    /// Defines a saga and starts one with `key`.
    pub async fn start(&self, definition: &Definition, key: &str, input: Value) -> Result<Receipt> {
        self.handle.define(definition.clone()).await?;
        let start = Start {
            definition: definition.name.clone(),
            key: key.to_owned(),
            input,
            trace: None,
        };
        self.handle.start(start).await
    }

    /// Defines a saga, starts one, and waits until it has ended or is parked. `None` if the process
    /// dies first.
    pub async fn run(
        &self,
        definition: &Definition,
        key: &str,
        input: Value,
    ) -> Option<(Uuid, Status)> {
        let work = async {
            let receipt = self.start(definition, key, input).await.ok()?;
            let status = self.handle.settled(receipt.id).await.ok()?;
            Some((receipt.id, status))
        };
        tokio::select! {
            biased;
            () = self.life.ended() => None,
            settled = work => settled,
        }
    }

    /// How many events of the whole log the engine has read.
    pub fn events_read(&self) -> u64 {
        self.log.events_read()
    }

    /// Stops the engine as a service manager would.
    pub async fn stop(self) {
        self.tasks
            .shut_down(std::time::Duration::from_secs(60))
            .await;
    }
}
