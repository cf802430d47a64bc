//! The shop's graph through the gateway, over its real services.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use ieum_testkit::{Process, Reply, Request, TempFolder, binary, eventually, free_port};
use serde_json::{Value, json};

use crate::platform::{Platform, SOON};
use crate::shop::Shop;

/// The query of the guides.
const GUIDES: &str = "query ($id: ID!) { user(id: $id) { name orders { id total status } } }";

/// Asks the graph behind `gateway`.
fn ask(gateway: &str, token: &str, query: &str, variables: &Value) -> Result<Reply> {
    Request::new("POST", "/graphql")
        .bearer(token)
        .header("accept", "application/graphql-response+json")
        .json(&json!({ "query": query, "variables": variables }))
        .send(gateway)
}

/// What the graph answers, once it knows the services' schemas.
fn answer(gateway: &str, token: &str, query: &str, variables: &Value) -> Result<Value> {
    eventually("the graph", SOON, || {
        let reply = ask(gateway, token, query, variables).ok()?;
        (reply.status == 200).then(|| reply.json().ok()).flatten()
    })
}

fn text<'a>(value: &'a Value, name: &str) -> Result<&'a str> {
    value[name]
        .as_str()
        .with_context(|| format!("{name} in {value}"))
}

#[test]
fn the_query_of_the_guides_joins_a_user_with_the_orders() -> Result<()> {
    let shop = Shop::start()?;
    let shoes = shop.product("신발", 100, 10)?;
    let (user, token) = shop.sign_up("kim@example.com", "김이음")?;
    let body = json!({ "items": [{ "productId": shoes, "quantity": 2 }] });
    let order = shop.post("/api/v1/orders", Some(&token), &body)?;
    shop.finished(text(&order, "id")?, &token)?;

    let expected = json!({ "data": { "user": {
        "name": "김이음",
        "orders": [{ "id": order["id"], "total": 200, "status": "completed" }],
    } } });
    let id = json!({ "id": user["id"] });
    eventually("the read model has seen it", SOON, || {
        (answer(&shop.gateway, &token, GUIDES, &id).ok()? == expected).then_some(())
    })?;
    Ok(())
}

#[test]
fn each_service_is_asked_once_for_each_level_and_all_is_one_trace() -> Result<()> {
    let shop = Shop::start()?;
    let shoes = shop.product("신발", 100, 100)?;
    for name in ["kim", "lee", "park"] {
        let (_, token) = shop.sign_up(&format!("{name}@example.com"), name)?;
        let body = json!({ "items": [{ "productId": shoes, "quantity": 2 }] });
        let order = shop.post("/api/v1/orders", Some(&token), &body)?;
        shop.finished(text(&order, "id")?, &token)?;
    }
    let staff = shop.staff()?;
    let query = "{ users(first: 50) { name orders { total items { productId available } } } }";
    eventually("the read model has seen them", SOON, || {
        let told = answer(&shop.gateway, &staff, query, &json!({})).ok()?;
        (told.to_string().matches("productId").count() == 3).then_some(())
    })?;

    let trace = "4bf92f3577b34da6a3ce929d0e0e4736";
    let told = Request::new("POST", "/graphql")
        .bearer(&staff)
        .header("traceparent", &format!("00-{trace}-00f067aa0ba902b7-01"))
        .json(&json!({ "query": query }))
        .send(&shop.gateway)?
        .expect(200)?;
    assert!(told["errors"].is_null(), "{told}");
    let users = told["data"]["users"].as_array().context("users")?;
    let orders = users.iter().filter_map(|user| user["orders"].as_array());
    let orders: Vec<_> = orders.flatten().collect();
    assert_eq!(orders.len(), 3, "{told}");
    for order in orders {
        let item = json!({ "productId": shoes, "available": 94 });
        assert_eq!(order["items"], json!([item]), "{told}");
    }
    let served = |spans: &[Value], (service, name): (&str, &str)| {
        let is = |span: &&Value| {
            let named = span["name"].as_str().is_some_and(|is| is.ends_with(name));
            span["service"] == service && span["kind"] == "server" && named
        };
        spans.iter().filter(is).count()
    };
    let asked = [
        ("users", "POST /graphql"),
        ("orders", "POST /graphql"),
        ("inventory", "Inventory/BatchGetStock"),
    ];
    let spans = eventually("one trace with all of it", SOON, || {
        let path = format!("/api/v1/traces/{trace}");
        let told = Request::new("GET", &path).send(&shop.platform).ok()?;
        let told = told.expect(200).ok()?;
        let spans = told["spans"].as_array()?.clone();
        let complete = asked.iter().all(|one| served(&spans, *one) >= 1);
        complete.then_some(spans)
    })?;
    assert_eq!(
        asked.map(|one| served(&spans, one)),
        [1, 1, 1],
        "{spans:#?}"
    );
    Ok(())
}

#[test]
fn nobody_reads_of_others_through_the_graph_whatever_is_claimed() -> Result<()> {
    let shop = Shop::start()?;
    let shoes = shop.product("신발", 100, 10)?;
    let (kim, kims) = shop.sign_up("kim@example.com", "김이음")?;
    let body = json!({ "items": [{ "productId": shoes, "quantity": 1 }] });
    let order = shop.post("/api/v1/orders", Some(&kims), &body)?;
    let (_, lees) = shop.sign_up("lee@example.com", "이이음")?;
    let query = "query ($id: ID!, $order: ID!) {
        user(id: $id) { email orders { id } } order(id: $order) { id userName } users { email } }";
    let variables = json!({ "id": kim["id"], "order": order["id"] });
    answer(&shop.gateway, &kims, "{ me { id } }", &json!({}))?;

    let forged = Request::new("POST", "/graphql")
        .bearer(&lees)
        .header("x-user-id", text(&kim, "id")?)
        .header("user-id", text(&kim, "id")?)
        .header("x-user-roles", "admin")
        .json(&json!({ "query": query, "variables": variables }))
        .send(&shop.gateway)?
        .expect(200)?;
    let nothing = json!({ "user": null, "order": null, "users": null });
    assert_eq!(forged["data"], nothing, "{forged}");
    for secret in ["kim@example.com", "김이음", text(&order, "id")?] {
        assert!(!forged["data"].to_string().contains(secret), "{forged}");
    }
    let errors = forged["errors"].as_array().context("errors")?;
    for (path, code) in [
        ("user", "FORBIDDEN"),
        ("order", "NOT_FOUND"),
        ("users", "FORBIDDEN"),
    ] {
        let error = errors.iter().find(|error| error["path"][0] == path);
        let error = error.with_context(|| format!("{path} in {forged}"))?;
        assert_eq!(error["extensions"]["code"], code, "{forged}");
    }

    let own = ask(&shop.gateway, &kims, query, &variables)?.expect(200)?;
    assert_eq!(own["data"]["user"]["email"], "kim@example.com", "{own}");
    let unsigned = Request::new("POST", "/graphql").json(&json!({ "query": "{ me { id } }" }));
    assert_eq!(unsigned.send(&shop.gateway)?.status, 401);
    Ok(())
}

#[test]
fn the_walk_of_the_reference_asks_the_graph() -> Result<()> {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/reference/shop-graph.md");
    let page = std::fs::read_to_string(page)?;
    let walk = page
        .split("```sh\n")
        .nth(1)
        .and_then(|rest| rest.split("```").next());
    let shop = Shop::start()?;
    let token = shop.staff()?;
    answer(&shop.gateway, &token, "{ me { id } }", &json!({}))?;
    let script = walk.context("the page has a walk")?;
    let script = script.replace("http://127.0.0.1:8080", &format!("http://{}", shop.gateway));
    let output = Command::new("bash")
        .args(["-euo", "pipefail", "-c", &script])
        .output()?;
    let printed = String::from_utf8_lossy(&output.stdout);
    ensure!(output.status.success(), "{printed}");
    let last = printed.lines().last().context("an answer")?;
    let last: Value = serde_json::from_str(last).with_context(|| printed.clone().into_owned())?;
    let order = &last["data"]["me"]["orders"][0];
    assert_eq!(order["status"], "completed", "{printed}");
    Ok(())
}

/// A platform with a graph, and of the shop what the graph needs, as processes of their own.
struct World {
    platform: Platform,
    orders: Process,
    #[expect(dead_code, reason = "serves until it is dropped")]
    others: Vec<Process>,
    #[expect(dead_code, reason = "holds the databases until it is dropped")]
    folder: TempFolder,
}

const ROUTES: &str = r#"
[[gateway.jwt.keys]]
algorithm = "ES256"
public-key-file = "users.pub.pem"

[[gateway.routes]]
name = "api"
path = "/api/v1"
service = "users"
strip-prefix = "/api/v1"
auth = "none"

[[gateway.routes]]
name = "graph"
path = "/graphql"
auth = "jwt"
graphql = { subgraphs = ["users", "orders"] }
"#;

impl World {
    fn start() -> Result<Self> {
        let folder = TempFolder::new()?;
        // The key is made at the first start; the gateway needs its public half.
        let mut first = serve("users", &folder, &format!("127.0.0.1:{}", free_port()?))?;
        let file = folder.path().join("users.pub.pem");
        let key = eventually("a key", SOON, || {
            let key = std::fs::read_to_string(&file).ok()?;
            key.contains("END PUBLIC KEY").then_some(key)
        })?;
        first.kill()?;
        let platform = Platform::start_with(ROUTES, &[("users.pub.pem", &key)])?;
        Ok(Self {
            others: vec![serve("users", &folder, &platform.api)?],
            orders: serve("orders", &folder, &platform.api)?,
            platform,
            folder,
        })
    }

    fn post(&self, path: &str, body: &Value) -> Result<Value> {
        eventually("users serves", SOON, || {
            let request = Request::new("POST", path).json(body);
            request.send(&self.platform.gateway).ok()?.expect(201).ok()
        })
    }
}

/// `shop serve SERVICE` with its database in `folder`.
fn serve(service: &str, folder: &TempFolder, platform: &str) -> Result<Process> {
    let mut serve = Command::new(binary("shop")?);
    serve.args(["serve", service, "--data"]).arg(folder.path());
    serve.args(["--platform", &format!("http://{platform}")]);
    Process::start(&mut serve)
}

#[test]
fn a_user_is_told_while_the_orders_are_away() -> Result<()> {
    let mut world = World::start()?;
    let login = json!({ "email": "kim@example.com", "password": "correct horse battery" });
    let mut new = login.clone();
    new["name"] = json!("김이음");
    let user = world.post("/api/v1/users", &new)?;
    let session = world.post("/api/v1/sessions", &login)?;
    let token = text(&session, "token")?;
    let id = json!({ "id": user["id"] });
    let gateway = world.platform.gateway.clone();
    let whole = json!({ "data": { "user": { "name": "김이음", "orders": [] } } });
    assert_eq!(answer(&gateway, token, GUIDES, &id)?, whole);

    world.orders.kill()?;
    let told = answer(&gateway, token, GUIDES, &id)?;
    assert_eq!(
        told["data"],
        json!({ "user": { "name": "김이음", "orders": null } })
    );
    let errors = told["errors"].as_array().context("errors")?;
    assert_eq!(errors.len(), 1, "{told}");
    assert_eq!(errors[0]["path"], json!(["user", "orders"]), "{told}");
    let code = text(&errors[0]["extensions"], "code")?;
    assert!(code.starts_with("SUBGRAPH_"), "{told}");
    Ok(())
}
