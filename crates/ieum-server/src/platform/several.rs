//! Several platforms on one log: each is a member, and one at a time judges.
//!
//! Every platform serves, takes registrations and heartbeats, and runs its share of the sagas. What must
//! be done by one alone is an item of the scope `platform`, owned by a lease: running health checks, and
//! ending sessions that nobody renewed. Members are called by the address of their API.

use std::sync::Arc;

use ieum_base::{Clock, HumanDuration, Rng, Secret, TaskKind, Tasks};
use ieum_discovery::embedded::{Judge, Registry};
use ieum_discovery::health::Checker;
use ieum_discovery::kv;
use ieum_discovery::peers::Peers;
use ieum_eventstore::ownership::{self, Handle, Holder, Parts, Tenure};
use ieum_http::egress;
use ieum_remote::wire::platforms::{PlatformView, Platforms};

use super::StartError;
use super::peers::Others;
use super::storage::Storage;
use super::topics::mirror;
use crate::config::Config;

/// The scope of the leases, and the one item in it.
const SCOPE: &str = "platform";
const CHECKS: &str = "checks";

/// What the one that judges works with.
pub(super) struct Bench {
    pub(super) registry: Arc<Registry>,
    pub(super) sessions: kv::Store,
    pub(super) egress: egress::Policy,
    pub(super) token: Option<Secret>,
}

/// Joins the platforms on `storage`, and judges when it is this one's turn.
pub(super) fn join(
    config: &Config,
    storage: &Storage,
    bench: Bench,
    clock: &Clock,
    tasks: &Tasks,
) -> Result<Handle, StartError> {
    let settings = ownership::Config {
        lease: config.registry.lease,
        drain: HumanDuration::from_secs(1),
    };
    let parts = Parts {
        leases: Arc::clone(&storage.leases),
        scope: SCOPE.to_owned(),
        items: vec![CHECKS.to_owned()],
        holder: Holder::new(&config.platform.name(), clock.new_id()),
        clock: clock.clone(),
    };
    let refused = |error| StartError::new("`registry.lease`").caused_by(error);
    let (service, handle, mut tenures) = ownership::new(settings, parts).map_err(refused)?;
    let stop = tasks.stop().clone();
    tasks.spawn(TaskKind::Essential, "platform-member", service.run(stop));
    let peers: Arc<dyn Peers> = Arc::new(Others::new(&handle, bench.token.clone(), tasks));
    let (checks, tree) = (config.registry.checks, tasks.clone());
    tasks.spawn(TaskKind::Background, "registry-judge", async move {
        while let Some(tenure) = tenures.recv().await {
            judge(&bench, checks, tenure, Arc::clone(&peers), &tree).await;
        }
    });
    Ok(handle)
}

/// Judges until the tenure is over.
async fn judge(
    bench: &Bench,
    checks: ieum_discovery::health::Config,
    tenure: Tenure,
    peers: Arc<dyn Peers>,
    tasks: &Tasks,
) {
    tracing::info!("this platform runs the health checks now");
    let judge = Judge::begin(
        Arc::clone(&bench.registry),
        tenure.clone(),
        Arc::clone(&peers),
    );
    let (judge, rng) = (Arc::new(judge), Rng::system());
    let checker = Checker::new(judge, checks, bench.egress, rng, tasks.clone());
    let sessions = bench
        .sessions
        .look_after_sessions(tenure.fence().clone(), peers);
    let stop = tenure.stop().clone();
    tokio::join!(checker.run(stop.clone()), stop.unless_requested(sessions));
    tenure.finished();
    tracing::info!("another platform runs the health checks");
}

/// Who is there, as this platform last saw it.
pub(super) fn company(
    name: &str,
    members: Option<&Handle>,
    sagas: Option<&ieum_saga::Handle>,
    mirror: Option<&mirror::Status>,
) -> Platforms {
    let members = members.map(Handle::view).unwrap_or_default();
    let sagas = sagas.and_then(ieum_saga::Handle::ownership);
    let shared = !members.members.is_empty() || sagas.is_some();
    let sagas = sagas.unwrap_or_default();
    let mut platforms = vec![PlatformView {
        name: name.to_owned(),
        own: true,
        alive: true,
        mirrors: mirror.map(mirror::Status::here).unwrap_or_default(),
        checks: !shared,
        ..PlatformView::default()
    }];
    for member in members.members.iter().chain(&sagas.members) {
        if !platforms.iter().any(|known| known.name == member.name) {
            platforms.push(PlatformView {
                name: member.name.clone(),
                alive: member.alive,
                ..PlatformView::default()
            });
        }
    }
    for platform in &mut platforms {
        let owns = |owned: &&ownership::Owned| owned.owner.as_ref() == Some(&platform.name);
        let partitions = sagas.items.iter().filter(owns);
        platform.partitions = partitions.map(|owned| owned.item.clone()).collect();
        platform.checks |= members.items.iter().any(|owned| owns(&owned));
    }
    platforms.sort_by(|a, b| a.name.cmp(&b.name));
    let unowned = sagas.items.iter().filter(|owned| owned.owner.is_none());
    Platforms {
        shared,
        platforms,
        unowned: unowned.count(),
    }
}
