//! A platform that runs: where it is, and how it is stopped.

use std::net::SocketAddr;
use std::sync::Arc;

use ieum_base::{Abandoned, Stop};
use ieum_gateway::Warning;
use tokio::sync::oneshot;

use super::Moved;
use super::reload::Live;
use crate::config::{Config, Report};

/// A running platform. Dropping it does not stop it; [`Running::stop`] does.
#[derive(Debug)]
pub struct Running {
    /// Where the gateway listens; `None` if this process has no gateway.
    pub gateway_addr: Option<SocketAddr>,
    /// Where the platform API and Consul's API listen.
    pub api_addr: SocketAddr,
    /// Where the log is kept, for people.
    pub log: String,
    /// The broker that carries the topics, for people; `None` if they are in the log.
    pub topics: Option<String>,
    /// What that broker does not promise, a sentence each.
    pub caveats: Vec<String>,
    /// Default addresses that were taken, and where their listeners are instead.
    pub moved: Vec<Moved>,
    pub(super) stop: Stop,
    pub(super) handle: Handle,
    pub(super) ended: oneshot::Receiver<Ended>,
}

/// What a running platform can be told. Clones are the same.
#[derive(Clone, Debug)]
pub struct Handle {
    pub(super) retired: Stop,
    pub(super) live: Arc<Live>,
}

impl Handle {
    /// Says in `/health` (503, `stopping`) that nothing new is to be sent here, and goes on as before:
    /// what precedes a stop by the time that load balancers need to notice. Idempotent.
    pub fn retire(&self) {
        self.retired.request();
    }

    /// Takes another configuration for the gateway's routes, limits and keys, whole or not at all.
    /// Answers what is accepted and probably not meant so.
    ///
    /// # Errors
    /// If anything is wrong with it, or differs that cannot change under way: each with its place; the
    /// present configuration stays.
    pub fn reload(&self, config: Config) -> Result<Vec<Warning>, Report> {
        self.live.reload(config)
    }
}

/// How a platform ended.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ended {
    /// What was still running at the deadlines and was given up.
    pub abandoned: Vec<Abandoned>,
    /// Why it ended, if nobody had asked it to.
    pub failure: Option<String>,
}

impl Running {
    /// What it can be told while somebody waits for its end.
    pub fn handle(&self) -> Handle {
        self.handle.clone()
    }

    /// Asks it to stop; [`Running::wait`] tells when it has. Idempotent.
    pub fn stop(&self) {
        self.stop.request();
    }

    /// Waits until it has ended.
    pub async fn wait(self) -> Ended {
        self.ended.await.unwrap_or_else(|_| Ended {
            failure: Some("the platform's thread panicked".to_owned()),
            ..Ended::default()
        })
    }
}
