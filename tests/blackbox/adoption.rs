//! `examples/adoption/`: from a monolith to sagas and events in five steps. The same order test passes at
//! each of them, and each does what it is about.

mod contract;
mod kit;

use std::collections::BTreeMap;

use anyhow::{Context, Result};
use ieum_testkit::{Load, Reply, Request, eventually};
use serde_json::{Value, json};

use self::kit::{Step, copy, order, place};
use crate::platform::SOON;

/// The order flow of the guide, as a caller sees it: what it asks and is answered is the same for ever.
fn assert_order_flow(step: &Step) -> Result<()> {
    let get = |target: &str| Request::new("GET", target).send(&step.shop);
    let placed = admitted(step, &order())?.expect(201)?;
    let (order_id, payment_id) = (&placed["order"]["id"], &placed["payment"]["id"]);
    let (created, paid) = (
        &placed["order"]["createdAt"],
        &placed["payment"]["processedAt"],
    );
    for unknown in [order_id, payment_id, created, paid] {
        assert!(unknown.is_string(), "{placed}");
    }
    let expected = json!({
        "user": { "id": "u-1", "name": "민수", "email": "u-1@shop.example" },
        "order": {
            "id": order_id, "userId": "u-1", "items": order()["items"], "totalAmount": 25_000,
            "status": "confirmed", "createdAt": created,
        },
        "payment": {
            "id": payment_id, "orderId": order_id, "amount": 25_000, "method": "card",
            "status": "completed", "processedAt": paid,
        },
    });
    assert_eq!(placed, expected);
    let id = order_id.as_str().context("an id")?;
    let read = get(&format!("/api/orders/{id}"))?.expect(200)?;
    assert_eq!(read, placed["order"]);
    let told = eventually("the user is told", SOON, || {
        let all = get("/api/notifications?userId=u-1")
            .ok()?
            .expect(200)
            .ok()?;
        let of_order = |told: &&Value| told["orderId"] == *order_id;
        all.as_array()?.iter().find(of_order).cloned()
    })?;
    let message = format!("Order {id} is confirmed");
    let expected = json!({ "id": told["id"], "userId": "u-1", "orderId": id, "message": message });
    assert_eq!(told, expected);
    assert_eq!(get("/api/users/u-2")?.expect(200)?["name"], "서연");

    let dear = json!([{ "productId": "p-1", "quantity": 1, "price": 1_000_001 }]);
    let refused = [
        ("userId", json!("u-0"), 404, "user-not-found"),
        ("items", json!([]), 400, "invalid-request"),
        ("items", dear, 402, "payment-declined"),
    ];
    for (field, value, status, code) in refused {
        let mut changed = order();
        changed[field] = value;
        let reply = admitted(step, &changed)?;
        assert_eq!(reply.expect(status)?["code"], code, "{}", reply.text());
    }
    assert_eq!(
        get("/api/orders/nothing")?.expect(404)?["code"],
        "order-not-found"
    );
    Ok(())
}

/// Places an order as a caller does who waits when the gateway asks for it.
fn admitted(step: &Step, order: &Value) -> Result<Reply> {
    eventually("the limit lets an order pass", SOON, || {
        let reply = place(&step.shop, order);
        (!reply.as_ref().is_ok_and(|reply| reply.status == 429)).then_some(reply)
    })?
}

#[test]
fn each_step_runs_with_one_command_and_ends_by_itself() -> Result<()> {
    let folder = copy()?;
    for number in 1..=5 {
        let mut process = kit::run(folder.path(), number, &[])?;
        let status = process.wait(kit::LONG)?;
        assert_eq!(
            status.code(),
            Some(0),
            "step {number}: {}",
            process.output()
        );
    }
    Ok(())
}

#[test]
fn a_step_that_runs_does_not_start_again_and_one_that_was_killed_does() -> Result<()> {
    let folder = copy()?;
    let mut first = kit::run(folder.path(), 1, &["--stay"])?;
    let ready = |line: &str| line.starts_with("ready: ").then_some(());
    first.wait_for(kit::LONG, ready)?;
    let journal = folder.path().join("adoption/1/data/monolith.jsonl");
    let written = std::fs::read(&journal)?;
    let mut second = kit::run(folder.path(), 1, &[])?;
    let status = second.wait(kit::LONG)?;
    let said = second.output();
    assert_eq!(status.code(), Some(1), "{said}");
    assert!(said.contains("error: this step runs already"), "{said}");
    assert_eq!(std::fs::read(&journal)?, written, "nothing was deleted");
    first.kill()?;
    let mut third = kit::run(folder.path(), 1, &[])?;
    let status = third.wait(kit::LONG)?;
    assert_eq!(status.code(), Some(0), "{}", third.output());
    assert!(!folder.path().join("adoption/1/data.lock").exists());
    Ok(())
}

#[test]
fn step_1_is_the_monolith_and_finds_out_where_to_cut_it() -> Result<()> {
    let step = Step::start(1)?;
    assert_order_flow(&step)?;
    let found: Value = serde_json::from_slice(&step.node("analyse.mjs", &["--json"])?)?;
    assert_eq!(
        found["shared"],
        json!({ "orders": ["orderModule", "paymentModule"] })
    );
    assert_eq!(found["calls"].as_array().map(Vec::len), Some(5), "{found}");
    let cuts: BTreeMap<_, _> = found["boundaries"]
        .as_array()
        .context("boundaries")?
        .iter()
        .map(|boundary| {
            (
                boundary["module"].to_string(),
                boundary["cutBy"].to_string(),
            )
        })
        .collect();
    assert_eq!(cuts["\"notificationModule\""], "\"event\"");
    assert_eq!(cuts["\"paymentModule\""], "\"call\"");
    Ok(())
}

#[test]
fn a_row_that_a_crash_left_half_written_is_cut_off_and_what_was_acknowledged_stays() -> Result<()> {
    let step = Step::start(1)?;
    let placed = place(&step.shop, &order())?.expect(201)?;
    let id = placed["order"]["id"].as_str().context("an id")?;
    step.tear("monolith")?;
    step.kill("monolith")?;
    let read = Request::new("GET", &format!("/api/orders/{id}"));
    let found = eventually("the monolith is back", SOON, || read.send(&step.shop).ok())?;
    assert_eq!(found.expect(200)?, placed["order"]);
    assert_order_flow(&step)?;
    assert!(
        step.data("monolith")?
            .lines()
            .all(|line| line.ends_with(']'))
    );
    Ok(())
}

#[test]
fn step_2_adds_a_door_limits_and_traces_and_the_callers_notice_nothing() -> Result<()> {
    let step = Step::start(2)?;
    assert_order_flow(&step)?;
    let report = Request::new("GET", "/api/reports/orders");
    assert_eq!(report.send(&step.shop)?.status, 401);
    let trace = report.send(&step.shop)?;
    let trace = trace.get("x-request-id").context("a request id")?;
    let target = format!("/api/v1/traces/{trace}");
    eventually("the trace", SOON, || step.platform(&target).ok())?;
    let limited = eventually("a limit", SOON, || {
        let reply = place(&step.shop, &order()).ok()?;
        (reply.status == 429).then_some(reply)
    })?;
    assert!(
        limited.get("retry-after").is_some(),
        "{:?}",
        limited.headers
    );
    Ok(())
}

#[test]
fn step_3_moves_a_share_within_two_points_under_load_and_back() -> Result<()> {
    let step = Step::start(3)?;
    for percent in ["0", "100"] {
        step.node("share.mjs", &[percent])?;
        assert_order_flow(&step)?;
    }
    let placed = place(&step.shop, &order())?.expect(201)?;
    let id = placed["order"]["id"].as_str().context("an id")?;
    let read = Request::new("GET", &format!("/api/orders/{id}"));
    let load = Load {
        address: step.shop.clone(),
        requests: vec![read.clone()],
        rate: 100.0,
        connections: 4,
        excused: None,
    };
    let load = load.start()?;
    for percent in [10, 50, 100, 0] {
        step.node("share.mjs", &[&percent.to_string()])?;
        let before = sides(&step)?;
        let [old, new] = eventually("some hundred requests", SOON, || {
            let now = sides(&step).ok()?;
            let gone = [now[0] - before[0], now[1] - before[1]];
            (gone[0] + gone[1] >= 300.0).then_some(gone)
        })?;
        let share = 100.0 * new / (old + new);
        let off = (share - f64::from(percent)).abs();
        assert!(off <= 2.0, "{share} % in place of {percent} %");
    }
    load.stop().check()?;
    let answered = read.send(&step.shop)?;
    assert_eq!(answered.get("x-service"), Some("monolith"), "all went back");
    Ok(())
}

/// How many requests for orders went to the old side and to the new one.
fn sides(step: &Step) -> Result<[f64; 2]> {
    let text = Request::new("GET", "/metrics").send(&step.api)?.text();
    let count = |side: &str| {
        let name = format!("ieum_gateway_split_total{{path=\"/api/orders\",side=\"{side}\"}}");
        let line = text.lines().find_map(|line| line.strip_prefix(&name));
        line.and_then(|line| line.trim().parse().ok())
            .with_context(|| format!("{name} in {text}"))
    };
    Ok([count("old")?, count("new")?])
}

#[test]
fn step_4_parts_the_data_and_the_readers_see_the_same() -> Result<()> {
    let step = Step::start(4)?;
    let written = || Ok::<_, anyhow::Error>(step.data("monolith")?.matches("[\"orders\",").count());
    let before = written()?;
    assert_order_flow(&step)?;
    // Orders that are open when the service dies are settled when it is back.
    let callers = step.place_at_once(10);
    step.kill("orders")?;
    for caller in callers {
        drop(caller.join());
    }
    eventually("the service is back, and no order is open", SOON, || {
        place(&step.shop, &order()).ok()?.expect(201).ok()?;
        let rows = step.rows("orders", "orders").ok()?;
        let is_open = |order: &Value| order["status"] == "pending";
        (!rows.values().any(is_open)).then_some(())
    })?;
    assert_eq!(written()?, before, "the monolith's table is left alone");
    eventually("the report tells of all", SOON, || {
        let rows = step.rows("orders", "orders").ok()?;
        let confirmed = rows.values().filter(|order| order["status"] == "confirmed");
        let amounts = confirmed.filter_map(|order| order["totalAmount"].as_u64());
        let amounts: Vec<u64> = amounts.collect();
        let monolith = step.address("monolith").ok()?;
        let report = Request::new("GET", "/api/reports/orders").send(&monolith);
        let report = report.ok()?.expect(200).ok()?;
        let expected =
            json!({ "orders": amounts.len(), "totalAmount": amounts.iter().sum::<u64>() });
        (report == expected).then_some(())
    })?;
    let payments = step.rows("monolith", "payments")?;
    let paid = payments
        .values()
        .map(|payment| payment["orderId"].to_string());
    let mut paid: Vec<String> = paid.collect();
    let all = paid.len();
    paid.sort();
    paid.dedup();
    assert_eq!(paid.len(), all, "no order was charged twice");
    Ok(())
}

#[test]
fn step_5_refunds_a_refused_shipment_and_loses_nothing_to_a_killed_service() -> Result<()> {
    let step = Step::start(5)?;
    assert_order_flow(&step)?;
    let refunded = || {
        let payments = step.rows("payments", "payments").ok()?;
        Some(
            payments
                .values()
                .filter(|p| p["status"] == "refunded")
                .count(),
        )
    };
    let stock = || {
        Request::new("GET", "/api/inventory/p-1")
            .send(&step.shop)?
            .expect(200)
    };
    let (refunds, before) = (refunded().context("payments")?, stock()?);
    let mut nowhere = order();
    nowhere["address"] = json!("nowhere");
    let refused = place(&step.shop, &nowhere)?.expect(409)?;
    assert_eq!(refused["code"], "shipping-refused");
    assert_eq!(refunded(), Some(refunds + 1));
    assert_eq!(stock()?, before, "what was reserved is free again");

    for victim in ["payments", "orders", "notifications", "analytics"] {
        let callers = step.place_at_once(4);
        step.kill(victim)?;
        for caller in callers {
            drop(caller.join());
        }
        eventually("the service is back", SOON, || {
            place(&step.shop, &order()).ok()?.expect(201).ok()
        })?;
    }
    assert_books_balance(&step)
}

/// Each confirmed order was paid once, told of once and counted once, and none is open.
fn assert_books_balance(step: &Step) -> Result<()> {
    let confirmed = eventually("no order is open", SOON, || {
        let orders = step.rows("orders", "orders").ok()?;
        let is_open = |order: &Value| order["status"] == "pending";
        let confirmed = orders
            .iter()
            .filter(|(_, order)| order["status"] == "confirmed");
        let ids: Vec<String> = confirmed.map(|(id, _)| id.clone()).collect();
        (!orders.values().any(is_open)).then_some(ids)
    })?;
    let ids_in = |service: &str, table: &str, field: &str| {
        let rows = step.rows(service, table).ok()?;
        let live = rows.values().filter(|row| row["status"] != "refunded");
        let ids = live.filter_map(|row| row[field].as_str().map(str::to_owned));
        let mut ids: Vec<String> = ids.collect();
        ids.sort();
        Some(ids)
    };
    let mut expected = confirmed;
    expected.sort();
    for (service, table, field) in [
        ("payments", "payments", "orderId"),
        ("notifications", "notifications", "orderId"),
        ("analytics", "sold", "id"),
    ] {
        let same = || (ids_in(service, table, field)? == expected).then_some(());
        eventually("each once", SOON, same)
            .with_context(|| format!("{service}: {:?}", ids_in(service, table, field)))?;
    }
    Ok(())
}
