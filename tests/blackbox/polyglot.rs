//! The services of `examples/polyglot/`: each keeps the participant's contract
//! (docs/reference/participant.md) whatever happens to it, and all of them take part in an order.

mod kit;
mod orders;
mod place;

use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::{Context, Result, anyhow, ensure};
use ieum_testkit::{Reply, Request, eventually};
use serde_json::{Value, json};

use self::kit::{Call, DONATIONS, INVOICES, LOYALTY, Running, Service};
use crate::platform::SOON;

/// One call in a case: whether it undoes, its round, its epoch, and what it must be answered.
type Expected = (bool, u32, u64, &'static str);

const DO: bool = false;
const UNDO: bool = true;

/// The contract, case by case: the calls of one saga, and how many effects live in the end.
const CONTRACT: [(&str, &[Expected], u64); 7] = [
    (
        "a-repeated-call-is-given-the-stored-answer",
        &[(DO, 1, 1, "201"), (DO, 1, 1, "201"), (DO, 1, 2, "201")],
        1,
    ),
    (
        "an-undo-takes-the-effect-back-once",
        &[(DO, 1, 1, "201"), (UNDO, 1, 1, "200"), (UNDO, 1, 1, "200")],
        0,
    ),
    (
        "a-call-after-its-undo-is-refused",
        &[
            (DO, 1, 1, "201"),
            (UNDO, 1, 1, "200"),
            (DO, 1, 1, "409 cancelled"),
        ],
        0,
    ),
    (
        "an-undo-before-its-call-undoes-nothing-and-is-remembered",
        &[
            (UNDO, 1, 1, "200 nothing"),
            (DO, 1, 1, "409 cancelled"),
            (UNDO, 1, 1, "200 nothing"),
        ],
        0,
    ),
    (
        "the-next-round-is-another-call",
        &[
            (DO, 1, 1, "201"),
            (UNDO, 1, 1, "200"),
            (DO, 2, 1, "201"),
            (DO, 1, 1, "409 cancelled"),
        ],
        1,
    ),
    (
        "a-superseded-owner-can-do-nothing",
        &[
            (DO, 1, 2, "201"),
            (UNDO, 1, 1, "409 superseded"),
            (DO, 2, 1, "409 superseded"),
        ],
        1,
    ),
    (
        "an-answer-that-is-given-again-remembers-the-epoch",
        &[
            (DO, 1, 1, "201"),
            (DO, 1, 3, "201"),
            (UNDO, 1, 2, "409 superseded"),
            (UNDO, 1, 3, "200"),
        ],
        0,
    ),
];

/// Makes the n-th call of every case, kills the service, starts it again, and goes on.
fn assert_keeps_the_contract(service: Service) -> Result<()> {
    let mut running = Running::alone(service)?;
    let mut stored: Vec<[Option<Value>; 2]> = vec![[None, None]; CONTRACT.len()];
    let longest = CONTRACT.iter().map(|(_, calls, _)| calls.len()).max();
    for n in 0..longest.unwrap_or(0) {
        for ((saga, calls, _), stored) in CONTRACT.iter().zip(&mut stored) {
            let Some(&(undo, round, epoch, expected)) = calls.get(n) else {
                continue;
            };
            let reply = Call {
                saga,
                round,
                epoch,
                undo,
            }
            .send(&running)?;
            assert_eq!(
                in_short(&reply)?,
                expected,
                "{saga}, call {n}: {}",
                reply.text()
            );
            if reply.status < 300 && round == 1 {
                let first = stored[usize::from(undo)].get_or_insert(reply.json()?);
                assert_eq!(*first, reply.json()?, "{saga}, call {n}: the stored answer");
            }
        }
        running.process.kill()?;
        running.restart()?;
    }
    for (saga, _, live) in CONTRACT {
        assert_eq!(running.of_order(saga)?.0, live, "{saga}");
    }
    Ok(())
}

/// Status and code, or that nothing was undone. A refusal is a problem detail.
fn in_short(reply: &Reply) -> Result<String> {
    let body = reply.json()?;
    let is_problem = reply.get("content-type") == Some("application/problem+json");
    ensure!(is_problem == (reply.status >= 400), "{:?}", reply.headers);
    ensure!(!is_problem || body["status"] == reply.status, "{body}");
    Ok(match (body["code"].as_str(), &body["undone"]) {
        (Some(code), _) => format!("{} {code}", reply.status),
        (None, Value::Bool(false)) => format!("{} nothing", reply.status),
        (None, _) => reply.status.to_string(),
    })
}

#[test]
fn a_node_service_keeps_the_contract_over_kills() -> Result<()> {
    assert_keeps_the_contract(LOYALTY)
}

#[test]
fn a_python_service_keeps_the_contract_over_kills() -> Result<()> {
    assert_keeps_the_contract(INVOICES)
}

#[test]
fn a_java_service_keeps_the_contract_over_kills() -> Result<()> {
    assert_keeps_the_contract(DONATIONS)
}

/// Many callers at once, while the service is killed and started again and again: each call is made
/// until it is answered, some steps are undone at the same time.
fn assert_survives(service: Service) -> Result<()> {
    const KILLS: usize = 2;
    let mut running = Running::alone(service)?;
    let (address, over) = (running.address.clone(), AtomicBool::new(false));
    let made = std::thread::scope(|scope| {
        let callers: Vec<_> = (0..6)
            .map(|caller| {
                let (address, over) = (&address, &over);
                scope.spawn(move || call_until(over, caller, service, address))
            })
            .collect();
        let killed = (0..KILLS).try_for_each(|kill| {
            eventually("some calls are through", SOON, || {
                let saga = format!("s-{}-0", 4 * (kill + 1));
                let (live, entries) = running.of_order(&saga).ok()?;
                (live == 1).then_some(entries)
            })?;
            running.process.kill()?;
            running.restart()
        });
        over.store(true, Ordering::Release);
        let made = callers.into_iter().map(|caller| {
            let made = caller.join().map_err(|_| anyhow!("a caller panicked"))?;
            made.context("a caller gave up")
        });
        let made: Result<Vec<usize>> = made.collect();
        killed.and(made)
    })?;
    for (caller, made) in made.into_iter().enumerate() {
        for n in 0..made {
            let saga = format!("s-{n}-{}", caller % 3);
            let live = u64::from(n % 2 == 0);
            let (found, entries) = running.of_order(&saga)?;
            assert_eq!(found, live, "{saga}: {entries} entries");
            assert!(entries.as_u64() <= Some(2), "{saga}: {entries} entries");
        }
    }
    Ok(())
}

/// Pairs of callers make the same calls. Of every second saga one of them undoes the step, as soon as
/// it was called or before.
fn call_until(over: &AtomicBool, caller: usize, service: Service, address: &str) -> Result<usize> {
    let mut n = 0;
    while !over.load(Ordering::Acquire) || n % 4 != 0 {
        let saga = format!("s-{n}-{}", caller % 3);
        let both = [(n + caller) % 4 == 1, n % 2 == 1];
        let calls = if n % 2 == 0 { &[DO, DO][..] } else { &both };
        for &undo in calls {
            let call = Call {
                saga: &saga,
                round: 1,
                epoch: 1,
                undo,
            };
            let answered = eventually("an answer", SOON, || {
                let reply = call.request(service).send(address).ok()?;
                matches!(reply.status, 200 | 201 | 409).then_some(())
            });
            answered.with_context(|| format!("{service:?}, {saga}"))?;
        }
        n += 1;
    }
    Ok(n)
}

#[test]
fn a_node_service_does_everything_once_under_kills_and_concurrent_calls() -> Result<()> {
    assert_survives(LOYALTY)
}

#[test]
fn a_python_service_does_everything_once_under_kills_and_concurrent_calls() -> Result<()> {
    assert_survives(INVOICES)
}

#[test]
fn a_java_service_does_everything_once_under_kills_and_concurrent_calls() -> Result<()> {
    assert_survives(DONATIONS)
}

#[test]
fn what_makes_no_sense_is_refused_with_a_problem_and_has_no_effect() -> Result<()> {
    for service in [LOYALTY, INVOICES, DONATIONS] {
        let running = Running::alone(service)?;
        let call = Call {
            saga: "s-1",
            round: 1,
            epoch: 1,
            undo: false,
        };
        let step = || call.request(service);
        let with = |name: &str, value: &str| {
            let mut request = step();
            request
                .headers
                .retain(|(header, _)| !header.eq_ignore_ascii_case(name));
            request.header(name, value)
        };
        let body = |text: &str| Request {
            body: text.as_bytes().to_vec(),
            ..step()
        };
        let elsewhere = |method: &str, path: &str| Request {
            method: method.into(),
            target: path.into(),
            ..step()
        };
        let order = json!({ "orderId": "s-1", "userId": "u-1", "amount": -1, "currency": "KRW" });
        let cases = [
            (
                Request::new("POST", service.path()).json(&json!({})),
                "400 invalid-request",
            ),
            (
                with("Idempotency-Key", "s-2/the-step/1"),
                "400 invalid-request",
            ),
            (
                with("Idempotency-Key", "s-1/the-step/1/undo"),
                "400 invalid-request",
            ),
            (
                with("Idempotency-Key", "s-1/the-step/x"),
                "400 invalid-request",
            ),
            (with("Ieum-Epoch", "-1"), "400 invalid-request"),
            (step().header("Ieum-Saga-Id", "s-2"), "400 invalid-request"),
            (step().header("X-User-Id", "u-1"), "403 forbidden"),
            (
                with("Content-Type", "text/plain"),
                "415 unsupported-media-type",
            ),
            (body("{"), "400 invalid-request"),
            (body("[]"), "400 invalid-request"),
            (
                body(r#"{"orderId":"\ud800","userId":"u","amount":1,"currency":"KRW"}"#),
                "400 invalid-request",
            ),
            (body(&order.to_string()), "400 invalid-request"),
            (body(&" ".repeat(70_000)), "413 too-large"),
            (
                elsewhere("DELETE", service.path()),
                "405 method-not-allowed",
            ),
            (elsewhere("POST", "/elsewhere"), "404 not-found"),
        ];
        for (request, expected) in cases {
            let reply = request.send(&running.address)?;
            let target = format!("{}: {} {:?}", service.name, request.target, request.headers);
            assert_eq!(in_short(&reply)?, expected, "{target}: {}", reply.text());
        }
        assert_eq!(
            running.of_order("s-1")?,
            (json!(0), json!(0)),
            "{}",
            service.name
        );
    }
    Ok(())
}

#[test]
fn a_ledger_belongs_to_one_process() -> Result<()> {
    for service in [LOYALTY, INVOICES, DONATIONS] {
        let running = Running::alone(service)?;
        let mut second = running.second()?;
        let status = second.wait(SOON)?;
        let output = second.output();
        assert_eq!(status.code(), Some(1), "{output}");
        assert!(output.contains("another process"), "{output}");
    }
    Ok(())
}

#[test]
fn a_torn_record_is_cut_off_and_damage_before_whole_records_is_refused() -> Result<()> {
    let mut running = Running::alone(DONATIONS)?;
    let call = |saga| Call {
        saga,
        round: 1,
        epoch: 1,
        undo: false,
    };
    for saga in ["s-1", "s-2"] {
        call(saga).send(&running)?.expect(201)?;
    }
    running.process.kill()?;
    let file = running.folder.path().join(DONATIONS.ledger);
    let whole = std::fs::read(&file)?;
    for torn in [&whole[8..40], &whole[8..13], &[0; 20]] {
        std::fs::write(&file, [&whole[..], torn].concat())?;
        running.restart()?;
        running.process.kill()?;
        assert_eq!(std::fs::read(&file)?, whole, "{torn:?} is cut off");
    }
    running.restart()?;
    call("s-3").send(&running)?.expect(201)?;
    assert_eq!(running.of_order("s-2")?, (json!(1), json!(1)));
    running.process.kill()?;
    let mut damaged = std::fs::read(&file)?;
    damaged[30] ^= 1;
    std::fs::write(&file, &damaged)?;
    let mut refused = running.second()?;
    assert_eq!(refused.wait(SOON)?.code(), Some(1), "{}", refused.output());
    assert!(
        refused.output().contains("damaged at byte 8"),
        "{}",
        refused.output()
    );
    assert_eq!(std::fs::read(&file)?, damaged, "nothing was changed");
    Ok(())
}
