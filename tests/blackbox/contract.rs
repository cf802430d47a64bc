//! Contracts, exchanged with the Pact foundation's own library in both directions.
//!
//! `tests/clients/pact/` has a client in Python (PyPI `pact-python`, whose core is the reference
//! implementation in Rust). What it records must verify here, what is recorded here must verify there,
//! and on cases made from a seed the two must come to the same verdicts.

mod table;

use std::collections::BTreeSet;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use ieum_testkit::{Process, Reply, Request, Stub, TempFolder, binary};
use serde_json::{Value, json};

use crate::packages;
use crate::platform::Platform;
use crate::shop::Shop;
use table::{Case, Dice};

/// How long one verifier may take.
const LONG: Duration = Duration::from_secs(240);

/// How many cases the two verifiers are compared on.
const CASES: usize = 400;

#[test]
fn both_verifiers_come_to_the_same_verdicts() -> Result<()> {
    let mut dice = Dice::new(20_261_121);
    let cases: Vec<Case> = (0..CASES).map(|_| table::case(&mut dice)).collect();
    let interactions: Vec<Value> = cases
        .iter()
        .enumerate()
        .map(|(index, case)| case.interaction(index))
        .collect();
    let pact = json!({
        "consumer": { "name": "table" }, "provider": { "name": "cases" },
        "interactions": interactions, "metadata": { "pactSpecification": { "version": "4.0" } }
    });
    let folder = TempFolder::new()?;
    folder.write("table-cases.json", pact.to_string())?;
    let file = folder.path().join("table-cases.json");
    let file = file.to_str().context("a path")?.to_owned();
    let cases = Arc::new(cases);
    let answering = Arc::clone(&cases);
    let provider = Stub::start(move |request| {
        let number = request
            .target
            .strip_prefix("/case/")
            .and_then(|n| n.parse().ok());
        let case = number.and_then(|n: usize| answering.get(n));
        case.map_or_else(|| Reply::json_of(404, &Value::Null), Case::reply)
    })?;
    let url = format!("http://{}", provider.address());
    let verdicts = real(&["verify", &file, &url])?;
    let theirs = numbers(&verdicts["failed"]);
    let (_, report) = ours(&[&file, "--provider-url", &url])?;
    let ours: BTreeSet<usize> = failed(&report)
        .iter()
        .filter_map(|name| number(name))
        .collect();
    println!(
        "{CASES} cases: {} fail here, {} there; they differ in {}",
        ours.len(),
        theirs.len(),
        ours.symmetric_difference(&theirs).count()
    );
    assert!(
        ours.len() > CASES / 10 && ours.len() < CASES * 9 / 10,
        "a table that says nothing"
    );
    for index in ours.symmetric_difference(&theirs).take(10) {
        let case = &cases[*index];
        println!(
            "case {index}: {} here\n  example {}\n  rules {}\n  answer {}\n  {}",
            if ours.contains(index) {
                "fails"
            } else {
                "holds"
            },
            case.example,
            case.interaction(*index)["response"]["matchingRules"],
            case.answer,
            report["reports"][0]["outcomes"][*index],
        );
        let errors = verdicts["errors"].as_array().into_iter().flatten();
        let of_case =
            |error: &&Value| error["interaction"].as_str().and_then(number) == Some(*index);
        for error in errors.filter(of_case) {
            println!("  there: {error}");
        }
    }
    assert_eq!(ours, theirs);
    Ok(())
}

#[test]
fn what_the_real_library_records_is_verified_here_and_a_breach_is_found_by_both() -> Result<()> {
    let folder = TempFolder::new()?;
    let path = folder.path().to_str().context("a path")?.to_owned();
    let files = real(&["record", &path])?["files"].clone();
    let files: Vec<String> = serde_json::from_value(files)?;
    assert_eq!(files.len(), 3, "one for each version");
    let user = json!({ "id": "u9", "name": "Lee", "tags": ["a", "b"], "age": 7, "balance": 2.25,
                       "createdAt": "2026-01-02T03:04:05Z", "more": true });
    let mut renamed = user.clone();
    renamed["fullName"] = renamed["name"].take();
    renamed.as_object_mut().context("a map")?.remove("name");
    for (body, breach) in [(user, None), (renamed, Some("$.body.name"))] {
        let provider = users(body)?;
        let url = format!("http://{}", provider.address());
        for file in &files {
            let states = format!("{url}/states");
            let there = real(&["verify", file, &url, &states])?;
            let (status, report) = ours(&[file, "--provider-url", &url, "--state-url", &states])?;
            assert_eq!(
                status == 0,
                there["holds"] == true,
                "{file}: {report:#} {there:#}"
            );
            assert_eq!(status == 0, breach.is_none(), "{file}: {report:#}");
            if let Some(place) = breach {
                let text = report.to_string();
                assert!(text.contains(place), "{text}");
                assert_eq!(failed(&report).len(), 1, "{report:#}");
            }
        }
    }
    Ok(())
}

#[test]
fn events_that_the_real_library_records_are_verified_here_too() -> Result<()> {
    let folder = TempFolder::new()?;
    let path = folder.path().to_str().context("a path")?.to_owned();
    let files: Vec<String> = serde_json::from_value(real(&["record", &path])?["events"].clone())?;
    assert_eq!(files.len(), 2, "one for each version that has events");
    for (total, holds) in [(json!(9), true), (json!("9"), false)] {
        let event = json!({ "orderId": "o-7", "total": total, "more": true });
        let provider = Stub::start(move |_| Reply::json_of(200, &event))?;
        let url = format!("http://{}/", provider.address());
        for file in &files {
            let (status, report) = ours(&[file, "--provider-url", &url, "--message-url", &url])?;
            assert_eq!(status == 0, holds, "{file}: {report:#}");
            assert_eq!(real(&["verify", file, &url])?["holds"], holds, "{file}");
            let named = report.to_string().contains("$.contents.total");
            assert_eq!(named, !holds, "{report:#}");
        }
    }
    Ok(())
}

/// The service users, as far as the recorded contracts need it.
fn users(user: Value) -> Result<Stub> {
    Stub::start(move |request| {
        let path = request.target.split('?').next().unwrap_or_default();
        match (request.method.as_str(), path) {
            ("POST", "/states") => Reply::json_of(200, &json!({})),
            ("POST", "/users") => {
                let mut reply = Reply::json_of(201, &json!({ "id": "u2" }));
                reply
                    .headers
                    .push(("location".to_owned(), "/users/u2".to_owned()));
                reply
            }
            _ => Reply::json_of(200, &user),
        }
    })
}

#[test]
fn the_contracts_of_the_shop_hold_for_the_running_services_here_and_there() -> Result<()> {
    let shop = Arc::new(Shop::start()?);
    let states = states_of(Arc::clone(&shop))?;
    let states = format!("http://{}/", states.address());
    for (contract, provider) in [
        ("orders-users", "users"),
        ("orders-products", "products"),
        ("analytics-orders", "orders"),
        ("notifications-orders", "orders"),
    ] {
        let file = kept(contract);
        let url = format!("http://{}", shop.services[provider]);
        let events = format!("{states}events");
        let arguments = [&file, "--provider-url", &url, "--state-url", &states];
        let arguments = [&arguments[..], &["--message-url", &events]].concat();
        let (status, report) = ours(&arguments)?;
        assert_eq!(status, 0, "{contract}: {report:#}");
        // Its verifier asks for events where it asks for everything else.
        let url = if provider == "orders" { events } else { url };
        let there = real(&["verify", &file, &url, &states])?;
        assert_eq!(there["holds"], true, "{contract}: {there:#}");
    }
    Ok(())
}

#[test]
fn a_breaking_change_of_a_service_fails_with_the_field_named() -> Result<()> {
    let renamed = json!({ "id": "u1", "email": "kim@example.com", "fullName": "Kim",
                          "createdAt": "2026-11-21T16:30:00Z" });
    let provider = Stub::start(move |request| match request.target.as_str() {
        "/users/nobody" => Reply::json_of(404, &json!({})),
        _ => Reply::json_of(200, &renamed),
    })?;
    let url = format!("http://{}", provider.address());
    let mut command = Command::new(binary("ieum")?);
    let output = command
        .args([
            "contract",
            "verify",
            &kept("orders-users"),
            "--provider-url",
            &url,
        ])
        .output()?;
    let text = String::from_utf8_lossy(&output.stdout);
    assert_eq!(output.status.code(), Some(1), "{text}");
    assert!(
        text.contains("$.body.name: expected \"Test User\", but it is missing"),
        "{text}"
    );
    assert!(
        text.contains("FAILED") && text.contains("1 of 2 hold"),
        "{text}"
    );
    Ok(())
}

#[test]
fn what_cannot_be_said_is_told_from_what_is_broken() -> Result<()> {
    let run = |arguments: &[&str]| -> Result<(Option<i32>, String)> {
        let output = Command::new(binary("ieum")?)
            .arg("contract")
            .args(arguments)
            .output()?;
        Ok((
            output.status.code(),
            String::from_utf8_lossy(&output.stderr).into_owned(),
        ))
    };
    let file = kept("orders-users");
    let (status, text) = run(&["verify", &file, "--provider-url", "http://127.0.0.1:1"])?;
    assert_eq!(status, Some(2), "{text}");
    assert!(text.contains("http://127.0.0.1:1"), "{text}");
    let (status, _) = run(&[
        "verify",
        "/nowhere.json",
        "--provider-url",
        "http://127.0.0.1:1",
    ])?;
    assert_eq!(status, Some(2));
    let (status, text) = run(&["diff", &file, &kept("schemas/user")])?;
    assert_eq!(status, Some(2), "{text}");
    let secret = [
        "verify",
        &file,
        "--provider-url",
        "http://127.0.0.1:1",
        "--header",
        "Bearer secret",
    ];
    let (status, text) = run(&secret)?;
    assert_eq!(status, Some(2), "{text}");
    assert!(
        text.contains("--header") && !text.contains("secret"),
        "{text}"
    );
    Ok(())
}

#[test]
fn a_folder_is_verified_as_its_files_and_only_for_the_provider_that_is_named() -> Result<()> {
    let pact = |consumer: &str, provider: &str| {
        json!({ "consumer": { "name": consumer }, "provider": { "name": provider },
                "interactions": [{ "description": "a", "request": { "method": "GET", "path": "/" },
                                   "response": { "status": if provider == "users" { 200 } else { 404 } } }] })
    };
    let folder = TempFolder::new()?;
    folder.write("a.json", pact("one", "users").to_string())?;
    folder.write("b.json", pact("two", "users").to_string())?;
    folder.write("c.json", pact("one", "others").to_string())?;
    let provider = Stub::start(|_| Reply::json_of(200, &json!({})))?;
    let url = format!("http://{}", provider.address());
    let place = folder.path().to_str().context("a path")?;
    let consumers = |report: &Value| -> Vec<String> {
        let reports = report["reports"].as_array().into_iter().flatten();
        let names =
            reports.map(|report| report["consumer"].as_str().unwrap_or_default().to_owned());
        names.collect()
    };
    let (status, report) = ours(&[place, "--provider-url", &url])?;
    assert_eq!((status, consumers(&report).len()), (1, 3), "{report:#}");
    let (status, report) = ours(&[place, "--provider-url", &url, "--provider", "users"])?;
    assert_eq!(status, 0, "{report:#}");
    assert_eq!(consumers(&report), ["one", "two"]);
    let nobody = ours(&[place, "--provider-url", &url, "--provider", "nobody"]);
    let error = format!("{:#}", nobody.err().context("nothing to verify")?);
    assert!(error.contains("2: error: there is no contract"), "{error}");
    Ok(())
}

#[test]
fn two_versions_of_a_contract_are_compared() -> Result<()> {
    let folder = TempFolder::new()?;
    let schema: Value = serde_json::from_str(&std::fs::read_to_string(kept("schemas/user"))?)?;
    let mut renamed = schema.clone();
    let fields = renamed["properties"].as_object_mut().context("fields")?;
    let name = fields.remove("name").context("a name")?;
    fields.insert("fullName".to_owned(), name);
    renamed["required"] = json!(["id", "email", "createdAt"]);
    folder.write("old.json", schema.to_string())?;
    folder.write("new.json", renamed.to_string())?;
    let run = |old: &str, new: &str| -> Result<(Option<i32>, Value)> {
        let mut command = Command::new(binary("ieum")?);
        command.args(["contract", "diff", "--json"]);
        let output = command
            .arg(folder.path().join(old))
            .arg(folder.path().join(new))
            .output()?;
        Ok((
            output.status.code(),
            serde_json::from_slice(&output.stdout)?,
        ))
    };
    let (status, same) = run("old.json", "old.json")?;
    assert_eq!((status, &same["changes"]), (Some(0), &json!([])));
    let (status, changed) = run("old.json", "new.json")?;
    assert_eq!(status, Some(1));
    let removed = json!({ "place": "$.name", "text": "removed", "breaking": true });
    let list = changed["changes"].as_array().context("changes")?;
    assert!(list.contains(&removed), "{changed:#}");
    Ok(())
}

#[test]
fn the_platform_answers_what_its_own_document_promises() -> Result<()> {
    let platform = Platform::start("")?;
    let document = platform.get("/api/openapi.json")?;
    let folder = TempFolder::new()?;
    folder.write("openapi.json", document.to_string())?;
    let paths = [
        "/api/v1/services",
        "/api/v1/routes",
        "/api/v1/groups",
        "/api/v1/log/head",
    ];
    let pact = |more: Option<(&str, &str)>| -> Result<String> {
        let mut interactions = Vec::new();
        for path in paths {
            let mut body = platform.get(path)?;
            if let Some((place, name)) = more.filter(|(place, _)| *place == path) {
                body[name] = json!(place);
            }
            interactions.push(json!({ "description": path,
                "request": { "method": "GET", "path": path },
                "response": { "status": 200, "headers": { "content-type": "application/json" }, "body": body } }));
        }
        let pact = json!({ "consumer": { "name": "console" }, "provider": { "name": "platform" },
                           "interactions": interactions });
        folder.write("console-platform.json", pact.to_string())?;
        Ok(folder
            .path()
            .join("console-platform.json")
            .to_string_lossy()
            .into_owned())
    };
    let document = folder
        .path()
        .join("openapi.json")
        .to_string_lossy()
        .into_owned();
    let (status, report) = ours(&[&pact(None)?, "--openapi", &document])?;
    assert_eq!(status, 0, "{report:#}");
    let more = pact(Some(("/api/v1/services", "notPromised")))?;
    let (status, report) = ours(&[&more, "--openapi", &document])?;
    assert_eq!(status, 1, "{report:#}");
    assert!(
        report.to_string().contains("$.body.notPromised"),
        "{report:#}"
    );
    Ok(())
}

/// A contract of the shop.
fn kept(name: &str) -> String {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../shop/contracts");
    format!("{folder}/{name}.json")
}

/// An endpoint that makes the states of the shop's contracts so, and one that answers its events.
fn states_of(shop: Arc<Shop>) -> Result<Stub> {
    let customers = AtomicUsize::new(0);
    Stub::start(move |request| {
        let asked: Value = serde_json::from_slice(&request.body).unwrap_or_default();
        let customer = customers.fetch_add(1, Ordering::Relaxed);
        let made = match (request.target.as_str(), asked["state"].as_str()) {
            ("/events", _) => event(&shop, &asked),
            (_, Some("there is a user")) => shop
                .sign_up(&format!("contract-{customer}@example.com"), "Contract")
                .map(|(user, _)| json!({ "userId": user["id"] })),
            (_, Some("there is a product")) => shop
                .product("Contract", 100, 5)
                .map(|id| json!({ "productId": id })),
            (_, Some("an order was placed" | "an order was completed")) => {
                order(&shop, customer).map(|()| json!({}))
            }
            _ => Ok(json!({})),
        };
        match made {
            Ok(made) => Reply::json_of(200, &made),
            Err(error) => Reply::json_of(500, &json!({ "error": format!("{error:#}") })),
        }
    })
}

/// Places an order, and waits until it is done.
fn order(shop: &Shop, customer: usize) -> Result<()> {
    let (_, token) = shop.sign_up(&format!("order-{customer}@example.com"), "Contract")?;
    let product = shop.product("Contract", 100, 5)?;
    let items = json!({ "items": [{ "productId": product, "quantity": 1 }] });
    let placed = shop.post("/api/v1/orders", Some(&token), &items)?;
    shop.finished(placed["id"].as_str().context("an id")?, &token)?;
    Ok(())
}

/// The event that is asked for by its description, as the platform has it.
fn event(shop: &Shop, asked: &Value) -> Result<Value> {
    let kind = asked["description"].as_str().context("a description")?;
    let target = format!("/api/v1/log?category=order.events&type={kind}&limit=1");
    let page = Request::new("GET", &target)
        .send(&shop.platform)?
        .expect(200)?;
    let event = page["events"]
        .get(0)
        .with_context(|| format!("no {kind}: {page:#}"))?;
    Ok(
        json!({ "type": event["type"], "source": "/orders", "id": event["id"], "data": event["data"] }),
    )
}

/// Runs the real library; its last line.
fn real(arguments: &[&str]) -> Result<Value> {
    let mut command = packages::python("pact", "client.py")?;
    let mut client = Process::start(command.args(arguments))?;
    let status = client.wait(LONG)?;
    if !status.success() {
        bail!("the client ended with {status}:\n{}", client.output());
    }
    Ok(serde_json::from_str(&client.last_line())?)
}

/// Runs `ieum contract verify --json`; its exit status and what it says.
fn ours(arguments: &[&str]) -> Result<(i32, Value)> {
    let mut command = Command::new(binary("ieum")?);
    let output = command
        .args(["contract", "verify", "--json"])
        .args(arguments)
        .output()?;
    let status = output.status.code().context("an exit status")?;
    let said = String::from_utf8_lossy(&output.stdout);
    let report = serde_json::from_str(&said).with_context(|| {
        format!(
            "{status}: {said}{}",
            String::from_utf8_lossy(&output.stderr)
        )
    })?;
    Ok((status, report))
}

/// The interactions that failed by our report.
fn failed(report: &Value) -> Vec<String> {
    let reports = report["reports"].as_array().into_iter().flatten();
    let outcomes = reports.flat_map(|report| report["outcomes"].as_array().into_iter().flatten());
    let failed = outcomes.filter(|outcome| {
        outcome["mismatches"]
            .as_array()
            .is_some_and(|m| !m.is_empty())
    });
    failed
        .filter_map(|outcome| Some(outcome["interaction"].as_str()?.to_owned()))
        .collect()
}

fn numbers(list: &Value) -> BTreeSet<usize> {
    let names = list.as_array().into_iter().flatten();
    names.filter_map(|name| number(name.as_str()?)).collect()
}

/// The number of a case in the text that names it.
fn number(name: &str) -> Option<usize> {
    name.rsplit_once("case ")?.1.trim().parse().ok()
}
