//! The saga engine inside the platform.

use std::sync::Arc;

use ieum_base::trace::{Propagators, SpanSink, Tracer};
use ieum_base::{Clock, Rng, TaskKind, Tasks};
use ieum_discovery::Resolver;
use ieum_saga::{Deps, Handle, Service, Sharing};

use super::StartError;
use super::storage::Storage;
use crate::config::Config;
use crate::participants::Participants;
use crate::traces::Store;

/// The name under which the engine's spans are recorded.
const SERVICE: &str = "sagas";

/// Opens the engine: open sagas go on at once. It is a task of `tasks`.
pub(super) async fn open(
    config: &Config,
    storage: &Storage,
    resolver: &Resolver,
    traces: &Store,
    propagators: Propagators,
    clock: &Clock,
    tasks: &Tasks,
) -> Result<Handle, StartError> {
    let definitions = config
        .saga_definitions()
        .map_err(|problems| config.source.report(problems))?;
    let settings = config.sagas.engine.clone();
    let sink: Arc<dyn SpanSink> = Arc::new(traces.clone());
    let tracer = Tracer::new(SERVICE, Arc::clone(&sink), clock.clone()).propagating(propagators);
    let participants =
        Participants::new(resolver.clone(), settings.max_answer, tracer, tasks.clone());
    let deps = Deps {
        store: Arc::clone(&storage.events),
        checkpoints: Arc::clone(&storage.checkpoints),
        leases: Arc::clone(&storage.leases),
        sharing: match storage.is_shared {
            true => Sharing::Shared {
                name: config.platform.name(),
            },
            false => Sharing::Alone,
        },
        participants: Arc::new(participants),
        clock: clock.clone(),
        rng: Rng::system(),
        spans: Some(sink),
        service: SERVICE.into(),
    };
    let failed = |error| StartError::new("the sagas cannot be read from the log").caused_by(error);
    let (service, handle) = Service::open(settings, deps).await.map_err(failed)?;
    for definition in definitions {
        let name = definition.name.clone();
        handle.define(definition).await.map_err(|error| {
            StartError::new(format!("the saga `{name}` cannot be stored")).caused_by(error)
        })?;
    }
    let stop = tasks.stop().clone();
    tasks.spawn(TaskKind::Essential, "saga-engine", async move {
        if let Err(error) = service.run(stop).await {
            tracing::error!(%error, "the saga engine ended");
        }
    });
    Ok(handle)
}
