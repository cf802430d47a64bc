//! One process per service and one for the platform: this binary again, with HTTP between all of
//! them, as a team would run it.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use clap::ValueEnum;
use ieum::base::{Secret, Stop, Tasks};

use super::children::{Children, Program};
use super::config::{self, Listeners, Saga};
use super::house::{Another, Places};
use super::polyglot::Kit;
use super::ports::Ports;
use super::registered;
use super::site::Site;
use crate::cli::{DemoArgs, ServiceName};
use crate::services::{
    analytics, inventory, notifications, orders, payments, portal, products, shipping, users,
};
use crate::support::engines::{self, Engines};
use crate::support::keys;
use crate::support::sabotage::Sabotage;

/// The names of the platforms' processes.
pub(super) const PLATFORMS: [&str; 5] = [
    "platform",
    "platform-2",
    "platform-3",
    "platform-4",
    "platform-5",
];
/// The folder of what the processes print, in the data folder.
const LOGS: &str = "logs";
/// The ports of the gateway and of the platform's API, where they are free.
const PORTS: (u16, u16) = (8080, 8500);
/// How long what watches over the children may take to end.
const STOP: Duration = Duration::from_secs(1);
/// The platform is started before the services, and stopped after them.
const FIRST: u8 = 0;
/// The services.
const SERVICES: u8 = 1;

/// The processes of a demo.
pub(super) struct Processes {
    pub(super) places: Places,
    pub(super) children: Children,
    tasks: Tasks,
}

impl Processes {
    /// Starts the platform and then the services, and waits until all of them can be called. A port
    /// that was free can be somebody else's by the time a child listens: then it is tried once more,
    /// on ports where nobody else looks.
    pub(super) async fn start(args: &DemoArgs, site: &Site, kit: Option<&Kit>) -> Result<Self> {
        if !args.chaos {
            match Self::start_on(Ports::usual, site, args, kit).await {
                Ok(started) => return Ok(started),
                Err(error) => tracing::warn!(
                    error = format!("{error:#}"),
                    "not started; trying once more, on other ports"
                ),
            }
        }
        Self::start_on(Ports::elsewhere, site, args, kit).await
    }

    async fn start_on(
        ports: fn() -> Ports,
        site: &Site,
        args: &DemoArgs,
        kit: Option<&Kit>,
    ) -> Result<Self> {
        let (house, held) = Self::prepare(ports, site, args, kit)?;
        if let Err(error) = house.up(held).await {
            // What cannot be ended in order now is killed with the table.
            let _ = house.end().await;
            return Err(error);
        }
        Ok(house)
    }

    /// Everything that is needed to start, with the services' ports still held.
    fn prepare(
        ports: fn() -> Ports,
        site: &Site,
        args: &DemoArgs,
        kit: Option<&Kit>,
    ) -> Result<(Self, Ports)> {
        let tasks = Tasks::new(Stop::new());
        let (places, held) = places(ports, site, args)?;
        let mut house = Self {
            places,
            children: Children::new(site.data().join(LOGS), tasks.clone())?,
            tasks,
        };
        let table = Table {
            executable: std::env::current_exe().context("where is this binary?")?,
            site,
            places: &house.places,
            sabotage: args.sabotage,
        };
        let mut programs = table.programs()?;
        if let Some(kit) = kit {
            let Places { api, services, .. } = &house.places;
            programs.extend(kit.programs(*api, services, SERVICES)?);
        }
        for program in programs {
            house.children.add(program);
        }
        Ok((house, held))
    }

    async fn up(&self, held: Ports) -> Result<()> {
        let Places { api, services, .. } = &self.places;
        let all = async {
            self.children.start_stage(FIRST).await?;
            registered::forget_others(*api, services).await?;
            drop(held);
            self.children.start_stage(SERVICES).await?;
            registered::until_all_pass(*api, services.keys().copied()).await
        };
        tokio::select! {
            up = all => up,
            how = self.children.failed() => bail!(how),
        }
    }

    /// Ends the services and then the platform with SIGTERM.
    pub(super) async fn end(self) -> Result<()> {
        let ended = self.children.end().await;
        let _ended = self.tasks.shut_down(STOP).await;
        ended
    }
}

/// Chooses the ports and writes the platform's configuration. The services' ports are held until
/// their turn comes.
fn places(ports: fn() -> Ports, site: &Site, args: &DemoArgs) -> Result<(Places, Ports)> {
    let (mut first, mut ports) = (ports(), ports());
    let (gateway, api) = (first.take(PORTS.0)?, first.take(PORTS.1)?);
    ensure!(
        args.platforms == 1 || site.engines().database.is_some(),
        "several platforms share a log in PostgreSQL: name it with --database"
    );
    let mut services = BTreeMap::new();
    for service in ServiceName::value_variants() {
        services.insert(service.as_str(), ports.take(port(*service))?);
    }
    let mut saga = Saga::PlaceOrder;
    if args.polyglot {
        services.extend(Kit::addresses(&mut ports)?);
        saga = Saga::Polyglot;
    }
    let key = keys::load_or_create(site.data())?;
    let listeners = Listeners {
        gateway,
        api: Some(api),
    };
    let mut others = Vec::new();
    for name in PLATFORMS.iter().take(args.platforms.into()).skip(1) {
        let (gateway, api) = (first.take(PORTS.0)?, first.take(PORTS.1)?);
        let listeners = Listeners {
            gateway,
            api: Some(api),
        };
        let file = format!("ieum-{name}.toml");
        others.push(Another {
            name,
            gateway,
            api,
            config: config::write_as(&file, site, &listeners, saga, &key)?,
        });
    }
    let places = Places {
        others,
        gateway,
        api,
        config: config::write(site, &listeners, saga, &key)?,
        logs: Some(site.data().join(LOGS)),
        services,
        password: Secret::new(ieum::base::Uuid::new_v4().to_string()),
    };
    Ok((places, ports))
}

/// What the children are made of.
struct Table<'a> {
    executable: PathBuf,
    site: &'a Site,
    places: &'a Places,
    sabotage: Option<Sabotage>,
}

impl Table<'_> {
    fn programs(&self) -> Result<Vec<Program>> {
        let Places { api, config, .. } = self.places;
        let mut programs = vec![self.platform(PLATFORMS[0], config, *api)];
        for another in &self.places.others {
            programs.push(self.platform(another.name, &another.config, another.api));
        }
        for service in ServiceName::value_variants() {
            programs.push(self.service(*service)?);
        }
        Ok(programs)
    }

    fn platform(&self, name: &'static str, config: &Path, api: SocketAddr) -> Program {
        let arguments = words(&["platform", "--lifeline", "--config"]);
        Program {
            name,
            stage: FIRST,
            executable: self.executable.clone(),
            arguments: [arguments, vec![config.into()]].concat(),
            environment: Vec::new(),
            health: health(api),
        }
    }

    fn service(&self, service: ServiceName) -> Result<Program> {
        let name = service.as_str();
        let address = self.places.services.get(name);
        let address = *address.with_context(|| format!("{name} has no address"))?;
        let (platform, listen) = (self.places.platforms(), address.to_string());
        let flags = words(&[
            "serve",
            service.as_str(),
            "--lifeline",
            "--platform",
            &platform,
            "--listen",
            &listen,
            "--data",
        ]);
        Ok(Program {
            name,
            stage: SERVICES,
            executable: self.executable.clone(),
            arguments: [flags, vec![self.site.data().into()]].concat(),
            environment: self.environment(service)?,
            health: health(address),
        })
    }

    /// What must not be seen on a command line.
    fn environment(&self, service: ServiceName) -> Result<Vec<(&'static str, Secret)>> {
        let mut environment = Vec::new();
        if service == ServiceName::Users {
            let password = self.places.password.clone();
            environment.push(("SHOP_ADMIN_PASSWORD", password));
        }
        if let Some(planted) = self.sabotage.and_then(|kind| kind.to_possible_value()) {
            let word = Secret::new(planted.get_name().to_owned());
            environment.push((Sabotage::VARIABLE, word));
        }
        if service == ServiceName::Portal {
            return Ok(environment);
        }
        let Engines { database, broker } = self.site.engines();
        if database.is_some() {
            let own = self.site.database_of(service.as_str())?;
            environment.push((engines::DATABASE, own.expose()));
        }
        if let Some(broker) = broker {
            environment.push((engines::BROKER, broker.expose()));
        }
        Ok(environment)
    }
}

fn words(words: &[&str]) -> Vec<OsString> {
    words.iter().map(OsString::from).collect()
}

fn health(address: SocketAddr) -> String {
    format!("http://{address}/health")
}

/// The port that a service uses where it is free.
const fn port(service: ServiceName) -> u16 {
    match service {
        ServiceName::Users => users::SPEC.port,
        ServiceName::Products => products::SPEC.port,
        ServiceName::Orders => orders::SPEC.port,
        ServiceName::Inventory => inventory::SPEC.port,
        ServiceName::Payments => payments::SPEC.port,
        ServiceName::Shipping => shipping::SPEC.port,
        ServiceName::Notifications => notifications::SPEC.port,
        ServiceName::Analytics => analytics::SPEC.port,
        ServiceName::Portal => portal::PORT,
    }
}
