//! `ieum impact`: what a change of an event, a topic, a service or a route touches.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context;
use clap::builder::PossibleValuesParser;
use clap::builder::TypedValueParser;
use ieum_remote::ErrorKind;
use ieum_remote::wire::impact::{GetImpact, Impact as Body, Published, Seen, SubjectKind};
use ieum_remote::wire::paths;
use serde_json::Value;

use super::Outcome;
use super::answer::{Shown, print};
use super::platform::Asking;
use super::table::table;
use crate::impact::{Contract, about, read_contracts};

/// List who publishes and consumes an event type or a topic, and which routes, contracts and sagas
/// depend on it, on a service or on a route.
#[derive(Debug, clap::Args)]
pub(super) struct Impact {
    /// An event type (order.placed), a topic, a service, or a route by its name.
    subject: String,
    /// What the subject is, if several have the name.
    #[arg(long, value_parser = kinds())]
    kind: Option<SubjectKind>,
    /// A folder with contracts that the platform does not know; may be given several times.
    #[arg(long, value_name = "DIR")]
    contracts: Vec<PathBuf>,
    #[command(flatten)]
    asking: Asking,
}

fn kinds() -> impl TypedValueParser<Value = SubjectKind> {
    let names = SubjectKind::ALL.map(SubjectKind::as_str);
    PossibleValuesParser::new(names).try_map(|name| SubjectKind::find(&name).ok_or("unknown"))
}

impl Impact {
    pub(super) fn run(self) -> Outcome {
        let Some(segment) = paths::segment(&self.subject) else {
            anyhow::bail!("nothing can be called `{}`", self.subject);
        };
        let path = format!("{}/{segment}", paths::IMPACT);
        let path = paths::with_query(&path, &GetImpact { kind: self.kind });
        let body = self.asking.run(async |platform| {
            let body = platform
                .get(&path)
                .await
                .map_err(|error| match error.kind() {
                    ErrorKind::NotFound => anyhow::Error::new(error),
                    _ => self.asking.explain(error),
                })?;
            self.with_contracts(body).await
        })?;
        print(&self.asking, body, |body| Shown::Text(render(body)))?;
        Ok(ExitCode::SUCCESS)
    }

    /// The answer with those contracts of the folders that are about it.
    async fn with_contracts(&self, body: Value) -> anyhow::Result<Value> {
        if self.contracts.is_empty() {
            return Ok(body);
        }
        let mut impact: Body = serde_json::from_value(body)?;
        for folder in &self.contracts {
            let found = read_contracts(folder).await;
            let found = found.with_context(|| format!("{} cannot be read", folder.display()))?;
            add(&mut impact, found);
        }
        Ok(serde_json::to_value(impact)?)
    }
}

fn add(impact: &mut Body, contracts: Vec<Contract>) {
    let new = contracts
        .into_iter()
        .filter(|contract| about(contract, impact));
    let new: Vec<_> = new.map(|contract| contract.told).collect();
    impact.contracts.extend(new);
    impact.contracts.sort();
    impact.contracts.dedup();
}

fn render(body: &Body) -> String {
    let subject = &body.subject;
    let mut text = format!("{} {}\n", subject.kind.as_str(), subject.name);
    if !body.also.is_empty() {
        let kinds: Vec<_> = body.also.iter().map(|kind| kind.as_str()).collect();
        text.push_str(&format!(
            "also the name of a {} (--kind)\n",
            kinds.join(", ")
        ));
    }
    let one = |name: &String| [name.clone()];
    section(
        &mut text,
        "publishers",
        ["SERVICE"],
        body.publishers.iter().map(one),
    );
    let consumers = body.consumers.iter();
    let consumers = consumers.map(|c| [c.service.clone(), c.group.clone(), c.topic.clone()]);
    section(
        &mut text,
        "consumers",
        ["SERVICE", "GROUP", "TOPIC"],
        consumers,
    );
    let routes = body.routes.iter();
    let routes = routes.map(|r| [r.name.clone(), r.path.clone(), r.service.clone()]);
    section(&mut text, "routes", ["ROUTE", "PATH", "SERVICE"], routes);
    let contracts = body.contracts.iter().map(|contract| {
        let (from, to) = (contract.consumer.clone(), contract.provider.clone());
        [from, to, contract.kind.clone(), contract.source.clone()]
    });
    let header = ["CONSUMER", "PROVIDER", "KIND", "SOURCE"];
    section(&mut text, "contracts", header, contracts);
    let sagas = body.sagas.iter();
    let sagas = sagas.map(|s| [s.definition.clone(), s.step.clone(), s.call.clone()]);
    section(&mut text, "sagas", ["SAGA", "STEP", "CALL"], sagas);
    section(
        &mut text,
        "services touched",
        ["SERVICE"],
        body.services.iter().map(one),
    );
    let published = ["SERVICE", "TYPE", "TOPIC"];
    section(
        &mut text,
        "publishes",
        published,
        body.events.iter().map(published_row),
    );
    let next = body.next.iter().map(published_row);
    section(&mut text, "what these publish next", published, next);
    text.push_str(&seen(body.seen));
    text
}

fn published_row(one: &Published) -> [String; 3] {
    [one.service.clone(), one.kind.clone(), one.topic.clone()]
}

/// A part with its rows; nothing if there is none.
fn section<const N: usize>(
    text: &mut String,
    title: &str,
    header: [&str; N],
    rows: impl Iterator<Item = [String; N]>,
) {
    let rows: Vec<_> = rows.collect();
    if !rows.is_empty() {
        text.push_str(&format!("\n{title}\n{}\n", table(header, rows)));
    }
}

fn seen(seen: Seen) -> String {
    match seen.complete {
        true => format!("\nthe whole log was looked at, up to {}", seen.up_to),
        false => format!(
            "\nonly the log behind {} was looked at, up to {}: who published earlier is not known",
            seen.after, seen.up_to
        ),
    }
}
