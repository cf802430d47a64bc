//! The participants of step 5 keep the contract (docs/reference/participant.md): each case is a saga of
//! its own, and what is left in the stock says how many effects live.

use anyhow::{Context, Result};
use ieum_testkit::{Request, eventually};
use serde_json::{Value, json};

use super::kit::Step;
use crate::platform::SOON;

/// A call in a case: whether it undoes, its round, its epoch, and what it must be answered.
type Call = (bool, u32, u64, &'static str);

const DO: bool = false;
const UNDO: bool = true;

/// The calls of one saga, and how many effects live in the end.
const CASES: [(&str, &[Call], i64); 6] = [
    (
        "a-repeated-call-is-given-the-stored-answer",
        &[(DO, 1, 1, "201"), (DO, 1, 2, "201")],
        1,
    ),
    (
        "an-undo-takes-the-effect-back-once",
        &[(DO, 1, 1, "201"), (UNDO, 1, 1, "200"), (UNDO, 1, 1, "200")],
        0,
    ),
    (
        "a-late-call-is-refused",
        &[(UNDO, 1, 1, "200 nothing"), (DO, 1, 1, "409 cancelled")],
        0,
    ),
    (
        "the-next-round-is-another-call",
        &[(DO, 1, 1, "201"), (UNDO, 1, 1, "200"), (DO, 2, 1, "201")],
        1,
    ),
    (
        "a-superseded-owner-can-do-nothing",
        &[(DO, 1, 2, "201"), (UNDO, 1, 1, "409 superseded")],
        1,
    ),
    (
        "an-answer-that-is-given-again-remembers-the-epoch",
        &[
            (DO, 1, 1, "201"),
            (DO, 1, 3, "201"),
            (UNDO, 1, 2, "409 superseded"),
        ],
        1,
    ),
];

#[test]
fn step_5s_participants_keep_the_contract_over_kills() -> Result<()> {
    let step = Step::start(5)?;
    let before = stock(&step)?;
    let longest = CASES.iter().map(|(_, calls, _)| calls.len()).max();
    for n in 0..longest.unwrap_or(0) {
        for (saga, calls, _) in &CASES {
            if let Some(&call) = calls.get(n) {
                assert_eq!(send(&step, saga, call)?, call.3, "{saga}, call {n}");
            }
        }
        step.kill("inventory")?;
        eventually("the service is back", SOON, || stock(&step).ok())?;
    }
    let live: i64 = CASES.iter().map(|(_, _, live)| live).sum();
    assert_eq!(before - stock(&step)?, live);

    let wrong = Request::new("POST", "/saga/reserve").json(&json!({}));
    assert_eq!(wrong.send(&step.address("inventory")?)?.status, 400);
    let of_user = request("s-1", (DO, 1, 1, "")).header("X-User-Id", "u-1");
    assert_eq!(of_user.send(&step.address("inventory")?)?.status, 403);
    Ok(())
}

fn stock(step: &Step) -> Result<i64> {
    let target = Request::new("GET", "/api/inventory/p-2");
    let stock = target.send(&step.address("inventory")?)?.expect(200)?;
    stock["available"].as_i64().context("a number")
}

fn request(saga: &str, (undo, round, epoch, _): Call) -> Request {
    let (path, suffix) = if undo {
        ("release", "/undo")
    } else {
        ("reserve", "")
    };
    let items = json!([{ "productId": "p-2", "quantity": 1 }]);
    let body = if undo {
        json!({})
    } else {
        json!({ "orderId": saga, "items": items })
    };
    Request::new("POST", &format!("/saga/{path}"))
        .header("Ieum-Saga-Id", saga)
        .header("Ieum-Step", "reserve-inventory")
        .header("Ieum-Epoch", &epoch.to_string())
        .header(
            "Idempotency-Key",
            &format!("{saga}/reserve-inventory/{round}{suffix}"),
        )
        .json(&body)
}

/// Status and code, or that nothing was undone.
fn send(step: &Step, saga: &str, call: Call) -> Result<String> {
    let reply = request(saga, call).send(&step.address("inventory")?)?;
    let body = reply.json()?;
    Ok(match (body["code"].as_str(), &body["undone"]) {
        (Some(code), _) => format!("{} {code}", reply.status),
        (None, Value::Bool(false)) => format!("{} nothing", reply.status),
        (None, _) => reply.status.to_string(),
    })
}
