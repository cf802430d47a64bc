//! One process per service and one for the platform: this binary again, with HTTP between all of
//! them, as a team would run it.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result};
use clap::ValueEnum;
use ieum::base::{Secret, Stop, Tasks};

use super::children::{Children, Program};
use super::config::{self, Listeners, Saga};
use super::house::Places;
use super::polyglot::Kit;
use super::ports::Ports;
use super::registered;
use crate::cli::{DemoArgs, ServiceName};
use crate::services::{
    analytics, inventory, notifications, orders, payments, products, shipping, users,
};
use crate::support::keys;
use crate::support::sabotage::Sabotage;
use crate::support::service::Spec;

/// The name of the platform's process.
pub(super) const PLATFORM: &str = "platform";
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
    /// Starts the platform and then the services, and waits until all of them can be called.
    pub(super) async fn start(args: &DemoArgs, data: &Path, kit: Option<&Kit>) -> Result<Self> {
        let tasks = Tasks::new(Stop::new());
        let mut started = Self {
            places: places(args, data)?,
            children: Children::new(data.join(LOGS), tasks.clone())?,
            tasks,
        };
        let table = Table {
            executable: std::env::current_exe().context("where is this binary?")?,
            data,
            places: &started.places,
            sabotage: args.sabotage,
        };
        let mut programs = table.programs()?;
        if let Some(kit) = kit {
            let Places { api, services, .. } = &started.places;
            programs.extend(kit.programs(*api, services, SERVICES)?);
        }
        for program in programs {
            started.children.add(program);
        }
        if let Err(error) = started.up().await {
            // What cannot be ended in order now is killed with the table.
            let _ = started.children.end().await;
            return Err(error);
        }
        Ok(started)
    }

    async fn up(&self) -> Result<()> {
        let Places { api, services, .. } = &self.places;
        self.children.start_stage(FIRST).await?;
        registered::forget_others(*api, services).await?;
        self.children.start_stage(SERVICES).await?;
        registered::until_all_pass(*api, services.keys().copied()).await
    }

    /// Ends the services and then the platform with SIGTERM.
    pub(super) async fn end(self) -> Result<()> {
        let ended = self.children.end().await;
        let _ended = self.tasks.shut_down(STOP).await;
        ended
    }
}

/// Chooses the ports and writes the platform's configuration.
fn places(args: &DemoArgs, data: &Path) -> Result<Places> {
    let mut ports = match args.chaos {
        true => Ports::elsewhere(),
        false => Ports::usual(),
    };
    let (gateway, api) = (ports.take(PORTS.0)?, ports.take(PORTS.1)?);
    let mut services = BTreeMap::new();
    for service in ServiceName::value_variants() {
        let Spec { name, port, .. } = spec(*service);
        services.insert(name, ports.take(port)?);
    }
    let mut saga = Saga::PlaceOrder;
    if args.polyglot {
        services.extend(Kit::addresses(&mut ports)?);
        saga = Saga::Polyglot;
    }
    let key = keys::load_or_create(data)?;
    let listeners = Listeners {
        gateway,
        api: Some(api),
    };
    Ok(Places {
        gateway,
        api,
        config: config::write(data, &listeners, saga, &key)?,
        logs: Some(data.join(LOGS)),
        services,
        password: Secret::new(ieum::base::Uuid::new_v4().to_string()),
    })
}

/// What the children are made of.
struct Table<'a> {
    executable: PathBuf,
    data: &'a Path,
    places: &'a Places,
    sabotage: Option<Sabotage>,
}

impl Table<'_> {
    fn programs(&self) -> Result<Vec<Program>> {
        let mut programs = vec![self.platform()];
        for service in ServiceName::value_variants() {
            programs.push(self.service(*service)?);
        }
        Ok(programs)
    }

    fn platform(&self) -> Program {
        let arguments = words(&["platform", "--lifeline", "--config"]);
        Program {
            name: PLATFORM,
            stage: FIRST,
            executable: self.executable.clone(),
            arguments: [arguments, vec![self.places.config.clone().into()]].concat(),
            environment: Vec::new(),
            health: health(self.places.api),
        }
    }

    fn service(&self, service: ServiceName) -> Result<Program> {
        let name = spec(service).name;
        let address = self.places.services.get(name);
        let address = *address.with_context(|| format!("{name} has no address"))?;
        let (platform, listen) = (format!("http://{}", self.places.api), address.to_string());
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
            arguments: [flags, vec![self.data.into()]].concat(),
            environment: self.environment(service),
            health: health(address),
        })
    }

    /// What must not be seen on a command line.
    fn environment(&self, service: ServiceName) -> Vec<(&'static str, Secret)> {
        let password = (service == ServiceName::Users)
            .then(|| ("SHOP_ADMIN_PASSWORD", self.places.password.clone()));
        let planted = self.sabotage.and_then(|kind| kind.to_possible_value());
        let planted =
            planted.map(|word| (Sabotage::VARIABLE, Secret::new(word.get_name().to_owned())));
        password.into_iter().chain(planted).collect()
    }
}

fn words(words: &[&str]) -> Vec<OsString> {
    words.iter().map(OsString::from).collect()
}

fn health(address: SocketAddr) -> String {
    format!("http://{address}/health")
}

const fn spec(service: ServiceName) -> Spec {
    match service {
        ServiceName::Users => users::SPEC,
        ServiceName::Products => products::SPEC,
        ServiceName::Orders => orders::SPEC,
        ServiceName::Inventory => inventory::SPEC,
        ServiceName::Payments => payments::SPEC,
        ServiceName::Shipping => shipping::SPEC,
        ServiceName::Notifications => notifications::SPEC,
        ServiceName::Analytics => analytics::SPEC,
    }
}
