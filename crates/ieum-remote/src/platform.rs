//! A running ieum: where it is, and its ports.

use std::sync::Arc;
use std::time::Duration;

use http::HeaderValue;
use ieum_base::{Clock, EngineUrl, HumanDuration, Secret, Tasks, redact};
use ieum_discovery::Registry;
use ieum_eventstore::{Checkpoints, EventStore, Fences};
use ieum_http::HttpClient;
use ieum_messaging::{GroupSubscriber, Groups, Inspect, Publisher, Subscriber};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::api::{Api, Failure, segment};
use crate::checkpoints::RemoteCheckpoints;
use crate::event_store::RemoteLog;
use crate::fences::RemoteFences;
use crate::groups::RemoteGroups;
use crate::inspect::RemoteInspect;
use crate::publisher::RemotePublisher;
use crate::registry::RemoteRegistry;
use crate::sagas::Sagas;
use crate::spread::Spread;
use crate::wire::breakers::{BreakerView, Breakers, ListBreakers};
use crate::wire::log::{ListStreams, Streams};
use crate::wire::overview::{GetOverview, Overview};
use crate::wire::paths;
use crate::wire::platforms::Platforms;
use crate::wire::services::{Routes, ServiceView, Services};
use crate::wire::topics::{DeadLetterKey, Settled};
use crate::wire::traces::{ListTraces, Trace, TraceSummary, Traces};
use crate::{Error, ErrorKind, Result};

/// The scheme of its URLs: `ieum://127.0.0.1:8500`, `ieum://:TOKEN@ieum.internal:8500`; for several
/// platforms on one log `ieum://one:8500,two:8500,three:8500`.
pub const SCHEME: &str = "ieum";

/// The scheme of its URLs with TLS: `ieums://:TOKEN@ieum.example`.
pub const SCHEME_TLS: &str = "ieums";

/// How the API is called.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct Config {
    /// The longest wait for an answer, beside the wait that a long poll asks for. Default 15 s.
    pub timeout: HumanDuration,
    /// How often each of several platforms is asked whether it is well. Default 1 s.
    pub probe: HumanDuration,
    /// One that does not say so in this time is away: calls that wait there are given up. Default 2 s.
    pub probe_timeout: HumanDuration,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            timeout: HumanDuration::from_secs(15),
            probe: HumanDuration::from_secs(1),
            probe_timeout: HumanDuration::from_secs(2),
        }
    }
}

/// A running ieum, or several on one log. Clones share the connections.
#[derive(Clone, Debug)]
pub struct Platform {
    api: Api,
    registry: Arc<RemoteRegistry>,
}

/// The platform at `url`; its connections are tasks of `tasks`. It connects when it is first used,
/// so that services start in any order.
///
/// # Errors
/// `Invalid` if the URL is not of the scheme [`SCHEME`] or [`SCHEME_TLS`], or its password cannot
/// be a token.
pub fn connect(url: &EngineUrl, tasks: &Tasks) -> Result<Platform> {
    Platform::new(url, &Config::default(), tasks)
}

impl Platform {
    /// The platform at `url`, called as `config` says.
    ///
    /// # Errors
    /// As [`connect`].
    pub fn new(url: &EngineUrl, config: &Config, tasks: &Tasks) -> Result<Self> {
        let scheme = match url.scheme() {
            SCHEME => "http",
            SCHEME_TLS => "https",
            _ => return Err(wrong(url)),
        };
        let mut addresses = addresses(url);
        if addresses.any(|address| address.is_empty() || address.contains(['/', '?', '#'])) {
            return Err(wrong(url));
        }
        let token = url.password().map(bearer).transpose()?;
        let http = HttpClient::new(tasks.clone());
        let bases = self::addresses(url).map(|address| format!("{scheme}://{address}"));
        let spread = Spread::new(
            bases.collect(),
            http.clone(),
            config,
            Clock::system(),
            tasks,
        );
        let registry = RemoteRegistry::new(url, spread.clone(), &http, config)?;
        Ok(Self {
            api: Api::new(http, spread, token, config.timeout.0),
            registry: Arc::new(registry),
        })
    }

    /// Its log.
    pub fn event_store(&self) -> Arc<dyn EventStore> {
        Arc::new(RemoteLog(self.api.clone()))
    }

    /// The checkpoints beside its log.
    pub fn checkpoints(&self) -> Arc<dyn Checkpoints> {
        Arc::new(RemoteCheckpoints(self.api.clone()))
    }

    /// The fences beside its log.
    pub fn fences(&self) -> Arc<dyn Fences> {
        Arc::new(RemoteFences(self.api.clone()))
    }

    /// Its topics, to publish to.
    pub fn publisher(&self) -> Arc<dyn Publisher> {
        Arc::new(RemotePublisher(self.api.clone()))
    }

    /// Its consumer groups.
    pub fn groups(&self) -> Arc<dyn Groups> {
        Arc::new(RemoteGroups(self.api.clone()))
    }

    /// Subscriptions to its topics.
    pub fn subscriber(&self) -> Arc<dyn Subscriber> {
        Arc::new(GroupSubscriber::new(self.groups()))
    }

    /// Its topics, groups and dead letters, to look at.
    pub fn inspect(&self) -> Arc<dyn Inspect> {
        Arc::new(RemoteInspect(self.api.clone()))
    }

    /// Its sagas.
    pub fn sagas(&self) -> Sagas {
        Sagas(self.api.clone())
    }

    /// Its registry, over Consul's API.
    pub fn registry(&self) -> Arc<dyn Registry> {
        Arc::<RemoteRegistry>::clone(&self.registry)
    }

    /// Its services and their instances, by name.
    pub async fn services(&self) -> Result<Vec<ServiceView>> {
        let answer = self
            .api
            .get::<Services>(paths::SERVICES, Duration::ZERO)
            .await;
        let answer = answer.map_err(|failure| failure.into_error("listing services"));
        Ok(answer?.services)
    }

    /// The platforms on its log.
    pub async fn platforms(&self) -> Result<Platforms> {
        let answer = self.api.get(paths::PLATFORMS, Duration::ZERO).await;
        answer.map_err(|failure| failure.into_error("listing platforms"))
    }

    /// The routes of its gateway, in the order in which they are tried.
    pub async fn routes(&self) -> Result<Routes> {
        let answer = self.api.get(paths::ROUTES, Duration::ZERO).await;
        answer.map_err(|failure| failure.into_error("listing routes"))
    }

    /// What it answers to a `GET` of `path`, as it stands: for who passes it on and reads no member.
    pub async fn get(&self, path: &str) -> Result<Value> {
        let answer = self.api.get(path, Duration::ZERO).await;
        answer.map_err(|failure| failure.into_error(&format!("reading `{path}`")))
    }

    /// Lets what a group set aside under `key` be delivered again.
    pub async fn replay(&self, topic: &str, group: &str, key: &str) -> Result<Settled> {
        self.settle(topic, group, key, "replay").await
    }

    /// Gives up what a group set aside under `key`, for good.
    pub async fn skip(&self, topic: &str, group: &str, key: &str) -> Result<Settled> {
        self.settle(topic, group, key, "skip").await
    }

    async fn settle(&self, topic: &str, group: &str, key: &str, verb: &str) -> Result<Settled> {
        let settled = async {
            let path = paths::settle(&segment(topic)?, &segment(group)?, verb);
            let key = DeadLetterKey {
                key: key.to_owned(),
            };
            self.api.post(&path, &key, Duration::ZERO).await
        };
        let doing = format!("dead letters of `{key}`: {verb}");
        settled
            .await
            .map_err(|failure: Failure| failure.into_error(&doing))
    }

    /// The map of its services with the totals of everything else; at most `limit` services and edges.
    pub async fn overview(&self, limit: Option<usize>) -> Result<Overview> {
        let path = paths::with_query(paths::OVERVIEW, &GetOverview { limit });
        let answer = self.api.get(&path, Duration::ZERO).await;
        answer.map_err(|failure| failure.into_error("reading the overview"))
    }

    /// The circuit breakers that it knows, those that changed last first.
    pub async fn breakers(&self, limit: Option<usize>) -> Result<Vec<BreakerView>> {
        let path = paths::with_query(paths::BREAKERS, &ListBreakers { limit });
        let answer = self.api.get::<Breakers>(&path, Duration::ZERO).await;
        let answer = answer.map_err(|failure| failure.into_error("listing breakers"));
        Ok(answer?.breakers)
    }

    /// The streams of its log that were written to last.
    pub async fn streams(&self, list: &ListStreams) -> Result<Streams> {
        let path = paths::with_query(paths::STREAMS, list);
        let answer = self.api.get(&path, Duration::ZERO).await;
        answer.map_err(|failure| failure.into_error("listing streams"))
    }

    /// The latest traces that it keeps and `list` asks for.
    pub async fn traces(&self, list: &ListTraces) -> Result<Vec<TraceSummary>> {
        let path = paths::with_query(paths::TRACES, list);
        let answer = self.api.get::<Traces>(&path, Duration::ZERO).await;
        let answer = answer.map_err(|failure| failure.into_error("listing traces"));
        Ok(answer?.traces)
    }

    /// A trace, by its id, an order's id or a saga's id; `NotFound` if it keeps none.
    pub async fn trace(&self, id: &str) -> Result<Trace> {
        let doing = format!("reading trace `{id}`");
        let path = segment(id).map(|id| format!("{}/{id}", paths::TRACES));
        let path = path.map_err(|failure| failure.into_error(&doing))?;
        let answer = self.api.get(&path, Duration::ZERO).await;
        answer.map_err(|failure| failure.into_error(&doing))
    }
}

/// The URL of the platform that a person calls by `text`: `HOST:PORT`, `http://…` or `ieum://…`, with
/// TLS `https://…` or `ieums://…`; several on one log are joined by commas.
///
/// # Errors
/// `Invalid`; the text is shown without what may be a secret.
pub fn locate(text: &str) -> Result<EngineUrl> {
    let refused = |why: &str| {
        let context = format!(
            "`{}` is not the address of a platform{why}",
            redact::text(text)
        );
        Error::new(ErrorKind::Invalid, context)
    };
    let (mut scheme, mut places) = (None, Vec::new());
    for one in text.split(',') {
        let (prefix, place) = one.split_once("://").unwrap_or(("", one));
        let this = match prefix {
            "" => None,
            "http" | SCHEME => Some(SCHEME),
            "https" | SCHEME_TLS => Some(SCHEME_TLS),
            _ => return Err(refused(": it is called with http or https")),
        };
        if scheme.is_some() && this.is_some() && scheme != this {
            return Err(refused(": all of them with TLS, or none"));
        }
        scheme = scheme.or(this);
        places.push(place.trim_end_matches('/'));
    }
    let url = format!("{}://{}", scheme.unwrap_or(SCHEME), places.join(","));
    url.parse().map_err(|_| refused(""))
}

/// The addresses that `url` names; an empty one stands for a mistake.
pub(crate) fn addresses(url: &EngineUrl) -> impl Iterator<Item = &str> {
    url.rest().trim_end_matches('/').split(',')
}

fn wrong(url: &EngineUrl) -> Error {
    let why = format!("`{url}` is not the URL of a platform; write it like ieum://127.0.0.1:8500");
    Error::new(ErrorKind::Invalid, why)
}

fn bearer(token: &Secret) -> Result<HeaderValue> {
    let value = HeaderValue::from_str(&format!("Bearer {}", token.expose()));
    let mut value = value.map_err(|_| {
        Error::new(
            ErrorKind::Invalid,
            "the platform's token has illegal characters",
        )
    })?;
    value.set_sensitive(true);
    Ok(value)
}
