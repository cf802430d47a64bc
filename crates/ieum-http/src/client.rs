//! A client for whole messages: one request, one collected answer, one deadline.
//!
//! It knows addresses, not services; finding, balancing and protecting is `ieum-client`'s work. It
//! says of each failure whether the request may have arrived and retries nothing by itself, except
//! on a pooled connection that was closed before the first byte.

use std::time::Duration;

use bytes::Bytes;
use http::header::{CONTENT_TYPE, HOST};
use http::uri::PathAndQuery;
use http::{HeaderValue, Method, Request, Response, Uri, Version};
use http_body_util::Full;
use ieum_base::{Tasks, trace};
use serde::Serialize;

use crate::pool::{self, Pool, PooledBody};
use crate::{Connector, Error, ErrorKind, Result, Target, body, connector, http2, propagation};

/// The settings of a client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Config {
    /// How connections are opened.
    pub connector: connector::Config,
    /// How connections are kept.
    pub pool: pool::Config,
    /// The largest answer that is collected, in bytes. Default: 16 MiB.
    pub most_bytes: usize,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            connector: connector::Config::default(),
            pool: pool::Config::default(),
            most_bytes: 16 << 20,
        }
    }
}

/// An HTTP client. Clones share their connections.
#[derive(Clone, Debug)]
pub struct HttpClient {
    pool: Pool<Full<Bytes>>,
    http2: http2::Pool,
    most_bytes: usize,
}

impl HttpClient {
    /// A client with the default settings.
    pub fn new(tasks: Tasks) -> Self {
        Self::with_config(Config::default(), tasks)
    }

    /// A client whose connections are tasks of `tasks`.
    pub fn with_config(config: Config, tasks: Tasks) -> Self {
        Self::with_connector(Connector::new(config.connector), config, tasks)
    }

    /// A client with a connector of its own for HTTP/1.1.
    pub fn with_connector(connector: Connector, config: Config, tasks: Tasks) -> Self {
        Self {
            http2: http2::Pool::new(
                Connector::http2(config.connector),
                http2::Config::default(),
                tasks.clone(),
            ),
            pool: Pool::new(connector, config.pool, tasks),
            most_bytes: config.most_bytes,
        }
    }

    /// Sends a request with an absolute URL and collects the answer, all within `timeout`. Any
    /// status is an `Ok`. The task's trace context goes along unless the request has one.
    /// Dropping the future cancels the request.
    ///
    /// # Errors
    /// All kinds; [`Error::sent`] says whether the peer may have seen the request.
    pub async fn request(
        &self,
        request: Request<Full<Bytes>>,
        timeout: Duration,
    ) -> Result<Response<Bytes>> {
        let to = request.uri().clone();
        let exchange = async {
            let (head, answer) = self.stream(request).await?.into_parts();
            let collected = body::collect(answer, self.most_bytes).await?;
            Ok(Response::from_parts(head, collected))
        };
        match tokio::time::timeout(timeout, exchange).await {
            Ok(outcome) => outcome,
            Err(_) => Err(Error::new(
                ErrorKind::Timeout,
                format!("{} after {timeout:?}", without_query(&to)),
            )),
        }
    }

    /// Sends a request with an absolute URL; the answer's body streams. Without a timeout of its
    /// own: the caller bounds it.
    ///
    /// # Errors
    /// As [`Self::request`].
    pub async fn stream(
        &self,
        mut request: Request<Full<Bytes>>,
    ) -> Result<Response<PooledBody<Full<Bytes>>>> {
        let target = address(&mut request)?;
        self.pool
            .send(&target, Box::new(request))
            .await
            .map_err(|failure| failure.error)
    }

    /// Sends a request in origin form to `target`: for callers that keep targets.
    ///
    /// # Errors
    /// As [`Self::request`].
    pub async fn send_to(
        &self,
        target: &Target,
        mut request: Request<Full<Bytes>>,
    ) -> Result<Response<PooledBody<Full<Bytes>>>> {
        let host = target.host_header();
        request.headers_mut().entry(HOST).or_insert(host);
        *request.version_mut() = Version::HTTP_11;
        self.pool
            .send(target, Box::new(request))
            .await
            .map_err(|failure| failure.error)
    }

    /// `GET`s a URL.
    ///
    /// # Errors
    /// As [`Self::request`].
    pub async fn get(&self, url: &str, timeout: Duration) -> Result<Response<Bytes>> {
        self.request(build(Method::GET, url, Bytes::new())?, timeout)
            .await
    }

    /// `POST`s JSON to a URL.
    ///
    /// # Errors
    /// As [`Self::request`].
    pub async fn post_json<T: Serialize + ?Sized>(
        &self,
        url: &str,
        value: &T,
        timeout: Duration,
    ) -> Result<Response<Bytes>> {
        self.request(json_request(Method::POST, url, value)?, timeout)
            .await
    }

    /// Its connections to peers that are called over HTTP/2.
    pub const fn http2(&self) -> &http2::Pool {
        &self.http2
    }

    /// The pool, for its figures.
    pub const fn pool(&self) -> &Pool<Full<Bytes>> {
        &self.pool
    }
}

/// A request with a JSON body.
///
/// # Errors
/// [`ErrorKind::Invalid`] if `url` is none or `value` does not serialise.
pub fn json_request<T: Serialize + ?Sized>(
    method: Method,
    url: &str,
    value: &T,
) -> Result<Request<Full<Bytes>>> {
    let body = serde_json::to_vec(value)
        .map_err(|error| Error::new(ErrorKind::Invalid, "a JSON body").caused_by(error))?;
    let mut request = build(method, url, body.into())?;
    let json = HeaderValue::from_static("application/json");
    request.headers_mut().insert(CONTENT_TYPE, json);
    Ok(request)
}

fn build(method: Method, url: &str, body: Bytes) -> Result<Request<Full<Bytes>>> {
    Request::builder()
        .method(method)
        .uri(url)
        .body(Full::new(body))
        .map_err(|error| Error::new(ErrorKind::Invalid, format!("`{url}`")).caused_by(error))
}

/// Turns an absolute URL into a target, an origin form and a `Host` header.
fn address(request: &mut Request<Full<Bytes>>) -> Result<Target> {
    let target = Target::of(request.uri())?;
    let path = request.uri().path_and_query().cloned();
    *request.uri_mut() = Uri::from(path.unwrap_or_else(|| PathAndQuery::from_static("/")));
    *request.version_mut() = Version::HTTP_11;
    let headers = request.headers_mut();
    headers.entry(HOST).or_insert_with(|| target.host_header());
    if !headers.contains_key(propagation::TRACEPARENT)
        && let Some(context) = trace::current()
    {
        propagation::inject(headers, &context);
    }
    Ok(target)
}

/// A query may hold what must not be in a log.
fn without_query(uri: &Uri) -> String {
    let authority = uri.authority().map_or("", |a| a.as_str());
    format!("{authority}{}", uri.path())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_waiting_request_is_small_enough_to_have_thousands_of() {
        let client = HttpClient::new(Tasks::new(ieum_base::Stop::new()));
        let request = client.get("http://127.0.0.1:1/", Duration::from_secs(1));
        let bytes = size_of_val(&request);
        assert!(bytes <= 4096, "{bytes} bytes");
    }
}
