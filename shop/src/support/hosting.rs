//! Where a service runs; and the life of one that keeps nothing.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use axum::Router;
use ieum::base::{HumanDuration, Secret, Stop};
use ieum::chassis::{Chassis, Config};

use super::platform::Platform;
use super::service::{Ended, Serving};

/// Where a service runs.
#[derive(Clone, Debug)]
pub(crate) struct Hosting {
    /// Where to listen.
    pub(crate) listen: SocketAddr,
    /// The host under which others reach it, if that is not the one it listens on.
    pub(crate) advertise: Option<String>,
    /// Whether another port is taken if that one is in use.
    pub(crate) next_free_port: bool,
    /// The URL of the platform's API.
    pub(crate) platform: String,
    /// The token that it asks for, if it asks for one.
    pub(crate) token: Option<Secret>,
    /// How long it still accepts after it left the registry.
    pub(crate) linger: Duration,
}

impl Hosting {
    /// The frame of the service `name`, which the team `owner` answers for.
    pub(super) fn chassis(&self, name: &str, owner: &str) -> Chassis {
        Chassis::new(Config {
            listen: self.listen,
            advertise: self.advertise.clone(),
            next_free_port: self.next_free_port,
            // Spans go to the first of several.
            platform: self.platform.split(',').next().map(str::to_owned),
            platform_token: self.token.clone(),
            owner: Some(owner.to_owned()),
            linger: HumanDuration(self.linger),
            ..Config::new(name)
        })
    }

    /// Listens, registers as `name` and answers with `routes`, which need no database.
    pub(crate) async fn serve(
        self,
        name: &'static str,
        owner: &str,
        routes: Router,
        stop: Stop,
    ) -> Result<Serving> {
        let chassis = self.chassis(name, owner);
        let platform = Platform::connect(&self.platform, self.token, None, &chassis).await?;
        let bound = chassis
            .router(routes)
            .remark("platform", platform.check(name))
            .registry(Arc::clone(&platform.registry))
            .bind()
            .with_context(|| format!("the service {name} cannot listen"))?;
        Ok(Serving {
            name,
            address: bound.address(),
            life: Box::pin(async move { Ended::with_nothing_unsent(bound.run(stop).await) }),
        })
    }
}
