//! The suite that every registry passes: what the port promises, as cases.
//!
//! A case gets a registry and names of its own, so the cases may run against one long-lived server.
//! A case that fails says why; the caller asserts that [`Report::failed`] is empty and that
//! [`Report::passed`] holds every case, so a suite that ran nothing cannot be green.

use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use ieum_base::Uuid;

use crate::{
    CheckDefinition, CheckId, CheckKind, ErrorKind, Instance, InstanceId, Registration, Registry,
    Result, Snapshot, Status,
};

/// What a run of the suite found.
#[derive(Debug, Default)]
pub struct Report {
    /// The cases that held.
    pub passed: Vec<&'static str>,
    /// The cases that did not, and why.
    pub failed: Vec<(&'static str, String)>,
}

/// The names of all cases.
pub fn names() -> Vec<&'static str> {
    CASES.iter().map(|(name, _)| *name).collect()
}

/// Runs every case, each on what `fresh` makes.
pub async fn run(fresh: impl AsyncFn() -> Arc<dyn Registry>) -> Report {
    let mut report = Report::default();
    for (name, case) in CASES {
        match case(Room::new(fresh().await)).await {
            Ok(()) => report.passed.push(name),
            Err(Failure(why)) => report.failed.push((name, why)),
        }
    }
    report
}

type Case = fn(Room) -> Pin<Box<dyn Future<Output = Result<(), Failure>> + Send>>;

/// Why a case does not hold.
struct Failure(String);

impl From<crate::Error> for Failure {
    fn from(error: crate::Error) -> Self {
        Self(format!("{error:?}"))
    }
}

/// Fails the case with the condition's text, or with what follows it.
macro_rules! ensure {
    ($holds:expr) => {
        ensure!($holds, "it does not hold")
    };
    ($holds:expr, $($why:tt)+) => {
        if !$holds {
            return Err(Failure(format!("{}: {}", stringify!($holds), format_args!($($why)+))));
        }
    };
}

macro_rules! cases {
    ($($name:ident),+ $(,)?) => {
        &[$((stringify!($name), |room| Box::pin($name(room)))),+]
    };
}

const CASES: &[(&str, Case)] = cases![
    an_unknown_service_is_empty_and_has_an_index,
    what_was_registered_is_found_as_it_was_registered,
    a_name_may_have_any_characters,
    registering_again_unchanged_changes_nothing,
    registering_again_replaces,
    an_instance_may_move_to_another_service,
    a_removed_instance_is_gone_and_its_watchers_hear_of_it,
    removing_what_is_not_there_says_so,
    a_report_changes_the_state_of_a_check,
    an_unchanged_report_has_no_index,
    a_check_that_stays_keeps_its_state_when_its_instance_registers_again,
    reporting_what_is_not_there_says_so,
    a_watch_waits_for_the_next_change,
    a_watch_waits_no_longer_than_it_is_told,
    an_index_from_the_future_is_answered_at_once,
    a_change_of_another_service_wakes_nobody,
    services_are_listed_with_the_union_of_their_tags,
    what_breaks_a_rule_is_refused,
];

/// A registry, and names that no other case uses.
struct Room {
    registry: Arc<dyn Registry>,
    suffix: String,
}

impl Room {
    fn new(registry: Arc<dyn Registry>) -> Self {
        let suffix = Uuid::new_v4().simple().to_string();
        Self { registry, suffix }
    }

    fn name(&self, name: &str) -> String {
        format!("{name}-{}", self.suffix)
    }

    fn registration(&self, service: &str, instance: &str) -> Registration {
        Registration {
            instance: Instance {
                id: InstanceId(self.name(instance)),
                service: self.name(service),
                address: "127.0.0.1".to_owned(),
                port: 3_001,
                tags: vec!["primary".to_owned()],
                meta: BTreeMap::from([("owner".to_owned(), "team-users".to_owned())]),
                weight: 3,
            },
            checks: Vec::new(),
        }
    }

    fn with_ttl(&self, service: &str, instance: &str) -> Registration {
        let mut registration = self.registration(service, instance);
        let ttl = CheckKind::Ttl {
            ttl: Duration::from_secs(3_600),
        };
        let id = CheckId::of(&registration.instance.id);
        registration.checks.push(CheckDefinition::new(id, ttl));
        registration
    }

    async fn register(&self, registration: &Registration) -> Result<()> {
        self.registry.register(registration.clone()).await
    }

    async fn now(&self, service: &str) -> Result<Snapshot> {
        self.registry
            .watch(&self.name(service), 0, Duration::ZERO)
            .await
    }

    async fn after(&self, service: &str, index: u64, wait: Duration) -> Result<Snapshot> {
        self.registry.watch(&self.name(service), index, wait).await
    }
}

async fn an_unknown_service_is_empty_and_has_an_index(room: Room) -> Result<(), Failure> {
    let snapshot = room.now("nobody").await?;
    ensure!(snapshot.instances.is_empty());
    ensure!(
        snapshot.index >= 1,
        "0 would make the next watch a busy loop"
    );
    Ok(())
}

async fn what_was_registered_is_found_as_it_was_registered(room: Room) -> Result<(), Failure> {
    let registration = room.with_ttl("users", "users-1");
    room.register(&registration).await?;
    let snapshot = room.now("users").await?;
    ensure!(snapshot.instances.len() == 1);
    let found = &snapshot.instances[0];
    ensure!(found.instance == registration.instance, "{found:?}");
    ensure!(found.checks.len() == 1);
    ensure!(found.checks[0].definition.id == registration.checks[0].id);
    ensure!(
        found.status() == Status::Critical,
        "as before the first result"
    );
    ensure!(found.created >= 1 && found.modified <= snapshot.index);
    Ok(())
}

async fn a_name_may_have_any_characters(room: Room) -> Result<(), Failure> {
    for name in ["결제 서비스", "a/b c?d#e", "100%", "registry-x", "%2e%2e"] {
        let registration = room.with_ttl(name, name);
        room.register(&registration).await?;
        let check = &registration.checks[0].id;
        room.registry.report(check, Status::Passing, "").await?;
        let found = room.now(name).await?;
        ensure!(found.available().count() == 1, "{name}");
        room.registry.deregister(&registration.instance.id).await?;
        ensure!(room.now(name).await?.instances.is_empty(), "{name}");
    }
    Ok(())
}

async fn registering_again_unchanged_changes_nothing(room: Room) -> Result<(), Failure> {
    let registration = room.with_ttl("users", "users-1");
    room.register(&registration).await?;
    let before = room.now("users").await?;
    room.register(&registration).await?;
    let after = room.now("users").await?;
    ensure!(after == before, "{after:?}");
    Ok(())
}

async fn registering_again_replaces(room: Room) -> Result<(), Failure> {
    let mut registration = room.registration("users", "users-1");
    room.register(&registration).await?;
    let before = room.now("users").await?;
    registration.instance.port = 3_002;
    registration.instance.tags = vec!["secondary".to_owned()];
    room.register(&registration).await?;
    let after = room.now("users").await?;
    ensure!(after.index > before.index);
    ensure!(after.instances.len() == 1);
    ensure!(after.instances[0].instance == registration.instance);
    Ok(())
}

async fn an_instance_may_move_to_another_service(room: Room) -> Result<(), Failure> {
    let mut registration = room.with_ttl("users", "one");
    room.register(&registration).await?;
    let before = room.now("users").await?;
    registration.instance.service = room.name("people");
    room.register(&registration).await?;
    let left = room.now("users").await?;
    ensure!(
        left.instances.is_empty() && left.index > before.index,
        "{left:?}"
    );
    ensure!(room.now("people").await?.instances.len() == 1);
    Ok(())
}

async fn a_removed_instance_is_gone_and_its_watchers_hear_of_it(room: Room) -> Result<(), Failure> {
    let registration = room.with_ttl("users", "users-1");
    room.register(&registration).await?;
    let before = room.now("users").await?;
    let id = &registration.instance.id;
    let watch = room.after("users", before.index, LONG);
    let (seen, removed) = tokio::join!(watch, room.registry.deregister(id));
    removed?;
    let seen = seen?;
    ensure!(
        seen.instances.is_empty() && seen.index > before.index,
        "{seen:?}"
    );
    let check = &registration.checks[0].id;
    let told = room.registry.report(check, Status::Passing, "").await;
    ensure!(
        is(&told, ErrorKind::NotFound),
        "its check is gone too: {told:?}"
    );
    Ok(())
}

async fn removing_what_is_not_there_says_so(room: Room) -> Result<(), Failure> {
    let told = room.registry.deregister(&InstanceId(room.name("x"))).await;
    ensure!(is(&told, ErrorKind::NotFound), "{told:?}");
    Ok(())
}

async fn a_report_changes_the_state_of_a_check(room: Room) -> Result<(), Failure> {
    let registration = room.with_ttl("users", "users-1");
    room.register(&registration).await?;
    let check = &registration.checks[0].id;
    let mut index = room.now("users").await?.index;
    for status in [Status::Passing, Status::Warning, Status::Critical] {
        room.registry.report(check, status, "as told").await?;
        let after = room.now("users").await?;
        ensure!(after.index > index, "{status:?}");
        ensure!(after.instances[0].status() == status);
        ensure!(after.instances[0].checks[0].output == "as told");
        ensure!((after.available().count() == 0) == (status == Status::Critical));
        index = after.index;
    }
    Ok(())
}

async fn an_unchanged_report_has_no_index(room: Room) -> Result<(), Failure> {
    let registration = room.with_ttl("users", "users-1");
    room.register(&registration).await?;
    let check = &registration.checks[0].id;
    room.registry.report(check, Status::Passing, "one").await?;
    let before = room.now("users").await?.index;
    let watch = room.after("users", before, SHORT);
    let (seen, told) = tokio::join!(watch, room.registry.report(check, Status::Passing, "two"));
    told?;
    ensure!(seen?.index == before);
    Ok(())
}

async fn a_check_that_stays_keeps_its_state_when_its_instance_registers_again(
    room: Room,
) -> Result<(), Failure> {
    let mut registration = room.with_ttl("users", "users-1");
    room.register(&registration).await?;
    let check = registration.checks[0].id.clone();
    room.registry.report(&check, Status::Passing, "").await?;
    registration.instance.tags.push("new".to_owned());
    room.register(&registration).await?;
    ensure!(room.now("users").await?.available().count() == 1);
    Ok(())
}

async fn reporting_what_is_not_there_says_so(room: Room) -> Result<(), Failure> {
    let check = CheckId(room.name("x"));
    let told = room.registry.report(&check, Status::Passing, "").await;
    ensure!(is(&told, ErrorKind::NotFound), "{told:?}");
    Ok(())
}

async fn a_watch_waits_for_the_next_change(room: Room) -> Result<(), Failure> {
    let before = room.now("users").await?;
    let registration = room.registration("users", "users-1");
    let watch = room.after("users", before.index, LONG);
    let (seen, registered) = tokio::join!(watch, room.register(&registration));
    registered?;
    let seen = seen?;
    ensure!(
        seen.index > before.index && seen.instances.len() == 1,
        "{seen:?}"
    );
    Ok(())
}

async fn a_watch_waits_no_longer_than_it_is_told(room: Room) -> Result<(), Failure> {
    room.register(&room.registration("users", "users-1"))
        .await?;
    let before = room.now("users").await?;
    let watch = room.after("users", before.index, SHORT);
    let Ok(seen) = tokio::time::timeout(LONG, watch).await else {
        return Err(Failure("it still waits".to_owned()));
    };
    ensure!(seen? == before);
    Ok(())
}

async fn an_index_from_the_future_is_answered_at_once(room: Room) -> Result<(), Failure> {
    room.register(&room.registration("users", "users-1"))
        .await?;
    let far = room.now("users").await?.index + 1_000_000;
    for service in ["users", "nobody"] {
        let watch = room.after(service, far, LONG * 10);
        let Ok(seen) = tokio::time::timeout(LONG, watch).await else {
            return Err(Failure(format!(
                "{service}: it waits for an index of another life"
            )));
        };
        ensure!(seen?.index < far, "{service}");
    }
    Ok(())
}

async fn a_change_of_another_service_wakes_nobody(room: Room) -> Result<(), Failure> {
    room.register(&room.registration("users", "users-1"))
        .await?;
    let before = room.now("users").await?;
    let other = room.registration("orders", "orders-1");
    let watch = room.after("users", before.index, SHORT);
    let (seen, registered) = tokio::join!(watch, room.register(&other));
    registered?;
    ensure!(seen? == before);
    Ok(())
}

async fn services_are_listed_with_the_union_of_their_tags(room: Room) -> Result<(), Failure> {
    let first = room.registration("users", "users-1");
    let mut second = room.registration("users", "users-2");
    second.instance.tags = vec!["eu".to_owned(), "primary".to_owned()];
    room.register(&first).await?;
    room.register(&second).await?;
    let name = room.name("users");
    let tags = room.registry.services().await?.remove(&name);
    ensure!(
        tags == Some(vec!["eu".to_owned(), "primary".to_owned()]),
        "{tags:?}"
    );
    for registration in [first, second] {
        room.registry.deregister(&registration.instance.id).await?;
    }
    let left = room.registry.services().await?;
    ensure!(
        !left.contains_key(&name),
        "a service without instances is not listed"
    );
    Ok(())
}

async fn what_breaks_a_rule_is_refused(room: Room) -> Result<(), Failure> {
    let mut nameless = room.registration("users", "users-1");
    nameless.instance.service = String::new();
    let told = room.register(&nameless).await;
    ensure!(
        is(&told, ErrorKind::Invalid),
        "a service without a name: {told:?}"
    );
    let owner = room.with_ttl("users", "users-1");
    let mut thief = room.with_ttl("users", "users-2");
    thief.checks[0].id = owner.checks[0].id.clone();
    room.register(&owner).await?;
    let told = room.register(&thief).await;
    ensure!(
        is(&told, ErrorKind::Invalid),
        "the id of another's check: {told:?}"
    );
    Ok(())
}

fn is<T>(told: &Result<T>, kind: ErrorKind) -> bool {
    matches!(told, Err(error) if error.kind() == kind)
}

/// Longer than any change takes to arrive.
const LONG: Duration = Duration::from_secs(20);

/// Long enough for a change to arrive that must not.
const SHORT: Duration = Duration::from_millis(200);
