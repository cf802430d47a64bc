//! A route that was read and found sensible.

mod graphql;
mod grpc;
mod split;
mod transcode;

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use http::header::{CONTENT_LENGTH, CONTENT_TYPE, TRANSFER_ENCODING};
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use ieum_base::HumanDuration;
use ieum_resilience::{Quota, rate_limit};

use super::{Pattern, PlannedSplit, Protocol, Rewrite, Rules, Template};
use crate::config::{
    Auth, Config, ConfigError, FallbackConfig, LimitBy, PartConfig, RateLimitConfig,
    RouteCacheConfig, RouteConfig,
};
use crate::upstream::{Address, Fixed};

pub(crate) use graphql::PlannedGraphql;
pub(crate) use transcode::{DescriptorSource, PlannedTranscode};

/// A route that was read and found sensible. It has no effect yet.
#[derive(Debug)]
pub(crate) struct RoutePlan {
    pub(crate) name: Box<str>,
    pub(crate) pattern: Pattern,
    pub(crate) methods: Box<[Method]>,
    pub(crate) auth: Option<Auth>,
    pub(crate) roles: Box<[Box<str>]>,
    pub(crate) limit: Option<(Quota, LimitBy)>,
    pub(crate) cache: Option<RouteCacheConfig>,
    pub(crate) rewrite: Rewrite,
    pub(crate) target: PlannedTarget,
    pub(crate) split: Option<PlannedSplit>,
    pub(crate) fallback: Option<PlannedFallback>,
    pub(crate) rules: Rules,
    pub(crate) max_body: u64,
    pub(crate) upload: Duration,
    pub(crate) upgrade: bool,
    pub(crate) grpc: Option<u64>,
}

#[derive(Debug)]
pub(crate) enum PlannedTarget {
    Upstream(Address),
    Compose(Vec<PlannedPart>),
    Graphql(Box<PlannedGraphql>),
    Transcode(Box<PlannedTranscode>),
}

#[derive(Debug)]
pub(crate) struct PlannedPart {
    pub(crate) name: Box<str>,
    pub(crate) address: Address,
    pub(crate) path: Template,
    pub(crate) optional: bool,
    pub(crate) rules: Rules,
}

#[derive(Debug)]
pub(crate) enum PlannedFallback {
    Answer(FixedAnswer),
    Upstream(Address),
}

/// An answer that is always the same.
#[derive(Clone, Debug)]
pub(crate) struct FixedAnswer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl RoutePlan {
    /// Reads a route; `path` is where it stands in the configuration.
    pub(crate) fn new(
        config: &Config,
        route: &RouteConfig,
        path: &str,
    ) -> Result<Self, Vec<ConfigError>> {
        let mut reader = Reader {
            path,
            errors: Vec::new(),
        };
        let plan = reader.route(config, route);
        match plan {
            Some(plan) if reader.errors.is_empty() => Ok(plan),
            _ => Err(reader.errors),
        }
    }
}

/// Reads on after an error, so that all are found.
struct Reader<'a> {
    path: &'a str,
    errors: Vec<ConfigError>,
}

impl Reader<'_> {
    fn refuse(&mut self, field: &str, message: impl Into<String>) {
        self.errors
            .push(ConfigError::new(format!("{}{field}", self.path), message));
    }

    fn require(&mut self, holds: bool, field: &str, message: &str) {
        if !holds {
            self.refuse(field, message);
        }
    }

    /// The value, or its error is noted.
    fn take<T>(&mut self, field: &str, result: Result<T, String>) -> Option<T> {
        result.map_err(|message| self.refuse(field, message)).ok()
    }

    fn route(&mut self, config: &Config, route: &RouteConfig) -> Option<RoutePlan> {
        self.require(!route.name.is_empty(), ".name", "must not be empty");
        let pattern = self.take(".path", Pattern::parse(&route.path));
        let methods = self.methods(&route.methods);
        let methods = self.composed_methods(route, methods);
        let methods = self.graphql_methods(route, methods);
        self.policy(config, route);
        let limit = route.rate_limit.map(|limit| self.limit(limit));
        for (field, message) in route.cache.iter().flat_map(|cache| cache.problems(route)) {
            self.refuse(field, message);
        }
        let rules = self.rules(config, route);
        let fallback = match &route.fallback {
            Some(fallback) => Some(self.fallback(fallback)?),
            None => None,
        };
        let pattern = pattern?;
        let rewrite = self.rewrite(route, &pattern);
        let target = self.target(route, &pattern, rules);
        Some(RoutePlan {
            name: route.name.as_str().into(),
            methods,
            auth: route.auth,
            roles: route.roles.iter().map(|r| r.as_str().into()).collect(),
            limit,
            cache: route.cache,
            rewrite: rewrite?,
            target: target?,
            split: self.split(config, route),
            fallback,
            rules,
            max_body: self.max_body(config, route),
            grpc: self.grpc(config, route),
            upload: self.upload(config, route),
            upgrade: route.upgrade,
            pattern,
        })
    }

    fn methods(&mut self, methods: &[String]) -> Box<[Method]> {
        let mut read = Vec::new();
        for (index, text) in methods.iter().enumerate() {
            let field = format!(".methods[{index}]");
            let is_upper = text.bytes().all(|b| b.is_ascii_uppercase() || b == b'-');
            match Method::from_bytes(text.as_bytes()) {
                Ok(Method::CONNECT) => self.refuse(&field, "must not be CONNECT"),
                Ok(method) if is_upper && !read.contains(&method) => read.push(method),
                Ok(_) if is_upper => self.refuse(&field, format!("is `{text}` a second time")),
                _ => self.refuse(
                    &field,
                    format!("is `{text}`, which is no method in upper case"),
                ),
            }
        }
        read.into()
    }

    /// A composed route reads and does nothing else.
    fn composed_methods(&mut self, route: &RouteConfig, methods: Box<[Method]>) -> Box<[Method]> {
        if route.compose.is_none() {
            return methods;
        }
        let reads = |method: &Method| *method == Method::GET || *method == Method::HEAD;
        let message = "of a composed route are GET and HEAD";
        self.require(methods.iter().all(reads), ".methods", message);
        match methods.is_empty() {
            true => [Method::GET, Method::HEAD].into(),
            false => methods,
        }
    }

    fn policy(&mut self, config: &Config, route: &RouteConfig) {
        let needs_token = route.auth == Some(Auth::Jwt);
        let message = "is \"jwt\", but there is no [gateway.jwt] with keys";
        self.require(!needs_token || config.jwt.is_some(), ".auth", message);
        let message = "need `auth = \"jwt\"`: without a token there are no roles";
        self.require(route.roles.is_empty() || needs_token, ".roles", message);
    }

    fn limit(&mut self, limit: RateLimitConfig) -> (Quota, LimitBy) {
        let plain = rate_limit::Config {
            requests: limit.requests,
            per: limit.per,
            burst: limit.burst,
        };
        for setting in plain.invalid() {
            self.refuse(&format!(".rate-limit.{}", setting.field), setting.message);
        }
        (plain.quota(), limit.by)
    }

    fn rules(&mut self, config: &Config, route: &RouteConfig) -> Rules {
        let timeout = self.timeout(".timeout", route.timeout, config.timeouts.request.0);
        let retries = route.retries.unwrap_or(config.retry.retries);
        self.require(retries <= 10, ".retries", "must be at most 10");
        Rules {
            timeout,
            retries,
            idempotent: route.idempotent,
            balance: route.balance,
            protocol: match route.grpc || route.transcode.is_some() {
                true => Protocol::Grpc,
                false => Protocol::Http,
            },
        }
    }

    fn upload(&mut self, config: &Config, route: &RouteConfig) -> Duration {
        let upload = route.upload_timeout.unwrap_or(config.timeouts.upload).0;
        let holds = !upload.is_zero() && upload <= LONGEST_UPLOAD;
        let message = "must be above 0s and at most 24h";
        self.require(holds, ".upload-timeout", message);
        upload
    }

    fn timeout(
        &mut self,
        field: &str,
        given: Option<HumanDuration>,
        default: Duration,
    ) -> Duration {
        let timeout = given.map_or(default, |t| t.0);
        let holds = !timeout.is_zero() && timeout <= Duration::from_secs(3600);
        // The default is checked where it stands.
        let message = "must be above 0s and at most 1h";
        self.require(holds || given.is_none(), field, message);
        timeout
    }

    fn rewrite(&mut self, route: &RouteConfig, pattern: &Pattern) -> Option<Rewrite> {
        let both = (route.strip_prefix.as_deref(), route.rewrite.as_deref());
        let (field, rewrite) = match both {
            (None, None) => return Some(Rewrite::Keep),
            (Some(_), Some(_)) => {
                self.refuse(".rewrite", "cannot go together with `strip-prefix`");
                return None;
            }
            (Some(prefix), None) => (".strip-prefix", Rewrite::strip(prefix, pattern)),
            (None, Some(text)) => (".rewrite", Rewrite::replace(text, pattern)),
        };
        if route.compose.is_some() || route.graphql.is_some() {
            let message = "has no effect where several services answer: each has its own path";
            self.refuse(field, message);
        }
        self.take(field, rewrite)
    }

    fn target(
        &mut self,
        route: &RouteConfig,
        pattern: &Pattern,
        rules: Rules,
    ) -> Option<PlannedTarget> {
        if let Some(graphql) = &route.graphql {
            return self.graphql(route, graphql);
        }
        if let Some(transcode) = &route.transcode {
            return self.transcode(route, transcode);
        }
        if let Some(parts) = &route.compose {
            let none = route.service.is_none() && route.url.is_none();
            self.require(
                none,
                ".compose",
                "cannot go together with `service` or `url`",
            );
            return self.compose(route, parts, pattern, rules);
        }
        let address = self.address("", route.service.as_deref(), route.url.as_deref());
        address.map(PlannedTarget::Upstream)
    }

    fn address(
        &mut self,
        field: &str,
        service: Option<&str>,
        url: Option<&str>,
    ) -> Option<Address> {
        match (service, url) {
            (Some(""), None) => {
                self.refuse(&format!("{field}.service"), "must not be empty");
                None
            }
            (Some(name), None) => Some(Address::Service(name.into())),
            (None, Some(url)) => {
                let fixed = self.take(&format!("{field}.url"), Fixed::parse(url));
                fixed.map(Address::Url)
            }
            _ => {
                let message = if field.is_empty() {
                    "must have exactly one of `service`, `url`, `compose`, `graphql` and `transcode`"
                } else {
                    "must have exactly one of `service` and `url`"
                };
                self.refuse(field, message);
                None
            }
        }
    }

    fn compose(
        &mut self,
        route: &RouteConfig,
        parts: &BTreeMap<String, PartConfig>,
        pattern: &Pattern,
        rules: Rules,
    ) -> Option<PlannedTarget> {
        let count = parts.len();
        let in_range = (1..=MOST_PARTS).contains(&count);
        self.require(in_range, ".compose", "must have 1 to 16 parts");
        self.require(
            !parts.contains_key("errors"),
            ".compose.errors",
            "is where failures are told",
        );
        let mut planned = Vec::new();
        for (name, part) in parts {
            let field = format!(".compose.{name}");
            let address = self.address(&field, part.service.as_deref(), part.url.as_deref());
            let path = self.take(
                &format!("{field}.path"),
                Template::parse(&part.path, pattern),
            );
            let timeout = self.timeout(&format!("{field}.timeout"), part.timeout, rules.timeout);
            let uses_user = path.as_ref().is_some_and(Template::uses_user);
            let message = "uses `${user}`, which needs `auth = \"jwt\"`";
            self.require(
                !uses_user || route.auth != Some(Auth::None),
                &format!("{field}.path"),
                message,
            );
            planned.push(PlannedPart {
                name: name.as_str().into(),
                address: address?,
                path: path?,
                optional: part.optional,
                rules: Rules { timeout, ..rules },
            });
        }
        Some(PlannedTarget::Compose(planned))
    }

    fn fallback(&mut self, config: &FallbackConfig) -> Option<PlannedFallback> {
        let is_answer = config.status.is_some()
            || config.body.is_some()
            || config.json.is_some()
            || !config.headers.is_empty();
        if config.service.is_some() || config.url.is_some() {
            let message = "is either an answer or another upstream, not both";
            self.require(!is_answer, ".fallback", message);
            let (service, url) = (config.service.as_deref(), config.url.as_deref());
            let address = self.address(".fallback", service, url)?;
            return Some(PlannedFallback::Upstream(address));
        }
        self.require(
            is_answer,
            ".fallback",
            "must say what to answer, or whom to ask instead",
        );
        self.answer(config).map(PlannedFallback::Answer)
    }

    fn answer(&mut self, config: &FallbackConfig) -> Option<FixedAnswer> {
        let one_body = config.body.is_none() || config.json.is_none();
        self.require(one_body, ".fallback.json", "cannot go together with `body`");
        let status = config.status.unwrap_or(200);
        let in_range = (200..=599).contains(&status);
        self.require(in_range, ".fallback.status", "must be from 200 to 599");
        let (body, media_type) = match (&config.json, &config.body) {
            (Some(json), _) => (json.to_string(), "application/json"),
            (None, Some(text)) => (text.clone(), "text/plain; charset=utf-8"),
            (None, None) => (String::new(), ""),
        };
        let mut headers = HeaderMap::new();
        if !media_type.is_empty() {
            headers.insert(CONTENT_TYPE, HeaderValue::from_static(media_type));
        }
        for (name, value) in &config.headers {
            let field = format!(".fallback.headers.{name}");
            match (name.parse::<HeaderName>(), HeaderValue::from_str(value)) {
                (Ok(CONTENT_LENGTH | TRANSFER_ENCODING), _) => {
                    self.refuse(&field, "is not yours to set")
                }
                (Ok(name), Ok(value)) => drop(headers.insert(name, value)),
                _ => self.refuse(&field, "is no header"),
            }
        }
        Some(FixedAnswer {
            status: StatusCode::from_u16(status).ok()?,
            headers,
            body: body.into(),
        })
    }
}

const MOST_PARTS: usize = 16;

/// The longest time for receiving a body that may be asked for.
const LONGEST_UPLOAD: Duration = Duration::from_secs(24 * 3600);
