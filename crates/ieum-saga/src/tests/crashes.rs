//! The process dies at every point: the saga is always completed or wholly compensated, and each
//! effect is there exactly once or was undone exactly once.
//!
//! Every append is a crash point on both of its sides. Between two appends there is at most one
//! call, so that "after the call, before the record" is the near side of the append that records it,
//! and "after the intent, before the call" the far side of the one that intends it.

use std::time::Duration;

use ieum_base::testing::pass;

use super::fixtures::{STEPS, input, order};
use crate::decide::Operation::{self, Do, Undo};
use crate::state::Status;
use crate::testing::{Behaviour, Crash, Life, Rig, Side, World};

/// What goes wrong besides the crash.
type Misfortune = Option<(&'static str, Operation, &'static [Behaviour])>;

/// Runs one order, killing the first engine at `first` and the second at `second`, and audits what
/// is left. Answers which crashes came true.
async fn run(
    misfortune: Misfortune,
    expected: Status,
    first: Crash,
    second: Option<Crash>,
) -> (bool, bool) {
    let rig = Rig::new();
    if let Some((step, operation, behaviours)) = misfortune {
        prepare(&rig.world, step, operation, behaviours);
    }
    let mut died = [false, false];
    for (crash, died) in [Some(first), second].into_iter().zip(&mut died) {
        let Some(crash) = crash else { continue };
        let life = Life::new();
        let process = async {
            rig.boot_until(Some(crash), life.clone())
                .await
                .expect("open")
        };
        tokio::select! {
            biased;
            () = life.ended() => *died = true,
            settled = async { process.await.run(&order(), "o-1", input()).await } => {
                *died = settled.is_none();
            }
        }
    }
    let process = rig.boot().await.expect("open");
    let settled = process.run(&order(), "o-1", input()).await;
    let (id, status) = settled.expect("this one lives");
    let story = format!(
        "{misfortune:?}, {first:?}, {second:?}: {:?}",
        rig.world.order()
    );
    assert_eq!(status, expected, "{story}");
    let audit = rig.world.audit(&id.to_string(), status, &STEPS);
    assert_eq!(audit, Ok(()), "{story}");
    assert_eq!(process.handle.open_count(), 0, "{story}");
    assert_eq!(process.handle.liveness(), [], "{story}");
    (died[0], died[1])
}

/// A no is a no however often it is asked; everything else happens once.
fn prepare(world: &World, step: &str, operation: Operation, behaviours: &[Behaviour]) {
    match behaviours {
        [Behaviour::Reject(code)] => world.always(step, operation, Behaviour::Reject(code)),
        [first, Behaviour::Reject(code)] => {
            world.script(step, operation, &[*first]);
            world.always(step, operation, Behaviour::Reject(code));
        }
        once => world.script(step, operation, once),
    }
}

/// Kills the engine at every append, on both sides, until a run survives.
async fn at_every_point(misfortune: Misfortune, expected: Status) -> u64 {
    for at in 1.. {
        for side in [Side::Before, Side::After] {
            let (died, _) = run(misfortune, expected, Crash { at, side }, None).await;
            if !died {
                return at - 1;
            }
        }
    }
    0
}

#[tokio::test(start_paused = true)]
async fn h19_a_crash_at_any_point_of_a_happy_saga_completes_it_once() {
    let points = at_every_point(None, Status::Completed).await;
    // The partitions, the definition, the start, an intent before each of six calls, and the end.
    assert_eq!(points, 10);
}

#[tokio::test(start_paused = true)]
async fn h19_a_crash_at_any_point_of_a_rejected_saga_undoes_it_once() {
    for step in &STEPS[..4] {
        let no: Misfortune = Some((step, Do, &[Behaviour::Reject("no")]));
        let points = at_every_point(no, Status::Compensated).await;
        assert!(points >= 4, "{step}: only {points} points");
    }
}

#[tokio::test(start_paused = true)]
async fn h19_a_crash_before_the_pivots_no_turns_it_back_or_asks_a_person() {
    let mut parked = 0;
    for at in (1..).take(16) {
        for side in [Side::Before, Side::After] {
            let rig = Rig::new();
            rig.world.always("confirm", Do, Behaviour::Reject("no"));
            let life = Life::new();
            let crash = Some(Crash { at, side });
            let first = async {
                let process = rig.boot_until(crash, life.clone()).await.expect("open");
                process.run(&order(), "o-1", input()).await
            };
            tokio::select! {
                biased;
                () = life.ended() => {}
                _ = first => {}
            }
            let process = rig.boot().await.expect("open");
            let settled = process.run(&order(), "o-1", input()).await;
            let (id, status) = settled.expect("this one lives");
            if status == Status::Parked {
                // Whether the attempt in flight confirmed the order was never written down.
                parked += 1;
                let cancelled = process.handle.cancel(id, "it was not confirmed").await;
                cancelled.expect("a person may turn it back");
                while process.handle.open_count() > 0 {
                    pass(Duration::from_millis(1)).await;
                }
            }
            let status = process.handle.settled(id).await.expect("known");
            assert_eq!(status, Status::Compensated, "{at} {side:?}");
            assert_eq!(rig.world.audit(&id.to_string(), status, &STEPS), Ok(()));
        }
    }
    // After the intent, and before the record.
    assert_eq!(parked, 2);
}

#[tokio::test(start_paused = true)]
async fn h19_a_second_crash_while_recovering_from_the_first_changes_nothing() {
    let misfortunes: [(Misfortune, Status); 2] = [
        (None, Status::Completed),
        (
            Some(("ship", Do, &[Behaviour::Reject("no")])),
            Status::Compensated,
        ),
    ];
    for (misfortune, expected) in misfortunes {
        for at in (1..).take(64) {
            let mut any = false;
            for side in [Side::Before, Side::After] {
                for again in (1..).take(64) {
                    let second = Crash { at: again, side };
                    let first = Crash { at, side };
                    let (died, died_again) = run(misfortune, expected, first, Some(second)).await;
                    any |= died;
                    if !died || !died_again {
                        break;
                    }
                }
            }
            if !any {
                break;
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn h20_a_lost_reply_at_any_step_does_nothing_twice() {
    for step in STEPS {
        for lost in [
            Behaviour::LoseAnswer,
            Behaviour::LoseRequest,
            Behaviour::FailAfter(502),
        ] {
            let script: &'static [Behaviour] = match lost {
                Behaviour::LoseAnswer => &[Behaviour::LoseAnswer],
                Behaviour::LoseRequest => &[Behaviour::LoseRequest],
                _ => &[Behaviour::FailAfter(502)],
            };
            at_every_point(Some((step, Do, script)), Status::Completed).await;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn h36_a_no_after_an_unanswered_attempt_undoes_that_step_too() {
    for step in &STEPS[..4] {
        let script = &[Behaviour::LoseRequest, Behaviour::Reject("no")];
        at_every_point(Some((step, Do, script)), Status::Compensated).await;
    }
    let rig = Rig::new();
    rig.world.script(
        "charge",
        Do,
        &[Behaviour::LoseRequest, Behaviour::Reject("declined")],
    );
    let process = rig.boot().await.expect("open");
    process
        .run(&order(), "o-1", input())
        .await
        .expect("it lives");
    let order = rig.world.order();
    assert_eq!(
        order,
        [
            "validate",
            "reserve",
            "charge",
            "charge",
            "charge/undo",
            "reserve/undo",
            "validate/undo"
        ]
    );
}

#[tokio::test(start_paused = true)]
async fn h21_a_lost_answer_in_a_compensation_undoes_nothing_twice() {
    for step in &STEPS[..3] {
        for at in 1.. {
            let rig = Rig::new();
            rig.world.always("ship", Do, Behaviour::Reject("no"));
            rig.world
                .script(step, Undo, &[Behaviour::LoseAnswer, Behaviour::Fail(503)]);
            let life = Life::new();
            let crash = Crash {
                at,
                side: Side::Before,
            };
            let died = tokio::select! {
                biased;
                () = life.ended() => true,
                settled = async {
                    let process = rig.boot_until(Some(crash), life.clone()).await.expect("open");
                    process.run(&order(), "o-1", input()).await
                } => settled.is_none(),
            };
            let process = rig.boot().await.expect("open");
            let (id, status) = process
                .run(&order(), "o-1", input())
                .await
                .expect("this one lives");
            assert_eq!(status, Status::Compensated);
            assert_eq!(rig.world.audit(&id.to_string(), status, &STEPS), Ok(()));
            if !died {
                break;
            }
        }
    }
}
