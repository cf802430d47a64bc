//! Platform and services in one process, with real HTTP between them: nothing is called directly.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use ieum::base::{Secret, Stop, TaskKind, Tasks};
use ieum_server::{Platform, Running};

use super::config::{self, Listeners, Saga};
use super::house::Places;
use super::polyglot::{Guests, Kit};
use super::ports::Ports;
use super::registered;
use super::site::Site;
use crate::services::{
    analytics, inventory, notifications, orders, payments, portal, products, shipping, users,
};
use crate::support::hosting::Hosting;
use crate::support::keys::{self, SigningKey};
use crate::support::sabotage::Sabotage;
use crate::support::service::{Serving, Settings, Spec};

/// The gateway's port, where it is free.
const GATEWAY_PORT: u16 = 8080;
/// How long everything may take to stop.
const STOP: Duration = Duration::from_secs(20);

/// Everything that runs.
pub(super) struct Process {
    pub(super) places: Places,
    platform: Running,
    stop: Stop,
    lives: Tasks,
    guests: Guests,
}

impl Process {
    /// Starts the platform and then the services, and waits until all of them can be called.
    pub(super) async fn start(
        site: &Site,
        sabotage: Option<Sabotage>,
        kit: Option<&Kit>,
    ) -> Result<Self> {
        let key = keys::load_or_create(site.data())?;
        let listeners = Listeners {
            gateway: Ports::usual().take(GATEWAY_PORT)?,
            api: None,
        };
        let saga = kit.map_or(Saga::PlaceOrder, |_| Saga::Polyglot);
        let config = config::write(site, &listeners, saga, &key)?;
        let loaded =
            ieum_server::config::load(&config).map_err(|error| anyhow::anyhow!("{error}"))?;
        let platform = Platform::start(loaded, Stop::new()).await?;
        let gateway = platform
            .gateway_addr
            .context("the platform has no gateway")?;
        let mut process = Self {
            places: Places {
                gateway,
                api: platform.api_addr,
                config,
                others: Vec::new(),
                logs: None,
                services: BTreeMap::new(),
                password: Secret::new(ieum::base::Uuid::new_v4().to_string()),
            },
            platform,
            stop: Stop::new(),
            lives: Tasks::new(Stop::new()),
            guests: Guests::default(),
        };
        process.start_services(site, key, sabotage).await?;
        process.invite(kit).await?;
        let Places { api, services, .. } = &process.places;
        registered::until_all_pass(*api, services.keys().copied()).await?;
        Ok(process)
    }

    /// Resolves when a part ended that nobody told to; says what is known.
    pub(super) async fn failed(&self) -> String {
        tokio::select! {
            () = self.lives.stop().requested() => "a part of the shop ended; see the log".to_owned(),
            how = self.guests.failed() => how,
        }
    }

    /// Stops the services and then the platform, in order.
    pub(super) async fn end(self) -> Result<()> {
        self.stop.request();
        let (guests, abandoned) = tokio::join!(self.guests.end(), self.lives.shut_down(STOP));
        self.platform.stop();
        let ended = self.platform.wait().await;
        if let Some(failure) = ended.failure {
            bail!("{failure}");
        }
        for task in abandoned.iter().chain(&ended.abandoned) {
            tracing::warn!(task = task.name, count = task.count, "did not end in time");
        }
        guests
    }

    /// Starts the services in other languages.
    async fn invite(&mut self, kit: Option<&Kit>) -> Result<()> {
        let Places { api, services, .. } = &mut self.places;
        if kit.is_some() {
            services.extend(Kit::addresses(&mut Ports::usual())?);
        }
        self.guests = Guests::start(kit, *api, services).await?;
        Ok(())
    }

    async fn start_services(
        &mut self,
        site: &Site,
        key: SigningKey,
        sabotage: Option<Sabotage>,
    ) -> Result<()> {
        let platform = format!("http://{}", self.places.api);
        let hosting = |port: u16| Hosting {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, port)),
            advertise: None,
            next_free_port: true,
            platform: platform.clone(),
            token: None,
            linger: Duration::ZERO,
        };
        let settings = |spec: Spec| -> Result<Settings> {
            Ok(Settings {
                hosting: hosting(spec.port),
                database: site.database_of(spec.name)?,
                broker: site.engines().broker.clone(),
                sabotage,
            })
        };
        let secrets = users::Secrets {
            key,
            admin: Some(users::Admin::with_password(self.places.password.clone())),
        };
        let stop = || self.stop.clone();
        let started = [
            users::start(settings(users::SPEC)?, secrets, stop()).await?,
            products::start(settings(products::SPEC)?, None, stop()).await?,
            orders::start(settings(orders::SPEC)?, stop()).await?,
            inventory::start(settings(inventory::SPEC)?, stop()).await?,
            payments::start(settings(payments::SPEC)?, stop()).await?,
            shipping::start(settings(shipping::SPEC)?, stop()).await?,
            notifications::start(settings(notifications::SPEC)?, stop()).await?,
            analytics::start(settings(analytics::SPEC)?, stop()).await?,
            portal::start(hosting(portal::PORT), stop()).await?,
        ];
        for Serving {
            name,
            address,
            life,
        } in started
        {
            self.places.services.insert(name, address);
            self.lives.spawn(TaskKind::Essential, name, async move {
                let _ended = life.await;
            });
        }
        Ok(())
    }
}
