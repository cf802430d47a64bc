//! The registry of a running ieum: Consul's API at each of its addresses.

use std::collections::BTreeMap;
use std::error::Error as _;
use std::time::Duration;

use async_trait::async_trait;
use ieum_base::{EngineUrl, Secret};
use ieum_discovery::{
    CheckId, Error, ErrorKind, InstanceId, Registration, Registry, Result, Snapshot, Status, consul,
};
use ieum_http::HttpClient;

use crate::spread::{Attempt, Lost, Spread};
use crate::{Config, platform};

/// A platform's registry.
#[derive(Clone, Debug)]
pub(crate) struct RemoteRegistry {
    members: Vec<consul::Registry>,
    spread: Spread,
}

impl RemoteRegistry {
    /// The registry behind `url`, one engine for each of its addresses.
    pub(crate) fn new(
        url: &EngineUrl,
        spread: Spread,
        http: &HttpClient,
        config: &Config,
    ) -> crate::Result<Self> {
        let config = consul::Config {
            timeout: config.timeout,
            tls: url.scheme() == crate::SCHEME_TLS,
        };
        let refused = || crate::Error::new(crate::ErrorKind::Invalid, "the platform's address");
        let member = |address: &str| {
            let member: EngineUrl = format!("{}://{address}", consul::SCHEME)
                .parse()
                .map_err(|error: ieum_base::EngineUrlError| refused().caused_by(error))?;
            let member = match url.password() {
                Some(token) => member.with_password(Secret::clone(token)),
                None => member,
            };
            consul::Registry::with_config(&member, http.clone(), config)
                .map_err(|error| refused().caused_by(error))
        };
        Ok(Self {
            members: platform::addresses(url)
                .map(member)
                .collect::<crate::Result<_>>()?,
            spread,
        })
    }
}

#[async_trait]
impl Registry for RemoteRegistry {
    async fn register(&self, registration: Registration) -> Result<()> {
        let call = |at: usize| self.members[at].register(registration.clone());
        self.spread.call(true, call).await
    }

    async fn deregister(&self, instance: &InstanceId) -> Result<()> {
        let call = |at: usize| self.members[at].deregister(instance);
        self.spread.call(true, call).await
    }

    async fn report(&self, check: &CheckId, status: Status, output: &str) -> Result<()> {
        let call = |at: usize| self.members[at].report(check, status, output);
        self.spread.call(true, call).await
    }

    async fn watch(&self, service: &str, after: u64, wait: Duration) -> Result<Snapshot> {
        let call = |at: usize| self.members[at].watch(service, after, wait);
        self.spread.call(true, call).await
    }

    async fn services(&self) -> Result<BTreeMap<String, Vec<String>>> {
        let call = |at: usize| self.members[at].services();
        self.spread.call(true, call).await
    }
}

impl Attempt for Error {
    fn lost(&self) -> Lost {
        let cause = self.source();
        let cause = cause.and_then(|cause| cause.downcast_ref::<ieum_http::Error>());
        cause.map_or(Lost::No, Attempt::lost)
    }

    fn given_up(base: &str) -> Self {
        Self::new(ErrorKind::Unavailable, "asking the registry")
            .caused_by(<ieum_http::Error as Attempt>::given_up(base))
    }
}
