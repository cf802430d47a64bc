//! The platform's configuration for the demo: written to the data directory, and read from there like
//! anybody's, so that it can be looked at and used with `ieum up -c`.

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::path::PathBuf;

use anyhow::{Context, Result};
use ieum::base::EngineUrl;

use super::contracts;
use super::site::Site;
use crate::proto::DESCRIPTORS;
use crate::services::{inventory, orders, payments, products, shipping, users};
use crate::support::keys::{self, SigningKey};

/// The saga that an order is, as data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Saga {
    /// With the shop's own services.
    PlaceOrder,
    /// With those in other languages too.
    Polyglot,
}

impl Saga {
    /// Its file beside the configuration.
    pub(super) const fn file(self) -> &'static str {
        match self {
            Self::PlaceOrder => "place-order.json",
            Self::Polyglot => "place-order-polyglot.json",
        }
    }

    const fn text(self) -> &'static str {
        match self {
            Self::PlaceOrder => include_str!("../../sagas/place-order.json"),
            Self::Polyglot => include_str!("../../sagas/place-order-polyglot.json"),
        }
    }
}

/// Where the platform listens.
pub(super) struct Listeners {
    /// Where customers come in.
    pub(super) gateway: SocketAddr,
    /// Where a platform with a process of its own has its API; it is started again on the same
    /// address, and its registrations outlive it. One that lives and dies with its services chooses,
    /// and forgets.
    pub(super) api: Option<SocketAddr>,
}

/// Writes the configuration and the saga's definition, and answers the configuration's file.
pub(super) fn write(
    site: &Site,
    listeners: &Listeners,
    saga: Saga,
    key: &SigningKey,
) -> Result<PathBuf> {
    write_as(FILE, site, listeners, saga, key)
}

/// The platform's configuration.
pub(super) const FILE: &str = "ieum.toml";

/// The same as `file`, for one of several platforms.
pub(super) fn write_as(
    file: &str,
    site: &Site,
    listeners: &Listeners,
    saga: Saga,
    key: &SigningKey,
) -> Result<PathBuf> {
    let put = |name: &str, content: &[u8]| {
        let file = site.data().join(name);
        std::fs::write(&file, content)
            .with_context(|| format!("cannot write {}", file.display()))?;
        anyhow::Ok(file)
    };
    put(saga.file(), saga.text().as_bytes())?;
    put("shop.binpb", DESCRIPTORS)?;
    contracts::write(site.data())?;
    let log = keep_url(site, LOG_URL, site.log()?.as_ref())?;
    let topics = keep_url(site, TOPICS_URL, site.engines().broker.as_ref())?;
    let mut text = toml(listeners, saga, key);
    if log {
        text.push_str(LOG);
    }
    if topics {
        let mirror = TOPICS.map(|topic| format!("\"{topic}\"")).join(", ");
        text.push_str(&format!("{BROKER}mirror = [{mirror}]\n"));
    }
    put(file, text.as_bytes())
}

/// Writes a URL, which may have a password in it, to a file that only its owner may read. False if
/// there is none; then the file of an earlier demo is removed.
fn keep_url(site: &Site, name: &str, url: Option<&EngineUrl>) -> Result<bool> {
    let file = site.data().join(name);
    match url {
        Some(url) => keys::write_private(&file, url.expose().expose())?,
        // There may be none.
        None => drop(std::fs::remove_file(&file)),
    }
    Ok(url.is_some())
}

/// The file with the URL of the platform's log, beside the configuration.
pub(super) const LOG_URL: &str = "log.url";
/// The file with the broker's URL.
const TOPICS_URL: &str = "topics.url";

const LOG: &str = r#"
# The log is in PostgreSQL; the file has the URL with its password.
[log]
url-file = "log.url"
"#;

const BROKER: &str = r#"
# A broker carries the topics; they are copied into the log for sagas, traces and the audit.
[topics]
url-file = "topics.url"
"#;

/// What the services tell each other, and the auditor looks for in the log.
pub(super) const TOPICS: [&str; 6] = [
    users::SPEC.topic,
    products::SPEC.topic,
    orders::SPEC.topic,
    inventory::SPEC.topic,
    payments::SPEC.topic,
    shipping::SPEC.topic,
];

fn toml(Listeners { gateway, api }: &Listeners, saga: Saga, key: &SigningKey) -> String {
    let public_key = key
        .public_file
        .file_name()
        .unwrap_or_default()
        .to_string_lossy();
    let (listen, registry) = match api {
        // Nobody is left to notice when it stops: customers and services are gone by then.
        Some(api) => (format!("listen = \"{api}\"\nlinger = \"0s\"\n"), ""),
        None => (String::new(), MEMORY),
    };
    let mut text = format!(
        r#"# Written by `shop demo`; replaced at its next start.
[platform]
data-dir = "platform"
{listen}{registry}
[sagas]
definitions = ["{definition}"]

[telemetry.log]
level = "warn"

[gateway]
listen = "{gateway}"

[[gateway.jwt.keys]]
kid = "{kid}"
algorithm = "ES256"
public-key-file = "{public_key}"
"#,
        definition = saga.file(),
        kid = key.id,
    );
    for route in ROUTES {
        // Writing to a String cannot fail.
        let _ = write!(text, "\n{route}");
    }
    text.push_str(COMPOSED);
    text.push_str(GRPC);
    text.push_str(STOREFRONT);
    text.push_str(contracts::SECTION);
    text
}

const MEMORY: &str = r#"
# The services live and die with this process: what an earlier one registered is not there any more.
[registry]
url = "memory:"
"#;

/// One route of the shop. Everything under a path is one service's; what is not listed is 404.
struct Route {
    name: &'static str,
    /// Below `/api/v1` or `/api`.
    prefix: &'static str,
    path: &'static str,
    methods: &'static [&'static str],
    service: &'static str,
    /// Further keys, as TOML.
    rules: &'static str,
}

const fn route(
    name: &'static str,
    path: &'static str,
    methods: &'static [&'static str],
    service: &'static str,
    rules: &'static str,
) -> Route {
    let prefix = "/api/v1";
    Route {
        name,
        prefix,
        path,
        methods,
        service,
        rules,
    }
}

/// The same under the guides' older names (S0, S4).
const fn older(
    name: &'static str,
    path: &'static str,
    methods: &'static [&'static str],
    service: &'static str,
    rules: &'static str,
) -> Route {
    let prefix = "/api";
    Route {
        name,
        prefix,
        path,
        methods,
        service,
        rules,
    }
}

const PUBLIC: &str = r#"auth = "none""#;
const USERS: &str = r#"auth = "jwt""#;
const STAFF: &str = "auth = \"jwt\"\nroles = [\"admin\"]";
const ONCE: &str = "auth = \"jwt\"\nidempotent = true";
const STAFF_ONCE: &str = "auth = \"jwt\"\nroles = [\"admin\"]\nidempotent = true";
/// Hashing a password is dear: whoever guesses, or signs up by the thousand, is slowed down.
const SLOWED: &str =
    "auth = \"none\"\nrate-limit = { requests = 100, per = \"1s\", burst = 200, by = \"ip\" }";
/// S3's static answer.
const WITH_FALLBACK: &str = "auth = \"jwt\"\nfallback = { status = 503, json = { status = \"FALLBACK\", message = \"일시적으로 서비스를 이용할 수 없습니다.\" } }";

const ROUTES: [Route; 21] = [
    route("sign-up", "/users", &["POST"], "users", SLOWED),
    route(
        "users",
        "/users",
        &["GET", "PATCH", "DELETE"],
        "users",
        USERS,
    ),
    route("sign-in", "/sessions", &["POST"], "users", SLOWED),
    route("products", "/products", &["GET"], "products", PUBLIC),
    route(
        "catalogue",
        "/products",
        &["POST", "PATCH"],
        "products",
        STAFF_ONCE,
    ),
    route("inventory", "/inventory", &["GET"], "inventory", PUBLIC),
    route("orders", "/orders", &["GET"], "orders", USERS),
    // By itself, so that answers that last do not count as slow ones of the others.
    route(
        "order-events",
        "/orders/{id}/events",
        &["GET"],
        "orders",
        USERS,
    ),
    route("place-order", "/orders", &["POST"], "orders", ONCE),
    route("cards", "/payments/cards", &["POST"], "payments", USERS),
    route("payments", "/payments", &["GET"], "payments", WITH_FALLBACK),
    route("shipments", "/shipments", &["GET"], "shipping", USERS),
    route(
        "notifications",
        "/notifications",
        &["GET"],
        "notifications",
        USERS,
    ),
    route("analytics", "/analytics", &["GET"], "analytics", STAFF),
    older("older-sign-up", "/users", &["POST"], "users", SLOWED),
    older(
        "older-users",
        "/users",
        &["GET", "PATCH", "DELETE"],
        "users",
        USERS,
    ),
    older("older-orders", "/orders", &["GET"], "orders", USERS),
    older("older-place-order", "/orders", &["POST"], "orders", ONCE),
    older(
        "older-cards",
        "/payments/cards",
        &["POST"],
        "payments",
        USERS,
    ),
    older(
        "older-payments",
        "/payments",
        &["GET"],
        "payments",
        WITH_FALLBACK,
    ),
    older(
        "older-notifications",
        "/notifications",
        &["GET"],
        "notifications",
        USERS,
    ),
];

/// Answers composed of several services': one graph over two of them, and two backends for front ends
/// (S0).
const COMPOSED: &str = r#"
# Clients may ask for the schema, so that a newcomer can explore. Leave that out where strangers come in.
[[gateway.routes]]
name = "graph"
path = "/graphql"
auth = "jwt"
graphql = { subgraphs = ["users", "orders"], introspection = true }

[[gateway.routes]]
name = "web-dashboard"
path = "/api/web/dashboard"
methods = ["GET"]
auth = "jwt"
[gateway.routes.compose]
user = { service = "users", path = "/users/${user}" }
orders = { service = "orders", path = "/orders" }
notifications = { service = "notifications", path = "/notifications", optional = true }

[[gateway.routes]]
name = "mobile-feed"
path = "/api/mobile/feed"
methods = ["GET"]
auth = "jwt"
[gateway.routes.compose]
products = { service = "products", path = "/products?limit=10" }
orders = { service = "orders", path = "/orders?limit=3" }
notifications = { service = "notifications", path = "/notifications?limit=3", optional = true }
"#;

/// Calls of gRPC, and the same methods as HTTP with JSON.
const GRPC: &str = include_str!("grpc.toml");

/// The pages of the storefront.
const STOREFRONT: &str = include_str!("storefront.toml");

impl std::fmt::Display for Route {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self {
            name,
            prefix,
            path,
            methods,
            service,
            rules,
        } = self;
        let methods = methods.iter().map(|method| format!("\"{method}\""));
        let methods = methods.collect::<Vec<_>>().join(", ");
        writeln!(
            f,
            "[[gateway.routes]]\nname = \"{name}\"\npath = \"{prefix}{path}\""
        )?;
        writeln!(f, "methods = [{methods}]\nservice = \"{service}\"")?;
        writeln!(f, "strip-prefix = \"{prefix}\"\n{rules}")
    }
}
