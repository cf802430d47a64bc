//! The three tests of the integration guide: provider contract, consumer contract, end to end; and
//! what a customer's request may and may not do.

use std::process::Command;

use anyhow::{Context, Result};
use ieum_testkit::{Process, Reply, Request, Stub, binary, eventually};
use serde_json::{Value, json};

use crate::platform::{Platform, SOON, address};
use crate::shop::Shop;

#[test]
fn the_users_service_provides_what_its_contract_says() -> Result<()> {
    let shop = Shop::start()?;
    let (user, token) = shop.sign_up("provider@example.com", "Provider Contract")?;
    let id = user["id"].as_str().context("an id")?;
    let user = shop.get(&format!("/api/v1/users/{id}"), &token)?;
    for name in ["id", "email", "name", "createdAt"] {
        assert!(user[name].is_string(), "`{name}` in {user}");
    }
    assert!(
        user["email"]
            .as_str()
            .is_some_and(|email| email.contains('@'))
    );
    let created = user["createdAt"].as_str().unwrap_or_default();
    assert!(
        created.len() >= 20 && created.as_bytes()[10] == b'T',
        "RFC 3339: {created}"
    );
    assert!(!user.to_string().contains("password"), "{user}");
    Ok(())
}

#[test]
fn the_orders_service_uses_the_name_that_the_users_service_provides() -> Result<()> {
    let users = Stub::start(|_| {
        let user = json!({
            "id": "user123", "email": "user@example.com", "name": "Test User",
            "createdAt": "2024-01-01T00:00:00Z"
        });
        Reply::json_of(200, &user)
    })?;
    let products = Stub::start(|_| {
        let product =
            json!({ "id": "prod1", "name": "Test Product", "price": 100, "currency": "KRW" });
        Reply::json_of(200, &product)
    })?;
    let platform = Platform::start("")?;
    platform.register("users", "users-stub", &users.address())?;
    platform.register("products", "products-stub", &products.address())?;
    let listen = address()?;
    let url = format!("http://{}", platform.api);
    let mut serve = Command::new(binary("shop")?);
    serve.args([
        "serve",
        "orders",
        "--platform",
        &url,
        "--listen",
        &listen,
        "--data",
    ]);
    let orders = Process::start(serve.arg(platform.folder.path()))?;
    let body = json!({ "userId": "user123", "items": [{ "productId": "prod1", "quantity": 2 }] });
    let place = Request::new("POST", "/orders")
        .json(&body)
        .header("x-user-id", "user123");
    let order = eventually("an order is taken", SOON, || {
        place.send(&listen).ok().filter(|reply| reply.status == 201)
    })
    .with_context(|| orders.output())?
    .json()?;
    assert_eq!(order["userName"], "Test User");
    assert_eq!(
        (&order["total"], &order["totalAmount"]),
        (&json!(200), &json!(200))
    );
    assert_eq!(order["status"], "pending");
    Ok(())
}

#[test]
fn an_order_is_processed_end_to_end() -> Result<()> {
    let shop = Shop::start()?;
    let (_, token) = shop.sign_up("test@example.com", "Test User")?;
    let product = shop.product("Test Product", 100, 10)?;
    let items = json!({ "items": [{ "productId": product, "quantity": 2 }] });
    let placed = shop.post("/api/v1/orders", Some(&token), &items)?;
    let id = placed["id"].as_str().context("an id")?;
    let order = shop.finished(id, &token)?;
    shop.stock_becomes(&product, 8)?;
    let payments = shop.get(&format!("/api/v1/payments?orderId={id}"), &token)?;
    let payment = payments
        .get(0)
        .or_else(|| payments["payments"].get(0))
        .unwrap_or(&payments);
    assert_eq!(payment["status"], "completed", "{payments}");
    assert_eq!(order["status"], "completed");
    assert_eq!(
        (&order["total"], &order["totalAmount"]),
        (&json!(200), &json!(200))
    );
    assert_eq!(order["userName"], "Test User");
    the_trace_is_one_tree(&shop, id)
}

/// `ieum trace` shows one connected tree over the gateway, the services, the saga and consumers.
fn the_trace_is_one_tree(shop: &Shop, order: &str) -> Result<()> {
    let platform = format!("http://{}", shop.platform);
    let wanted = [
        "gateway",
        "orders",
        "inventory",
        "payments",
        "shipping",
        "notifications",
    ];
    let complete = || {
        let mut trace = Command::new(binary("ieum").ok()?);
        let output = trace
            .args(["trace", order, "--json", "--platform", &platform])
            .output()
            .ok()?;
        let trace: Value = serde_json::from_slice(&output.stdout).ok()?;
        let spans = trace["spans"].as_array()?;
        let has = |name: &str| {
            spans
                .iter()
                .any(|s| s["service"].as_str().is_some_and(|v| v.contains(name)))
        };
        let consumer = spans.iter().any(|span| span["kind"] == "consumer");
        (trace["orphans"] == 0 && consumer && wanted.iter().all(|name| has(name))).then_some(trace)
    };
    let trace = eventually("a whole trace", SOON, complete)?;
    let spans = trace["spans"].as_array().context("spans")?;
    let roots = spans.iter().filter(|span| span["parent"].is_null()).count();
    assert_eq!(roots, 1, "one root: {trace:#}");
    let steps = spans.iter().filter(|span| {
        span["name"]
            .as_str()
            .is_some_and(|n| n.contains("charge-payment"))
    });
    assert!(steps.count() >= 1, "the saga's steps: {trace:#}");
    Ok(())
}

#[test]
fn the_same_key_makes_one_order_and_another_body_is_refused() -> Result<()> {
    let shop = Shop::start()?;
    let (_, token) = shop.sign_up("twice@example.com", "Twice")?;
    let product = shop.product("Once", 1_000, 10)?;
    let items =
        |quantity: u32| json!({ "items": [{ "productId": product, "quantity": quantity }] });
    let place = |quantity: u32| {
        let request = Request::new("POST", "/api/v1/orders").json(&items(quantity));
        request
            .bearer(&token)
            .header("idempotency-key", "key-1")
            .send(&shop.gateway)
    };
    let replies: Vec<Result<Reply>> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..4).map(|_| scope.spawn(|| place(1))).collect();
        threads
            .into_iter()
            .filter_map(|thread| thread.join().ok())
            .collect()
    });
    let mut ids = Vec::new();
    for reply in replies {
        let reply = reply?;
        match reply.status {
            200 | 201 => ids.push(reply.json()?["id"].clone()),
            // Still running: the client is told to come back.
            409 => assert!(reply.get("retry-after").is_some(), "{}", reply.text()),
            status => anyhow::bail!("{status}: {}", reply.text()),
        }
    }
    ids.push(place(1)?.json()?["id"].clone());
    ids.dedup();
    assert_eq!(ids.len(), 1, "one order: {ids:?}");
    assert_eq!(place(2)?.status, 422);
    let other = shop.sign_up("other@example.com", "Other")?.1;
    let request = Request::new("POST", "/api/v1/orders")
        .json(&items(1))
        .bearer(&other);
    let reply = request
        .header("idempotency-key", "key-1")
        .send(&shop.gateway)?;
    let order = reply.expect(201)?;
    assert_ne!(order["id"], ids[0], "a key belongs to its subject");
    let id = ids[0].as_str().context("an id")?;
    let stranger = Request::new("GET", &format!("/api/v1/orders/{id}")).bearer(&other);
    assert!(
        matches!(stranger.send(&shop.gateway)?.status, 403 | 404),
        "an order is its owner's"
    );
    Ok(())
}

#[test]
fn a_customer_is_told_why_not() -> Result<()> {
    let shop = Shop::start()?;
    let (_, token) = shop.sign_up("why@example.com", "Why")?;
    let body = json!({ "name": "Mine", "price": 1, "stock": 1 });
    let product = Request::new("POST", "/api/v1/products")
        .json(&body)
        .bearer(&token);
    assert_eq!(product.send(&shop.gateway)?.status, 403);
    let list = Request::new("GET", "/api/v1/orders");
    assert_eq!(list.send(&shop.gateway)?.status, 401);
    let summary = Request::new("GET", "/api/v1/analytics/summary").bearer(&token);
    assert_eq!(summary.send(&shop.gateway)?.status, 403);
    shop.get("/api/v1/analytics/summary", &shop.staff()?)?;
    shop.product("가죽운동화", 1_000, 1)?;
    let found = shop.get("/api/v1/products?q=%EC%9A%B4%EB%8F%99%ED%99%94", &token)?;
    assert!(found.to_string().contains("가죽운동화"), "{found}");
    let dashboard = shop.get("/api/web/dashboard", &token)?;
    for part in ["user", "orders", "notifications"] {
        assert!(!dashboard[part].is_null(), "`{part}` in {dashboard}");
    }
    shop.get("/api/mobile/feed", &token)?;
    Ok(())
}

#[test]
fn nobody_becomes_staff_or_somebody_else_by_saying_so() -> Result<()> {
    let shop = Shop::start()?;
    let claims = json!({
        "email": "boss@example.com", "name": "Boss", "password": "correct horse battery",
        "id": "u-1", "role": "admin", "roles": ["admin"],
    });
    let signed_up = Request::new("POST", "/api/v1/users").json(&claims);
    assert_eq!(signed_up.send(&shop.gateway)?.status, 422);
    let (user, token) = shop.sign_up("kim@example.com", "Kim")?;
    let id = user["id"].as_str().context("an id")?;
    let path = format!("/api/v1/users/{id}");
    for claim in [json!({ "id": "u-1" }), json!({ "roles": ["admin"] })] {
        let changed = Request::new("PATCH", &path).bearer(&token).json(&claim);
        assert_eq!(changed.send(&shop.gateway)?.status, 422, "{claim}");
    }
    let product = json!({ "name": "Shoes", "price": 1, "stock": 1 });
    let put_up = Request::new("POST", "/api/v1/products").bearer(&token);
    assert_eq!(put_up.json(&product).send(&shop.gateway)?.status, 403);
    assert_eq!(shop.get(&path, &token)?, user);
    Ok(())
}

#[test]
fn health_names_the_check_that_failed() -> Result<()> {
    let shop = Shop::start()?;
    let users = shop.services["users"].clone();
    let health = || Request::new("GET", "/health").send(&users);
    assert_eq!(health()?.expect(200)?["status"], "healthy");
    std::fs::remove_file(shop.folder.path().join("users.db"))?;
    let degraded = eventually("the check fails", SOON, || {
        health().ok().filter(|reply| reply.status == 503)
    })?;
    let body = degraded.json()?;
    assert_eq!(body["status"], "degraded");
    assert_ne!(body["checks"]["database"]["status"], "ok", "{body}");
    Ok(())
}
