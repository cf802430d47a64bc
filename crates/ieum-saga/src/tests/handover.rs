//! An owner dies at every point of a saga, and another platform goes on with it.

use super::fixtures::{STEPS, order};
use super::sharing::{key_for, settle, start};
use crate::decide::Operation::{self, Do, Undo};
use crate::state::Status;
use crate::testing::{Behaviour, Crash, Life, Rig, Side, World};

/// What goes wrong besides.
type Misfortune = Option<(&'static str, Operation, &'static [Behaviour])>;

fn prepare(world: &World, misfortune: Misfortune) {
    match misfortune {
        None => {}
        Some((step, operation, [Behaviour::Reject(code)])) => {
            world.always(step, operation, Behaviour::Reject(code));
        }
        Some((step, operation, behaviours)) => world.script(step, operation, behaviours),
    }
}

/// Two platforms; the one that owns the saga dies at `crash`. Answers whether it did.
async fn handed_over(misfortune: Misfortune, expected: Status, crash: Crash) -> bool {
    let rig = Rig::new();
    prepare(&rig.world, misfortune);
    let heir = rig.join("heir").await.expect("open");
    heir.handle.define(order()).await.expect("defined");
    let life = Life::new();
    let owner = rig.sharing("owner");
    let owner = owner
        .boot_until(Some(crash), life.clone())
        .await
        .expect("open");
    settle(&[&owner, &heir]).await;
    let id = start(&heir.handle, &key_for(&owner, true)).await;
    let status = heir.handle.settled(id).await.expect("ends");
    let story = format!("{misfortune:?}, {crash:?}: {:?}", rig.world.order());
    assert_eq!(status, expected, "{story}");
    let audit = rig.world.audit(&id.to_string(), status, &STEPS);
    assert_eq!(audit, Ok(()), "{story}");
    let calls = rig.world.calls();
    let epochs = calls
        .iter()
        .map(|call| call.header("ieum-epoch").expect("sent"));
    let epochs: Vec<u64> = epochs
        .map(|epoch| epoch.parse().expect("a number"))
        .collect();
    assert!(epochs.is_sorted(), "{story}: {epochs:?}");
    assert_eq!(heir.handle.liveness(), [], "{story}");
    !life.goes_on()
}

async fn at_every_point(misfortune: Misfortune, expected: Status) -> u64 {
    for at in 1.. {
        for side in [Side::Before, Side::After] {
            if !handed_over(misfortune, expected, Crash { at, side }).await {
                return at - 1;
            }
        }
    }
    0
}

#[tokio::test(start_paused = true)]
async fn h19_an_owner_that_dies_at_any_point_of_a_happy_saga_is_succeeded() {
    // An intent before each of six calls, and the end.
    assert_eq!(at_every_point(None, Status::Completed).await, 7);
}

#[tokio::test(start_paused = true)]
async fn h19_an_owner_that_dies_at_any_point_of_a_refused_saga_is_succeeded() {
    for step in &STEPS[..4] {
        let no: Misfortune = Some((step, Do, &[Behaviour::Reject("no")]));
        assert!(at_every_point(no, Status::Compensated).await >= 2, "{step}");
    }
}

#[tokio::test(start_paused = true)]
async fn h20_an_owner_that_dies_around_a_lost_answer_is_succeeded() {
    for step in ["reserve", "confirm"] {
        let lost: Misfortune = Some((step, Do, &[Behaviour::LoseAnswer]));
        at_every_point(lost, Status::Completed).await;
    }
    let undone: Misfortune = Some(("ship", Do, &[Behaviour::Reject("no")]));
    at_every_point(undone, Status::Compensated).await;
    let late: Misfortune = Some(("notify", Undo, &[Behaviour::LoseAnswer]));
    at_every_point(late, Status::Completed).await;
}
