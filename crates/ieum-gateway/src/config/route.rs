//! `[[gateway.routes]]`: what is offered outside, under which rules, and who answers.

use std::collections::BTreeMap;

use ieum_base::{ByteSize, HumanDuration};
use ieum_discovery::balance;
use schemars::JsonSchema;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize};

use super::{GraphqlConfig, RouteCacheConfig, SplitConfig, TranscodeConfig};

/// One route. Exactly one of `service`, `url`, `compose`, `graphql` and `transcode` says who answers.
///
/// The most specific route wins: a literal segment before a parameter, a parameter before a prefix,
/// from left to right. Two routes with the same path must differ in their methods.
///
/// ```toml
/// [[gateway.routes]]
/// name = "orders"
/// path = "/api/v1/orders"
/// methods = ["GET", "POST"]
/// service = "orders"
/// strip-prefix = "/api/v1"
/// auth = "jwt"
/// roles = ["customer", "admin"]
/// idempotent = true
/// rate-limit = { requests = 100, per = "1s", burst = 20, by = "user" }
/// fallback = { json = { status = "FALLBACK" } }
/// ```
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct RouteConfig {
    /// Its name, unique; in metrics, traces and messages. Required.
    pub name: String,
    /// Its path. `/api/v1/users` is that path and everything below it, by whole segments;
    /// `/api/v1/users/{id}` is exactly one more segment; `/files/{id}/{*rest}` is everything below
    /// `/files/…/`; with `/{$}` at its end a path is only itself, so that `/{$}` is the root and nothing
    /// below it. Required.
    pub path: String,
    /// Methods in upper case, at least one. Default: all.
    #[serde(
        default,
        skip_serializing_if = "Vec::is_empty",
        deserialize_with = "at_least_one"
    )]
    #[schemars(length(min = 1))]
    pub methods: Vec<String>,
    /// The service that answers, by its name in the registry.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service: Option<String>,
    /// The fixed address that answers: `http://` or `https://`, host, port, and a path that is put
    /// in front.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// The parts that are asked at the same time; the answer is a JSON object with one member each.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub compose: Option<BTreeMap<String, PartConfig>>,
    /// The graph over several services that answers. Methods are then `GET` and `POST`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub graphql: Option<GraphqlConfig>,
    /// Services of gRPC that are offered as HTTP with JSON.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub transcode: Option<TranscodeConfig>,
    /// Which share of the requests another upstream answers. Default: none. Only with `service` or `url`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub split: Option<SplitConfig>,
    /// Whether it is called by gRPC, whose streams and trailers pass in both directions over HTTP/2.
    /// Its path is a service's full name: `/shop.users.v1.Users`. Anything but gRPC is refused. Only
    /// with `service` or `url`. Default false.
    #[serde(default)]
    pub grpc: bool,
    /// The largest message of gRPC, in either direction; its body may have any number of them. Default:
    /// `gateway.limits.message`; `1B` to `1GiB`. Only with `grpc`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_message: Option<ByteSize>,
    /// What is taken from the front of the path before it goes inside. Default: nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub strip_prefix: Option<String>,
    /// What replaces the route's own path before it goes inside: the prefix or, for a pattern, the
    /// whole (`/users/{id}/orders`). Default: nothing. Not together with `strip-prefix`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rewrite: Option<String>,
    /// Who may call it: `"jwt"`, whoever has a valid token, or `"none"`, everybody. A route that does
    /// not say is refused with 403, and there is a warning when it is loaded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub auth: Option<Auth>,
    /// The caller must have one of these roles. Default: no role needed. Only with `auth = "jwt"`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub roles: Vec<String>,
    /// How often it may be called. Default: unlimited.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rate_limit: Option<RateLimitConfig>,
    /// Which answers are kept and given again. Default: none. Only with `service` or `url`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cache: Option<RouteCacheConfig>,
    /// From the end of a request to the head of its answer, all tries together. Default:
    /// `gateway.timeouts.request`; above 0s, at most `1h`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout: Option<HumanDuration>,
    /// Tries after the first. Default: `gateway.retry.retries`; 0 to 10.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(max = 10))]
    pub retries: Option<u32>,
    /// True if the upstream honours `Idempotency-Key`: requests that carry one are then repeated,
    /// whatever their method. With `grpc`: true if all methods of the route may be called twice.
    /// Default false.
    #[serde(default)]
    pub idempotent: bool,
    /// How an endpoint is chosen. Default `p2c`.
    #[serde(default)]
    pub balance: balance::Policy,
    /// What is answered when the upstream is unavailable or failed. Default: the error.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fallback: Option<FallbackConfig>,
    /// The largest body of a request. Default: `gateway.limits.body`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_body: Option<ByteSize>,
    /// The longest time for receiving the body of a request. Default: `gateway.timeouts.upload`; above
    /// 0s, at most `24h`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub upload_timeout: Option<HumanDuration>,
    /// Whether a request may turn its connection into a tunnel (WebSocket). Default false.
    #[serde(default)]
    pub upgrade: bool,
}

/// An empty list would be a route that nobody can call, or one that everybody can: nobody knows which.
fn at_least_one<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    let methods = Vec::<String>::deserialize(deserializer)?;
    if methods.is_empty() {
        return Err(D::Error::custom(
            "`methods` must name at least one; leave it out for all",
        ));
    }
    Ok(methods)
}

/// Who may call a route.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Auth {
    /// Whoever has a valid bearer token.
    Jwt,
    /// Everybody.
    None,
}

/// How often a route may be called.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct RateLimitConfig {
    /// Requests per `per`. Required; at least 1.
    #[schemars(range(min = 1))]
    pub requests: u32,
    /// The time that `requests` are spread over. Default `1s`; above 0s, at most `24h`.
    #[serde(default = "one_second")]
    pub per: HumanDuration,
    /// Requests that may come at once after a pause. Default: as many as `requests`; at least 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub burst: Option<u32>,
    /// Whose requests are counted together. Default `ip`.
    #[serde(default)]
    pub by: LimitBy,
}

const fn one_second() -> HumanDuration {
    HumanDuration::from_secs(1)
}

/// Whose requests a rate limit counts together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum LimitBy {
    /// Those of one client address (for IPv6, of one /64).
    #[default]
    Ip,
    /// Those of one user; of the address where there is no user.
    User,
    /// All.
    Route,
}

/// What is answered when the upstream is unavailable or failed: a fixed answer, or that of another
/// upstream. Either `service` or `url`, or an answer.
///
/// ```toml
/// fallback = { status = 200, json = { status = "FALLBACK" }, headers = { cache-control = "no-store" } }
/// ```
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct FallbackConfig {
    /// The status of the fixed answer. Default 200; 200 to 599.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 200, max = 599))]
    pub status: Option<u16>,
    /// The body of the fixed answer, as text. Default: empty.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub body: Option<String>,
    /// The body of the fixed answer, as JSON. Not together with `body`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub json: Option<serde_json::Value>,
    /// Headers of the fixed answer. Default: the content type that belongs to the body.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub headers: BTreeMap<String, String>,
    /// The service that is asked instead.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service: Option<String>,
    /// The fixed address that is asked instead.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
}

/// One part of a composed route: a `GET` whose JSON answer becomes a member of the whole.
///
/// ```toml
/// [gateway.routes.compose]
/// user = { service = "users", path = "/users/${user}" }
/// orders = { service = "orders", path = "/orders", optional = true, timeout = "2s" }
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct PartConfig {
    /// The service that is asked. Either this or `url`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service: Option<String>,
    /// The fixed address that is asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// Path and query. `${user}` is the caller, `${path.NAME}` a parameter of the route's path,
    /// `${query.NAME}` a parameter of the query; each is percent-encoded, and empty where there is
    /// none. Required.
    pub path: String,
    /// Whether the whole may do without it: if it fails it is null, and `errors` says why. Default
    /// false.
    #[serde(default)]
    pub optional: bool,
    /// How long it may take. Default: the route's timeout.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout: Option<HumanDuration>,
}
