//! The storefront in a real browser (`tests/browser/storefront.mjs`), and what the gateway makes of the
//! paths beside it.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use ieum_testkit::{Process, Request};
use serde_json::{Value, json};

use crate::packages;
use crate::shop::Shop;

/// How long a scene may take.
const LONG: Duration = Duration::from_secs(120);

/// A name that would run if it were ever taken for markup.
const HOSTILE: &str = "<img src=x onerror=window.attacked=1> 컵";

/// Plays a scene in the browser, at the shop's gateway.
fn play(shop: &Shop, scene: &str, argument: &str) -> Result<()> {
    let mut command = packages::browser("storefront.mjs")?;
    command.args([scene, &format!("http://{}", shop.gateway), argument]);
    let mut process = Process::start(&mut command)?;
    let status = process.wait(LONG)?;
    ensure!(
        status.success(),
        "{scene}\n{}\n{}",
        process.output(),
        shop.process.output()
    );
    Ok(())
}

#[test]
fn a_buyer_orders_and_watches() -> Result<()> {
    let shop = Shop::start()?;
    play(&shop, "completes", "")?;
    play(&shop, "polls", "")?;
    play(&shop, "keyboard", "")
}

#[test]
fn a_cancelled_order_says_why_and_what_was_undone() -> Result<()> {
    let shop = Shop::start()?;
    play(&shop, "declined", "")?;
    play(&shop, "undeliverable", "")?;
    play(&shop, "outOfStock", "")
}

#[test]
fn the_page_asks_once_and_keeps_no_more_than_it_may() -> Result<()> {
    let shop = Shop::start()?;
    for scene in ["calm", "leaves", "more", "forgetful"] {
        play(&shop, scene, "")?;
    }
    Ok(())
}

#[test]
fn an_order_is_placed_once_and_costs_what_the_button_says() -> Result<()> {
    let shop = Shop::start()?;
    play(&shop, "lostAnswer", "")?;
    shop.product("가격이 바뀌는 컵", 12_000, 5)?;
    play(&shop, "prices", &shop.staff()?)
}

#[test]
fn names_that_are_code_are_shown_as_text() -> Result<()> {
    let shop = Shop::start()?;
    shop.product(HOSTILE, 12_000, 5)?;
    play(&shop, "hostile", HOSTILE)
}

/// The build is committed, so that nobody needs npm to build the shop.
#[test]
fn the_committed_build_is_of_the_present_sources() -> Result<()> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shop/storefront");
    let mut fingerprint = Command::new("node");
    let output = fingerprint
        .arg(folder.join("build/fingerprint.mjs"))
        .output()?;
    ensure!(output.status.success(), "{output:?}");
    let built = std::fs::read_to_string(folder.join("dist/SOURCE"))?;
    let present = String::from_utf8(output.stdout)?;
    assert_eq!(
        built, present,
        "in shop/storefront: npm ci && npm run build"
    );
    Ok(())
}

#[test]
fn the_page_shadows_no_other_path() -> Result<()> {
    let shop = Shop::start()?;
    let page = Request::new("GET", "/").send(&shop.gateway)?;
    assert_eq!(page.status, 200);
    assert!(
        page.text().starts_with("<!doctype html>"),
        "{}",
        page.text()
    );
    let policy = page.get("content-security-policy");
    let policy = policy.context("a policy")?;
    assert!(policy.starts_with("default-src 'none'"), "{policy}");
    for (method, path) in [
        ("GET", "/api"),
        ("GET", "/api/v1/nothing"),
        ("POST", "/api/v1/nothing"),
        ("GET", "/nothing"),
        ("DELETE", "/nothing"),
        ("GET", "/app.js/below"),
    ] {
        let reply = Request::new(method, path).send(&shop.gateway)?;
        let problem: Value = reply.json()?;
        let said = (reply.status, problem["title"].as_str());
        assert_eq!(said, (404, Some("Service not found")), "{method} {path}");
    }
    let posted = Request::new("POST", "/")
        .json(&json!({}))
        .send(&shop.gateway)?;
    assert_eq!(posted.status, 405);
    Ok(())
}

#[test]
fn an_order_is_streamed_to_who_placed_it_until_it_is_over() -> Result<()> {
    let shop = Shop::start()?;
    let product = shop.product("머그컵", 9_000, 10)?;
    let (_, token) = shop.sign_up("streams@example.com", "Buyer")?;
    let body = json!({ "items": [{ "productId": product, "quantity": 1 }] });
    let order = shop.post("/api/v1/orders", Some(&token), &body)?;
    let id = order["id"].as_str().context("an id")?;
    let path = format!("/api/v1/orders/{id}/events");
    let follow = |token: &str| {
        let request = Request::new("GET", &path).bearer(token);
        request.header("last-event-id", "12").send(&shop.gateway)
    };
    let stream = follow(&token)?;
    assert_eq!(stream.get("content-type"), Some("text/event-stream"));
    let text = stream.text();
    assert!(text.starts_with("retry: 2000\n\n"), "{text}");
    let last = text.trim_end().rsplit("data: ").next();
    let last: Value = serde_json::from_str(last.context("an event")?)?;
    assert_eq!(
        (&last["status"], &last["isOver"]),
        (&json!("completed"), &json!(true)),
        "{text}"
    );
    for step in [
        "placed",
        "reserved",
        "paid",
        "shipped",
        "confirmed",
        "completed",
    ] {
        let steps = last["steps"].as_array().context("steps")?;
        assert!(
            steps.iter().any(|reached| reached["step"] == step),
            "{step}: {last}"
        );
    }
    let (_, stranger) = shop.sign_up("stranger@example.com", "Stranger")?;
    assert_eq!(follow(&stranger)?.status, 404);
    let nobody = Request::new("GET", &path).send(&shop.gateway)?;
    assert_eq!(nobody.status, 401);
    Ok(())
}
