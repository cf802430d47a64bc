//! Where the demo runs: in this process, or in one process per service.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;

use anyhow::Result;
use ieum::base::Secret;

use super::polyglot;
use super::process::Process;
use super::processes::Processes;
use super::site::Site;
use crate::cli::DemoArgs;

/// Where things are, for people and for customers.
#[derive(Clone, Debug)]
pub(super) struct Places {
    /// Where customers come in.
    pub(super) gateway: SocketAddr,
    /// Where the platform's API is.
    pub(super) api: SocketAddr,
    /// The configuration that the platform was started with.
    pub(super) config: PathBuf,
    /// The platforms on the same log beside that one.
    pub(super) others: Vec<Another>,
    /// What the processes print, if they are not this one.
    pub(super) logs: Option<PathBuf>,
    /// Where each service listens.
    pub(super) services: BTreeMap<&'static str, SocketAddr>,
    /// The staff's password, made at this start.
    pub(super) password: Secret,
}

/// Another platform on the same log.
#[derive(Clone, Debug)]
pub(super) struct Another {
    /// The name of its process.
    pub(super) name: &'static str,
    /// Where customers may come in, too.
    pub(super) gateway: SocketAddr,
    /// Where its API is.
    pub(super) api: SocketAddr,
    /// Its configuration.
    pub(super) config: PathBuf,
}

impl Places {
    /// The bases of all gateways.
    pub(super) fn gateways(&self) -> Vec<String> {
        let others = self.others.iter().map(|another| another.gateway);
        let all = std::iter::once(self.gateway).chain(others);
        all.map(|address| format!("http://{address}")).collect()
    }

    /// The URL of the platform, or of all platforms on the log.
    pub(super) fn platforms(&self) -> String {
        let others = self.others.iter().map(|another| another.api);
        let all = std::iter::once(self.api).chain(others);
        let all: Vec<String> = all.map(|address| format!("http://{address}")).collect();
        all.join(",")
    }
}

/// Everything that runs.
pub(super) enum House {
    /// In this process.
    One(Box<Process>),
    /// In many.
    Many(Box<Processes>),
}

impl House {
    /// Starts everything, and waits until all of it can be called.
    pub(super) async fn start(args: &DemoArgs, site: &Site) -> Result<Self> {
        let kit = polyglot::prepare(args, site).await?;
        let kit = kit.as_ref();
        if args.processes || args.chaos || args.platforms > 1 {
            return Ok(Self::Many(Box::new(
                Processes::start(args, site, kit).await?,
            )));
        }
        let process = Process::start(site, args.sabotage, kit).await?;
        Ok(Self::One(Box::new(process)))
    }

    /// Where things are.
    pub(super) const fn places(&self) -> &Places {
        match self {
            Self::One(process) => &process.places,
            Self::Many(processes) => &processes.places,
        }
    }

    /// Resolves when a part ended that nobody told to; says what is known.
    pub(super) async fn failed(&self) -> String {
        match self {
            Self::One(process) => process.failed().await,
            Self::Many(processes) => processes.children.failed().await,
        }
    }

    /// Stops the services and then the platform.
    pub(super) async fn end(self) -> Result<()> {
        match self {
            Self::One(process) => process.end().await,
            Self::Many(processes) => processes.end().await,
        }
    }
}
