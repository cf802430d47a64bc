//! The compiled routes: one immutable table that is swapped whole.
//!
//! A [`RoutePlan`] is a route that was read and found sensible, and touches nothing; a [`Table`] is
//! made of plans, upstreams, limiters and metric handles, and cannot fail. So a configuration is
//! refused whole before anything of it takes effect.

mod pattern;
mod plan;
mod rewrite;
mod router;
mod split;
mod template;

use std::collections::HashMap;
use std::fmt;
use std::net::IpAddr;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use http::{HeaderName, Method};
use ieum_base::{Clock, Rng};
use ieum_discovery::balance;
use ieum_resilience::cache::{self, Cache};
use ieum_resilience::rate_limit::{self, SharedLimiter};
use ieum_resilience::{KeyedLimiter, Quota};

use crate::caching::Caching;
use crate::config::{Auth, Config, ConfigError, LimitBy, Network};
use crate::federation::Federation;
use crate::identity::{Keys, Verifier};
use crate::phases::cache::RouteCache;
use crate::phases::limit::LimitKey;
use crate::telemetry::{RouteMetrics, Telemetry};
use crate::transcoding::Transcoding;
use crate::upstream::{Address, Upstream, Upstreams};

pub(crate) use pattern::Pattern;
pub(crate) use plan::{
    DescriptorSource, FixedAnswer, PlannedFallback, PlannedGraphql, PlannedTarget,
    PlannedTranscode, RoutePlan,
};
pub(crate) use rewrite::Rewrite;
pub(crate) use router::Found;
pub use split::SplitInfo;
pub(crate) use split::{PlannedSplit, Side, SideCounts, Split, SplitKey, point_of_key};
pub(crate) use template::{Template, Values};

use router::Router;

/// Everything that a request needs to know of the configuration.
#[derive(Debug)]
pub(crate) struct Table {
    pub(crate) config: Config,
    pub(crate) routes: Box<[Route]>,
    pub(crate) verifier: Option<Verifier>,
    pub(crate) trusted: Box<[Network]>,
    /// Headers that are dropped from outside, beside those that always are.
    pub(crate) internal_headers: Box<[HeaderName]>,
    /// The kept answers, if any route keeps them.
    pub(crate) caching: Option<Arc<Caching>>,
    /// What counts requests that found no route.
    pub(crate) unrouted: RouteMetrics,
    router: Router,
}

/// A route, compiled.
pub(crate) struct Route {
    pub(crate) name: Box<str>,
    pub(crate) pattern: Pattern,
    pub(crate) auth: Option<Auth>,
    pub(crate) roles: Box<[Box<str>]>,
    pub(crate) limit: Option<RouteLimit>,
    pub(crate) cache: Option<RouteCache>,
    pub(crate) rewrite: Rewrite,
    pub(crate) target: Target,
    /// The share of its requests that goes elsewhere. Boxed: few routes have one.
    pub(crate) split: Option<Box<Split>>,
    pub(crate) fallback: Option<Fallback>,
    pub(crate) rules: Rules,
    pub(crate) max_body: u64,
    pub(crate) upload: Duration,
    pub(crate) upgrade: bool,
    /// The largest message of a route that is called by gRPC, in bytes.
    pub(crate) grpc: Option<u64>,
    pub(crate) metrics: RouteMetrics,
}

/// How an upstream is called.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rules {
    pub(crate) timeout: Duration,
    pub(crate) retries: u32,
    /// Requests with an `Idempotency-Key` may be repeated.
    pub(crate) idempotent: bool,
    pub(crate) balance: balance::Policy,
    pub(crate) protocol: Protocol,
}

/// What is spoken to an upstream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Protocol {
    /// HTTP/1.1.
    Http,
    /// gRPC over HTTP/2: how it went is said by `grpc-status`.
    Grpc,
}

/// Who answers.
pub(crate) enum Target {
    Upstream(Arc<Upstream>),
    Compose(Box<[Part]>),
    Graphql(Arc<Federation>),
    Transcode(Arc<Transcoding>),
}

/// One part of a composed answer.
pub(crate) struct Part {
    pub(crate) name: Box<str>,
    pub(crate) upstream: Arc<Upstream>,
    pub(crate) path: Template,
    pub(crate) optional: bool,
    pub(crate) rules: Rules,
}

/// What is answered when the upstream is unavailable or failed.
pub(crate) enum Fallback {
    Answer(FixedAnswer),
    Upstream(Arc<Upstream>),
}

/// A rate limit and whose requests it counts together.
#[derive(Debug)]
pub(crate) struct RouteLimit {
    pub(crate) by: LimitBy,
    pub(crate) quota: Quota,
    pub(crate) limiter: RouteLimiter,
}

/// Where a rate limit is counted.
#[derive(Clone, Debug)]
pub(crate) enum RouteLimiter {
    /// In this process.
    Own(KeyedLimiter<LimitKey>),
    /// In a store that others share.
    Shared(SharedLimiter<LimitKey>),
}

/// What tables are made with, and what outlives each of them.
pub(crate) struct Workshop {
    pub(crate) upstreams: Upstreams,
    pub(crate) telemetry: Arc<Telemetry>,
    pub(crate) clock: Clock,
    /// Where rate limits are counted, if not in this process.
    pub(crate) limits: Option<Arc<dyn rate_limit::Store>>,
    /// Where answers are kept; made when the first route keeps some.
    pub(crate) caching: OnceLock<Arc<Caching>>,
    /// The cache that it was given, if not one in memory.
    pub(crate) cache: Option<Arc<dyn Cache>>,
    pub(crate) rng: Rng,
}

impl Workshop {
    fn caching(&self) -> Arc<Caching> {
        let make = || {
            let memory = || Arc::new(cache::Memory::new(&cache::Config::default())) as _;
            let cache = self.cache.clone().unwrap_or_else(memory);
            Arc::new(Caching::new(cache, self.rng.clone()))
        };
        Arc::clone(self.caching.get_or_init(make))
    }

    fn limiter(&self, route: &str, quota: Quota, keys: usize) -> RouteLimiter {
        match &self.limits {
            None => RouteLimiter::Own(KeyedLimiter::new(quota, keys)),
            Some(store) => {
                let store = Arc::clone(store);
                RouteLimiter::Shared(SharedLimiter::new(route, quota, store, keys))
            }
        }
    }
}

impl Table {
    /// Compiles a configuration; limits that did not change keep their counts.
    pub(crate) fn compile(
        config: Config,
        workshop: &Workshop,
        before: Option<&Self>,
    ) -> Result<Self, Vec<ConfigError>> {
        let errors = config.validate();
        if !errors.is_empty() {
            return Err(errors);
        }
        let verifier = match &config.jwt {
            Some(jwt) => {
                let keys = Keys::load(jwt)?;
                let tokens = config.limits.tokens;
                Some(Verifier::new(jwt, keys, tokens, workshop.clock.clone()))
            }
            None => None,
        };
        let mut router = Router::default();
        let mut routes = Vec::with_capacity(config.routes.len());
        for (index, route) in config.routes.iter().enumerate() {
            let plan = RoutePlan::new(&config, route, &format!("gateway.routes[{index}]"))?;
            router.insert(&plan.pattern, plan.methods.clone(), index);
            routes.push(Route::build(plan, &config, workshop, before));
        }
        Ok(Self {
            caching: routes.iter().find_map(Route::caching),
            routes: routes.into(),
            verifier,
            trusted: config.trusted_proxies.as_slice().into(),
            internal_headers: internal_headers(&config),
            unrouted: workshop.telemetry.route("unmatched"),
            router,
            config,
        })
    }

    /// The route for a normalised path.
    pub(crate) fn find(&self, path: &str, method: &Method) -> Found {
        self.router.find(path, method)
    }

    /// True if what this peer says about others is believed.
    pub(crate) fn trusts(&self, peer: IpAddr) -> bool {
        self.trusted.iter().any(|network| network.contains(peer))
    }

    fn route(&self, name: &str) -> Option<&Route> {
        self.routes.iter().find(|route| *route.name == *name)
    }
}

impl Route {
    fn build(
        plan: RoutePlan,
        config: &Config,
        workshop: &Workshop,
        before: Option<&Table>,
    ) -> Self {
        let upstream = |address: &Address| {
            workshop
                .upstreams
                .get(address, &config.retry, config.bulkhead)
        };
        let before = before.and_then(|table| table.route(&plan.name));
        let kept = before.and_then(|route| route.limit.as_ref());
        let limit = plan.limit.map(|(quota, by)| RouteLimit {
            by,
            quota,
            limiter: match kept {
                Some(kept) if kept.quota == quota && kept.by == by => kept.limiter.clone(),
                _ => workshop.limiter(&plan.name, quota, config.limits.rate_limit_keys),
            },
        });
        Self {
            target: match plan.target {
                PlannedTarget::Upstream(address) => Target::Upstream(upstream(&address)),
                PlannedTarget::Compose(parts) => {
                    let part = |part: plan::PlannedPart| Part {
                        upstream: upstream(&part.address),
                        name: part.name,
                        path: part.path,
                        optional: part.optional,
                        rules: part.rules,
                    };
                    Target::Compose(parts.into_iter().map(part).collect())
                }
                PlannedTarget::Graphql(graphql) => {
                    let before = before.and_then(Self::federation);
                    let telemetry = &workshop.telemetry;
                    let graph =
                        Federation::build(*graphql, &plan.name, upstream, telemetry, before);
                    Target::Graphql(graph)
                }
                PlannedTarget::Transcode(plan) => {
                    let before = before.and_then(Self::transcoding);
                    Target::Transcode(Transcoding::build(*plan, upstream, before))
                }
            },
            split: plan.split.map(|split| {
                let before = before.and_then(|route| route.split.as_deref());
                let counts = workshop.telemetry.split(&plan.pattern.text);
                Box::new(Split::build(split, upstream, counts, before))
            }),
            fallback: plan.fallback.map(|fallback| match fallback {
                PlannedFallback::Answer(answer) => Fallback::Answer(answer),
                PlannedFallback::Upstream(address) => Fallback::Upstream(upstream(&address)),
            }),
            metrics: workshop.telemetry.route(&plan.pattern.text),
            name: plan.name,
            pattern: plan.pattern,
            auth: plan.auth,
            roles: plan.roles,
            limit,
            cache: plan.cache.map(|config| RouteCache {
                caching: workshop.caching(),
                config,
            }),
            rewrite: plan.rewrite,
            rules: plan.rules,
            max_body: plan.max_body,
            upload: plan.upload,
            upgrade: plan.upgrade,
            grpc: plan.grpc,
        }
    }
}

impl Route {
    fn caching(&self) -> Option<Arc<Caching>> {
        self.cache.as_ref().map(|cache| Arc::clone(&cache.caching))
    }

    /// True if somebody must be asked whether a request passes, or what it is answered.
    pub(crate) fn asks(&self) -> bool {
        let is_shared = |limit: &RouteLimit| matches!(limit.limiter, RouteLimiter::Shared(_));
        self.cache.is_some() || self.limit.as_ref().is_some_and(is_shared)
    }

    /// The graph that it offers, if it offers one.
    pub(crate) const fn federation(&self) -> Option<&Arc<Federation>> {
        match &self.target {
            Target::Graphql(federation) => Some(federation),
            _ => None,
        }
    }

    /// What it translates, if it does.
    pub(crate) const fn transcoding(&self) -> Option<&Arc<Transcoding>> {
        match &self.target {
            Target::Transcode(transcoding) => Some(transcoding),
            _ => None,
        }
    }
}

impl fmt::Debug for Route {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Route").field(&self.name).finish()
    }
}

/// Those that configuration names, and those that claims become.
fn internal_headers(config: &Config) -> Box<[HeaderName]> {
    let claims: HashMap<_, _> = config
        .jwt
        .iter()
        .flat_map(|jwt| jwt.header_mapping())
        .collect();
    let claims = claims.into_values().flatten();
    let all = config.internal_headers.iter().cloned().chain(claims);
    all.filter_map(|name| name.parse().ok()).collect()
}
