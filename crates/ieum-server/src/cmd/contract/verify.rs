//! `ieum contract verify`: put contracts to a running provider, or hold them against its OpenAPI
//! document.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result, bail};
use ieum_base::{HumanDuration, Stop, Tasks};
use ieum_contract::Pact;
use ieum_contract::openapi::Document;
use ieum_contract::provider::{Report, Verifier};
use serde_json::json;

use crate::cmd::{print, remark};
use crate::console::{Lines, print_json};

/// Verify Pact files against a running provider.
///
/// Each interaction is sent to the provider, and its answer compared with what the consumer needs; what
/// differs is said with its path: `$.body.items[0].price: expected an integer, was "12"`.
///
/// Example: ieum contract verify shop/contracts --provider users --provider-url http://127.0.0.1:3001
/// --state-url http://127.0.0.1:4000/states --header 'x-user-id: u1'
#[derive(Debug, clap::Args)]
pub(super) struct Verify {
    /// Pact files, or folders with them.
    #[arg(required = true, value_name = "PACT")]
    pacts: Vec<PathBuf>,
    /// Where the provider listens.
    #[arg(long, value_name = "URL", required_unless_present = "openapi")]
    provider_url: Option<String>,
    /// Verify only contracts with this provider.
    #[arg(long, value_name = "NAME")]
    provider: Option<String>,
    /// The endpoint that sets up the states of interactions: it is sent
    /// {"consumer", "state", "params", "action"}. Without it they are taken to be so.
    #[arg(long, value_name = "URL")]
    state_url: Option<String>,
    /// Also send the action "teardown" after each interaction.
    #[arg(long, requires = "state_url")]
    state_teardown: bool,
    /// The endpoint that makes events: it is sent {"description", "providerStates"} and answers the
    /// event.
    #[arg(long, value_name = "URL")]
    message_url: Option<String>,
    /// A header for each request, over one of the contract: 'NAME: VALUE'. May be repeated.
    #[arg(long, value_name = "HEADER")]
    header: Vec<String>,
    /// How long each answer may take.
    #[arg(long, value_name = "DURATION", default_value = "15s")]
    timeout: HumanDuration,
    /// The provider's OpenAPI document (JSON): the interactions must also be possible by it.
    #[arg(long, value_name = "FILE")]
    openapi: Option<PathBuf>,
    /// Print JSON for programs.
    #[arg(long)]
    json: bool,
}

impl Verify {
    pub(super) fn run(self) -> Result<ExitCode> {
        let pacts = self.read()?;
        let mut reports = Vec::new();
        if let Some(file) = &self.openapi {
            let document = Document::open(file)?;
            reports.extend(pacts.iter().map(|pact| document.verify(pact)));
        }
        if let Some(url) = &self.provider_url {
            reports.extend(self.ask(url, &pacts)?);
        }
        for report in reports.iter().filter(|report| report.outcomes.is_empty()) {
            remark(&format_args!(
                "warning: nothing of {} was verified for {}",
                report.provider, report.consumer
            ));
        }
        let holds = reports.iter().all(Report::holds);
        if self.json {
            let told = json!({ "holds": holds, "reports": reports });
            print_json(&told, Lines::Many)?;
        } else {
            for report in &reports {
                print(report)?;
            }
        }
        Ok(ExitCode::from(u8::from(!holds)))
    }

    fn read(&self) -> Result<Vec<Pact>> {
        let mut files = Vec::new();
        for place in &self.pacts {
            files.extend(files_in(place)?);
        }
        let mut pacts = Vec::new();
        for file in &files {
            pacts.push(Pact::open(file)?);
        }
        if let Some(name) = &self.provider {
            pacts.retain(|pact| pact.provider == *name);
        }
        if pacts.is_empty() {
            bail!("there is no contract to verify");
        }
        Ok(pacts)
    }

    fn ask(&self, url: &str, pacts: &[Pact]) -> Result<Vec<Report>> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .context("no runtime can be started")?;
        runtime.block_on(async {
            let verifier = self.verifier(url, &Tasks::new(Stop::new()))?;
            let mut reports = Vec::new();
            for pact in pacts {
                reports.push(verifier.verify(pact).await?);
            }
            Ok(reports)
        })
    }

    fn verifier(&self, url: &str, tasks: &Tasks) -> Result<Verifier> {
        let mut verifier = Verifier::new(url, tasks)
            .timeout(self.timeout.0)
            .teardown(self.state_teardown);
        if let Some(url) = &self.state_url {
            verifier = verifier.state_url(url);
        }
        if let Some(url) = &self.message_url {
            verifier = verifier.message_url(url);
        }
        for header in &self.header {
            let parts = header.split_once(':');
            // It may be a secret: it is not repeated.
            let (name, value) = parts.context("a --header has no colon: write 'NAME: VALUE'")?;
            verifier = verifier.header(name.trim(), value.trim())?;
        }
        Ok(verifier)
    }
}

/// The file itself, or the JSON files of a folder by name.
fn files_in(place: &Path) -> Result<Vec<PathBuf>> {
    if !place.is_dir() {
        return Ok(vec![place.to_owned()]);
    }
    let mut files = Vec::new();
    for entry in std::fs::read_dir(place).with_context(|| place.display().to_string())? {
        let file = entry?.path();
        if file.extension().is_some_and(|kind| kind == "json") {
            files.push(file);
        }
    }
    files.sort();
    Ok(files)
}
