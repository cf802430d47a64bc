//! `shop serve`: one service as a process of its own.

use std::env;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use clap::ValueEnum;
use ieum::base::{EngineUrl, Stop};
use ieum::sql::sqlite;
use ieum_server::console;

use super::{engines, lifeline, secrets};
use crate::cli::{ServeArgs, ServiceName};
use crate::services::{
    analytics, inventory, notifications, orders, payments, portal, products, shipping, users,
};
use crate::support::hosting::Hosting;
use crate::support::sabotage::Sabotage;
use crate::support::service::{Ended, Serving, Settings};
use crate::support::{self, keys};

/// How long a service still accepts after it left the registry.
const LINGER: Duration = Duration::from_secs(1);
/// Where the databases are if nothing else is said.
const DATA: &str = "shop-data";

/// Runs one service until a signal.
pub(crate) async fn run(args: &ServeArgs) -> Result<bool> {
    if args.lifeline {
        lifeline::hold()?;
    }
    let stop = Stop::new();
    ieum::chassis::stop_on_signals(&stop)?;
    let hosting = Hosting {
        listen: args.listen,
        next_free_port: false,
        advertise: args.advertise.clone(),
        platform: args.platform.clone(),
        token: secrets::find("IEUM_TOKEN")?,
        linger: LINGER,
    };
    let serving = match args.service {
        ServiceName::Portal => portal::start(hosting, stop).await?,
        _ => with_database(args, hosting, stop).await?,
    };
    let Serving {
        name,
        address,
        life,
    } = serving;
    console::print(&format_args!("{name} listens on http://{address}"))?;
    say(&life.await);
    Ok(true)
}

/// One of the services that keep something.
async fn with_database(args: &ServeArgs, hosting: Hosting, stop: Stop) -> Result<Serving> {
    let (database, folder) = database(args)?;
    let broker = engines::broker(args.broker.as_ref())?;
    if let Some(broker) = &broker {
        support::engines::validate_broker(broker)?;
    }
    let cache = engines::cache(args.cache.as_ref())?;
    std::fs::create_dir_all(&folder)
        .with_context(|| format!("cannot make the folder {}", folder.display()))?;
    let secrets = match args.service {
        ServiceName::Users => Some(users_secrets(&folder)?),
        _ => None,
    };
    let settings = Settings {
        hosting,
        database,
        broker,
        sabotage: sabotage()?,
    };
    start(args.service, settings, secrets, cache, stop).await
}

async fn start(
    service: ServiceName,
    settings: Settings,
    secrets: Option<users::Secrets>,
    cache: Option<EngineUrl>,
    stop: Stop,
) -> Result<Serving> {
    match (service, secrets) {
        (ServiceName::Users, Some(secrets)) => users::start(settings, secrets, stop).await,
        (ServiceName::Users, None) => bail!("users needs a key"),
        (ServiceName::Products, _) => products::start(settings, cache, stop).await,
        (ServiceName::Orders, _) => orders::start(settings, stop).await,
        (ServiceName::Inventory, _) => inventory::start(settings, stop).await,
        (ServiceName::Payments, _) => payments::start(settings, stop).await,
        (ServiceName::Shipping, _) => shipping::start(settings, stop).await,
        (ServiceName::Notifications, _) => notifications::start(settings, stop).await,
        (ServiceName::Analytics, _) => analytics::start(settings, stop).await,
        (ServiceName::Portal, _) => portal::start(settings.hosting, stop).await,
    }
}

/// The database, and the folder of what else a service keeps.
fn database(args: &ServeArgs) -> Result<(EngineUrl, PathBuf)> {
    let folder = args.data.clone();
    let Some(url) = engines::database(args.database.as_ref())? else {
        let folder = folder.unwrap_or_else(|| DATA.into());
        let file = folder.join(format!("{}.db", args.service.as_str()));
        return Ok((support::engines::sqlite(&file)?, folder));
    };
    let beside = match url.scheme() {
        "memory" => bail!("--database: orders that are forgotten at the end are no orders"),
        sqlite::SCHEME => Path::new(url.rest()).parent().map(Path::to_owned),
        _ => {
            support::engines::validate_database(&url)?;
            None
        }
    };
    Ok((url, folder.or(beside).unwrap_or_else(|| DATA.into())))
}

fn users_secrets(folder: &Path) -> Result<users::Secrets> {
    let key = match secrets::find("SHOP_SIGNING_KEY")? {
        Some(pem) => keys::keep_public(&pem, folder).context("SHOP_SIGNING_KEY")?,
        None => keys::load_or_create(folder)?,
    };
    let password = secrets::find("SHOP_ADMIN_PASSWORD")?;
    let admin = password.map(users::Admin::with_password);
    Ok(users::Secrets { key, admin })
}

/// The defect that a demo plants. By the environment: the auditor reads files, and it must not find
/// there what it has to find out.
fn sabotage() -> Result<Option<Sabotage>> {
    let Ok(word) = env::var(Sabotage::VARIABLE) else {
        return Ok(None);
    };
    let kind = Sabotage::from_str(&word, false);
    kind.map(Some).map_err(anyhow::Error::msg)
}

/// Says what was given up at the stop.
fn say(ended: &Ended) {
    for (count, what) in ended.abandoned() {
        console::remark(&format_args!("abandoned at the stop: {count} × {what}"));
    }
}
