//! `ieum overview`: the whole platform at a glance, as the console's first page has it.

use ieum_remote::wire::overview::{GetOverview, Load, Overview as Body};
use ieum_remote::wire::paths;

use super::Outcome;
use super::answer::{Shown, show};
use super::platform::Asking;
use super::table::{or_nothing, percent, table};

/// Show services with their load, who calls whom, and the totals of everything else.
#[derive(Debug, clap::Args)]
pub(super) struct Overview {
    /// The most services, and the most edges: those with the most calls.
    #[arg(long, value_name = "N")]
    limit: Option<usize>,
    #[command(flatten)]
    asking: Asking,
}

impl Overview {
    pub(super) fn run(self) -> Outcome {
        let query = GetOverview { limit: self.limit };
        let path = paths::with_query(paths::OVERVIEW, &query);
        show(&self.asking, &path, |body| Shown::Text(render(body)))
    }
}

fn render(body: &Body) -> String {
    let services = body.services.iter().map(|service| {
        let instances = service.instances;
        let (passing, warning, critical) =
            (instances.passing, instances.warning, instances.critical);
        let [rate, errors, half, most] = load(service.load);
        let states = format!("{passing}/{warning}/{critical}");
        let owner = or_nothing(service.owner.as_deref());
        [
            service.name.clone(),
            states,
            rate,
            errors,
            half,
            most,
            owner,
        ]
    });
    let services = table(
        [
            "SERVICE",
            "OK/WARN/CRIT",
            "CALLS/S",
            "ERRORS",
            "P50 MS",
            "P99 MS",
            "OWNER",
        ],
        services,
    );
    let edges = body.edges.iter().map(|edge| {
        let [rate, errors, half, most] = load(edge.load);
        [edge.from.clone(), edge.to.clone(), rate, errors, half, most]
    });
    let edges = table(
        ["FROM", "TO", "CALLS/S", "ERRORS", "P50 MS", "P99 MS"],
        edges,
    );
    format!("{}\n\n{services}\n\n{edges}", totals(body))
}

fn totals(body: &Body) -> String {
    let (sagas, breakers) = (body.sagas, body.breakers);
    format!(
        "ieum {} at {}, up since {}; figures of the last {} s\n\
         sagas: {} running, {} compensating, {} parked; {} completed, {} compensated\n\
         messages: {} waiting, {} set aside\n\
         breakers: {} closed, {} open, {} half-open",
        body.platform.version,
        body.platform.name,
        body.platform.started_at,
        body.window_seconds,
        sagas.running,
        sagas.compensating,
        sagas.parked,
        sagas.completed,
        sagas.compensated,
        body.lag,
        body.dead_letters,
        breakers.closed,
        breakers.open,
        breakers.half_open,
    )
}

fn load(load: Load) -> [String; 4] {
    [
        format!("{:.1}", load.rate),
        percent(load.error_rate),
        format!("{:.1}", load.p50_ms),
        format!("{:.1}", load.p99_ms),
    ]
}
