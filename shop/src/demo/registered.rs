//! What the registry knows of the shop's services.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use ieum::base::{EngineUrl, Stop, Tasks};
use ieum::discovery::Registry;

/// How long the services may take until all of them can be called.
const START: Duration = Duration::from_secs(60);
/// How long one question to the registry waits for news.
const LOOK: Duration = Duration::from_secs(5);

/// Waits until the registry of the platform at `api` has a passing instance of each of `services`.
pub(super) async fn until_all_pass(
    api: SocketAddr,
    services: impl IntoIterator<Item = &'static str>,
) -> Result<()> {
    let tasks = Tasks::new(Stop::new());
    let registry = registry(api, &tasks)?;
    let all = async {
        for name in services {
            let mut index = 0;
            loop {
                let snapshot = registry.watch(name, index, LOOK).await?;
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

/// Takes out of the registry what an earlier demo, that was killed, left there on other ports: a
/// stranger may listen on them by now.
pub(super) async fn forget_others(
    api: SocketAddr,
    services: &BTreeMap<&'static str, SocketAddr>,
) -> Result<()> {
    let tasks = Tasks::new(Stop::new());
    let registry = registry(api, &tasks)?;
    for (name, address) in services {
        let known = registry.watch(name, 0, Duration::ZERO).await?;
        let others = known
            .instances
            .iter()
            .map(|registered| &registered.instance)
            .filter(|instance| instance.port != address.port());
        for instance in others {
            registry.deregister(&instance.id).await?;
        }
    }
    let _ended = tasks.shut_down(Duration::ZERO).await;
    Ok(())
}

fn registry(api: SocketAddr, tasks: &Tasks) -> Result<Arc<dyn Registry>> {
    let url: EngineUrl = format!("ieum://{api}").parse()?;
    Ok(ieum::remote::connect(&url, tasks)?.registry())
}
