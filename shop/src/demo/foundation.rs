//! The engines that were named, made ready before anything starts on them.
//!
//! What is wrong with one (a password, a host, a right that is missing) is said here, once, in one
//! line, and not by nine children that die.

use std::time::Duration;

use anyhow::Result;
use ieum::base::{EngineUrl, Stop, Tasks};

use super::site::Site;
use crate::services::{
    analytics, inventory, notifications, orders, payments, products, shipping, users,
};
use crate::support::broker;

/// How long the connection that was looked with may take to end.
const STOP: Duration = Duration::from_secs(2);
/// The services that have a database.
const SERVICES: [&str; 8] = [
    users::SPEC.name,
    products::SPEC.name,
    orders::SPEC.name,
    inventory::SPEC.name,
    payments::SPEC.name,
    shipping::SPEC.name,
    notifications::SPEC.name,
    analytics::SPEC.name,
];

/// Makes the databases that are missing, and asks the broker whether it is there. Answers what people
/// have to know of these engines, a line each.
pub(super) async fn lay(site: &Site) -> Result<Vec<String>> {
    let mut lines = Vec::new();
    if site.engines().database.is_some() {
        let services = SERVICES.iter().map(|name| site.database_of(name));
        let mut urls: Vec<EngineUrl> = services.collect::<Result<_>>()?;
        urls.extend(site.log()?);
        urls.push(site.plan()?);
        for url in &urls {
            lines.extend(create(url).await?);
        }
    }
    if let Some(url) = &site.engines().broker {
        let tasks = Tasks::new(Stop::new());
        let broker = broker::connect(url, &tasks).await;
        let _ended = tasks.shut_down(STOP).await;
        lines.extend(broker::remarks(&broker?.capabilities));
    }
    Ok(lines)
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

#[cfg(not(feature = "postgres"))]
async fn create(url: &EngineUrl) -> Result<Option<String>> {
    anyhow::bail!("`{url}` is not a database that can be made")
}
