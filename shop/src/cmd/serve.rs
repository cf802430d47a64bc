//! `shop serve`

use std::time::Duration;

use anyhow::{Context, Result};
use ieum::base::Stop;

use crate::cli::{ServeArgs, ServiceName};
use crate::services::{
    analytics, inventory, notifications, orders, payments, products, shipping, users,
};
use crate::support::service::Settings;

/// How long a service still accepts after it left the registry.
const LINGER: Duration = Duration::from_secs(1);

/// Runs one service until a signal.
pub(crate) async fn run(args: &ServeArgs) -> Result<bool> {
    let stop = Stop::new();
    ieum::chassis::stop_on_signals(&stop)?;
    std::fs::create_dir_all(&args.data)
        .with_context(|| format!("cannot make the folder {}", args.data.display()))?;
    let settings = Settings {
        listen: args.listen,
        next_free_port: false,
        platform: args.platform.clone(),
        data: args.data.clone(),
        sabotage: None,
        linger: LINGER,
    };
    let serving = match args.service {
        ServiceName::Users => users::start(settings, None, stop).await,
        ServiceName::Products => products::start(settings, stop).await,
        ServiceName::Orders => orders::start(settings, stop).await,
        ServiceName::Inventory => inventory::start(settings, stop).await,
        ServiceName::Payments => payments::start(settings, stop).await,
        ServiceName::Shipping => shipping::start(settings, stop).await,
        ServiceName::Notifications => notifications::start(settings, stop).await,
        ServiceName::Analytics => analytics::start(settings, stop).await,
    }?;
    let (name, address) = (serving.name, serving.address);
    ieum_server::console::print(&format_args!("{name} listens on http://{address}"))?;
    let _ended = serving.life.await;
    Ok(true)
}
