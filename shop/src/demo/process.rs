//! Platform and services in one process, with real HTTP between them: nothing is called directly.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use ieum::base::{EngineUrl, Secret, Stop, TaskKind, Tasks};
use ieum::discovery::Registry;
use ieum_server::{Platform, Running};

use super::config;
use crate::services::{
    analytics, inventory, notifications, orders, payments, products, shipping, users,
};
use crate::support::keys;
use crate::support::sabotage::Sabotage;
use crate::support::service::{Serving, Settings};

/// The address that the staff signs in with.
pub(super) const STAFF: &str = "admin@shop.example";
/// The gateway's port, where it is free.
const GATEWAY_PORT: u16 = 8080;
/// How long everything may take to be up.
const START: Duration = Duration::from_secs(60);
/// How long everything may take to stop.
const STOP: Duration = Duration::from_secs(20);

/// Everything that runs.
pub(super) struct Process {
    /// Where customers come in.
    pub(super) gateway: SocketAddr,
    /// Where the platform's API is.
    pub(super) api: SocketAddr,
    /// The configuration that it was started with.
    pub(super) config: PathBuf,
    /// Where each service listens.
    pub(super) services: BTreeMap<&'static str, SocketAddr>,
    /// The staff's password, made at this start.
    pub(super) password: Secret,
    platform: Running,
    stop: Stop,
    lives: Tasks,
}

impl Process {
    /// Starts the platform and then the services, and waits until all of them can be called.
    pub(super) async fn start(data: &Path, sabotage: Option<Sabotage>) -> Result<Self> {
        let key = keys::load_or_create(data)?;
        let config = config::write(data, free_address()?, &key)?;
        let loaded =
            ieum_server::config::load(&config).map_err(|error| anyhow::anyhow!("{error}"))?;
        let platform = Platform::start(loaded, Stop::new()).await?;
        let gateway = platform
            .gateway_addr
            .context("the platform has no gateway")?;
        let mut process = Self {
            gateway,
            api: platform.api_addr,
            config,
            services: BTreeMap::new(),
            password: Secret::new(ieum::base::Uuid::new_v4().to_string()),
            platform,
            stop: Stop::new(),
            lives: Tasks::new(Stop::new()),
        };
        process.start_services(data, sabotage).await?;
        process.until_all_pass().await?;
        Ok(process)
    }

    /// True once somebody, or something that failed, asked for the end.
    pub(super) const fn stop(&self) -> &Stop {
        self.lives.stop()
    }

    /// Stops the services and then the platform, in order.
    pub(super) async fn end(self) -> Result<()> {
        self.stop.request();
        let abandoned = self.lives.shut_down(STOP).await;
        self.platform.stop();
        let ended = self.platform.wait().await;
        if let Some(failure) = ended.failure {
            bail!("{failure}");
        }
        for task in abandoned.iter().chain(&ended.abandoned) {
            tracing::warn!(task = task.name, count = task.count, "did not end in time");
        }
        Ok(())
    }

    async fn start_services(&mut self, data: &Path, sabotage: Option<Sabotage>) -> Result<()> {
        let platform = format!("http://{}", self.api);
        let settings = |port: u16| Settings {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, port)),
            next_free_port: true,
            platform: platform.clone(),
            data: data.to_owned(),
            sabotage,
            linger: Duration::ZERO,
        };
        let admin = users::Admin {
            email: STAFF.to_owned(),
            password: self.password.clone(),
        };
        let stop = || self.stop.clone();
        let started = [
            users::start(settings(users::SPEC.port), Some(admin), stop()).await?,
            products::start(settings(products::SPEC.port), stop()).await?,
            orders::start(settings(orders::SPEC.port), stop()).await?,
            inventory::start(settings(inventory::SPEC.port), stop()).await?,
            payments::start(settings(payments::SPEC.port), stop()).await?,
            shipping::start(settings(shipping::SPEC.port), stop()).await?,
            notifications::start(settings(notifications::SPEC.port), stop()).await?,
            analytics::start(settings(analytics::SPEC.port), stop()).await?,
        ];
        for Serving {
            name,
            address,
            life,
        } in started
        {
            self.services.insert(name, address);
            self.lives.spawn(TaskKind::Essential, name, async move {
                let _ended = life.await;
            });
        }
        Ok(())
    }

    /// Waits until the registry has a passing instance of each service.
    async fn until_all_pass(&self) -> Result<()> {
        let url: EngineUrl = format!("ieum://{}", self.api).parse()?;
        let tasks = Tasks::new(self.lives.stop().child());
        let registry: Arc<dyn Registry> = ieum::remote::connect(&url, &tasks)?.registry();
        let all = async {
            for name in self.services.keys() {
                let mut index = 0;
                loop {
                    let snapshot = registry.watch(name, index, Duration::from_secs(5)).await?;
                    if snapshot.available().next().is_some() {
                        break;
                    }
                    index = snapshot.index;
                }
            }
            anyhow::Ok(())
        };
        let done = tokio::time::timeout(START, all).await;
        let _ended = tasks.shut_down(Duration::ZERO).await;
        done.context("not all services became healthy in time")?
    }
}

/// The gateway's address: its usual port, or the next free one. Loopback only: this is a demo.
fn free_address() -> Result<SocketAddr> {
    let wanted = SocketAddr::from((Ipv4Addr::LOCALHOST, GATEWAY_PORT));
    let listener = ieum::http::listener::bind_first_free(wanted)?;
    Ok(listener.local_addr()?)
}
