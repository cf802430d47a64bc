//! The shape of `ieum.toml`: sections, keys, units and defaults.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use ieum_base::trace::Propagators;
use ieum_base::{ByteSize, HumanDuration, Secret};
use schemars::JsonSchema;
use serde::Deserialize;

use super::secret::{self, MissingSecret};
use super::{Cache, Contracts, Impact, Limits, Log, Source, Topics};

/// The configuration of a platform, `ieum.toml`. Every section and every key has a default; an
/// unknown key is an error. Relative paths start at the file's folder.
///
/// ```toml
/// [platform]
/// data-dir = "ieum-data"
///
/// [gateway]
/// listen = "0.0.0.0:8080"
///
/// [[gateway.routes]]
/// name = "users"
/// path = "/api/v1/users"
/// service = "users"
/// auth = "none"
/// ```
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
#[schemars(title = "ieum.toml")]
pub struct Config {
    /// The process itself: its API, its data, its roles.
    pub platform: Platform,
    /// The gateway and its routes.
    pub gateway: ieum_gateway::Config,
    /// Where the log is kept.
    pub log: Log,
    /// Where topics are, if not in the log.
    pub topics: Topics,
    /// Where the rate limits of routes are counted.
    pub limits: Limits,
    /// Where the answers of routes with a `cache` are kept.
    pub cache: Cache,
    /// Which instances are known without registering themselves, and how checks run.
    pub registry: Registry,
    /// Which sagas are known from the start, and how they run.
    pub sagas: Sagas,
    /// Where the contracts between services are.
    pub contracts: Contracts,
    /// How `ieum impact` finds out who publishes what.
    pub impact: Impact,
    /// Traces and logs.
    pub telemetry: Telemetry,
    /// Where it was read from.
    #[serde(skip)]
    pub source: Source,
}

/// `[platform]`: the process itself.
///
/// ```toml
/// [platform]
/// listen = "127.0.0.1:8500"
/// data-dir = "ieum-data"
/// roles = ["gateway", "sagas"]
/// ```
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct Platform {
    /// The address of the platform API and of Consul's API. Default `127.0.0.1:8500`; if that is
    /// not configured and taken, the next free port is used. Off loopback only with a token.
    pub listen: Option<SocketAddr>,
    /// The environment variable with the token that a caller of the API must send as
    /// `Authorization: Bearer …` (or `X-Consul-Token`). None by default: the API is then for this
    /// machine only.
    pub token_env: Option<String>,
    /// The file with that token. Not together with `token-env`.
    pub token_file: Option<PathBuf>,
    /// The address under which other platforms on the same log reach this API, which is also this
    /// platform's name among them: stable over restarts and its own. Default: `listen`; where that
    /// is every address of the machine, the machine's name and the port.
    pub advertise: Option<String>,
    /// Names, beside addresses and `localhost`, under which the API may be called (the `Host`
    /// header). Keeps web pages of others out (DNS rebinding).
    pub allowed_hosts: Vec<String>,
    /// The folder of the platform's data. Default `ieum-data`.
    pub data_dir: PathBuf,
    /// What this process does. Default: everything. The roles `registry` and `sagas` need the log: one
    /// process has it if it is a file, several share it in PostgreSQL (then all that take registrations
    /// play `registry`). Any number of others are `["gateway"]` with a `registry.url`.
    pub roles: Vec<Role>,
    /// The threads of the platform's own work; the gateway has its own. 1 to 64, default 2.
    pub worker_threads: usize,
    /// The largest body that the API accepts. Default `8MiB`.
    pub max_body: ByteSize,
    /// How long this process goes on as before, with `/health` answering 503 `stopping`, after it was
    /// sent SIGTERM: the time for load balancers to notice. Ctrl-C does without. Default `5s`; at most
    /// `1h`.
    pub linger: HumanDuration,
    /// How long a stop waits for what is in flight. Default `30s`.
    pub drain: HumanDuration,
}

/// A part of the platform that can be switched off. The API is always there, and so is the log unless
/// the process is a gateway that follows another's registry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Role {
    /// Takes requests from outside.
    Gateway,
    /// Runs health checks on registered instances.
    Registry,
    /// Runs sagas.
    Sagas,
}

/// `[registry]`: what is known without registering itself, and how instances are checked and used.
///
/// ```toml
/// [registry.checks]
/// concurrency = 64
///
/// [registry.endpoints]
/// max-ejected = 0.5
///
/// [registry.kv]
/// max-keys = 10000
///
/// [[registry.instances]]
/// service = "legacy"
/// address = "10.0.0.5"
/// port = 8080
/// check = "http://10.0.0.5:8080/health"
/// ```
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct Registry {
    /// Where registrations are kept. By default in the log, so that they survive a restart.
    /// `memory:` forgets them at the stop: right for a platform whose services live and die with
    /// it, because an address of an earlier life may by then be somebody else's.
    ///
    /// A gateway that is nothing else (`roles = ["gateway"]`) may follow another process's:
    /// `ieum://HOST:PORT` (`ieums://` with TLS) is a platform, `ieum://ONE,TWO,THREE` one of several on
    /// the same log, `consul://HOST:PORT` a Consul agent.
    /// It then owns no log; when that process is away it goes on with the last known endpoints.
    pub url: Option<String>,
    /// The environment variable with the token of the registry that is followed.
    pub token_env: Option<String>,
    /// The file with that token. Not together with `token-env`.
    pub token_file: Option<PathBuf>,
    /// The largest file `endpoints-PORT.json` in the data folder, in which a process that follows a
    /// registry keeps the last known endpoints, so that it can start while that is away. Default
    /// `16MiB`; `0B` keeps none.
    pub remember: ByteSize,
    /// Instances that are registered at the start and deregistered when they leave the file.
    pub instances: Vec<StaticInstance>,
    /// How health checks are run.
    pub checks: ieum_discovery::health::Config,
    /// Of several platforms on one log (PostgreSQL), one runs the checks. When it was silent for this
    /// long another takes over; the same on all of them. Default `5s`, at least `100ms`.
    pub lease: HumanDuration,
    /// How the endpoints of a service are watched, balanced and ejected.
    pub endpoints: ieum_discovery::Config,
    /// How much Consul's key-value store holds, and how short its sessions may be.
    pub kv: ieum_discovery::kv::Config,
}

/// One instance that is registered by the configuration.
#[derive(Clone, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct StaticInstance {
    /// The service that it is a copy of.
    pub service: String,
    /// Host name or IP address.
    pub address: String,
    /// TCP port.
    pub port: u16,
    /// Labels to select by.
    #[serde(default)]
    pub tags: Vec<String>,
    /// Facts about it, such as its owner.
    #[serde(default)]
    pub meta: BTreeMap<String, String>,
    /// Its share of the traffic, 1 to 65,535. Default 1.
    #[serde(default = "one")]
    pub weight: u16,
    /// The URL of its health check; without one it counts as healthy.
    #[serde(default)]
    pub check: Option<String>,
    /// The time between two checks. Default `10s`.
    #[serde(default = "ten_seconds")]
    pub interval: HumanDuration,
    /// The longest wait for an answer of the check. Default `1s`.
    #[serde(default = "one_second")]
    pub timeout: HumanDuration,
}

/// `[sagas]`: which sagas are known from the start.
///
/// ```toml
/// [sagas]
/// definitions = ["sagas/*.json"]
/// ```
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct Sagas {
    /// Files with one definition each, JSON or TOML. A `*` in the file's name matches anything.
    pub definitions: Vec<String>,
    /// Definitions written here.
    pub inline: Vec<ieum_saga::definition::Definition>,
    /// How sagas are run.
    pub engine: ieum_saga::engine::Config,
}

/// `[telemetry]`: traces and logs.
///
/// ```toml
/// [telemetry.traces]
/// sample = 0.1
/// max-spans = 50000
///
/// [telemetry.log]
/// format = "json"
/// level = "info,ieum_gateway=debug"
/// ```
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct Telemetry {
    /// The trace store.
    pub traces: Traces,
    /// The log of the process, on standard error.
    pub log: LogOutput,
    /// The formats in which trace contexts go into outgoing requests: `tracecontext` (W3C), `b3`,
    /// `b3multi`. All of them are read. Default: `OTEL_PROPAGATORS`, otherwise `tracecontext`.
    pub propagators: Option<Propagators>,
}

/// `[telemetry.traces]`: how much is kept, in memory.
#[derive(Clone, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct Traces {
    /// The share of the traces begun at the gateway that is recorded, 0 to 1. Default 1. A caller's
    /// decision, in its `traceparent`, is obeyed.
    pub sample: f64,
    /// The most traces that are kept; the oldest go first. Default 10,000.
    pub max_traces: usize,
    /// About how many bytes the kept traces may take; the oldest go first. Default `16MiB`.
    pub max_bytes: ByteSize,
    /// The most spans of one trace; what comes later is counted and dropped. Default 1,000.
    pub max_spans: usize,
    /// The most lines of the log that are kept of one trace; what comes later is counted and dropped.
    /// Default 200; 0 keeps none.
    pub max_lines: usize,
    /// The most lines of the log that are kept of all traces; the oldest go first. Default 10,000.
    pub max_log_lines: usize,
    /// About how many bytes these may take; the oldest go first. Default `4MiB`.
    pub max_log_bytes: ByteSize,
}

/// `[telemetry.log]`: how the process logs.
#[derive(Clone, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct LogOutput {
    /// `text` for people, `json` for machines. Default `text`.
    pub format: LogFormat,
    /// The level, or levels by module (the syntax of `RUST_LOG`, which wins). Default `info`.
    pub level: String,
}

/// How a log line looks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// One JSON object per line.
    Json,
}

impl Default for Platform {
    fn default() -> Self {
        Self {
            listen: None,
            token_env: None,
            token_file: None,
            advertise: None,
            allowed_hosts: Vec::new(),
            data_dir: PathBuf::from("ieum-data"),
            roles: vec![Role::Gateway, Role::Registry, Role::Sagas],
            worker_threads: 2,
            max_body: ByteSize(8 << 20),
            linger: HumanDuration::from_secs(5),
            drain: HumanDuration::from_secs(30),
        }
    }
}

impl Default for Registry {
    fn default() -> Self {
        Self {
            url: None,
            token_env: None,
            token_file: None,
            remember: ByteSize(16 << 20),
            instances: Vec::new(),
            checks: ieum_discovery::health::Config::default(),
            lease: HumanDuration::from_secs(5),
            endpoints: ieum_discovery::Config::default(),
            kv: ieum_discovery::kv::Config::default(),
        }
    }
}

impl Default for Traces {
    fn default() -> Self {
        Self {
            sample: 1.0,
            max_traces: 10_000,
            max_bytes: ByteSize(16 << 20),
            max_spans: 1_000,
            max_lines: 200,
            max_log_lines: 10_000,
            max_log_bytes: ByteSize(4 << 20),
        }
    }
}

impl Default for LogOutput {
    fn default() -> Self {
        Self {
            format: LogFormat::Text,
            level: "info".to_owned(),
        }
    }
}

impl Config {
    /// `path`, from the folder of the configuration if it is relative.
    pub fn resolve(&self, path: &Path) -> PathBuf {
        self.source.base().join(path)
    }

    /// Where the log is if no URL says otherwise.
    pub fn data_file(&self) -> PathBuf {
        self.resolve(&self.platform.data_dir).join("log.db")
    }

    /// The token of the API; `None` if none is asked for.
    pub fn token(&self) -> Result<Option<Secret>, MissingSecret> {
        let Platform {
            token_env,
            token_file,
            ..
        } = &self.platform;
        match (token_env, token_file) {
            (Some(name), _) => secret::from_env(name).map(Some),
            (None, Some(path)) => secret::from_file(&self.resolve(path)).map(Some),
            (None, None) => Ok(None),
        }
    }
}

impl Platform {
    /// The name of this platform among those on the same log: where its API is reached.
    pub fn name(&self) -> String {
        if let Some(name) = &self.advertise {
            return name.clone();
        }
        let listen = self.listen.unwrap_or(crate::platform::DEFAULT_API);
        if !listen.ip().is_unspecified() {
            return listen.to_string();
        }
        let host = std::fs::read_to_string("/proc/sys/kernel/hostname");
        let host = host
            .or_else(|_| std::env::var("HOSTNAME"))
            .unwrap_or_default();
        let host = Some(host.trim()).filter(|host| !host.is_empty());
        format!("{}:{}", host.unwrap_or("localhost"), listen.port())
    }

    /// True if a token is asked for.
    pub const fn has_token(&self) -> bool {
        self.token_env.is_some() || self.token_file.is_some()
    }

    /// True if this process plays `role`.
    pub fn plays(&self, role: Role) -> bool {
        self.roles.contains(&role)
    }
}

const fn one() -> u16 {
    1
}

const fn ten_seconds() -> HumanDuration {
    HumanDuration::from_secs(10)
}

const fn one_second() -> HumanDuration {
    HumanDuration::from_secs(1)
}
