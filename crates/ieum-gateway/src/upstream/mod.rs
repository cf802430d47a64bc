//! Upstreams: services as the gateway sees them, with what all routes to one share.
//!
//! Health belongs to the endpoint and endpoints to the service, so two routes to one service have
//! one set of breakers, one bulkhead and one retry budget; and a reload keeps them.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use http::Uri;
use http::uri::PathAndQuery;
use ieum_discovery::{Instance, InstanceId, Resolver, Service};
use ieum_http::egress;
use ieum_resilience::{Budget, Bulkhead, bulkhead, retry};

/// A service that the gateway calls.
pub(crate) struct Upstream {
    /// The service's name, or the fixed address.
    pub(crate) name: Arc<str>,
    pub(crate) service: Arc<Service>,
    pub(crate) budget: Budget,
    pub(crate) bulkhead: Bulkhead,
    pub(crate) is_secure: bool,
    /// Put in front of each path; empty or `/like/this`.
    base: Box<str>,
}

impl Upstream {
    /// The target of a request in origin form.
    pub(crate) fn uri(&self, target: &PathAndQuery) -> Uri {
        if self.base.is_empty() {
            return Uri::from(target.clone());
        }
        let joined = PathAndQuery::try_from(format!("{}{target}", self.base));
        // Both halves were valid on their own, so the whole is.
        Uri::from(joined.unwrap_or_else(|_| target.clone()))
    }
}

impl fmt::Debug for Upstream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Upstream").field(&self.name).finish()
    }
}

/// Where a request goes, as configuration writes it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Address {
    /// A name in the registry.
    Service(Box<str>),
    /// A fixed address.
    Url(Fixed),
}

/// A fixed address, taken apart.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Fixed {
    is_secure: bool,
    host: Box<str>,
    port: u16,
    base: Box<str>,
}

impl Fixed {
    /// Reads `http://host:port/base`.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let uri: Uri = text.parse().map_err(|_| "is no URL".to_owned())?;
        let target = ieum_http::Target::of(&uri).map_err(|error| error.to_string())?;
        if uri.query().is_some() {
            return Err("must not have a query".to_owned());
        }
        // What a name points to, and whether loopback may be called, is seen when it is called.
        if let Ok(address) = target.host().parse() {
            let policy = egress::Policy::default();
            policy.check(address).map_err(|error| error.to_string())?;
        }
        Ok(Self {
            is_secure: target.is_secure(),
            host: target.host().into(),
            port: target.port(),
            base: uri.path().trim_end_matches('/').into(),
        })
    }

    /// Reads `http://host:port/path` as the address of one resource: its origin, and its path.
    pub(crate) fn resource(text: &str) -> Result<(Self, PathAndQuery), String> {
        let mut origin = Self::parse(text)?;
        origin.base = "".into();
        let uri: Uri = text.parse().map_err(|_| "is no URL".to_owned())?;
        let path = uri.path_and_query().cloned();
        Ok((
            origin,
            path.unwrap_or_else(|| PathAndQuery::from_static("/")),
        ))
    }
}

impl fmt::Display for Fixed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.is_secure { "https" } else { "http" };
        let Self {
            host, port, base, ..
        } = self;
        if host.contains(':') {
            write!(f, "{scheme}://[{host}]:{port}{base}")
        } else {
            write!(f, "{scheme}://{host}:{port}{base}")
        }
    }
}

/// All upstreams that the present routes use.
#[derive(Debug)]
pub(crate) struct Upstreams {
    resolver: Resolver,
    known: Mutex<HashMap<Address, Arc<Upstream>>>,
}

impl Upstreams {
    pub(crate) fn new(resolver: Resolver) -> Self {
        Self {
            resolver,
            known: Mutex::default(),
        }
    }

    /// The upstream at an address: the one that is known, or a new one.
    pub(crate) fn get(
        &self,
        address: &Address,
        retry: &retry::Config,
        bulkhead: bulkhead::Config,
    ) -> Arc<Upstream> {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(upstream) = known.get(address) {
            return Arc::clone(upstream);
        }
        let upstream = Arc::new(self.make(address, retry, bulkhead));
        known.insert(address.clone(), Arc::clone(&upstream));
        upstream
    }

    /// Forgets upstreams that no route uses any more.
    pub(crate) fn forget_unused(&self) {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.retain(|_, upstream| Arc::strong_count(upstream) > 1);
    }

    fn make(
        &self,
        address: &Address,
        retry: &retry::Config,
        bulkhead: bulkhead::Config,
    ) -> Upstream {
        let (name, service, is_secure, base): (Arc<str>, _, _, Box<str>) = match address {
            Address::Service(name) => {
                let service = self.resolver.service(name);
                (name.to_string().into(), service, false, "".into())
            }
            Address::Url(fixed) => {
                let name = fixed.to_string();
                let service = self.resolver.fixed(&name, vec![fixed.instance()]);
                (name.into(), service, fixed.is_secure, fixed.base.clone())
            }
        };
        Upstream {
            name,
            service,
            budget: Budget::new(retry.budget),
            bulkhead: Bulkhead::new(bulkhead),
            is_secure,
            base,
        }
    }
}

impl Fixed {
    fn instance(&self) -> Instance {
        Instance {
            id: InstanceId(self.to_string()),
            service: self.to_string(),
            address: self.host.to_string(),
            port: self.port,
            tags: Vec::new(),
            meta: std::collections::BTreeMap::new(),
            weight: 1,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fixed_address_is_taken_apart_and_put_together_again() {
        let same = |text: &str| Fixed::parse(text).expect("valid").to_string();
        assert_eq!(same("http://127.0.0.1:3001"), "http://127.0.0.1:3001");
        assert_eq!(
            same("https://Example.com/base/"),
            "https://example.com:443/base"
        );
        assert_eq!(same("http://[::1]:80/x"), "http://[::1]:80/x");
    }

    #[test]
    fn what_is_no_address_is_refused() {
        for text in [
            "users",
            "ftp://host",
            "http://",
            "http://host/?q=1",
            "http://u:p@host/",
            "http://169.254.169.254/latest",
            "http://[fe80::1]/",
            "http://0.0.0.0:80/",
        ] {
            assert!(Fixed::parse(text).is_err(), "{text}");
        }
    }
}
