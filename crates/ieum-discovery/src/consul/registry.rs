//! The registry behind the API.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderValue, Method, Request, Response, StatusCode};
use http_body_util::Full;
use ieum_base::{EngineUrl, HumanDuration};
use ieum_http::HttpClient;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::wire::{CheckUpdate, HealthEntry, ServiceDefinition, status_name};
use crate::{CheckId, Error, ErrorKind, InstanceId, Registration, Result, Snapshot, Status};

/// The scheme of its URLs: `consul://127.0.0.1:8500`, `consul://:TOKEN@consul.internal:8500`.
pub const SCHEME: &str = "consul";

/// How the API is called.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Config {
    /// The longest wait for an answer, beside the wait of a blocking query. Default 10 s.
    pub timeout: HumanDuration,
    /// Whether the API is reached over TLS. Default false.
    pub tls: bool,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            timeout: HumanDuration::from_secs(10),
            tls: false,
        }
    }
}

/// A registry at the other end of Consul's HTTP API.
#[derive(Clone)]
pub struct Registry {
    http: HttpClient,
    base: String,
    token: Option<HeaderValue>,
    timeout: Duration,
}

impl Registry {
    /// A registry with the default settings. It connects when it is first used.
    ///
    /// # Errors
    /// `Invalid` if the URL is not of the scheme [`SCHEME`] or its password is not a token.
    pub fn connect(url: &EngineUrl, http: HttpClient) -> Result<Self> {
        Self::with_config(url, http, Config::default())
    }

    /// A registry with settings.
    ///
    /// # Errors
    /// As [`Self::connect`].
    pub fn with_config(url: &EngineUrl, http: HttpClient, config: Config) -> Result<Self> {
        let address = url.rest().trim_end_matches('/');
        if url.scheme() != SCHEME || address.is_empty() {
            let why = format!("`{url}` is not a Consul URL; write it like consul://127.0.0.1:8500");
            return Err(Error::new(ErrorKind::Invalid, why));
        }
        let header = |token: &ieum_base::Secret| {
            let mut value = HeaderValue::from_str(token.expose()).map_err(|error| {
                Error::new(
                    ErrorKind::Invalid,
                    "the Consul token has illegal characters",
                )
                .caused_by(error)
            })?;
            value.set_sensitive(true);
            Ok(value)
        };
        let scheme = if config.tls { "https" } else { "http" };
        Ok(Self {
            http,
            base: format!("{scheme}://{address}/v1"),
            token: url.password().map(header).transpose()?,
            timeout: config.timeout.0,
        })
    }

    async fn get<T: DeserializeOwned>(&self, what: &str, path: &str) -> Result<T> {
        let answer = self.call(
            what,
            self.request(Method::GET, path, Bytes::new())?,
            self.timeout,
        );
        decode(what, &answer.await?)
    }

    async fn put<T: Serialize + Sync>(
        &self,
        what: &str,
        path: &str,
        body: Option<&T>,
    ) -> Result<()> {
        let json = body.map(serde_json::to_vec).transpose().map_err(|error| {
            Error::new(ErrorKind::Internal, format!("writing {what} as JSON")).caused_by(error)
        })?;
        let request = self.request(Method::PUT, path, json.unwrap_or_default().into())?;
        self.call(what, request, self.timeout).await.map(drop)
    }

    fn request(&self, method: Method, path: &str, body: Bytes) -> Result<Request<Full<Bytes>>> {
        let mut request = Request::builder()
            .method(method)
            .uri(format!("{}{path}", self.base))
            .header(CONTENT_TYPE, HeaderValue::from_static("application/json"))
            .body(Full::new(body))
            .map_err(|error| {
                Error::new(ErrorKind::Invalid, format!("the URL {}{path}", self.base))
                    .caused_by(error)
            })?;
        if let Some(token) = &self.token {
            request
                .headers_mut()
                .insert("x-consul-token", token.clone());
        }
        Ok(request)
    }

    async fn call(
        &self,
        what: &str,
        request: Request<Full<Bytes>>,
        timeout: Duration,
    ) -> Result<Response<Bytes>> {
        let answer = self
            .http
            .request(request, timeout)
            .await
            .map_err(|error| Error::new(ErrorKind::Unavailable, what).caused_by(error))?;
        let status = answer.status();
        if status.is_success() {
            return Ok(answer);
        }
        let kind = match status {
            StatusCode::NOT_FOUND => ErrorKind::NotFound,
            StatusCode::TOO_MANY_REQUESTS => ErrorKind::Unavailable,
            status if status.is_client_error() => ErrorKind::Invalid,
            _ => ErrorKind::Unavailable,
        };
        let said = String::from_utf8_lossy(answer.body())
            .trim()
            .chars()
            .take(500)
            .collect();
        let context = match kind {
            ErrorKind::Invalid => format!("{what}: the registry answered {status}: {said}"),
            _ => what.to_owned(),
        };
        Err(Error::new(kind, context).caused_by(Answer(status, said)))
    }
}

#[async_trait]
impl crate::Registry for Registry {
    async fn register(&self, registration: Registration) -> Result<()> {
        let what = format!("registering `{}`", registration.instance.id);
        let path = "/agent/service/register?replace-existing-checks=true";
        self.put(&what, path, Some(&ServiceDefinition::from(&registration)))
            .await
    }

    async fn deregister(&self, instance: &InstanceId) -> Result<()> {
        let path = format!("/agent/service/deregister/{}", segment(&instance.0));
        self.put(&format!("instance `{instance}`"), &path, None::<&()>)
            .await
    }

    async fn report(&self, check: &CheckId, status: Status, output: &str) -> Result<()> {
        let path = format!("/agent/check/update/{}", segment(&check.0));
        let update = CheckUpdate {
            status: status_name(status).to_owned(),
            output: output.to_owned(),
        };
        self.put(&format!("check `{check}`"), &path, Some(&update))
            .await
    }

    async fn watch(&self, service: &str, after: u64, wait: Duration) -> Result<Snapshot> {
        let what = format!("watching `{service}`");
        let mut path = format!("/health/service/{}", segment(service));
        let mut timeout = self.timeout;
        if after > 0 {
            // Consul waits at least a millisecond, and up to a sixteenth longer than it is told.
            let wait = wait.clamp(Duration::from_millis(1), LONGEST_WAIT);
            path = format!("{path}?index={after}&wait={}ms", wait.as_millis());
            timeout += wait + wait / 16;
        }
        let request = self.request(Method::GET, &path, Bytes::new())?;
        let answer = self.call(&what, request, timeout).await?;
        let entries: Vec<HealthEntry> = decode(&what, &answer)?;
        let mut snapshot = Snapshot {
            index: index_of(&answer).ok_or_else(|| {
                Error::new(ErrorKind::Unavailable, what).caused_by("no X-Consul-Index header")
            })?,
            instances: entries.into_iter().map(Into::into).collect(),
        };
        snapshot
            .instances
            .sort_by(|a, b| a.instance.id.cmp(&b.instance.id));
        Ok(snapshot)
    }

    async fn services(&self) -> Result<BTreeMap<String, Vec<String>>> {
        let mut services: BTreeMap<String, Vec<String>> = self
            .get("listing the services", "/catalog/services")
            .await?;
        // Consul's servers list themselves; they are not a service of anybody's.
        services.remove("consul");
        services.values_mut().for_each(|tags| tags.sort_unstable());
        Ok(services)
    }
}

impl fmt::Debug for Registry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("consul::Registry")
            .field("base", &self.base)
            .finish_non_exhaustive()
    }
}

/// What the registry answered instead of doing it.
#[derive(Debug, thiserror::Error)]
#[error("{0}: {1}")]
struct Answer(StatusCode, String);

fn decode<T: DeserializeOwned>(what: &str, answer: &Response<Bytes>) -> Result<T> {
    serde_json::from_slice(answer.body()).map_err(|error| {
        Error::new(ErrorKind::Unavailable, format!("{what}: not Consul's JSON")).caused_by(error)
    })
}

/// The index, at least 1: 0 would turn the next blocking query into a busy loop.
fn index_of(answer: &Response<Bytes>) -> Option<u64> {
    let header = answer.headers().get("x-consul-index")?;
    Some(header.to_str().ok()?.parse::<u64>().ok()?.max(1))
}

fn segment(text: &str) -> String {
    utf8_percent_encode(text, NON_ALPHANUMERIC).to_string()
}

/// Consul caps a wait at 10 minutes.
const LONGEST_WAIT: Duration = Duration::from_secs(600);
