//! The engine as a long-running component.

use std::sync::Arc;
use std::time::Duration;

use ieum_base::trace::SpanSink;
use ieum_base::{Clock, Rng, Stop, TaskKind, Tasks};
use ieum_eventstore::ownership::{self, Holder, Tenure};
use ieum_eventstore::{Checkpoints, EventStore, Fence, Lease, Leases};
use tokio::sync::mpsc;

use super::layout::Layout;
use super::partition::Partition;
use super::right::Right;
use super::shared::{Parts, Shared};
use super::trigger::Triggers;
use super::{Config, Error, ErrorKind, Handle, Result};
use crate::port::Participants;

/// What the engine works with.
#[derive(Clone)]
pub struct Deps {
    /// The log.
    pub store: Arc<dyn EventStore>,
    /// How far the event triggers have come.
    pub checkpoints: Arc<dyn Checkpoints>,
    /// Who owns which sagas.
    pub leases: Arc<dyn Leases>,
    /// Whether other platforms work on the log too.
    pub sharing: Sharing,
    /// The services that take part.
    pub participants: Arc<dyn Participants>,
    /// The time of day.
    pub clock: Clock,
    /// Jitter and ids of spans.
    pub rng: Rng,
    /// Where spans go; none are recorded without it.
    pub spans: Option<Arc<dyn SpanSink>>,
    /// The name of the service under which spans are recorded.
    pub service: Arc<str>,
}

/// Whether other platforms work on the log too.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Sharing {
    /// None does, as with a log in a file that one process opens. The engine takes everything over at
    /// once, and renews nothing.
    Alone,
    /// Others may, as on PostgreSQL. The engine works on its fair share.
    Shared {
        /// The platform's name, its own among those on the log and the same after a restart: what an
        /// earlier run of that name left is taken over without waiting. At most 200 bytes.
        name: String,
    },
}

impl std::fmt::Debug for Deps {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Deps")
            .field("service", &self.service)
            .field("sharing", &self.sharing)
            .finish_non_exhaustive()
    }
}

/// The engine. Sagas run from [`Service::open`] on; [`Service::run`] watches over them until the
/// stop, and adds event triggers if it is alone.
#[derive(Debug)]
pub struct Service {
    shared: Arc<Shared>,
    /// The right to the triggers, of an engine that is alone.
    triggers: Option<Right>,
}

impl Service {
    /// Takes the log over, or joins those who share it: reads definitions and open sagas, and goes on
    /// with all of them, or with those of the partitions that it wins. It must be called on a tokio
    /// runtime.
    pub async fn open(config: Config, deps: Deps) -> Result<(Self, Handle)> {
        let problems = config.problems();
        if !problems.is_empty() {
            return Err(Error::new(ErrorKind::Config, problems.join("; ")));
        }
        let times = (&deps.clock, &deps.rng);
        let layout = Layout::open(&deps.store, &deps.leases, config.partitions, times).await?;
        let (leases, sharing) = (Arc::clone(&deps.leases), deps.sharing.clone());
        let tasks = Tasks::new(Stop::new());
        let parts = |ownership| Parts {
            config: config.clone(),
            deps: deps.clone(),
            layout,
            ownership,
            tasks: tasks.clone(),
        };
        let (shared, triggers) = match sharing {
            Sharing::Alone => {
                let fences = take_everything(&*leases, layout).await?;
                let shared = Arc::new(Shared::new(parts(None)));
                let right = begin_alone(&shared, fences).await?;
                (shared, Some(right))
            }
            Sharing::Shared { name } => {
                let (member, handle, won) = member(&config, &deps, layout, &name)?;
                let shared = Arc::new(Shared::new(parts(Some(handle))));
                begin_shared(&shared, member, won).await?;
                (shared, None)
            }
        };
        let handle = Handle::new(Arc::clone(&shared));
        Ok((Self { shared, triggers }, handle))
    }

    /// Works until `stop`, then lets the calls in flight end within the drain time, and gives back
    /// what it owns. An error means that a later engine has taken over.
    pub async fn run(self, stop: Stop) -> Result<()> {
        let Self { shared, triggers } = self;
        if let Some(right) = triggers {
            let triggers = Triggers::new(&shared, right);
            shared
                .tasks
                .spawn(TaskKind::Background, "saga-triggers", triggers.tend());
        }
        let own = shared.tasks.stop();
        tokio::select! {
            () = stop.requested() => {}
            () = own.requested() => {}
        }
        let drain = shared.config.drain.0 + GRACE;
        for task in &shared.tasks.shut_down(drain).await {
            tracing::warn!(
                task = task.name,
                count = task.count,
                "still running at the stop; the next engine goes on with them"
            );
        }
        if shared.is_superseded() {
            return Err(Error::new(ErrorKind::Superseded, "the saga engine stopped"));
        }
        Ok(())
    }
}

/// Takes every lease, whoever has it, in one transaction.
async fn take_everything(leases: &dyn Leases, layout: Layout) -> Result<Vec<Fence>> {
    for _ in 0..RACES {
        let seen = leases
            .observe(&ownership::Parts::lease_of(SCOPE, ""))
            .await?;
        let wanted: Vec<Lease> = items(layout)
            .iter()
            .map(|item| {
                let name = ownership::Parts::lease_of(SCOPE, item);
                let seen = seen.iter().find(|lease| lease.name == name);
                seen.cloned().unwrap_or_else(|| Lease::untaken(name))
            })
            .collect();
        let taken = leases.take("alone", &wanted).await?;
        if taken.len() == wanted.len() {
            return Ok(taken);
        }
    }
    let context = "taking the log over: others are at work on it";
    Err(Error::new(ErrorKind::Log, context))
}

/// Goes on with all sagas. Answers the right to the triggers.
async fn begin_alone(shared: &Arc<Shared>, fences: Vec<Fence>) -> Result<Right> {
    shared.read_fold().await?;
    shared.definitions.load(&shared.store).await?;
    let mut rights = items(shared.layout).into_iter().map(|item| {
        let name = ownership::Parts::lease_of(SCOPE, &item);
        let fence = fences.iter().find(|fence| fence.name == name).cloned();
        let fence = fence.unwrap_or(Fence { name, epoch: 0 });
        Right::new(Tenure::alone(item, fence), shared.layout)
    });
    // The triggers come first.
    let Some(triggers) = rights.next() else {
        return Err(Error::new(ErrorKind::Config, "no partitions"));
    };
    shared.set_own_right(triggers.clone());
    let mut recovered = 0;
    for (number, right) in rights.enumerate() {
        let part = Partition::new(shared, number, right);
        recovered += shared.begin_partition(&part);
        shared
            .tasks
            .spawn(TaskKind::Background, "saga-partition", part.tend());
    }
    tracing::info!(epoch = triggers.epoch, recovered, "the saga engine is open");
    Ok(triggers)
}

/// The engine's membership among those who share the log.
fn member(
    config: &Config,
    deps: &Deps,
    layout: Layout,
    name: &str,
) -> Result<(
    ownership::Service,
    ownership::Handle,
    mpsc::Receiver<Tenure>,
)> {
    let settings = ownership::Config {
        lease: config.lease,
        drain: config.drain,
    };
    let parts = ownership::Parts {
        leases: Arc::clone(&deps.leases),
        scope: SCOPE.to_owned(),
        items: items(layout),
        holder: Holder::new(name, deps.clock.new_id()),
        clock: deps.clock.clone(),
    };
    let refused = |error| Error::new(ErrorKind::Config, "the lease").caused_by(error);
    ownership::new(settings, parts).map_err(refused)
}

/// Joins the others. The log is read first, so that this engine knows all sagas from the beginning.
async fn begin_shared(
    shared: &Arc<Shared>,
    member: ownership::Service,
    won: mpsc::Receiver<Tenure>,
) -> Result<()> {
    shared.read_fold().await?;
    // After the fold: what is defined later is seen by whoever follows the log from there.
    shared.definitions.load(&shared.store).await?;
    let tasks = &shared.tasks;
    let follow = Arc::clone(shared).follow_log();
    tasks.spawn(TaskKind::Background, "saga-follower", follow);
    let take_on = Arc::clone(shared).take_on(won);
    tasks.spawn(TaskKind::Background, "saga-tenures", take_on);
    let run = member.run(tasks.stop().clone());
    tasks.spawn(TaskKind::Background, "saga-leases", run);
    tracing::info!(
        partitions = shared.layout.partitions,
        open = shared.open_count(),
        "the saga engine has joined those on its log"
    );
    Ok(())
}

impl Shared {
    /// Begins the work of each lease that is won.
    async fn take_on(self: Arc<Self>, mut won: mpsc::Receiver<Tenure>) {
        let stop = self.tasks.stop().clone();
        while let Some(Some(tenure)) = stop.unless_requested(won.recv()).await {
            let shared = Arc::clone(&self);
            let number = number_of(tenure.item());
            let work = async move {
                match number {
                    Some(number) => shared.open_partition(number, tenure).await,
                    None => {
                        let right = Right::new(tenure, shared.layout);
                        Triggers::new(&shared, right).tend().await;
                    }
                }
            };
            self.tasks.spawn(TaskKind::Background, "saga-tenure", work);
        }
    }
}

/// What is owned: the triggers, and the partitions.
fn items(layout: Layout) -> Vec<String> {
    let partitions = (0..layout.partitions).map(|number| format!("{PARTITION}{number:04}"));
    std::iter::once(TRIGGERS.to_owned())
        .chain(partitions)
        .collect()
}

fn number_of(item: &str) -> Option<usize> {
    item.strip_prefix(PARTITION)?.parse().ok()
}

/// The beginning of the names of the leases.
const SCOPE: &str = "sagas";
const PARTITION: &str = "partition-";
const TRIGGERS: &str = "triggers";
/// How often a lost race for the leases is run again.
const RACES: usize = 10;
/// How much longer than its sagas an engine may take to stop: to give its leases back.
const GRACE: Duration = Duration::from_secs(2);
