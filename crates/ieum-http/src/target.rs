//! Where a request goes: scheme, host and port.

use std::fmt;
use std::hash::{BuildHasher, BuildHasherDefault, DefaultHasher, Hash, Hasher};
use std::sync::Arc;

use http::uri::{Authority, Scheme};
use http::{HeaderValue, Uri};
use ieum_base::redact;

use crate::{Error, ErrorKind, Result};

/// A peer to connect to. Cheap to clone; equal targets share connections.
#[derive(Clone)]
pub struct Target(Arc<Inner>);

struct Inner {
    secure: bool,
    /// As it was written, in lower case: the pool's key and the `Host` header.
    authority: Box<str>,
    /// The pool looks targets up with each request.
    hash: u64,
    header: HeaderValue,
    parsed: Authority,
    host: Box<str>,
    port: u16,
}

impl Target {
    /// A plain HTTP peer: `127.0.0.1:3001`, `[::1]:3001`, `users.internal` (port 80).
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`] if `authority` is not a host with an optional port.
    pub fn http(authority: &str) -> Result<Self> {
        Self::new(false, authority)
    }

    /// A peer behind TLS; port 443 by default.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`] if `authority` is not a host with an optional port.
    pub fn https(authority: &str) -> Result<Self> {
        Self::new(true, authority)
    }

    /// The peer of an absolute URL.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`] if the URL is relative or neither `http` nor `https`.
    pub fn of(uri: &Uri) -> Result<Self> {
        let invalid = |why| {
            Error::new(
                ErrorKind::Invalid,
                format!("`{}` {why}", redact::text(&uri.to_string())),
            )
        };
        let authority = uri.authority().ok_or_else(|| invalid("names no host"))?;
        match uri.scheme() {
            Some(scheme) if *scheme == Scheme::HTTP => Self::http(authority.as_str()),
            Some(scheme) if *scheme == Scheme::HTTPS => Self::https(authority.as_str()),
            _ => Err(invalid("is neither http nor https")),
        }
    }

    fn new(secure: bool, text: &str) -> Result<Self> {
        let invalid = || {
            // Credentials are what most often stands where only a host may.
            let host = text.rsplit_once('@').map_or(text, |(_, host)| host);
            let why = match host == text {
                true => format!("`{text}` is not a host with a port"),
                false => {
                    format!("`***@{host}` is not a host with a port: credentials go into a header")
                }
            };
            Error::new(ErrorKind::Invalid, why)
        };
        let authority: Authority = text.to_ascii_lowercase().parse().map_err(|_| invalid())?;
        let port_text = authority.as_str().strip_prefix(authority.host());
        let has_credentials = port_text.is_none();
        let bad_port = port_text.is_some_and(|t| !t.is_empty()) && authority.port_u16().is_none();
        if authority.host().is_empty() || has_credentials || bad_port {
            return Err(invalid());
        }
        let host = authority
            .host()
            .trim_start_matches('[')
            .trim_end_matches(']');
        let hash = BuildHasherDefault::<DefaultHasher>::default();
        let hash = hash.hash_one((secure, authority.as_str()));
        Ok(Self(Arc::new(Inner {
            secure,
            hash,
            header: HeaderValue::from_str(authority.as_str()).map_err(|_| invalid())?,
            host: host.into(),
            port: authority
                .port_u16()
                .unwrap_or(if secure { 443 } else { 80 }),
            authority: authority.as_str().into(),
            parsed: authority,
        })))
    }

    /// True if the peer is reached over TLS.
    pub fn is_secure(&self) -> bool {
        self.0.secure
    }

    /// The host's name or address, without brackets.
    pub fn host(&self) -> &str {
        &self.0.host
    }

    /// The port.
    pub fn port(&self) -> u16 {
        self.0.port
    }

    /// `host` or `host:port`, as it was written.
    pub fn authority(&self) -> &str {
        &self.0.authority
    }

    /// The `:authority` of requests to it on HTTP/2.
    pub(crate) fn uri_authority(&self) -> Authority {
        self.0.parsed.clone()
    }

    /// The `Host` header for requests to it.
    pub fn host_header(&self) -> HeaderValue {
        self.0.header.clone()
    }
}

impl PartialEq for Target {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
            || self.0.secure == other.0.secure && self.0.authority == other.0.authority
    }
}

impl Eq for Target {}

impl Hash for Target {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64(self.0.hash);
    }
}

/// For maps of targets: each knows its hash already.
#[derive(Debug, Default)]
pub(crate) struct KnownHash(u64);

impl Hasher for KnownHash {
    fn write_u64(&mut self, hash: u64) {
        self.0 = hash;
    }

    fn write(&mut self, bytes: &[u8]) {
        self.0 = BuildHasherDefault::<DefaultHasher>::default().hash_one(bytes);
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.is_secure() { "https" } else { "http" };
        write!(f, "{scheme}://{}", self.authority())
    }
}

impl fmt::Debug for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Target({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parts(url: &str) -> Option<(bool, String, u16)> {
        let target = Target::of(&url.parse().ok()?).ok()?;
        Some((target.is_secure(), target.host().to_owned(), target.port()))
    }

    #[test]
    fn a_url_names_scheme_host_and_port() {
        assert_eq!(
            parts("http://Users:3001/x"),
            Some((false, "users".into(), 3001))
        );
        assert_eq!(
            parts("https://example.com"),
            Some((true, "example.com".into(), 443))
        );
        assert_eq!(parts("http://[::1]:80/"), Some((false, "::1".into(), 80)));
    }

    #[test]
    fn what_is_not_a_host_with_a_port_is_refused() {
        for url in [
            "/relative",
            "ftp://host/",
            "http://user:pw@host/",
            "http://host:99999/",
        ] {
            assert_eq!(parts(url), None, "{url}");
        }
        for authority in ["", ":80", "host:", "host:http", "a b"] {
            assert!(Target::http(authority).is_err(), "{authority}");
        }
    }

    #[test]
    fn equal_targets_share_connections_and_the_scheme_tells_them_apart() {
        let http = |authority| Target::http(authority).expect("valid");
        assert_eq!(http("USERS:80"), http("users:80"));
        assert_ne!(
            http("users:443"),
            Target::https("users:443").expect("valid")
        );
    }
}
