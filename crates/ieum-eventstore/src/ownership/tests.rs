//! Members on one log in virtual time: joining, leaving, dying, and losing the log.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use ieum_base::testing::pass;
use ieum_base::{Clock, HumanDuration, Rng, Stop, TaskKind, Tasks};
use tokio::sync::mpsc;

use super::{Config, Handle, Holder, Parts, Tenure, new};
use crate::memory::Store;
use crate::{Append, Error, ErrorKind, EventStore, Expect, Fence, Lease, Leases, NewEvent, Result};

const LEASE: Duration = Duration::from_secs(5);
const SCOPE: &str = "sagas";

/// Leases behind a cable that can be pulled, and that lose their first answers if asked to.
struct Cable {
    store: Store,
    pulled: AtomicBool,
    loses_takes: AtomicBool,
}

impl Cable {
    async fn pass(&self) -> Result<()> {
        if self.pulled.load(Ordering::SeqCst) {
            std::future::pending::<()>().await;
        }
        Ok(())
    }
}

#[async_trait]
impl Leases for Cable {
    async fn observe(&self, prefix: &str) -> Result<Vec<Lease>> {
        self.pass().await?;
        self.store.observe(prefix).await
    }
    async fn take(&self, holder: &str, seen: &[Lease]) -> Result<Vec<Fence>> {
        self.pass().await?;
        let taken = self.store.take(holder, seen).await;
        if self.loses_takes.swap(false, Ordering::SeqCst) {
            return Err(Error::new(ErrorKind::Unavailable, "the answer is lost"));
        }
        taken
    }
    async fn renew(&self, held: &[Fence]) -> Result<Vec<Fence>> {
        self.pass().await?;
        self.store.renew(held).await
    }
    async fn release(&self, held: &[Fence]) -> Result<()> {
        self.pass().await?;
        self.store.release(held).await
    }
}

/// A running member. Dropping its tasks would not end them: it is killed by its life.
struct Platform {
    handle: Handle,
    tenures: mpsc::Receiver<Tenure>,
    held: Vec<Tenure>,
    cable: Arc<Cable>,
    tasks: Tasks,
    dead: Stop,
}

impl Platform {
    fn start(store: &Store, name: &str, items: usize) -> Self {
        let cable = Arc::new(Cable {
            store: store.clone(),
            pulled: AtomicBool::new(false),
            loses_takes: AtomicBool::new(false),
        });
        Self::behind(cable, name, items)
    }

    fn behind(cable: Arc<Cable>, name: &str, items: usize) -> Self {
        let parts = Parts {
            leases: Arc::clone(&cable) as _,
            scope: SCOPE.to_owned(),
            items: (0..items).map(|n| format!("part-{n:02}")).collect(),
            holder: Holder::new(name, Clock::system().new_id()),
            clock: Clock::system(),
        };
        let config = Config {
            lease: HumanDuration(LEASE),
            ..Config::default()
        };
        let (service, handle, tenures) = new(config, parts).expect("valid");
        let tasks = Tasks::new(Stop::new());
        let (stop, dead) = (tasks.stop().clone(), Stop::new());
        let life = dead.clone();
        tasks.spawn(TaskKind::Background, "member", async move {
            life.unless_requested(service.run(stop)).await;
        });
        Self {
            handle,
            tenures,
            held: Vec::new(),
            cable,
            tasks,
            dead,
        }
    }

    /// What it may work on now; what was given back is finished at once.
    fn owned(&mut self) -> Vec<String> {
        while let Ok(tenure) = self.tenures.try_recv() {
            self.held.push(tenure);
        }
        for tenure in &self.held {
            if tenure.stop().is_requested() {
                tenure.finished();
            }
        }
        self.held.retain(|tenure| !tenure.stop().is_requested());
        let mut items: Vec<_> = self.held.iter().map(|t| t.item().to_owned()).collect();
        items.sort();
        items
    }

    /// Like `kill -9`.
    fn kill(&self) {
        self.dead.request();
    }

    async fn stop(mut self) {
        self.tasks.stop().request();
        let begun = tokio::time::Instant::now();
        while !self.tasks.is_empty() {
            self.owned();
            pass(Duration::from_millis(10)).await;
        }
        // A log that does not answer holds it up for a few calls.
        assert!(begun.elapsed() <= LEASE * 4, "{:?}", begun.elapsed());
    }
}

/// Lets time pass while everybody keeps finishing what it is asked to give back.
async fn run(platforms: &mut [&mut Platform], time: Duration) {
    let step = Duration::from_millis(100);
    for _ in 0..time.as_millis() / step.as_millis() {
        pass(step).await;
        for platform in &mut *platforms {
            platform.owned();
        }
    }
}

/// Every item has one owner, and the shares differ by one at most.
fn assert_fair(platforms: &mut [&mut Platform], items: usize) {
    let owned: Vec<Vec<String>> = platforms.iter_mut().map(|p| p.owned()).collect();
    let mut all: Vec<&String> = owned.iter().flatten().collect();
    all.sort();
    all.dedup();
    let count: usize = owned.iter().map(Vec::len).sum();
    assert_eq!((all.len(), count), (items, items), "{owned:?}");
    let sizes = owned.iter().map(Vec::len);
    let (least, most) = (sizes.clone().min(), sizes.max());
    assert!(most <= least.map(|least| least + 1), "{owned:?}");
}

#[tokio::test(start_paused = true)]
async fn the_first_member_owns_everything_at_once_and_the_next_ones_get_their_share() {
    let store = Store::new();
    let mut first = Platform::start(&store, "one", 16);
    pass(Duration::from_millis(1)).await;
    assert_eq!(first.owned().len(), 16);
    let mut second = Platform::start(&store, "two", 16);
    run(&mut [&mut first, &mut second], LEASE).await;
    assert_fair(&mut [&mut first, &mut second], 16);
    let mut third = Platform::start(&store, "three", 16);
    run(&mut [&mut first, &mut second, &mut third], LEASE).await;
    assert_fair(&mut [&mut first, &mut second, &mut third], 16);
    let before = third.owned();
    run(&mut [&mut first, &mut second, &mut third], LEASE * 20).await;
    assert_eq!(third.owned(), before, "nothing moves without a reason");
    let view = third.handle.view();
    assert_eq!((view.members.len(), view.own_count()), (3, before.len()));
    assert!(view.members.iter().all(|member| member.alive));

    second.stop().await;
    run(&mut [&mut first, &mut third], LEASE / 2).await;
    assert_fair(&mut [&mut first, &mut third], 16);
}

#[tokio::test(start_paused = true)]
async fn what_a_dead_member_owned_is_taken_over_after_a_lease_length_and_not_before() {
    let store = Store::new();
    let mut first = Platform::start(&store, "one", 6);
    let mut second = Platform::start(&store, "two", 6);
    run(&mut [&mut first, &mut second], LEASE * 2).await;
    assert_fair(&mut [&mut first, &mut second], 6);
    first.kill();
    run(&mut [&mut second], LEASE - Duration::from_millis(200)).await;
    assert_eq!(second.owned().len(), 3);
    run(&mut [&mut second], LEASE).await;
    assert_eq!(second.owned().len(), 6);
    let view = second.handle.view();
    assert_eq!(view.members.len(), 1, "the seat of the dead was cleared");
}

#[tokio::test(start_paused = true)]
async fn a_member_that_starts_again_under_its_name_waits_for_nobody() {
    let store = Store::new();
    let mut first = Platform::start(&store, "one", 6);
    pass(LEASE).await;
    assert_eq!(first.owned().len(), 6);
    first.kill();
    let mut again = Platform::start(&store, "one", 6);
    pass(Duration::from_millis(1)).await;
    assert_eq!(again.owned().len(), 6);
    assert_eq!(again.handle.view().members.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn h15_who_cannot_renew_stops_by_itself_before_anybody_takes_over() {
    let store = Store::new();
    let mut first = Platform::start(&store, "one", 4);
    pass(Duration::from_millis(10)).await;
    let mut second = Platform::start(&store, "two", 4);
    run(&mut [&mut first, &mut second], LEASE * 2).await;
    assert_fair(&mut [&mut first, &mut second], 4);
    first.cable.pulled.store(true, Ordering::SeqCst);
    for _ in 0..300 {
        run(&mut [&mut first, &mut second], Duration::from_millis(100)).await;
        let (held, taken) = (first.owned().len(), second.owned().len());
        assert!(held + taken <= 4, "{held} and {taken}");
    }
    assert_eq!((first.owned().len(), second.owned().len()), (0, 4));
    first.cable.pulled.store(false, Ordering::SeqCst);
    run(&mut [&mut first, &mut second], LEASE * 2).await;
    assert_fair(&mut [&mut first, &mut second], 4);
}

#[tokio::test(start_paused = true)]
async fn a_lease_whose_taking_was_not_answered_is_taken_again() {
    let store = Store::new();
    let cable = Arc::new(Cable {
        store: store.clone(),
        pulled: AtomicBool::new(false),
        loses_takes: AtomicBool::new(true),
    });
    let mut only = Platform::behind(cable, "one", 4);
    run(&mut [&mut only], LEASE / 2).await;
    assert_eq!(only.owned().len(), 4);
    assert_eq!(only.held[0].fence().epoch, 2);
}

#[tokio::test(start_paused = true)]
async fn who_does_not_finish_is_shut_out_when_its_time_is_over() {
    let store = Store::new();
    let mut slow = Platform::start(&store, "slow", 2);
    pass(LEASE).await;
    assert_eq!(slow.owned().len(), 2);
    let mut second = Platform::start(&store, "two", 2);
    // It never looks at what it is asked.
    run(&mut [&mut second], LEASE * 2).await;
    assert_eq!(second.owned().len(), 0, "it may still be at work");
    run(&mut [&mut second], Duration::from_secs(20)).await;
    assert_eq!(second.owned().len(), 1);
    let late = slow.held.iter().find(|tenure| tenure.stop().is_requested());
    let late = late.expect("one was to be given back").clone();
    assert!(late.lost().is_requested());
    let event = NewEvent::new(Clock::system().new_id(), "x", &1).expect("json");
    let append = Append::to("a-1".parse().expect("valid"), Expect::Any, vec![event]);
    let refused = store.append(append.fenced(late.fence().clone())).await;
    let refused = refused.expect_err("it is over");
    assert!(matches!(refused.kind(), ErrorKind::Fenced { .. }));
}

#[tokio::test(start_paused = true)]
async fn a_tenure_that_the_log_refused_is_over_and_looked_after_at_once() {
    let store = Store::new();
    let mut only = Platform::start(&store, "one", 2);
    pass(Duration::from_secs(1)).await;
    only.owned();
    let lease = Parts::lease_of(SCOPE, only.held[0].item());
    crate::Fences::raise(&store, &lease).await.expect("raised");
    only.held[0].refused();
    assert!(only.held[0].stop().is_requested());
    pass(Duration::from_millis(200)).await;
    assert_eq!(only.owned().len(), 2, "nobody has it: it is taken again");
}

#[tokio::test(start_paused = true)]
async fn members_that_come_and_go_at_random_share_everything_in_the_end() {
    for seed in 0..20 {
        let rng = Rng::seeded(seed);
        let store = Store::new();
        let mut alive: Vec<Platform> = Vec::new();
        for round in 0..30 {
            match rng.below(4) {
                0 if alive.len() > 1 => {
                    let place = rng.below(alive.len());
                    alive.swap_remove(place).kill();
                }
                1 if alive.len() > 1 => {
                    let place = rng.below(alive.len());
                    alive.swap_remove(place).stop().await;
                }
                2 if !alive.is_empty() => {
                    let cable = &alive[0].cable;
                    let pulled = cable.pulled.load(Ordering::SeqCst);
                    cable.pulled.store(!pulled, Ordering::SeqCst);
                }
                _ if alive.len() < 6 => {
                    alive.push(Platform::start(&store, &format!("{seed}-{round}"), 17));
                }
                _ => {}
            }
            let mut all: Vec<&mut Platform> = alive.iter_mut().collect();
            run(
                &mut all,
                Duration::from_millis(100)
                    * (1 + u32::from(u8::try_from(rng.below(80)).expect("small"))),
            )
            .await;
        }
        for platform in &alive {
            platform.cable.pulled.store(false, Ordering::SeqCst);
        }
        let mut all: Vec<&mut Platform> = alive.iter_mut().collect();
        run(&mut all, LEASE * 4).await;
        assert_fair(&mut all, 17);
        alive.iter().for_each(Platform::kill);
    }
}
