//! `[gateway]`: where it listens, what it bounds, whom it trusts.

use std::net::SocketAddr;
use std::path::Path;
use std::str::FromStr;

use ieum_base::{ByteSize, HumanDuration};
use ieum_resilience::{bulkhead, retry};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{JwtConfig, Network, RouteConfig};

/// The gateway.
///
/// ```toml
/// [gateway]
/// listen = "0.0.0.0:8080"
/// access-log = "stdout"
///
/// [[gateway.routes]]
/// name = "users"
/// path = "/api/v1/users"
/// service = "users"
/// strip-prefix = "/api/v1"
/// auth = "jwt"
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct Config {
    /// The address to listen on. Default `0.0.0.0:8080` or, if that port is taken, the next free
    /// one; an address that is written here is used or refused.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub listen: Option<SocketAddr>,
    /// Threads of the data path, each with its own listener, connections and runtime. Default: one
    /// per core; 1 to 256.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 256))]
    pub threads: Option<usize>,
    /// Peers whose `Forwarded` and `X-Forwarded-*` headers are believed: addresses or networks such
    /// as `10.0.0.0/8`. Default: nobody.
    pub trusted_proxies: Vec<Network>,
    /// Further headers that carry identity inside and are therefore never taken from outside, beside
    /// those that are always dropped (`x-user-*`, `user-id`, …). Default: none; at most 64.
    pub internal_headers: Vec<String>,
    /// Where one JSON line per request goes: `"off"`, `"stdout"`, `"stderr"` or a file's path.
    /// Default `"off"`.
    pub access_log: AccessLog,
    /// How long things may take.
    pub timeouts: Timeouts,
    /// How large things may be.
    pub limits: Limits,
    /// Connections to upstreams.
    pub connections: Connections,
    /// Retries, and the budget that each upstream has for them.
    pub retry: retry::Config,
    /// Requests in flight and waiting, per upstream.
    pub bulkhead: bulkhead::Config,
    /// The tokens that routes with `auth = "jwt"` ask for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub jwt: Option<JwtConfig>,
    /// The routes. Default: none, which answers 404 to everything.
    pub routes: Vec<RouteConfig>,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            listen: None,
            threads: None,
            trusted_proxies: Vec::new(),
            internal_headers: Vec::new(),
            access_log: AccessLog::Off,
            timeouts: Timeouts::default(),
            limits: Limits::default(),
            connections: Connections::default(),
            retry: retry::Config::default(),
            bulkhead: bulkhead::Config::default(),
            jwt: None,
            routes: Vec::new(),
        }
    }
}

impl Config {
    /// The address that is listened on when none is configured.
    pub const DEFAULT_LISTEN: SocketAddr =
        SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::UNSPECIFIED), 8080);

    /// Takes relative paths (keys, the access log) from `folder`, the configuration file's own.
    pub fn relative_to(&mut self, folder: &Path) {
        if let AccessLog::File(path) = &mut self.access_log {
            *path = folder.join(&*path);
        }
        if let Some(jwt) = &mut self.jwt {
            jwt.relative_to(folder);
        }
        for graphql in self.routes.iter_mut().filter_map(|r| r.graphql.as_mut()) {
            graphql.relative_to(folder);
        }
        for transcode in self.routes.iter_mut().filter_map(|r| r.transcode.as_mut()) {
            transcode.relative_to(folder);
        }
    }
}

/// How long things may take.
///
/// ```toml
/// [gateway.timeouts]
/// request = "15s"
/// connect = "1s"
/// header = "10s"
/// upload = "1m"
/// idle = "5m"
/// drain = "30s"
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct Timeouts {
    /// From the end of a request to the head of its answer, all tries together; a try gets its even
    /// share. A route may set its own. Default `15s`; above 0s, at most `1h`.
    pub request: HumanDuration,
    /// Opening a connection to an upstream. Default `1s`; above 0s, at most `1m`.
    pub connect: HumanDuration,
    /// Receiving the head of a request, and how long an unused connection of a client is kept.
    /// Default `10s`; above 0s, at most `10m`.
    pub header: HumanDuration,
    /// Receiving the body of a request, from the first wait for it to its end. A route may set its
    /// own. Default `1m`; above 0s, at most `24h`.
    pub upload: HumanDuration,
    /// The longest silence inside a body, in both directions. Default `5m`; above 0s, at most `24h`.
    pub idle: HumanDuration,
    /// Finishing the running requests at a stop. Default `30s`; at most `1h`.
    pub drain: HumanDuration,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            request: HumanDuration::from_secs(15),
            connect: HumanDuration::from_secs(1),
            header: HumanDuration::from_secs(10),
            upload: HumanDuration::from_secs(60),
            idle: HumanDuration::from_secs(300),
            drain: HumanDuration::from_secs(30),
        }
    }
}

/// How large things may be.
///
/// ```toml
/// [gateway.limits]
/// header-size = "16KiB"
/// headers = 100
/// uri = "8KiB"
/// body = "1MiB"
/// retained-body = "64KiB"
/// part = "1MiB"
/// connections = 10000
/// streams = 100
/// tokens = 10000
/// rate-limit-keys = 100000
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct Limits {
    /// The head of a request. Default `16KiB`; `8KiB` to `1MiB`.
    pub header_size: ByteSize,
    /// The fields in the head of a request. Default 100; 1 to 1,000.
    #[schemars(range(min = 1, max = 1000))]
    pub headers: usize,
    /// The target of a request, path and query. Default `8KiB`; `256B` to `64KiB`.
    pub uri: ByteSize,
    /// The body of a request. A route may set its own. Default `1MiB`.
    pub body: ByteSize,
    /// How much of a request's body is kept for a retry; a longer one is tried once. Default
    /// `64KiB`; at most `1MiB`.
    pub retained_body: ByteSize,
    /// One message of gRPC, in either direction. A route may set its own. Default `4MiB` (that of
    /// gRPC's own libraries); `1B` to `1GiB`.
    pub message: ByteSize,
    /// The answer of one part of a composed route, or of a subgraph. Default `1MiB`; at most `64MiB`.
    pub part: ByteSize,
    /// Connections of clients, per thread; more wait in the kernel. Default 10,000; at least 1.
    #[schemars(range(min = 1))]
    pub connections: usize,
    /// Requests at once on one HTTP/2 connection. Default 100; 1 to 10,000.
    #[schemars(range(min = 1, max = 10000))]
    pub streams: u32,
    /// Verified tokens that are remembered until they expire. Default 10,000; 0 verifies each time.
    pub tokens: usize,
    /// Keys that each rate limit remembers. Default 100,000; at least 1.
    #[schemars(range(min = 1))]
    pub rate_limit_keys: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            header_size: ByteSize(16 << 10),
            headers: 100,
            uri: ByteSize(8 << 10),
            body: ByteSize(1 << 20),
            retained_body: ByteSize(64 << 10),
            message: ByteSize(4 << 20),
            part: ByteSize(1 << 20),
            connections: 10_000,
            streams: 100,
            tokens: 10_000,
            rate_limit_keys: 100_000,
        }
    }
}

/// Connections to upstreams.
///
/// ```toml
/// [gateway.connections]
/// idle = "4s"
/// kept = 256
/// http2 = 8
/// http2-idle = "5m"
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct Connections {
    /// How long an unused connection is kept. Default `4s`, less than what common servers keep
    /// theirs (Node.js: 5 s); above 0s.
    pub idle: HumanDuration,
    /// Unused connections kept per endpoint and thread. Default 256; 0 closes each after its use.
    pub kept: usize,
    /// Connections to one endpoint that is called by gRPC, per thread. Another is opened only while all
    /// that there are run 100 requests, or as many as the endpoint allows. Default 8; 1 to 1,000.
    #[schemars(range(min = 1, max = 1000))]
    pub http2: usize,
    /// How long an unused connection of those is kept. Default `5m`; above 0s.
    pub http2_idle: HumanDuration,
}

impl Default for Connections {
    fn default() -> Self {
        Self {
            idle: HumanDuration::from_secs(4),
            kept: 256,
            http2: 8,
            http2_idle: HumanDuration::from_secs(300),
        }
    }
}

/// Where the access log goes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub enum AccessLog {
    /// Nowhere.
    #[default]
    Off,
    /// The standard output.
    Stdout,
    /// The standard error.
    Stderr,
    /// The end of this file, which is made if it does not exist.
    File(std::path::PathBuf),
}

impl FromStr for AccessLog {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "" => Err("expected `off`, `stdout`, `stderr` or the path of a file"),
            "off" => Ok(Self::Off),
            "stdout" => Ok(Self::Stdout),
            "stderr" => Ok(Self::Stderr),
            path => Ok(Self::File(path.into())),
        }
    }
}

impl TryFrom<String> for AccessLog {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<AccessLog> for String {
    fn from(log: AccessLog) -> Self {
        match log {
            AccessLog::Off => "off".to_owned(),
            AccessLog::Stdout => "stdout".to_owned(),
            AccessLog::Stderr => "stderr".to_owned(),
            AccessLog::File(path) => path.to_string_lossy().into_owned(),
        }
    }
}

impl JsonSchema for AccessLog {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "AccessLog".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({
            "type": "string",
            "minLength": 1,
            "examples": ["off", "stdout", "stderr", "/var/log/ieum/access.jsonl"]
        })
    }
}
