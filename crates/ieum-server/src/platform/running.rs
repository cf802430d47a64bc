//! A platform that runs: where it is, and how it is stopped.

use std::net::SocketAddr;

use ieum_base::{Abandoned, Stop};
use tokio::sync::oneshot;

use super::Moved;

/// A running platform. Dropping it does not stop it; [`Running::stop`] does.
#[derive(Debug)]
pub struct Running {
    /// Where the gateway listens; `None` if this process has no gateway.
    pub gateway_addr: Option<SocketAddr>,
    /// Where the platform API and Consul's API listen.
    pub api_addr: SocketAddr,
    /// Where the log is kept, for people.
    pub log: String,
    /// Default addresses that were taken, and where their listeners are instead.
    pub moved: Vec<Moved>,
    pub(super) stop: Stop,
    pub(super) ended: oneshot::Receiver<Ended>,
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
