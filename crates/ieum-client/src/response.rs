//! The answer to a call.

use bytes::Bytes;
use http::{HeaderMap, StatusCode};
use serde::de::DeserializeOwned;

use crate::{Error, ErrorKind, Result};

/// A collected answer.
#[derive(Clone, Debug)]
pub struct Response {
    pub(crate) service: String,
    pub(crate) inner: http::Response<Bytes>,
    pub(crate) attempts: u32,
}

impl Response {
    /// The status.
    pub fn status(&self) -> StatusCode {
        self.inner.status()
    }

    /// The headers.
    pub fn headers(&self) -> &HeaderMap {
        self.inner.headers()
    }

    /// A header as text; `None` if it is not there or not text.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers().get(name)?.to_str().ok()
    }

    /// The body.
    pub fn bytes(&self) -> &Bytes {
        self.inner.body()
    }

    /// How often the call was tried; at least 1.
    pub const fn attempts(&self) -> u32 {
        self.attempts
    }

    /// The body read as JSON.
    ///
    /// # Errors
    /// [`ErrorKind::Decode`], with the place in the body.
    pub fn json<T: DeserializeOwned>(&self) -> Result<T> {
        ieum_http::body::json(self.bytes()).map_err(|error| {
            Error::new(ErrorKind::Decode, &self.service)
                .sent_as(ieum_http::Sent::Sent)
                .after_attempts(self.attempts)
                .caused_by(error)
        })
    }

    /// The answer as HTTP's own type.
    pub fn into_http(self) -> http::Response<Bytes> {
        self.inner
    }
}
