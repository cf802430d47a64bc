//! Secrets in everything that customers give the shop: passwords, cards, sessions.

use std::process::Command;

use anyhow::{Context, Result};
use ieum_testkit::{Reply, Request, TempFolder, binary};
use serde_json::{Value, json};

use super::canary::{Canaries, Written};
use crate::platform::SOON;
use crate::shop::Shop;

/// A shop in one process that logs all it can, its gateway and its services.
struct Customers {
    shop: Shop,
    canaries: Canaries,
    answers: Vec<Written>,
}

impl Customers {
    /// Posts JSON through the gateway and keeps what is refused.
    fn post(&mut self, path: &str, token: Option<&str>, body: &Value) -> Result<Reply> {
        let mut request = Request::new("POST", path).json(body);
        if let Some(token) = token {
            request = request.bearer(token);
        }
        let gateway = self.shop.gateway.clone();
        self.ask(&gateway, &request)
    }

    fn ask(&mut self, address: &str, request: &Request) -> Result<Reply> {
        let reply = request.send(address)?;
        if reply.status >= 400 {
            let by = format!("the answer to {} {}", request.method, request.target);
            self.answers.push(Written::new(
                by,
                format!("{:?} {}", reply.headers, reply.text()),
            ));
        }
        Ok(reply)
    }
}

/// Passwords at sign-up and sign-in, right, wrong, and where none belongs.
fn passwords(customers: &mut Customers) -> Result<String> {
    let mut secret = |place: &str| customers.canaries.secret(&format!("a password: {place}"));
    let (right, next) = (secret("at sign-up"), secret("that is changed to"));
    let user = |email: &str, password: Value| json!({ "email": email, "name": "Canary", "password": password });
    let refused = [
        user("a@example.com", json!([secret("in a list")])),
        user("a@example.com", json!({ "value": secret("in an object") })),
        user(
            "a@example.com",
            json!(secret("that is too long").repeat(20)),
        ),
        user(&secret("as the address"), json!("long enough")),
        json!({ "email": "a@example.com", "name": "A", "passwort": secret("in an unknown field") }),
        json!([secret("in a list and nothing else")]),
        json!(secret("as the body")),
    ];
    let broken = [
        format!(
            "{{\"email\":\"a@b.c\",\"password\":\"{}",
            secret("in invalid JSON")
        ),
        format!("email=a%40b.c&password={}", secret("in a form")),
    ];
    let wrong = secret("that is wrong");
    let (path, query) = (secret("in a path"), secret("in a query"));
    for body in refused {
        for target in ["/api/v1/users", "/api/v1/sessions"] {
            let reply = customers.post(target, None, &body)?;
            anyhow::ensure!(reply.status >= 400, "{target} {body}: {}", reply.text());
        }
    }
    let gateway = customers.shop.gateway.clone();
    for body in broken {
        let mut request =
            Request::new("POST", "/api/v1/users").header("content-type", "application/json");
        request.body = body.into_bytes();
        anyhow::ensure!(
            customers.ask(&gateway, &request)?.status >= 400,
            "it is refused"
        );
    }
    for target in [
        format!("/api/v1/users/password/{path}"),
        format!("/api/v1/sessions?password={query}"),
    ] {
        customers.ask(&gateway, &Request::new("GET", &target))?;
    }
    customers
        .post(
            "/api/v1/users",
            None,
            &user("canary@example.com", json!(right)),
        )?
        .expect(201)?;
    let session = |password: &str| json!({ "email": "canary@example.com", "password": password });
    customers.post("/api/v1/sessions", None, &session(&wrong))?;
    let reply = customers
        .post("/api/v1/sessions", None, &session(&right))?
        .expect(201)?;
    let token = reply["token"].as_str().context("a token")?.to_owned();
    let signature = token.rsplit('.').next().context("a signature")?;
    customers.canaries.given("a session's token", signature);
    let change = Request::new("PATCH", "/api/v1/users/me").bearer(&token);
    customers
        .ask(&gateway, &change.json(&json!({ "password": next })))?
        .expect(200)?;
    Ok(token)
}

/// Card numbers where they belong and where they do not.
fn cards(customers: &mut Customers, token: &str) -> Result<()> {
    let mut card = |place: &str| customers.canaries.card(&format!("a card number: {place}"));
    let right = card("in its field");
    let entered = |number: Value, month: Value| json!({ "number": number, "expMonth": month, "expYear": 2050, "cvc": "123" });
    let spaced = card("in groups");
    let spaced = [&spaced[..4], &spaced[4..8], &spaced[8..12], &spaced[12..]].join(" ");
    let number: u64 = card("as a number").parse()?;
    let bodies = [
        entered(json!(right), json!(12)),
        entered(json!(spaced), json!(12)),
        entered(json!(number), json!(12)),
        entered(json!(card("with a wrong month")), json!(13)),
        entered(json!("4242"), json!(card("as the month"))),
        json!({ "number": "4242", "expMonth": 1, "expYear": 2050, "cvc": card("as the code") }),
        json!({ "card": card("in an unknown field") }),
        json!({ card("as the name of a field"): "x" }),
        json!(card("as the body")),
    ];
    let address = |line: &str| json!({ "line": line, "city": "서울", "postalCode": "04524" });
    let product = customers.shop.product("Canary", 100, 10)?;
    let mut card = |place: &str| customers.canaries.card(&format!("a card number: {place}"));
    let item = json!({ "productId": product, "quantity": 1 });
    let orders = [
        json!({ "items": [item], "cardToken": card("as its token") }),
        json!({ "items": [item], "address": address(&card("as an address")) }),
        json!({ "items": [{ "productId": card("as a product"), "quantity": 1 }] }),
        json!({ "items": [{ "productId": product, "quantity": card("as a quantity") }] }),
        json!({ "items": [item], "flow": card("as a flow") }),
    ];
    let named =
        json!({ "email": "b@example.com", "name": card("as a name"), "password": "long enough" });
    let path = card("in a path");
    for body in bodies {
        customers.post("/api/v1/payments/cards", Some(token), &body)?;
    }
    for body in orders {
        let reply = customers.post("/api/v1/orders", Some(token), &body)?;
        anyhow::ensure!(reply.status >= 400, "{body}: {}", reply.text());
    }
    let reply = customers.post("/api/v1/users", None, &named)?;
    anyhow::ensure!(reply.status == 400, "{}", reply.text());
    let gateway = customers.shop.gateway.clone();
    for target in [
        format!("/api/v1/orders/{path}"),
        format!("/api/v1/payments?orderId={path}"),
    ] {
        customers.ask(&gateway, &Request::new("GET", &target).bearer(token))?;
    }
    customers
        .post("/api/v1/orders", Some(token), &json!({ "items": [item] }))?
        .expect(201)?;
    Ok(())
}

/// What no gateway stands in front of: each service, asked as others of the house ask it.
fn services(customers: &mut Customers) -> Result<()> {
    for (name, address) in customers.shop.services.clone() {
        let mut secret = |place: &str| customers.canaries.secret(&format!("{place} to {name}"));
        let requests = [
            Request::new("GET", "/nowhere").bearer(&secret("a token")),
            Request::new("GET", "/nowhere").header("cookie", &secret("a cookie")),
            Request::new(
                "GET",
                &format!("/{name}?token={}", secret("a token in the query")),
            ),
            Request::new(
                "GET",
                &format!("/{name}/x/secrets/{}", secret("a secret in the path")),
            ),
            Request::new("GET", &format!("/{name}")).header("idempotency-key", &secret("a key")),
            Request::new("POST", &format!("/{name}"))
                .header("x-user-id", "u-1")
                .json(&json!({ "password": secret("a password in a body") })),
        ];
        for request in requests {
            customers.ask(&address, &request)?;
        }
    }
    Ok(())
}

/// Command lines that a service refuses, or that lead nowhere.
fn arguments(customers: &mut Customers) -> Result<()> {
    let mut secret = |place: &str| customers.canaries.secret(&format!("an argument: {place}"));
    let lines = [
        format!(
            "serve users --database postgres://shop:{}@db/users",
            secret("a database's URL")
        ),
        format!(
            "serve users --database postgres://db/users?password={}",
            secret("its parameter")
        ),
        format!(
            "serve users --database shop:{}@db/x",
            secret("a URL without a scheme")
        ),
        format!(
            "serve products --platform ftp://u:{}@127.0.0.1:1",
            secret("a platform's URL")
        ),
        format!(
            "serve products --platform http://127.0.0.1:1/?token={}",
            secret("its token")
        ),
        format!("serve users --password={}", secret("an unknown flag")),
    ];
    for line in lines {
        let folder = TempFolder::new()?;
        let output = Command::new(binary("shop")?)
            .args(line.split(' '))
            .current_dir(folder.path())
            .env("IEUM_LOG", "debug")
            .env(
                "SHOP_SIGNING_KEY",
                secret(&format!("a key that is none for {line}")),
            )
            .output()?;
        anyhow::ensure!(!output.status.success(), "{line} is refused");
        let printed = [&output.stdout[..], &output.stderr].concat();
        customers
            .answers
            .push(Written::new(format!("the output of shop {line}"), printed));
    }
    Ok(())
}

/// Everything that the shop wrote.
fn written(customers: &mut Customers) -> Result<Vec<Written>> {
    let platform = customers.shop.platform.clone();
    let get = |address: &str, target: &str| Request::new("GET", target).send(address);
    let mut all = Vec::new();
    let traces = get(&platform, "/api/v1/traces?limit=1000")?.expect(200)?;
    for summary in traces["traces"].as_array().context("traces")? {
        let id = summary["traceId"].as_str().context("an id")?;
        let trace = get(&platform, &format!("/api/v1/traces/{id}"))?;
        all.push(Written::new(format!("the trace {id}"), &trace.body));
    }
    let addresses = customers.shop.services.values().chain([&platform]);
    for address in addresses {
        for target in ["/metrics", "/health"] {
            let reply = get(address, target)?;
            all.push(Written::new(format!("{target} of {address}"), &reply.body));
        }
    }
    for target in [
        "/api/v1/sagas",
        "/api/v1/dead-letters",
        "/api/v1/log?limit=1000",
    ] {
        all.push(Written::new(target, get(&platform, target)?.body));
    }
    customers.shop.process.terminate()?;
    customers.shop.process.wait(SOON)?;
    // The member of staff of a demo is printed, for people to sign in as.
    all.push(Written::new("the log", customers.shop.process.output()));
    all.extend(Written::files(customers.shop.folder.path())?);
    all.append(&mut customers.answers);
    Ok(all)
}

#[test]
fn no_secret_of_a_customer_is_written() -> Result<()> {
    let mut customers = Customers {
        shop: Shop::start_with(&[("IEUM_LOG", "debug")])?,
        canaries: Canaries::default(),
        answers: Vec::new(),
    };
    let token = passwords(&mut customers)?;
    cards(&mut customers, &token)?;
    services(&mut customers)?;
    arguments(&mut customers)?;
    let all = written(&mut customers)?;
    let places = customers.canaries.count();
    println!("{places} places");
    assert!(places >= 30, "{places} places");
    let leaks = customers.canaries.leaks(&all);
    assert!(
        leaks.is_empty(),
        "{} leaks:\n{}",
        leaks.len(),
        leaks.join("\n")
    );
    // The search is not blind: what is no secret is found where it belongs.
    for (by, what) in [
        ("the log", "/orders"),
        ("the trace ", "/orders"),
        ("/metrics of ", "/orders"),
        ("/api/v1/log", "order.placed"),
        (
            "the answer to POST /api/v1/payments/cards",
            "invalid-card-number",
        ),
    ] {
        let found = all
            .iter()
            .any(|written| written.by.starts_with(by) && written.contains(what));
        assert!(found, "{what} is in {by}");
    }
    let users = all.iter().filter(|written| written.by.contains("users.db"));
    assert!(
        users
            .into_iter()
            .any(|users| users.contains("canary@example.com")),
        "stored"
    );
    Ok(())
}
