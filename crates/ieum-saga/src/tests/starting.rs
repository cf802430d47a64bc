//! Engines that begin on a log with a long history.

use std::time::Duration;

use ieum_base::testing::pass;
use serde_json::json;

use super::fixtures::{STEPS, input, order};
use crate::decide::Operation::Do;
use crate::engine::List;
use crate::state::Status;
use crate::testing::{Behaviour, Crash, Life, Process, Rig, Side};

async fn run_many(process: &Process, from: u32, to: u32) {
    for number in from..to {
        let key = format!("o-{number}");
        let settled = process.run(&order(), &key, json!({"orderId": key})).await;
        assert_eq!(settled.expect("it lives").1, Status::Completed);
    }
}

#[tokio::test(start_paused = true)]
async fn a_start_reads_back_to_the_last_snapshot_only_and_finds_the_same_sagas() {
    let mut rig = Rig::new();
    rig.config.snapshot_every = 50;
    rig.world.script("charge", Do, &[Behaviour::Fail(401)]);
    let process = rig.boot().await.expect("open");
    let parked = process.run(&order(), "parked", input()).await;
    let (parked, status) = parked.expect("it lives");
    assert_eq!(status, Status::Parked);
    run_many(&process, 0, 300).await;
    pass(Duration::from_secs(20)).await;
    run_many(&process, 300, 310).await;
    process.life.end();

    let process = rig.boot().await.expect("open");
    // The definition, the snapshot, and ten beginnings and ends.
    assert_eq!(process.events_read(), 22);
    assert_eq!(process.handle.open_count(), 1);
    let status = process.handle.settled(parked).await;
    assert_eq!(status.expect("known"), Status::Parked);
    let finished = process.handle.list(&List {
        status: Some(Status::Completed),
        limit: 20,
        ..List::default()
    });
    let keys: Vec<&str> = finished.iter().map(|saga| saga.key.as_str()).collect();
    assert_eq!((keys.len(), keys[0], keys[19]), (20, "o-309", "o-290"));
    // What was finished before the snapshot is not started again.
    let definition = order();
    let again = process.start(&definition, "o-7", json!({"orderId": "o-7"}));
    assert!(!again.await.expect("known").created);
}

#[tokio::test(start_paused = true)]
async fn h19_a_crash_at_any_point_around_a_snapshot_forgets_no_open_saga() {
    for at in 1.. {
        let mut died = false;
        for side in [Side::Before, Side::After] {
            let mut rig = Rig::new();
            rig.config.snapshot_every = 1;
            rig.world.script("charge", Do, &[Behaviour::Fail(401)]);
            let life = Life::new();
            let first = async {
                let crash = Some(Crash { at, side });
                let process = rig.boot_until(crash, life.clone()).await.expect("open");
                process.run(&order(), "parked", input()).await;
                for round in 0..3 {
                    let key = format!("o-{round}");
                    process.run(&order(), &key, json!({"orderId": key})).await;
                    pass(Duration::from_secs(20)).await;
                }
            };
            tokio::select! {
                biased;
                () = life.ended() => died = true,
                () = first => {}
            }
            for _ in 0..2 {
                let process = rig.boot().await.expect("open");
                let (id, status) = process
                    .run(&order(), "parked", input())
                    .await
                    .expect("lives");
                if status == Status::Parked {
                    process.handle.resume(id, "paid").await.expect("parked");
                    process.handle.settled(id).await.expect("ends");
                }
                let status = process.handle.settled(id).await.expect("known");
                assert_eq!(status, Status::Completed, "{at} {side:?}");
                assert_eq!(rig.world.audit(&id.to_string(), status, &STEPS), Ok(()));
                while process.handle.open_count() > 0 {
                    pass(Duration::from_millis(1)).await;
                }
                pass(Duration::from_secs(20)).await;
                process.stop().await;
            }
        }
        if !died {
            assert!(at > 30, "only {at} points");
            return;
        }
    }
}
