//! The console and the command line tell the same: each operation whose description names a command is
//! asked both ways, on a shop that stands still.

use std::collections::BTreeSet;
use std::process::{Command, Output};

use anyhow::{Context, Result};
use ieum_testkit::{Request, binary, eventually};
use serde_json::{Value, json};

use crate::platform::{Platform, SOON};
use crate::shop::Shop;

/// Runs `ieum` against the platform at `address`.
fn ieum(address: &str, args: &[&str]) -> Result<Output> {
    let mut command = Command::new(binary("ieum")?);
    command.args(args).args(["--platform", address]);
    Ok(command.output()?)
}

/// What `ieum … --json` prints.
fn printed(address: &str, args: &[&str]) -> Result<Value> {
    let output = ieum(address, &[args, &["--json"]].concat())?;
    let remarks = String::from_utf8_lossy(&output.stderr).into_owned();
    anyhow::ensure!(output.status.success(), "{args:?}: {remarks}");
    serde_json::from_slice(&output.stdout).with_context(|| format!("{args:?}: {remarks}"))
}

fn answered(address: &str, path: &str) -> Result<Value> {
    Request::new("GET", path).send(address)?.expect(200)
}

/// Without what is another a moment later: the time of the answer, and figures of the last minute.
fn standing(mut answer: Value) -> Value {
    if let Some(overview) = answer.as_object_mut() {
        overview.remove("at");
    }
    for list in ["services", "edges"] {
        for one in answer[list].as_array_mut().into_iter().flatten() {
            let Some(one) = one.as_object_mut() else {
                continue;
            };
            for figure in ["rate", "errorRate", "p50Ms", "p99Ms"] {
                one.remove(figure);
            }
        }
    }
    answer
}

/// The command must print what the API answers, as soon as two answers of the API are the same.
fn tell_the_same(address: &str, path: &str, args: &[&str]) -> Result<Value> {
    let what = format!("{path} stands still");
    eventually(&what, SOON, || {
        let ask = || -> Result<(Value, Value, Value)> {
            let before = standing(answered(address, path)?);
            let told = standing(printed(address, args)?);
            Ok((before, told, standing(answered(address, path)?)))
        };
        match ask() {
            Ok((before, told, after)) if before == after => Some(Ok((before, told))),
            Ok(_) => None,
            Err(error) => Some(Err(error)),
        }
    })?
    .and_then(|(answered, told)| {
        anyhow::ensure!(answered == told, "{args:?}\n{told}\n{path}\n{answered}");
        Ok(told)
    })
}

/// A shop with some orders that have ended.
fn with_orders() -> Result<Shop> {
    let shop = Shop::start()?;
    let product = shop.product("Lamp", 2_000, 50)?;
    let (_, token) = shop.sign_up("twin@shop.example", "Twin")?;
    for quantity in [1, 2, 60] {
        let items = json!({ "items": [{ "productId": product, "quantity": quantity }] });
        let order = shop.post("/api/v1/orders", Some(&token), &items)?;
        let id = order["id"].as_str().context("an id")?;
        shop.finished(id, &token)?;
    }
    Ok(shop)
}

#[test]
fn every_list_of_the_console_and_its_command_tell_the_same() -> Result<()> {
    let shop = with_orders()?;
    let address = &shop.platform;
    let sagas = answered(address, "/api/v1/sagas")?;
    let saga = sagas["sagas"][0]["id"]
        .as_str()
        .context("a saga")?
        .to_owned();
    let known = [("id", saga.as_str()), ("subject", "order.placed")];
    let document = answered(address, "/api/openapi.json")?;
    let mut asked = BTreeSet::new();
    for (path, item) in document["paths"].as_object().context("paths")? {
        let Some(command) = item["get"]["x-ieum-command"].as_str() else {
            continue;
        };
        let filled = |text: &str| {
            known.iter().fold(text.to_owned(), |text, (name, value)| {
                text.replace(&format!("{{{name}}}"), value)
            })
        };
        let command = filled(command.trim_start_matches("ieum "));
        let args: Vec<_> = command.split(' ').collect();
        let path = filled(path);
        anyhow::ensure!(!path.contains('{'), "{path}");
        tell_the_same(address, &path, &args)?;
        asked.insert(path);
    }
    for list in [
        "overview",
        "services",
        "routes",
        "breakers",
        "sagas",
        "log/streams",
        "topics",
        "groups",
        "dead-letters",
        "traces",
        "platforms",
        "impact/order.placed",
    ] {
        anyhow::ensure!(
            asked.contains(&format!("/api/v1/{list}")),
            "{list} has no twin"
        );
    }
    for (path, args) in [
        (
            "/api/v1/sagas?state=compensated",
            ["sagas", "--state", "compensated"],
        ),
        ("/api/v1/sagas?limit=1", ["sagas", "--limit", "1"]),
        (
            "/api/v1/log/streams?prefix=order&limit=2",
            ["streams", "--prefix=order", "--limit=2"],
        ),
        (
            "/api/v1/traces?failed=false&limit=3",
            ["traces", "--failed=false", "--limit=3"],
        ),
        (
            "/api/v1/dead-letters?topic=order.events",
            ["dead-letters", "--topic", "order.events"],
        ),
        (
            "/api/v1/impact/orders?kind=route",
            ["impact", "orders", "--kind=route"],
        ),
    ] {
        tell_the_same(address, path, &args)?;
    }
    Ok(())
}

/// The names in `list`, by `key`.
fn names(answer: &Value, list: &str, key: &str) -> BTreeSet<String> {
    let all = answer[list].as_array().into_iter().flatten();
    let names = all.map(|one| if key.is_empty() { one } else { &one[key] });
    names.filter_map(Value::as_str).map(str::to_owned).collect()
}

#[track_caller]
fn assert_names(answer: &Value, list: &str, key: &str, expected: &[&str]) {
    let expected: BTreeSet<_> = expected.iter().map(|&name| name.to_owned()).collect();
    assert_eq!(
        names(answer, list, key),
        expected,
        "{list} of {}",
        answer["subject"]
    );
}

#[test]
fn an_impact_is_what_the_shop_is_built_as() -> Result<()> {
    let shop = with_orders()?;
    let impact = |args: &[&str]| printed(&shop.platform, &[&["impact"], args].concat());

    let placed = impact(&["order.placed"])?;
    assert_names(&placed, "publishers", "", &["orders"]);
    let hearing = ["analytics", "inventory", "notifications"];
    assert_names(&placed, "consumers", "service", &hearing);
    assert_names(&placed, "contracts", "source", &["analytics-orders.json"]);
    let steps = [
        "(trigger)",
        "validate",
        "reserve-inventory",
        "charge-payment",
        "create-shipment",
        "confirm",
        "complete",
        "notify",
    ];
    assert_names(&placed, "sagas", "step", &steps);
    let touched = [
        "analytics",
        "inventory",
        "notifications",
        "orders",
        "payments",
        "shipping",
    ];
    assert_names(&placed, "services", "", &touched);
    let routes = names(&placed, "routes", "name");
    for route in [
        "place-order",
        "orders",
        "older-place-order",
        "analytics",
        "graph",
    ] {
        assert!(routes.contains(route), "{route}: {routes:?}");
    }
    for route in ["users", "sign-in", "payments"] {
        assert!(!routes.contains(route), "{route}: {routes:?}");
    }
    assert_eq!(placed["seen"]["complete"], true);
    let next = names(&placed, "next", "type");
    for kind in [
        "inventory.reserved",
        "payment.completed",
        "shipment.created",
    ] {
        assert!(next.contains(kind), "{kind}: {next:?}");
    }

    let payments = impact(&["payments", "--kind", "service"])?;
    assert_names(&payments, "publishers", "", &["inventory", "shipping"]);
    let hearing = ["analytics", "inventory", "orders", "shipping"];
    assert_names(&payments, "consumers", "service", &hearing);
    assert_names(&payments, "sagas", "step", &["charge-payment"]);

    let users = impact(&["users", "--kind", "service"])?;
    assert_names(&users, "contracts", "consumer", &["orders"]);
    assert_names(&users, "sagas", "step", &[]);

    let output = ieum(&shop.platform, &["impact", "order.place"])?;
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("order.placed"), "{said}");
    Ok(())
}

#[test]
fn a_name_from_elsewhere_is_shown_and_not_obeyed() -> Result<()> {
    let platform = Platform::start("")?;
    let markup = "<img src=x onerror=alert(1)>";
    let owner = "\u{1b}]0;gotcha\u{7}\u{1b}[2J\u{9b}31m\u{202e}\nevil passing";
    let body = json!({ "Name": markup, "ID": "a-1", "Address": "127.0.0.1", "Port": 9,
        "Meta": { "owner": owner } });
    let register = Request::new("PUT", "/v1/agent/service/register").json(&body);
    register.send(&platform.api)?.expect(200)?;
    for args in [&["services"][..], &["overview"], &["impact", markup]] {
        let output = ieum(&platform.api, args)?;
        let text = String::from_utf8(output.stdout)?;
        assert!(text.contains(markup), "{args:?}: {text}");
        assert!(
            !text.chars().any(|c| c.is_control() && c != '\n'),
            "{args:?}: {text:?}"
        );
        assert!(!text.contains('\u{202e}'), "{args:?}: {text:?}");
        let told = printed(&platform.api, args)?;
        assert!(told.to_string().contains("onerror"), "{told}");
    }
    let services = printed(&platform.api, &["services"])?;
    assert_eq!(services["services"][0]["owner"], owner);
    Ok(())
}
