//! The command line: parsed to plain values here, acted upon in `cmd`.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

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
    Demo(DemoArgs),
    /// Run one service.
    Serve(ServeArgs),
    /// Check the books of a data directory, running or not.
    Audit(AuditArgs),
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
    /// Stop after the audit instead of serving until Ctrl-C.
    #[arg(long)]
    pub(crate) exit: bool,
    /// Print the result as one line of JSON, the last on stdout.
    #[arg(long)]
    pub(crate) json: bool,
    /// Plant a defect that the auditor must find.
    #[arg(long, value_enum, value_name = "KIND")]
    pub(crate) sabotage: Option<Sabotage>,
}

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

/// Flags of `shop serve`.
#[derive(Clone, Debug, Args)]
pub(crate) struct ServeArgs {
    /// Which service.
    #[arg(value_enum)]
    pub(crate) service: ServiceName,
    /// The platform's API, to register at and to exchange events through.
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:8500")]
    pub(crate) platform: String,
    /// Where to listen; port 0 takes a free one.
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:0")]
    pub(crate) listen: SocketAddr,
    /// Where to keep the service's database.
    #[arg(long, value_name = "DIR")]
    pub(crate) data: PathBuf,
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
}

/// Flags of `shop audit`.
#[derive(Clone, Debug, Args)]
pub(crate) struct AuditArgs {
    /// The data directory of a demo.
    #[arg(long, value_name = "DIR")]
    pub(crate) data: PathBuf,
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
