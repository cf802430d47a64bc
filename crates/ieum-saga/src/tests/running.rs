//! What a user of the engine sees: sagas that complete, turn back, wait and are told things.

use crate::decide::Operation::Do;

use crate::state::Status;
use crate::testing::{Behaviour, Rig};
use serde_json::json;

use super::fixtures::{input, order};

#[tokio::test(start_paused = true)]
async fn a_saga_calls_its_steps_in_order_and_completes() {
    let rig = Rig::new();
    let process = rig.boot().await.expect("open");
    let settled = process.run(&order(), "o-1", input()).await;
    let (id, status) = settled.expect("the process lives");
    assert_eq!(status, Status::Completed);
    assert_eq!(
        rig.world.order(),
        ["validate", "reserve", "charge", "ship", "confirm", "notify"]
    );
    let charge = &rig.world.calls()[2];
    assert_eq!(charge.path, "/charge/o-1");
    assert_eq!(
        charge.header("idempotency-key"),
        Some(format!("{id}/charge/1").as_str())
    );
    let saga = process.handle.get(id).await.expect("known");
    assert_eq!(saga.steps[2].answer, Some(json!({"step": "charge"})));
    assert_eq!(process.handle.open_count(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_business_no_undoes_what_was_done_in_reverse() {
    let rig = Rig::new();
    rig.world
        .script("ship", Do, &[Behaviour::Reject("undeliverable")]);
    let process = rig.boot().await.expect("open");
    let settled = process.run(&order(), "o-1", input()).await;
    let (id, status) = settled.expect("the process lives");
    assert_eq!(status, Status::Compensated);
    assert_eq!(
        rig.world.order(),
        [
            "validate",
            "reserve",
            "charge",
            "ship",
            "charge/undo",
            "reserve/undo",
            "validate/undo"
        ]
    );
    assert_eq!(
        rig.world.calls()[4].path,
        "/charge/o-1/undo?because=undeliverable"
    );
    let saga = process.handle.get(id).await.expect("known");
    assert_eq!(saga.summary.failure.as_deref(), Some("undeliverable"));
}
