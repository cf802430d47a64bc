//! Platforms that are stopped in the middle of anything and go on later, not knowing it.
//!
//! Each platform has a runtime and a clock of its own: while it is not driven, it stands still and so
//! does its clock, like a virtual machine that is paused. That is worse than `SIGSTOP`, after which a
//! process at least sees that time has passed.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use futures_util::FutureExt;
use ieum_base::testing::pass;
use ieum_base::{Rng, Uuid};
use ieum_eventstore::{Append, EventStore, Expect, Filter, NewEvent, Position, StreamName};
use serde_json::json;
use tokio::runtime::Runtime;

use super::fixtures::{STEPS, from_json, input, order, order_json};
use super::sharing::{LEASE, owned, start};
use crate::decide::Operation::Do;
use crate::definition::Definition;
use crate::engine::{Deps, Service, Sharing};
use crate::port::{Call, CallResult, Participants};
use crate::state::Status;
use crate::testing::{Behaviour, Process, Rig, World};

/// A platform on a machine of its own.
struct Machine {
    /// Dropped first: that is `kill -9`.
    process: Process,
    runtime: Runtime,
    /// For how many rounds it is not driven.
    stopped: usize,
}

impl Machine {
    fn boot(rig: &Rig, name: &str) -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build()
            .expect("a runtime");
        let process = runtime.block_on(rig.join(name)).expect("open");
        Self {
            process,
            runtime,
            stopped: 0,
        }
    }

    /// Lets it work; all others stand still.
    fn run(&self, time: Duration) {
        self.runtime.block_on(pass(time));
    }

    fn call<T>(&self, work: impl Future<Output = T>) -> T {
        self.runtime.block_on(work)
    }
}

fn triggered() -> Definition {
    let mut json = order_json();
    json["on"] = json!({"topic": "orders", "type": "order.placed"});
    from_json(json)
}

async fn publish(rig: &Rig, number: u32) -> Uuid {
    let id = Uuid::from_u128(u128::from(number) + 1);
    let event = NewEvent::new(id, "order.placed", &input()).expect("json");
    let stream = StreamName::new("orders", number).expect("a name");
    let key = format!("{stream} {id}");
    let append = Append::to(stream, Expect::Any, vec![event]);
    rig.log.append(append).await.expect("appended");
    crate::events::saga_id("place-order", &key)
}

#[test]
fn h13_a_platform_that_was_stopped_past_its_lease_can_do_nothing() {
    let rig = Rig::new();
    rig.world.always("charge", Do, Behaviour::Hang);
    let zombie = Machine::boot(&rig, "zombie");
    zombie.run(Duration::from_secs(1));
    assert_eq!(owned(&zombie.process), 17);
    zombie
        .call(zombie.process.handle.define(triggered()))
        .expect("defined");
    let mut ids: Vec<Uuid> = (0..8)
        .map(|number| zombie.call(start(&zombie.process.handle, &format!("o-{number}"))))
        .collect();
    zombie.run(Duration::from_secs(1));
    let late_call = rig.world.calls().pop().expect("it hangs");
    assert_eq!(late_call.header("ieum-step"), Some("charge"));

    rig.world.always("charge", Do, Behaviour::Succeed);
    let heir = Machine::boot(&rig, "heir");
    heir.run(LEASE * 3);
    assert_eq!(owned(&heir.process), 17);
    for number in 0..4 {
        ids.push(heir.call(publish(&rig, number)));
    }
    heir.run(Duration::from_secs(1));
    for id in &ids {
        let status = heir.call(heir.process.handle.settled(*id)).expect("ends");
        assert_eq!(status, Status::Completed);
    }
    let calls = rig.world.calls().len();
    let events = |rig: &Rig| {
        let filter = Filter::category("saga");
        let read = heir.call(rig.log.read_all(Position::START, &filter, 1_000));
        read.expect("readable").events.len()
    };
    let before = events(&rig);

    // It believes to own everything, and its calls time out: what it would write is refused.
    assert_eq!(owned(&zombie.process), 17);
    zombie.run(LEASE - Duration::from_secs(1));
    assert_eq!(owned(&zombie.process), 0);
    assert_eq!(events(&rig), before);
    assert_eq!(rig.world.calls().len(), calls);
    // A call that was under way all the time is refused by its participant.
    let answer = heir.call(rig.world.call(late_call));
    let CallResult::Answered(answer) = answer else {
        panic!("no answer");
    };
    assert!(String::from_utf8_lossy(&answer.body).contains("stale-epoch"));
    for id in ids {
        let audit = rig.world.audit(&id.to_string(), Status::Completed, &STEPS);
        assert_eq!(audit, Ok(()));
    }
}

/// Services whose host freezes the process once, in the middle of an attempt: time passes, and no other
/// task sees it before this one has gone on.
struct Freezing {
    world: World,
    freezes: AtomicBool,
}

#[async_trait]
impl Participants for Freezing {
    async fn call(&self, call: Call) -> CallResult {
        self.world.call(call).await
    }

    fn presence(&self, service: &str) -> u64 {
        if self.freezes.swap(false, Ordering::SeqCst) {
            let _yields = tokio::time::advance(LEASE * 2).now_or_never();
        }
        self.world.presence(service)
    }
}

#[tokio::test(start_paused = true)]
async fn h13_a_platform_that_goes_on_calls_nobody_before_it_knows_that_it_owns_the_saga() {
    let rig = Rig::new();
    let freezing = Arc::new(Freezing {
        world: rig.world.clone(),
        freezes: AtomicBool::new(false),
    });
    let log = Arc::new(rig.log.clone());
    let deps = Deps {
        store: Arc::clone(&log) as _,
        checkpoints: Arc::clone(&log) as _,
        leases: log,
        sharing: Sharing::Shared {
            name: "one".to_owned(),
        },
        participants: Arc::clone(&freezing) as _,
        clock: rig.clock.clone(),
        rng: Rng::seeded(1),
        spans: None,
        service: "ieum".into(),
    };
    let opened = Service::open(rig.config.clone(), deps).await;
    let (_service, handle) = opened.expect("open");
    pass(Duration::from_secs(1)).await;
    let own = handle.ownership().map(|view| view.own_count());
    assert_eq!(own, Some(17));
    handle.define(order()).await.expect("defined");

    freezing.freezes.store(true, Ordering::SeqCst);
    let id = start(&handle, "o-1").await;
    assert_eq!(handle.settled(id).await.expect("ends"), Status::Completed);
    assert!(!freezing.freezes.load(Ordering::SeqCst), "it was frozen");
    let calls = rig.world.calls();
    let epochs: Vec<_> = calls.iter().map(|call| call.header("ieum-epoch")).collect();
    assert_eq!(
        epochs,
        [Some("2"); STEPS.len()],
        "the lease was lost and taken again"
    );
}

/// Three platforms that are stopped, killed and started again at random, under load.
struct Chaos {
    rig: Rig,
    rng: Rng,
    machines: Vec<Machine>,
    sagas: Vec<Uuid>,
    published: u32,
    runs: usize,
}

impl Chaos {
    fn new(seed: u64) -> Self {
        let rig = Rig::new();
        let machines = vec![
            Machine::boot(&rig, "p0"),
            Machine::boot(&rig, "p1"),
            Machine::boot(&rig, "p2"),
        ];
        let first = &machines[0];
        first
            .call(first.process.handle.define(triggered()))
            .expect("defined");
        Self {
            rig,
            rng: Rng::seeded(seed),
            machines,
            sagas: Vec::new(),
            published: 0,
            runs: 3,
        }
    }

    fn round(&mut self) {
        for place in 0..self.machines.len() {
            let time = Duration::from_millis(1 + self.rng.bits() % 400);
            let machine = &mut self.machines[place];
            if machine.stopped > 0 {
                machine.stopped -= 1;
            } else {
                machine.run(time);
            }
        }
        let place = self.rng.below(self.machines.len());
        match self.rng.below(12) {
            0 => self.machines[place].stopped = self.rng.below(60),
            1 if self.rng.below(3) == 0 => self.kill(place),
            2 | 3 => {
                let id = self.machines[place].call(publish(&self.rig, self.published));
                self.published += 1;
                self.sagas.push(id);
            }
            4..=6 if self.machines[place].stopped == 0 => {
                let machine = &self.machines[place];
                let key = format!("o-{}", self.rng.below(200));
                let id = machine.call(start(&machine.process.handle, &key));
                if !self.sagas.contains(&id) {
                    self.sagas.push(id);
                }
            }
            7 if !self.sagas.is_empty() && self.machines[place].stopped == 0 => {
                let id = self.sagas[self.rng.below(self.sagas.len())];
                let machine = &self.machines[place];
                let cancel = machine.process.handle.cancel(id, "chaos");
                // It may be refused, or wait for somebody who stands still.
                let _ = machine
                    .call(async { tokio::time::timeout(Duration::from_millis(50), cancel).await });
            }
            8 => self.misfortune(),
            _ => {}
        }
    }

    /// A new run under the same name, or under another one.
    fn kill(&mut self, place: usize) {
        let name = match self.rng.below(2) {
            0 => format!("p{place}"),
            _ => format!("p{}", self.runs),
        };
        self.runs += 1;
        drop(self.machines.remove(place));
        self.machines.insert(place, Machine::boot(&self.rig, &name));
    }

    fn misfortune(&self) {
        let step = STEPS[self.rng.below(4)];
        let behaviours = [
            Behaviour::LoseAnswer,
            Behaviour::LoseRequest,
            Behaviour::Fail(503),
            Behaviour::FailAfter(502),
            Behaviour::Hang,
        ];
        let behaviour = behaviours[self.rng.below(behaviours.len())];
        self.rig.world.script(step, Do, &[behaviour]);
    }

    /// When nothing goes wrong any more, every saga ends, and was done or undone once.
    fn end(&mut self, seed: u64) {
        self.machines
            .iter_mut()
            .for_each(|machine| machine.stopped = 0);
        let mut open = self.sagas.clone();
        for _ in 0..2_000 {
            for machine in &self.machines {
                machine.run(Duration::from_millis(200));
            }
            let machine = &self.machines[0];
            open.retain(|id| {
                let saga = machine.call(machine.process.handle.get(*id));
                saga.map_or(true, |saga| saga.summary.status.is_open())
            });
            if open.is_empty() {
                break;
            }
        }
        assert!(open.is_empty(), "seed {seed}: these never end: {open:?}");
        let machine = &self.machines[0];
        for id in &self.sagas {
            let saga = machine
                .call(machine.process.handle.get(*id))
                .expect("known");
            let status = saga.summary.status;
            let audit = self.rig.world.audit(&id.to_string(), status, &STEPS);
            assert_eq!(audit, Ok(()), "seed {seed}: {:#?}", saga.history);
        }
        // Who was stopped for long needs a while to see what it has lost.
        for _ in 0..100 {
            for machine in &self.machines {
                machine.run(Duration::from_millis(200));
            }
        }
        let shares: Vec<usize> = self.machines.iter().map(|m| owned(&m.process)).collect();
        assert_eq!(shares.iter().sum::<usize>(), 17, "seed {seed}: {shares:?}");
        let stalled: usize = self
            .machines
            .iter()
            .map(|m| m.process.handle.liveness().len())
            .sum();
        assert_eq!(stalled, 0, "seed {seed}");
    }
}

#[test]
fn h13_platforms_that_are_stopped_and_killed_at_random_do_everything_once() {
    let mut sagas = 0;
    for seed in 0..6 {
        let mut chaos = Chaos::new(seed);
        for _ in 0..250 {
            chaos.round();
        }
        chaos.end(seed);
        sagas += chaos.sagas.len();
    }
    assert!(sagas > 250, "only {sagas}");
}
