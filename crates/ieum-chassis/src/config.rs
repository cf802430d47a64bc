//! The settings of a service's life.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use ieum_base::{ByteSize, HumanDuration, Secret};
use ieum_http::server;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The settings of a service's life.
///
/// ```toml
/// service = "users"
/// listen = "127.0.0.1:3001"
/// platform = "http://127.0.0.1:8500"
/// owner = "team-accounts"
/// linger = "5s"
/// drain = "30s"
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Config {
    /// The service's name: in the registry, in spans, in logs.
    pub service: String,
    /// Where it listens. Default `127.0.0.1:0`: any free port.
    #[serde(default = "any_port")]
    pub listen: SocketAddr,
    /// Whether the next free port is taken if `listen` is in use. Default false; for defaults only.
    #[serde(default)]
    pub next_free_port: bool,
    /// The host under which others reach it. Default: the host that it listens on, or `127.0.0.1`
    /// if that is all of them.
    #[serde(default)]
    pub advertise: Option<String>,
    /// The platform that takes its spans, as a URL. Default: none, and no span is recorded.
    #[serde(default)]
    pub platform: Option<String>,
    /// The token that the platform asks for. Not to be read from a file of settings: the program says
    /// it. Default: none.
    #[serde(skip)]
    pub platform_token: Option<Secret>,
    /// The team that answers for it; registered as the fact `owner`.
    #[serde(default)]
    pub owner: Option<String>,
    /// Labels to select by.
    #[serde(default)]
    pub tags: Vec<String>,
    /// Further facts to register.
    #[serde(default)]
    pub meta: BTreeMap<String, String>,
    /// How the registry finds out whether it is well.
    #[serde(default)]
    pub check: Check,
    /// The longest run of one health check. Default `1s`.
    #[serde(default = "one_second")]
    pub health_timeout: HumanDuration,
    /// How long the result of a health check is kept, so that nobody can load a database by asking
    /// for health. Default `1s`.
    #[serde(default = "one_second")]
    pub health_cache: HumanDuration,
    /// The largest request body. Default `1MiB`.
    #[serde(default = "one_mebibyte")]
    pub max_body: ByteSize,
    /// The largest message of a call over gRPC; a larger one is refused when its length has come.
    /// Servers that tonic generates have a limit of their own, the same by default. Default `4MiB`.
    #[serde(default = "four_mebibytes")]
    pub max_message: ByteSize,
    /// How long it still accepts after it was deregistered, for callers that have not noticed.
    /// Default `5s`; nothing if there is no registry.
    #[serde(default = "five_seconds")]
    pub linger: HumanDuration,
    /// How long running requests, and after them background tasks, may take to finish. Default `30s`.
    #[serde(default = "thirty_seconds")]
    pub drain: HumanDuration,
}

/// How the registry finds out whether a service is well.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, tag = "kind")]
pub enum Check {
    /// The registry asks `/health`. The default, every 2 s, with a timeout of 1 s.
    Http {
        /// The time between two checks.
        interval: HumanDuration,
        /// The longest wait for an answer.
        timeout: HumanDuration,
    },
    /// The service reports by itself: where the registry cannot reach it.
    Ttl {
        /// The longest time between two reports; it reports three times as often.
        ttl: HumanDuration,
    },
}

impl Check {
    /// The guides' preset (S4): every 30 s, timeout 5 s.
    pub const GUIDE: Self = Self::Http {
        interval: HumanDuration::from_secs(30),
        timeout: HumanDuration::from_secs(5),
    };
}

impl Default for Check {
    fn default() -> Self {
        Self::Http {
            interval: HumanDuration::from_secs(2),
            timeout: HumanDuration::from_secs(1),
        }
    }
}

impl Config {
    /// The defaults for a service of this name.
    pub fn new(service: impl Into<String>) -> Self {
        Self {
            service: service.into(),
            listen: any_port(),
            next_free_port: false,
            advertise: None,
            platform: None,
            platform_token: None,
            owner: None,
            tags: Vec::new(),
            meta: BTreeMap::new(),
            check: Check::default(),
            health_timeout: one_second(),
            health_cache: one_second(),
            max_body: one_mebibyte(),
            max_message: four_mebibytes(),
            linger: five_seconds(),
            drain: thirty_seconds(),
        }
    }

    pub(crate) fn server(&self) -> server::Config {
        server::Config {
            drain: self.drain.0,
            ..server::Config::behind_gateway()
        }
    }
}

fn any_port() -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], 0))
}

const fn one_second() -> HumanDuration {
    HumanDuration::from_secs(1)
}

const fn five_seconds() -> HumanDuration {
    HumanDuration::from_secs(5)
}

const fn thirty_seconds() -> HumanDuration {
    HumanDuration::from_secs(30)
}

const fn one_mebibyte() -> ByteSize {
    ByteSize(1 << 20)
}

const fn four_mebibytes() -> ByteSize {
    ByteSize(4 << 20)
}
