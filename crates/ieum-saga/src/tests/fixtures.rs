//! The saga that the tests run: an order of six steps with its pivot at the fifth.

use ieum_base::Uuid;
use serde_json::{Value, json};

use crate::definition::Definition;
use crate::engine::Receipt;
use crate::state::Status;
use crate::testing::{Process, Rig};

/// The names of the steps.
pub(crate) const STEPS: [&str; 6] = ["validate", "reserve", "charge", "ship", "confirm", "notify"];

/// Four steps with an undo, the pivot, and one step behind it.
pub(crate) fn order() -> Definition {
    from_json(order_json())
}

/// The same as JSON, to be changed.
pub(crate) fn order_json() -> Value {
    let call = |path: String| json!({"service": "shop", "path": path});
    let undo = "undo?because=${failure.code}";
    let step = |name: &str| {
        json!({"name": name, "call": call(format!("/{name}/${{input.orderId}}")),
               "undo": call(format!("/{name}/${{input.orderId}}/{undo}"))})
    };
    json!({"name": "place-order", "deadline": "10m", "steps": [
        step("validate"), step("reserve"), step("charge"), step("ship"),
        {"name": "confirm", "pivot": true, "call": call("/confirm".to_owned())},
        {"name": "notify", "call": call("/notify".to_owned())}]})
}

/// A definition from its JSON.
pub(crate) fn from_json(json: Value) -> Definition {
    serde_json::from_value(json).expect("a definition")
}

/// What the saga needs to begin.
pub(crate) fn input() -> Value {
    json!({"orderId": "o-1"})
}

/// Starts an engine, and a saga of `definition`.
pub(crate) async fn begin(rig: &Rig, definition: &Definition) -> (Process, Receipt) {
    let process = rig.boot().await.expect("open");
    let started = process.start(definition, "o-1", input()).await;
    (process, started.expect("started"))
}

/// The same, and waits until the saga has ended or is parked.
pub(crate) async fn finish(rig: &Rig, definition: &Definition) -> (Process, Uuid, Status) {
    let process = rig.boot().await.expect("open");
    let ended = process.run(definition, "o-1", input()).await;
    let (id, status) = ended.expect("it lives");
    (process, id, status)
}
