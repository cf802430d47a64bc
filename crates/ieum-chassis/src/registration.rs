//! Being found: registered once the service listens, kept registered, deregistered at the stop.
//!
//! The registry may start later than the service, restart, or lose what it knew. So registering is
//! repeated until it works, and from time to time the service looks whether it is still there.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use ieum_base::{Backoff, Rng, Stop};
use ieum_discovery::{
    CheckDefinition, CheckId, CheckKind, Error, ErrorKind, Instance, InstanceId, Registration,
    Registry, Status,
};

use crate::Health;
use crate::config::{Check, Config};

/// Keeps one instance registered.
pub(crate) struct Registrar {
    registry: Arc<dyn Registry>,
    registration: Registration,
    health: Health,
    /// The time between two reports or looks.
    pause: Duration,
    rng: Rng,
}

impl Registrar {
    pub(crate) fn new(
        registry: Arc<dyn Registry>,
        config: &Config,
        address: SocketAddr,
        health: Health,
    ) -> Self {
        let pause = match config.check {
            Check::Ttl { ttl } => ttl.0 / 3,
            Check::Http { .. } => LOOK_PAUSE,
        };
        Self {
            registry,
            registration: registration(config, address),
            health,
            pause: pause.max(SHORTEST_PAUSE),
            rng: Rng::system(),
        }
    }

    /// Registers, and stays registered until the stop.
    pub(crate) async fn run(&self, stop: &Stop) {
        stop.unless_requested(async {
            self.register().await;
            loop {
                tokio::time::sleep(self.pause).await;
                if self.is_lost().await {
                    tracing::warn!(instance = %self.id(), "the registry forgot this instance");
                    self.register().await;
                }
            }
        })
        .await;
    }

    /// Takes the instance out of the registry; bounded, because the registry may be gone already.
    pub(crate) async fn deregister(&self) {
        let gone = self.registry.deregister(self.id());
        match tokio::time::timeout(DEREGISTER_LIMIT, gone).await {
            Ok(Ok(())) => tracing::debug!(instance = %self.id(), "deregistered"),
            Ok(Err(error)) if error.kind() == ErrorKind::NotFound => {}
            Ok(Err(error)) => {
                tracing::warn!(instance = %self.id(), %error, "not deregistered; its check will fail");
            }
            Err(_) => {
                tracing::warn!(instance = %self.id(), "not deregistered in time; its check will fail");
            }
        }
    }

    async fn register(&self) {
        let backoff = Backoff::new(FIRST_PAUSE, LONGEST_PAUSE);
        let mut attempt = 0_u32;
        while let Err(error) = self.try_register().await {
            attempt = attempt.saturating_add(1);
            if attempt == 1 {
                tracing::warn!(instance = %self.id(), %error, "not registered yet; trying again");
            }
            tokio::time::sleep(backoff.delay(attempt, &self.rng).max(SHORTEST_PAUSE)).await;
        }
        tracing::info!(instance = %self.id(), "registered");
    }

    async fn try_register(&self) -> Result<(), Error> {
        let mut registration = self.registration.clone();
        // What it knows of itself holds until the first check: no caller has to wait for that, and
        // none is sent to a service that starts ill.
        let (initial, _) = self.status().await;
        for check in &mut registration.checks {
            check.initial = initial;
        }
        self.registry.register(registration).await?;
        if self.reports() {
            self.report().await?;
        }
        Ok(())
    }

    /// True if the registry does not know the instance any more. One that does not answer may.
    async fn is_lost(&self) -> bool {
        if self.reports() {
            let reported = self.report().await;
            return reported.is_err_and(|error| error.kind() == ErrorKind::NotFound);
        }
        let service = &self.registration.instance.service;
        match self.registry.watch(service, 0, Duration::ZERO).await {
            Ok(snapshot) => {
                let is_ours = |id: &InstanceId| id == self.id();
                !snapshot.instances.iter().any(|r| is_ours(&r.instance.id))
            }
            Err(_) => false,
        }
    }

    async fn report(&self) -> Result<(), Error> {
        let (status, why) = self.status().await;
        let checks = self.registration.checks.iter();
        for check in checks.filter(|check| matches!(check.kind, CheckKind::Ttl { .. })) {
            self.registry.report(&check.id, status, &why).await?;
        }
        Ok(())
    }

    /// Its own health, in the registry's words.
    async fn status(&self) -> (Status, String) {
        let report = self.health.report().await;
        let status = match report.callable {
            true => Status::Passing,
            false => Status::Critical,
        };
        (status, report.failures())
    }

    fn reports(&self) -> bool {
        let checks = &self.registration.checks;
        checks
            .iter()
            .any(|check| matches!(check.kind, CheckKind::Ttl { .. }))
    }

    fn id(&self) -> &InstanceId {
        &self.registration.instance.id
    }
}

/// The id is made of service and address: an instance that died and came back replaces itself.
fn registration(config: &Config, address: SocketAddr) -> Registration {
    let host = advertised_host(config, address);
    let id = format!("{}-{host}-{}", config.service, address.port());
    let mut meta: BTreeMap<_, _> = config.meta.clone();
    if let Some(owner) = &config.owner {
        meta.insert("owner".to_owned(), owner.clone());
    }
    let instance = Instance {
        id: InstanceId(id.clone()),
        service: config.service.clone(),
        address: host,
        port: address.port(),
        tags: config.tags.clone(),
        meta,
        weight: 1,
    };
    let kind = match config.check {
        Check::Ttl { ttl } => CheckKind::Ttl { ttl: ttl.0 },
        Check::Http { interval, timeout } => CheckKind::http(
            format!("http://{}/health", instance.authority()),
            interval.0,
            timeout.0,
        ),
    };
    let check = CheckDefinition {
        id: CheckId(format!("service:{id}")),
        name: format!("health of {}", config.service),
        kind,
        initial: Status::Critical,
        notes: String::new(),
        deregister_after: Some(FORGET_AFTER),
    };
    Registration {
        instance,
        checks: vec![check],
    }
}

fn advertised_host(config: &Config, address: SocketAddr) -> String {
    match &config.advertise {
        Some(host) => host.clone(),
        None if address.ip().is_unspecified() => "127.0.0.1".to_owned(),
        None => address.ip().to_string(),
    }
}

/// An instance that died without a word is forgotten after this time in the critical state.
const FORGET_AFTER: Duration = Duration::from_secs(600);
const LOOK_PAUSE: Duration = Duration::from_secs(10);
const SHORTEST_PAUSE: Duration = Duration::from_millis(50);
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);
const DEREGISTER_LIMIT: Duration = Duration::from_secs(2);
