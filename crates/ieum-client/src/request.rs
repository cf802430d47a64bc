//! Building a call.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{AUTHORIZATION, CONTENT_TYPE};
use http::{HeaderName, HeaderValue, Method, Uri};
use ieum_base::{Deadline, Secret};
use ieum_http::identity::{X_USER_ID, X_USER_ROLES};
use ieum_http::{BoxError, Problem};
use serde::Serialize;

use crate::call::{Call, IDEMPOTENCY_KEY, retry_after};
use crate::graphql::Label;
use crate::{Error, ErrorKind, Response, Result, ServiceClient};

/// A call that is being built. What is wrong with its parts is said by [`RequestBuilder::send`].
#[must_use = "a call is made with `send`"]
pub struct RequestBuilder<'a> {
    service: Cow<'a, ServiceClient>,
    call: std::result::Result<Call, BoxError>,
    timeout: Duration,
}

impl<'a> RequestBuilder<'a> {
    pub(crate) fn new(service: Cow<'a, ServiceClient>, method: Method, path: &str) -> Self {
        let timeout = service.timeout();
        let call = origin_form(path).map(|path| Call::new(method, path, Deadline::after(timeout)));
        Self {
            service,
            call,
            timeout,
        }
    }

    /// Sets a header, in place of an earlier one of that name.
    pub fn header<N, V>(self, name: N, value: V) -> Self
    where
        N: TryInto<HeaderName, Error: Into<BoxError>>,
        V: TryInto<HeaderValue, Error: Into<BoxError>>,
    {
        self.change(|call| {
            let name = name.try_into().map_err(Into::into)?;
            let value = value.try_into().map_err(Into::into)?;
            call.headers.insert(name, value);
            Ok(())
        })
    }

    /// Sets the bearer token. It is marked sensitive, so that no rendering of the headers shows it.
    pub fn bearer(self, token: &Secret) -> Self {
        self.change(|call| {
            let mut value = HeaderValue::try_from(format!("Bearer {}", token.expose()))?;
            value.set_sensitive(true);
            call.headers.insert(AUTHORIZATION, value);
            Ok(())
        })
    }

    /// Passes on for whom this is done: the identity that the gateway established.
    pub fn on_behalf_of<R: AsRef<str>>(self, user: &str, roles: &[R]) -> Self {
        let roles = roles.iter().map(AsRef::as_ref).collect::<Vec<_>>();
        self.header(X_USER_ID, user)
            .header(X_USER_ROLES, roles.join(","))
    }

    /// Makes the call repeatable, by the key under which the service knows it again.
    pub fn idempotency_key(self, key: &str) -> Self {
        self.header(IDEMPOTENCY_KEY, key)
    }

    /// Adds a parameter to the query, percent-encoded.
    pub fn query(self, name: &str, value: &str) -> Self {
        self.change(|call| {
            let separator = if call.path.query().is_some() {
                '&'
            } else {
                '?'
            };
            let (name, value) = (encode(name), encode(value));
            call.path = format!("{}{separator}{name}={value}", call.path).parse()?;
            Ok(())
        })
    }

    /// Sets a JSON body.
    pub fn json<T: Serialize + ?Sized>(self, value: &T) -> Self {
        self.change(|call| {
            call.body = serde_json::to_vec(value)?.into();
            let json = HeaderValue::from_static("application/json");
            call.headers.entry(CONTENT_TYPE).or_insert(json);
            Ok(())
        })
    }

    /// Sets a body of any type.
    pub fn body(self, content_type: &str, body: impl Into<Bytes>) -> Self {
        let body = body.into();
        self.header(CONTENT_TYPE, content_type).change(|call| {
            call.body = body;
            Ok(())
        })
    }

    /// Bounds the whole call, in place of the client's setting.
    pub const fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// Makes the call. An answer of 400 or more is an error. Dropping the future cancels it.
    ///
    /// # Errors
    /// All kinds.
    pub async fn send(self) -> Result<Response> {
        let response = self.send_any().await?;
        if response.status().as_u16() < 400 {
            return Ok(response);
        }
        let wait = retry_after(response.headers());
        let problem = Problem::from_response(&response.inner);
        let error = Error::answered(&response.service, problem, wait);
        Err(error.after_attempts(response.attempts))
    }

    /// Makes the call. Any answer is an `Ok`, whatever its status: for callers, such as the saga
    /// engine, that have their own reading of statuses.
    ///
    /// # Errors
    /// Those of a call that was not answered.
    pub async fn send_any(self) -> Result<Response> {
        let name = self.service.name();
        let mut call = self
            .call
            .map_err(|error| Error::new(ErrorKind::Invalid, name).caused_by(error))?;
        call.deadline = Deadline::after(self.timeout);
        self.service.execute(call, self.timeout).await
    }

    /// The service that is called.
    pub(crate) fn service(&self) -> &str {
        self.service.name()
    }

    /// Calls another path of the service.
    pub(crate) fn at(self, path: &str) -> Self {
        self.change(|call| {
            call.path = origin_form(path)?;
            Ok(())
        })
    }

    /// Says which operation of GraphQL it is, and whether that only reads.
    pub(crate) fn labelled(self, label: Option<Label>, reads: bool) -> Self {
        self.change(|call| {
            call.label = label.map(Arc::new);
            call.reads = reads;
            Ok(())
        })
    }

    fn change(
        mut self,
        change: impl FnOnce(&mut Call) -> std::result::Result<(), BoxError>,
    ) -> Self {
        self.call = self.call.and_then(|mut call| {
            change(&mut call)?;
            Ok(call)
        });
        self
    }
}

fn origin_form(path: &str) -> std::result::Result<Uri, BoxError> {
    let uri: Uri = path.parse()?;
    if path.starts_with('/') && uri.authority().is_none() {
        Ok(uri)
    } else {
        Err(format!("`{path}` is not a path that begins with `/`").into())
    }
}

/// Percent-encodes all but the unreserved characters (RFC 3986, 2.3).
fn encode(text: &str) -> String {
    text.bytes().fold(String::new(), |mut encoded, byte| {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            encoded.push_str(&format!("%{byte:02X}"));
        }
        encoded
    })
}

impl std::fmt::Debug for RequestBuilder<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.call {
            Ok(call) => write!(
                f,
                "{} {} at {}",
                call.method,
                call.path,
                self.service.name()
            ),
            Err(error) => write!(f, "invalid call of {}: {error}", self.service.name()),
        }
    }
}
