//! The command line: parsed to plain values here, acted upon in `cmd`.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};
use ieum::base::Secret;

use crate::support::sabotage::Sabotage;

/// The reference e-commerce system that runs on ieum and proves it.
#[derive(Debug, Parser)]
#[command(name = "shop", version, max_term_width = 100)]
pub(crate) struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Start the platform and all services in one process, place orders, and audit the books.
    #[command(after_help = DEMO_ENVIRONMENT)]
    Demo(DemoArgs),
    /// Run one service as a process of its own.
    #[command(after_help = SERVE_ENVIRONMENT)]
    Serve(ServeArgs),
    /// Check the books of a data directory or of databases, running or not.
    #[command(after_help = AUDIT_ENVIRONMENT)]
    Audit(AuditArgs),
    /// Run the platform, as `ieum up` does: a demo of many processes needs no second binary.
    #[command(hide = true)]
    Platform(PlatformArgs),
}

/// Flags of `shop demo`.
#[derive(Clone, Debug, Args)]
pub(crate) struct DemoArgs {
    /// How many orders to place.
    #[arg(long, value_name = "N", default_value_t = 20, value_parser = clap::value_parser!(u32).range(0..=1_000_000))]
    pub(crate) orders: u32,
    /// How many customers order at the same time.
    #[arg(long, value_name = "C", default_value_t = 8, value_parser = clap::value_parser!(u32).range(1..=1_000))]
    pub(crate) concurrency: u32,
    /// Share of the orders whose card is declined, in percent.
    #[arg(long, value_name = "PCT", default_value_t = 0, value_parser = clap::value_parser!(u8).range(0..=100))]
    pub(crate) decline: u8,
    /// Share of the orders for more than is in stock, in percent.
    #[arg(long, value_name = "PCT", default_value_t = 0, value_parser = clap::value_parser!(u8).range(0..=100))]
    pub(crate) out_of_stock: u8,
    /// Share of the orders to where nobody delivers, in percent; their money goes back.
    #[arg(long, value_name = "PCT", default_value_t = 0, value_parser = clap::value_parser!(u8).range(0..=100))]
    pub(crate) undeliverable: u8,
    /// Who drives an order: the saga engine, or events alone.
    #[arg(long, value_enum, default_value_t = FlowArg::Orchestrated)]
    pub(crate) flow: FlowArg,
    /// Where to keep the data; a new directory, removed at the end, if not given. Started again with
    /// the same directory, unfinished orders are finished first.
    #[arg(long, value_name = "DIR")]
    pub(crate) data: Option<PathBuf>,
    /// Keep everything in PostgreSQL, as postgres://USER@HOST:PORT/NAME: a database for each service
    /// (NAME_users, NAME_orders, …), NAME_platform for the platform's log and NAME_plan for what is to
    /// be ordered, made where they are missing. Started again with the same URL, unfinished orders are
    /// finished first.
    #[arg(long, value_name = "URL", value_parser = secret)]
    pub(crate) database: Option<Secret>,
    /// Carry events between the services by this broker: amqp://, nats://, redis:// or kafka://. The
    /// platform copies them into its log, for sagas, traces and the audit.
    #[arg(long, value_name = "URL", value_parser = secret)]
    pub(crate) broker: Option<Secret>,
    /// Stop after the audit instead of serving until Ctrl-C.
    #[arg(long)]
    pub(crate) exit: bool,
    /// Print the result as one line of JSON, the last on stdout.
    #[arg(long)]
    pub(crate) json: bool,
    /// One process for each service and one for the platform.
    #[arg(long)]
    pub(crate) processes: bool,
    /// Kill random processes with `kill -9` while customers order, every fourth time the platform,
    /// and start them again. Implies --processes.
    #[arg(long)]
    pub(crate) chaos: bool,
    /// How many platforms share the log, each with a gateway of its own: customers and services go to
    /// another when one is away, and --chaos kills each in turn. More than one needs --database.
    /// Implies --processes.
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u8).range(1..=5))]
    pub(crate) platforms: u8,
    /// How many kills --chaos spreads over the orders.
    #[arg(long, value_name = "N", default_value_t = 12, requires = "chaos", value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub(crate) kills: u32,
    /// Which processes --chaos kills, and when, in terms of orders; drawn and printed if not given.
    #[arg(long, value_name = "N", requires = "chaos")]
    pub(crate) seed: Option<u64>,
    /// Add steps by services in Node, Python and Java, which must be installed, to the saga.
    #[arg(long)]
    pub(crate) polyglot: bool,
    /// Plant a defect that the auditor must find.
    #[arg(long, value_enum, value_name = "KIND")]
    pub(crate) sabotage: Option<Sabotage>,
}

/// The value of a flag that may have a password in it: no message repeats it.
fn secret(text: &str) -> Result<Secret, Infallible> {
    Ok(Secret::new(text.to_owned()))
}

/// What `shop demo` reads beside its flags.
const DEMO_ENVIRONMENT: &str = "\
Environment, for a URL with a password; NAME_FILE names a file that holds the value instead:
  SHOP_DATABASE_URL    as --database
  SHOP_BROKER_URL      as --broker
Engines are features: build with `--features postgres`, `rabbitmq`, `nats`, `redis`, `kafka`, or
`engines` for all of them.";

/// What `shop audit` reads beside its flags.
const AUDIT_ENVIRONMENT: &str = "\
Environment, for a URL with a password; NAME_FILE names a file that holds the value instead:
  SHOP_DATABASE_URL    as --database";

/// What `shop serve` reads beside its flags.
const SERVE_ENVIRONMENT: &str = "\
Environment; NAME_FILE names a file that holds the value instead:
  IEUM_TOKEN           the token that the platform asks for
  SHOP_DATABASE_URL    as --database, with a password
  SHOP_BROKER_URL      as --broker, with a password
  SHOP_CACHE_URL       as --cache, with a password
And for the service users:
  SHOP_SIGNING_KEY     the private key that signs sessions (ES256, PKCS #8, PEM);
                       made and kept beside the database if not given
  SHOP_ADMIN_PASSWORD  the password of the member of staff admin@shop.example;
                       nobody is staff if not given";

/// Who drives an order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum FlowArg {
    /// The saga engine calls each service in turn.
    Orchestrated,
    /// Each service acts on the events of the one before.
    Choreographed,
}

impl FlowArg {
    /// The word in an order.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Orchestrated => "orchestrated",
            Self::Choreographed => "choreographed",
        }
    }
}

/// Flags of `shop serve`. Secrets are never arguments, which everybody on the machine can read: see
/// the environment variables in `--help`.
#[derive(Clone, Debug, Args)]
pub(crate) struct ServeArgs {
    /// Which service.
    #[arg(value_enum)]
    pub(crate) service: ServiceName,
    /// The platform's API, to register at and to exchange events through. Those of several platforms on
    /// one log are joined by commas.
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:8500")]
    pub(crate) platform: String,
    /// Where to listen; port 0 takes a free one.
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:0")]
    pub(crate) listen: SocketAddr,
    /// The host under which others reach it, if that is not the one it listens on: in a container,
    /// the container's name.
    #[arg(long, value_name = "HOST")]
    pub(crate) advertise: Option<String>,
    /// The service's database: sqlite://FILE, or postgres://USER@HOST:PORT/NAME, which must be there;
    /// `DIR/SERVICE.db` if not given.
    #[arg(long, value_name = "URL", value_parser = secret)]
    pub(crate) database: Option<Secret>,
    /// The directory of the database, unless --database says otherwise, and of what else the service
    /// keeps; by default `shop-data`, or where the database's file is.
    #[arg(long, value_name = "DIR")]
    pub(crate) data: Option<PathBuf>,
    /// Exchange events by this broker instead of the platform: amqp://, nats://, redis:// or kafka://.
    #[arg(long, value_name = "URL", value_parser = secret)]
    pub(crate) broker: Option<Secret>,
    /// Read products through this cache, redis:// or rediss://, which copies of the service share; by
    /// default in memory. Only for products.
    #[arg(long, value_name = "URL", value_parser = secret)]
    pub(crate) cache: Option<Secret>,
    /// End at once when standard input ends: who started this process is gone.
    #[arg(long, hide = true)]
    pub(crate) lifeline: bool,
}

/// Flags of `shop platform`.
#[derive(Clone, Debug, Args)]
pub(crate) struct PlatformArgs {
    /// The platform's configuration.
    #[arg(short, long, value_name = "FILE")]
    pub(crate) config: PathBuf,
    /// As for `shop serve`.
    #[arg(long, hide = true)]
    pub(crate) lifeline: bool,
}

/// A service of the shop.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum ServiceName {
    /// Who the customers are.
    Users,
    /// What is sold.
    Products,
    /// Who ordered what.
    Orders,
    /// What is in stock.
    Inventory,
    /// What was paid.
    Payments,
    /// What was sent.
    Shipping,
    /// What customers were told.
    Notifications,
    /// What happened, in numbers.
    Analytics,
    /// What a buyer sees: the storefront's pages. It keeps nothing, so that the flags of databases,
    /// brokers and caches mean nothing to it.
    Portal,
}

impl ServiceName {
    /// The word on the command line, and in the registry.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Users => "users",
            Self::Products => "products",
            Self::Orders => "orders",
            Self::Inventory => "inventory",
            Self::Payments => "payments",
            Self::Shipping => "shipping",
            Self::Notifications => "notifications",
            Self::Analytics => "analytics",
            Self::Portal => "portal",
        }
    }
}

/// Flags of `shop audit`.
#[derive(Clone, Debug, Args)]
pub(crate) struct AuditArgs {
    /// The data directory of a demo.
    #[arg(long, value_name = "DIR")]
    pub(crate) data: Option<PathBuf>,
    /// The databases of a demo, as its own --database. The ledgers of --polyglot are in --data.
    #[arg(long, value_name = "URL", value_parser = secret)]
    pub(crate) database: Option<Secret>,
    /// Print the result as one line of JSON.
    #[arg(long)]
    pub(crate) json: bool,
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn the_defaults_are_twenty_orders_at_eight_a_time() {
        let cli = Cli::try_parse_from(["shop", "demo"]).expect("valid");
        let Command::Demo(args) = cli.command else {
            panic!("the demo")
        };
        assert_eq!((args.orders, args.concurrency, args.decline), (20, 8, 0));
        assert_eq!(
            (args.flow, args.exit, args.json),
            (FlowArg::Orchestrated, false, false)
        );
    }
}
