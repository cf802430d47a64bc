//! The engines that were named, made ready before anything starts on them.
//!
//! What is wrong with one (a password, a host, a right that is missing) is said here, once, in one
//! line, and not by nine children that die.

use std::time::Duration;

use anyhow::Result;
#[cfg(feature = "postgres")]
use ieum::base::Level;
use ieum::base::{Clock, EngineUrl, Stop, Tasks};
use ieum::messaging::Capabilities;

use super::config;
use super::site::Site;
use crate::services::{
    analytics, inventory, notifications, orders, payments, products, shipping, users,
};
use crate::support::broker;
use crate::support::service::Spec;

/// How long the connection that was looked with may take to end.
const STOP: Duration = Duration::from_secs(2);
/// The services.
const SERVICES: [Spec; 8] = [
    users::SPEC,
    products::SPEC,
    orders::SPEC,
    inventory::SPEC,
    payments::SPEC,
    shipping::SPEC,
    notifications::SPEC,
    analytics::SPEC,
];
/// The group by which the platform copies topics into its log.
const MIRROR: &str = "ieum-mirror";

/// Makes the databases that are missing, and asks the broker whether it is there. Answers what people
/// have to know of these engines, a line each.
pub(super) async fn lay(site: &Site) -> Result<Vec<String>> {
    let mut lines = Vec::new();
    if site.engines().database.is_some() {
        let services = SERVICES.iter().map(|spec| site.database_of(spec.name));
        let mut urls: Vec<EngineUrl> = services.collect::<Result<_>>()?;
        urls.extend(site.log()?);
        urls.push(site.plan()?);
        for url in &urls {
            lines.extend(create(url).await?);
        }
        if let Some(log) = site.log()? {
            lines.extend(weaknesses(&log).await);
        }
    }
    if let Some(url) = &site.engines().broker {
        let tasks = Tasks::new(Stop::new());
        let known = ask(url, &tasks).await;
        let _ended = tasks.shut_down(STOP).await;
        lines.extend(broker::remarks(&known?));
    }
    Ok(lines)
}

/// Asks a broker whether it is there. One that keeps nothing for groups which do not exist yet is told
/// of all of them, before anything is published.
async fn ask(url: &EngineUrl, tasks: &Tasks) -> Result<Capabilities> {
    let broker = broker::connect(url, &Clock::system(), tasks).await?;
    if !broker.capabilities.retains_history {
        for spec in SERVICES {
            for hears in spec.hears {
                let (topic, member) = (hears.topic, spec.member());
                let group = broker.subscriber.subscribe(topic, spec.name, &member);
                drop(group.await?);
            }
        }
        for topic in config::TOPICS {
            let group = broker.subscriber.subscribe(topic, MIRROR, "shop-demo");
            drop(group.await?);
        }
    }
    Ok(broker.capabilities)
}

/// Makes a database if it is missing, and says so.
#[cfg(feature = "postgres")]
async fn create(url: &EngineUrl) -> Result<Option<String>> {
    use ieum::sql::postgres::{Config, create_database};

    let config = Config {
        // A wrong host is a wrong host; nothing else starts meanwhile that could be waited for.
        acquire_timeout: Duration::from_secs(1),
        ..Config::default()
    };
    let made = create_database(url, config).await?;
    Ok(made.then(|| format!("made the database {}", url.path())))
}

/// The settings of a server that weaken a promise.
#[cfg(feature = "postgres")]
async fn weaknesses(url: &EngineUrl) -> Vec<String> {
    let findings = ieum::sql::postgres::examine(url).await;
    let weak = findings
        .into_iter()
        .filter(|finding| finding.level > Level::Fine);
    weak.map(|finding| {
        let advice = finding.advice.unwrap_or_default();
        format!("PostgreSQL: {}: {advice}", finding.what)
    })
    .collect()
}

#[cfg(not(feature = "postgres"))]
async fn weaknesses(_: &EngineUrl) -> Vec<String> {
    Vec::new()
}

#[cfg(not(feature = "postgres"))]
async fn create(url: &EngineUrl) -> Result<Option<String>> {
    anyhow::bail!("`{url}` is not a database that can be made")
}
