//! What makes no sense, all of it at once.

use std::collections::HashMap;
use std::fmt;
use std::time::Duration;

use ieum_base::{ByteSize, HumanDuration};
use ieum_resilience::InvalidSetting;

use super::{Config, JwtConfig, RouteConfig};
use crate::identity::Keys;
use crate::table::{Pattern, RoutePlan};

/// A setting that is refused.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ConfigError {
    /// The path of the key: `gateway.routes[2].rate-limit.requests`.
    pub path: String,
    /// What is wrong, as a sentence that begins with the key: `must be at least 1`.
    pub message: String,
    /// What to do about it.
    pub help: Option<String>,
}

impl ConfigError {
    pub(crate) fn new(path: impl Into<String>, message: impl Into<String>) -> Self {
        Self {
            path: path.into(),
            message: message.into(),
            help: None,
        }
    }

    pub(crate) fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}` {}", self.path, self.message)?;
        match &self.help {
            Some(help) => write!(f, "; {help}"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for ConfigError {}

/// A setting that is accepted and probably not meant so.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Warning {
    /// The path of the key.
    pub path: String,
    /// What will happen.
    pub message: String,
}

impl Config {
    /// Everything that is wrong. Reads the keys' files and environment variables.
    pub fn validate(&self) -> Vec<ConfigError> {
        let mut errors = Vec::new();
        self.check_own(&mut errors);
        if let Some(jwt) = &self.jwt {
            check_jwt(jwt, &mut errors);
        }
        for (index, route) in self.routes.iter().enumerate() {
            let path = format!("gateway.routes[{index}]");
            if let Err(found) = RoutePlan::new(self, route, &path) {
                errors.extend(found);
            }
        }
        check_conflicts(&self.routes, &mut errors);
        errors
    }

    /// What is accepted and probably not meant so.
    pub fn warnings(&self) -> Vec<Warning> {
        let mut warnings = Vec::new();
        for (index, route) in self.routes.iter().enumerate() {
            if route.auth.is_none() {
                warnings.push(Warning {
                    path: format!("gateway.routes[{index}]"),
                    message: format!(
                        "the route `{}` does not say who may call it (`auth`): it answers 403",
                        route.name
                    ),
                });
            }
            let doubtful = route.split.as_ref().and_then(|split| split.warning(route));
            warnings.extend(doubtful.map(|message| Warning {
                path: format!("gateway.routes[{index}].split.by"),
                message,
            }));
        }
        warnings
    }

    fn check_own(&self, errors: &mut Vec<ConfigError>) {
        let mut check = Check(errors);
        let threads = self.threads.is_none_or(|n| (1..=256).contains(&n));
        check.that("threads", threads, "must be from 1 to 256");
        self.check_timeouts(&mut check);
        self.check_limits(&mut check);
        let count = self.internal_headers.len();
        check.that(
            "internal-headers",
            count <= 64,
            "must have at most 64 entries",
        );
        for (index, name) in self.internal_headers.iter().enumerate() {
            let valid = name.parse::<http::HeaderName>().is_ok();
            check.that(
                &format!("internal-headers[{index}]"),
                valid,
                "is no header name",
            );
        }
        check.settings("retry", self.retry.invalid());
        check.settings("bulkhead", self.bulkhead.invalid());
    }

    fn check_timeouts(&self, check: &mut Check<'_>) {
        let times = &self.timeouts;
        check.time("timeouts.request", times.request, HOUR);
        check.time("timeouts.connect", times.connect, Duration::from_secs(60));
        check.time("timeouts.header", times.header, Duration::from_secs(600));
        check.time("timeouts.upload", times.upload, 24 * HOUR);
        check.time("timeouts.idle", times.idle, 24 * HOUR);
        check.time("connections.idle", self.connections.idle, HOUR);
        check.time("connections.http2-idle", self.connections.http2_idle, HOUR);
        check.that(
            "timeouts.drain",
            times.drain.0 <= HOUR,
            "must be at most 1h",
        );
    }

    fn check_limits(&self, check: &mut Check<'_>) {
        let limits = &self.limits;
        let mut size = |field: &str, size: u64, range: std::ops::RangeInclusive<u64>| {
            let (least, most) = (ByteSize(*range.start()), ByteSize(*range.end()));
            let message = format!("must be from {least} to {most}");
            check.that(field, range.contains(&size), &message);
        };
        size(
            "limits.header-size",
            limits.header_size.0,
            8 << 10..=1 << 20,
        );
        size("limits.uri", limits.uri.0, 256..=64 << 10);
        size("limits.retained-body", limits.retained_body.0, 0..=1 << 20);
        size("limits.message", limits.message.0, 1..=1 << 30);
        size("limits.part", limits.part.0, 1..=64 << 20);
        let headers = (1..=1_000).contains(&limits.headers);
        check.that("limits.headers", headers, "must be from 1 to 1000");
        let streams = (1..=10_000).contains(&limits.streams);
        check.that("limits.streams", streams, "must be from 1 to 10000");
        let http2 = (1..=1_000).contains(&self.connections.http2);
        check.that("connections.http2", http2, "must be from 1 to 1000");
        let keys = limits.rate_limit_keys;
        check.that(
            "limits.connections",
            limits.connections > 0,
            "must be at least 1",
        );
        check.that("limits.rate-limit-keys", keys > 0, "must be at least 1");
    }
}

/// Collects errors below `gateway`.
struct Check<'a>(&'a mut Vec<ConfigError>);

impl Check<'_> {
    fn that(&mut self, field: &str, holds: bool, message: &str) {
        if !holds {
            self.0
                .push(ConfigError::new(format!("gateway.{field}"), message));
        }
    }

    fn time(&mut self, field: &str, time: HumanDuration, most: Duration) {
        let holds = !time.0.is_zero() && time.0 <= most;
        let range = format!("must be above 0s and at most {}", HumanDuration(most));
        self.that(field, holds, &range);
    }

    fn settings(&mut self, table: &str, invalid: Vec<InvalidSetting>) {
        for setting in invalid {
            self.that(
                &format!("{table}.{}", setting.field),
                false,
                &setting.message,
            );
        }
    }
}

fn check_jwt(jwt: &JwtConfig, errors: &mut Vec<ConfigError>) {
    if let Err(found) = Keys::load(jwt) {
        errors.extend(found);
    }
    let mut check = Check(errors);
    check.that(
        "jwt.leeway",
        jwt.leeway.0 <= Duration::from_secs(60),
        "must be at most 60s",
    );
    check.that(
        "jwt.user-claim",
        !jwt.user_claim.is_empty(),
        "must not be empty",
    );
    check.that(
        "jwt.roles-claim",
        !jwt.roles_claim.is_empty(),
        "must not be empty",
    );
    for (claim, names) in jwt.headers.iter().flatten() {
        for name in names {
            let path = format!("jwt.headers.{claim}");
            let parsed = name.parse::<http::HeaderName>();
            check.that(
                &path,
                parsed.is_ok(),
                &format!("has `{name}`, which is no header name"),
            );
            let is_ours = parsed.is_ok_and(|name| !RESERVED.contains(&name.as_str()));
            check.that(
                &path,
                is_ours,
                &format!("has `{name}`, which HTTP itself uses"),
            );
        }
    }
}

/// Two routes of one shape must differ in their methods, and no two have one name.
fn check_conflicts(routes: &[RouteConfig], errors: &mut Vec<ConfigError>) {
    let mut names: HashMap<&str, usize> = HashMap::new();
    let mut shapes: HashMap<String, Vec<usize>> = HashMap::new();
    for (index, route) in routes.iter().enumerate() {
        if let Some(first) = names.insert(&route.name, index) {
            let message = format!("is the name of routes[{first}] too: `{}`", route.name);
            errors.push(ConfigError::new(
                format!("gateway.routes[{index}].name"),
                message,
            ));
        }
        let Ok(pattern) = Pattern::parse(&route.path) else {
            continue;
        };
        let same = shapes.entry(pattern.shape()).or_default();
        if let Some(other) = same.iter().find(|other| overlap(route, &routes[**other])) {
            let other = &routes[*other].name;
            let message = format!("matches the same requests as the route `{other}`");
            let error = ConfigError::new(format!("gateway.routes[{index}].path"), message);
            errors.push(error.help("change the path, or give both different `methods`"));
        }
        same.push(index);
    }
}

fn overlap(one: &RouteConfig, other: &RouteConfig) -> bool {
    let (a, b) = (&one.methods, &other.methods);
    a.is_empty() && b.is_empty() || a.iter().any(|method| b.contains(method))
}

/// Headers that a claim may not become.
const RESERVED: [&str; 10] = [
    "host",
    "connection",
    "content-length",
    "transfer-encoding",
    "te",
    "trailer",
    "upgrade",
    "authorization",
    "traceparent",
    "x-request-id",
];

const HOUR: Duration = Duration::from_secs(3600);
