//! The console's live figures over a real shop: the map, the breakers of services, a trace with its
//! lines, and the stream.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use anyhow::{Context, Result};
use ieum_testkit::{Request, eventually};
use serde_json::{Value, json};

use crate::platform::{Platform, SOON};
use crate::shop::Shop;

fn answered(shop: &Shop, path: &str) -> Result<Value> {
    Request::new("GET", path).send(&shop.platform)?.expect(200)
}

/// Waits for an item of `list` in the answer that is like `wanted`.
fn appears(shop: &Shop, path: &str, list: &str, wanted: impl Fn(&Value) -> bool) -> Result<Value> {
    eventually(&format!("{list} of {path}"), SOON, || {
        let answer = answered(shop, path).ok()?;
        let items = answer[list].as_array()?;
        items.iter().find(|item| wanted(item)).cloned()
    })
}

/// Places an order for 60 of which there are 5; it is cancelled.
fn refused_order(shop: &Shop) -> Result<String> {
    let product = shop.product("Lamp", 2_000, 5)?;
    let (_, token) = shop.sign_up("map@shop.example", "Map")?;
    let items = json!({ "items": [{ "productId": product, "quantity": 60 }] });
    let order = shop.post("/api/v1/orders", Some(&token), &items)?;
    let id = order["id"].as_str().context("an id")?.to_owned();
    shop.finished(&id, &token)?;
    Ok(id)
}

#[test]
fn an_order_is_seen_on_the_map_in_its_trace_and_on_the_stream() -> Result<()> {
    let shop = Shop::start()?;
    let mut stream = listen(&shop.platform)?;
    let order = refused_order(&shop)?;

    for (from, to) in [
        ("gateway", "orders"),
        ("orders", "products"),
        ("sagas", "inventory"),
    ] {
        let edge = appears(&shop, "/api/v1/overview", "edges", |edge| {
            edge["from"] == from && edge["to"] == to
        })?;
        anyhow::ensure!(edge["rate"].as_f64() > Some(0.0), "{edge}");
    }
    for owner in ["gateway", "orders"] {
        let breaker = appears(&shop, "/api/v1/breakers", "breakers", |breaker| {
            breaker["owner"] == owner
        })?;
        anyhow::ensure!(breaker["state"] == "closed", "{breaker}");
    }
    let path = format!("/api/v1/traces/{order}");
    let line = appears(&shop, &path, "logs", |line| line["service"] == "inventory")?;
    let said = line["message"].as_str().context("a message")?;
    anyhow::ensure!(said.starts_with("refused: "), "{line}");

    let mut read = String::new();
    let mut buffer = [0; 4_096];
    while !(read.contains("event: overview") && read.contains("\"what\":\"traces\"")) {
        let count = stream.read(&mut buffer)?;
        anyhow::ensure!(count > 0, "the stream ended: {read}");
        read.push_str(&String::from_utf8_lossy(&buffer[..count]));
    }
    Ok(())
}

#[test]
fn a_stop_does_not_wait_for_a_page_that_listens() -> Result<()> {
    let mut platform = Platform::start("")?;
    let mut stream = listen(&platform.api)?;
    let mut buffer = [0; 4_096];
    anyhow::ensure!(stream.read(&mut buffer)? > 0, "nothing came");
    platform.process.interrupt()?;
    // Long before the drain would have cut it off.
    let status = platform.process.wait(Duration::from_secs(5))?;
    anyhow::ensure!(status.success(), "{status}");
    Ok(())
}

/// Begins to listen to the platform at `address`.
fn listen(address: &str) -> Result<TcpStream> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(SOON))?;
    let request = format!("GET /api/v1/live HTTP/1.1\r\nhost: {address}\r\n\r\n");
    stream.write_all(request.as_bytes())?;
    Ok(stream)
}
