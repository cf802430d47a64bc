//! Participants that are away, hang, and come back; engines that are killed meanwhile.

use std::time::Duration;

use ieum_base::Uuid;
use ieum_base::testing::pass;
use serde_json::json;
use tokio::time::Instant;

use super::fixtures::{STEPS, from_json, input, order};
use crate::decide::Operation::Do;
use crate::definition::Definition;
use crate::state::Status;
use crate::testing::{Behaviour, Process, Rig};

/// A saga of one step at a service of its own.
fn one_step(step: &str, service: &str) -> Definition {
    from_json(json!({"name": format!("only-{step}"), "steps": [
        {"name": step, "pivot": true, "call": {"service": service, "path": "/"}}]}))
}

async fn start_many(process: &Process, definition: &Definition, count: usize) -> Vec<Uuid> {
    let mut ids = Vec::with_capacity(count);
    for number in 0..count {
        let key = format!("k-{number}");
        let started = process.start(definition, &key, input()).await;
        ids.push(started.expect("started").id);
    }
    ids
}

/// How long it takes until all of `ids` are completed.
async fn time_to_complete(process: &Process, ids: &[Uuid]) -> Duration {
    let begun = Instant::now();
    for id in ids {
        let settled = process.handle.settled(*id).await;
        assert_eq!(settled.expect("known"), Status::Completed);
    }
    begun.elapsed()
}

#[tokio::test(start_paused = true)]
async fn h22_a_participant_that_comes_back_wakes_every_saga_that_waits_for_it() {
    let rig = Rig::new();
    rig.world.always("charge", Do, Behaviour::Refuse);
    let process = rig.boot().await.expect("open");
    let ids = start_many(&process, &order(), 300).await;
    // By now each of them would wait for up to half a minute.
    pass(Duration::from_secs(120)).await;
    assert_eq!(process.handle.count(Status::Running), 300);
    rig.world.always("charge", Do, Behaviour::Succeed);
    let took = time_to_complete(&process, &ids).await;
    assert!(took < Duration::from_millis(2_100), "{took:?}");
    for id in ids {
        let audit = rig.world.audit(&id.to_string(), Status::Completed, &STEPS);
        assert_eq!(audit, Ok(()));
    }
}

#[tokio::test(start_paused = true)]
async fn h22_the_hosts_news_of_a_return_wakes_a_saga_at_once() {
    let rig = Rig::new();
    let process = rig.boot().await.expect("open");
    rig.world.leave();
    let ids = start_many(&process, &order(), 20).await;
    pass(Duration::from_secs(500)).await;
    let attempts = rig.world.calls().len();
    // What is known to be away is not called once per second, with each attempt written down.
    assert!((20 * 20..20 * 60).contains(&attempts), "{attempts}");
    rig.world.come_back();
    let took = time_to_complete(&process, &ids).await;
    assert!(took < Duration::from_millis(1_050), "{took:?}");
}

#[tokio::test(start_paused = true)]
async fn h22_a_breaker_that_lets_calls_through_again_is_noticed_soon() {
    let rig = Rig::new();
    let process = rig.boot().await.expect("open");
    rig.world.leave();
    let ids = start_many(&process, &order(), 1).await;
    pass(Duration::from_secs(300)).await;
    // The wait before its next attempt has just begun.
    let attempts = rig.world.calls().len();
    while rig.world.calls().len() == attempts {
        pass(Duration::from_millis(10)).await;
    }
    pass(Duration::from_secs(1)).await;
    rig.world.close_the_breaker();
    let took = time_to_complete(&process, &ids).await;
    assert!(took < Duration::from_millis(150), "{took:?}");
}

#[tokio::test(start_paused = true)]
async fn h22_an_engine_that_begins_goes_on_with_every_open_saga_at_once() {
    let rig = Rig::new();
    rig.world.always("charge", Do, Behaviour::Refuse);
    let first = rig.boot().await.expect("open");
    let ids = start_many(&first, &order(), 50).await;
    pass(Duration::from_secs(300)).await;
    first.life.end();
    rig.world.always("charge", Do, Behaviour::Succeed);
    let second = rig.boot().await.expect("open");
    let took = time_to_complete(&second, &ids).await;
    assert!(took < Duration::from_millis(50), "{took:?}");
}

#[tokio::test(start_paused = true)]
async fn h22_a_participant_that_hangs_holds_up_nobody_else() {
    let mut rig = Rig::new();
    rig.config.concurrency = 8;
    rig.config.participant_concurrency = 4;
    rig.world.always("stuck", Do, Behaviour::Hang);
    let process = rig.boot().await.expect("open");
    start_many(&process, &one_step("stuck", "slow"), 40).await;
    pass(Duration::from_millis(10)).await;
    assert_eq!(rig.world.calls().len(), 4);
    let well = start_many(&process, &one_step("well", "fast"), 40).await;
    let took = time_to_complete(&process, &well).await;
    assert!(took < Duration::from_millis(50), "{took:?}");
    // Nor does it hold up an engine that begins.
    process.life.end();
    let process = rig.boot().await.expect("open");
    let later = start_many(&process, &one_step("later", "fast"), 1).await;
    let took = time_to_complete(&process, &later).await;
    assert!(took < Duration::from_millis(50), "{took:?}");
}

#[tokio::test(start_paused = true)]
async fn h22_a_call_that_always_breaks_is_no_hot_loop_beside_others_that_are_answered() {
    let rig = Rig::new();
    rig.world.always("poison", Do, Behaviour::LoseRequest);
    let process = rig.boot().await.expect("open");
    start_many(&process, &one_step("poison", "shop"), 1).await;
    let well = one_step("well", "shop");
    for number in 0..300 {
        let started = process.start(&well, &format!("k-{number}"), input()).await;
        time_to_complete(&process, &[started.expect("started").id]).await;
        pass(Duration::from_millis(100)).await;
    }
    let calls = rig.world.order();
    let tries = calls.iter().filter(|step| *step == "poison").count();
    assert!((5..100).contains(&tries), "{tries} tries in 30 s");
}
