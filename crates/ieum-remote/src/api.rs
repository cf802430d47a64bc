//! One call of the platform's API: address, token, trace, deadline, and what its failure means.

use std::time::Duration;

use bytes::Bytes;
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderValue, Method, Request};
use http_body_util::Full;
use ieum_http::HttpClient;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::spread::{Attempt, Lost, Spread};
use crate::wire::{Refusal, paths};
use crate::{Error, ErrorKind};
use {ieum_eventstore as log, ieum_messaging as messages};

/// Calls a platform, or one of several on the same log. Clones share the connections.
#[derive(Clone)]
pub(crate) struct Api {
    http: HttpClient,
    spread: Spread,
    token: Option<HeaderValue>,
    timeout: Duration,
}

/// Why a call failed, before it becomes the error of a port.
#[derive(Debug)]
pub(crate) enum Failure {
    /// There was no answer, or no whole one.
    NoAnswer(ieum_http::Error),
    /// The platform refused.
    Refused(Box<Refusal>),
    /// A name or a value cannot be sent.
    Unsendable(String),
    /// The answer is not what the API promises.
    Unreadable(String),
}

/// The outcome of a call.
pub(crate) type Outcome<T> = Result<T, Failure>;

impl Api {
    pub(crate) const fn new(
        http: HttpClient,
        spread: Spread,
        token: Option<HeaderValue>,
        timeout: Duration,
    ) -> Self {
        Self {
            http,
            spread,
            token,
            timeout,
        }
    }

    /// `GET`s an answer; the platform may take `wait` longer than usual for it.
    pub(crate) async fn get<T: DeserializeOwned>(&self, path: &str, wait: Duration) -> Outcome<T> {
        read(&self.send(Method::GET, path, None, wait).await?)
    }

    /// `POST`s JSON and reads the answer; the platform may take `wait` longer than usual for it.
    pub(crate) async fn post<B: Serialize + Sync, T: DeserializeOwned>(
        &self,
        path: &str,
        body: &B,
        wait: Duration,
    ) -> Outcome<T> {
        let body = Some(json(body)?);
        read(&self.send(Method::POST, path, body, wait).await?)
    }

    /// Sends a body of any type; the answer's body is of no interest.
    pub(crate) async fn tell(
        &self,
        method: Method,
        path: &str,
        body: Option<(HeaderValue, Vec<u8>)>,
    ) -> Outcome<()> {
        self.send(method, path, body, Duration::ZERO)
            .await
            .map(drop)
    }

    /// `PUT`s JSON and reads the answer.
    pub(crate) async fn put<B: Serialize + Sync, T: DeserializeOwned>(
        &self,
        path: &str,
        body: &B,
    ) -> Outcome<T> {
        let body = Some(json(body)?);
        read(&self.send(Method::PUT, path, body, Duration::ZERO).await?)
    }

    /// Sends to one address; to another only if that is harmless: what was perhaps done is repeated by
    /// the caller, who knows whether it may be.
    async fn send(
        &self,
        method: Method,
        path: &str,
        body: Option<(HeaderValue, Vec<u8>)>,
        wait: Duration,
    ) -> Outcome<Bytes> {
        let body = body.map(|(content_type, body)| (content_type, Bytes::from(body)));
        let timeout = self.timeout.saturating_add(wait);
        let send = |at: usize| {
            let request = self.request(&method, self.spread.base(at), path, body.clone());
            async move { self.send_once(request?, timeout).await }
        };
        self.spread.call(method == Method::GET, send).await
    }

    fn request(
        &self,
        method: &Method,
        base: &str,
        path: &str,
        body: Option<(HeaderValue, Bytes)>,
    ) -> Outcome<Request<Full<Bytes>>> {
        let url = format!("{base}{path}");
        let (content_type, body) = body.map_or((None, Bytes::new()), |(t, body)| (Some(t), body));
        let mut request = Request::builder()
            .method(method.clone())
            .uri(url.as_str())
            .header(ACCEPT, HeaderValue::from_static("application/json"))
            .body(Full::new(body))
            .map_err(|error| Failure::Unsendable(format!("`{url}`: {error}")))?;
        let headers = request.headers_mut();
        if let Some(content_type) = content_type {
            headers.insert(CONTENT_TYPE, content_type);
        }
        if let Some(token) = &self.token {
            headers.insert(AUTHORIZATION, token.clone());
        }
        Ok(request)
    }

    async fn send_once(&self, request: Request<Full<Bytes>>, timeout: Duration) -> Outcome<Bytes> {
        let answer = self.http.request(request, timeout).await;
        let answer = answer.map_err(Failure::NoAnswer)?;
        if answer.status().is_success() {
            return Ok(answer.into_body());
        }
        let mut refusal = Refusal::read(answer.status().as_u16(), answer.body());
        if refusal.retry_after.is_none() {
            let seconds = answer.headers().get(RETRY_AFTER);
            refusal.retry_after = seconds.and_then(|v| v.to_str().ok()?.trim().parse().ok());
        }
        Err(Failure::Refused(Box::new(refusal)))
    }
}

impl std::fmt::Debug for Api {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Api").field(&self.spread).finish()
    }
}

/// A name as a segment of a path.
pub(crate) fn segment(name: &str) -> Outcome<String> {
    let refused = || Failure::Unsendable(format!("`{name}` cannot stand in a path"));
    paths::segment(name).ok_or_else(refused)
}

/// A JSON body.
pub(crate) fn json<B: Serialize>(body: &B) -> Outcome<(HeaderValue, Vec<u8>)> {
    let bytes = serde_json::to_vec(body);
    let bytes = bytes.map_err(|error| Failure::Unsendable(format!("as JSON: {error}")))?;
    Ok((HeaderValue::from_static("application/json"), bytes))
}

fn read<T: DeserializeOwned>(body: &[u8]) -> Outcome<T> {
    serde_json::from_slice(body).map_err(|error| Failure::Unreadable(error.to_string()))
}

impl Attempt for Failure {
    fn lost(&self) -> Lost {
        match self {
            Self::NoAnswer(error) => error.lost(),
            Self::Refused(refusal) if refusal.code == STOPPING => Lost::BeforeSending,
            _ => Lost::No,
        }
    }

    fn given_up(base: &str) -> Self {
        Self::NoAnswer(<ieum_http::Error as Attempt>::given_up(base))
    }
}

impl Failure {
    /// True if the answer was larger than this client takes: ask for less.
    pub(crate) fn is_too_large(&self) -> bool {
        matches!(self, Self::NoAnswer(error) if error.kind() == ieum_http::ErrorKind::TooLarge)
    }

    /// As an error of the log.
    pub(crate) fn into_log_error(self, doing: &str) -> log::Error {
        use log::{Error, ErrorKind as Kind};
        match self {
            Self::Refused(refusal) => refusal.into_log_error(doing),
            Self::NoAnswer(error) if is_ours(&error) => {
                Error::new(Kind::Invalid, format!("{doing}: {error}")).caused_by(error)
            }
            Self::NoAnswer(error) => Error::new(Kind::Unavailable, doing).caused_by(error),
            Self::Unsendable(why) => Error::new(Kind::Invalid, format!("{doing}: {why}")),
            Self::Unreadable(why) => Error::new(Kind::Internal, unreadable(doing, &why)),
        }
    }

    /// As an error of topics and groups.
    pub(crate) fn into_messages_error(self, doing: &str) -> messages::Error {
        use messages::{Error, ErrorKind as Kind};
        match self {
            Self::Refused(refusal) => refusal.into_messages_error(doing),
            Self::NoAnswer(error) if is_ours(&error) => {
                Error::new(Kind::Invalid, format!("{doing}: {error}")).caused_by(error)
            }
            Self::NoAnswer(error) => Error::new(Kind::Unavailable, doing).caused_by(error),
            Self::Unsendable(why) => Error::new(Kind::Invalid, format!("{doing}: {why}")),
            Self::Unreadable(why) => Error::new(Kind::Internal, unreadable(doing, &why)),
        }
    }

    /// As an error of this crate.
    pub(crate) fn into_error(self, doing: &str) -> Error {
        match self {
            Self::Refused(refusal) => refused(&refusal, doing),
            Self::NoAnswer(error) if is_ours(&error) => {
                Error::new(ErrorKind::Invalid, format!("{doing}: {error}")).caused_by(error)
            }
            Self::NoAnswer(error) => {
                let why = format!("{doing}: the platform does not answer: {error}");
                Error::new(ErrorKind::Unavailable, why).caused_by(error)
            }
            Self::Unsendable(why) => Error::new(ErrorKind::Invalid, format!("{doing}: {why}")),
            Self::Unreadable(why) => Error::new(ErrorKind::Internal, unreadable(doing, &why)),
        }
    }
}

fn refused(refusal: &Refusal, doing: &str) -> Error {
    let kind = match refusal.status {
        401 | 403 => ErrorKind::Denied,
        404 | 410 => ErrorKind::NotFound,
        409 => ErrorKind::Conflict,
        408 | 425 | 429 => ErrorKind::Unavailable,
        // 501: it is not a matter of time; that process never does this.
        400..=499 | 501 => ErrorKind::Invalid,
        _ => ErrorKind::Unavailable,
    };
    let said = [&refusal.detail, &refusal.title];
    let said = said.into_iter().find(|text| !text.is_empty());
    let why = said.map_or_else(|| format!("status {}", refusal.status), Clone::clone);
    Error::new(kind, format!("{doing}: {why}")).with_code(&refusal.code)
}

/// True if the request was wrong before anybody saw it.
fn is_ours(error: &ieum_http::Error) -> bool {
    use ieum_http::ErrorKind as Kind;
    matches!(error.kind(), Kind::Invalid | Kind::Forbidden)
}

fn unreadable(doing: &str, why: &str) -> String {
    format!("{doing}: the platform's answer cannot be read (another version?): {why}")
}

/// The code of a platform that is stopping: it did nothing, and another may.
const STOPPING: &str = "IEUM-5015";
