//! `ieum sagas`: what runs, what waits for an operator, and how one saga went.

use std::process::ExitCode;

use anyhow::bail;
use ieum_base::Timestamp;
use ieum_remote::ErrorKind;
use ieum_remote::wire::sagas;
use ieum_saga::engine::Summary;
use ieum_saga::{CallView, SagaView};

use super::Outcome;
use super::platform::Asking;
use super::table::{short, table};

/// List sagas, or show the steps of one.
#[derive(Debug, clap::Args)]
pub(super) struct Sagas {
    /// The saga to show.
    id: Option<String>,
    /// Only sagas in this state: running, compensating, parked, completed, compensated.
    #[arg(long, conflicts_with = "id")]
    state: Option<String>,
    /// Only sagas of this definition.
    #[arg(long, conflicts_with = "id")]
    definition: Option<String>,
    /// The most sagas to list.
    #[arg(long, default_value_t = 50, conflicts_with = "id")]
    limit: usize,
    #[command(flatten)]
    asking: Asking,
}

impl Sagas {
    pub(super) fn run(self) -> Outcome {
        match &self.id {
            Some(id) => self.show(id),
            None => self.list(),
        }
    }

    fn list(&self) -> Outcome {
        let query = sagas::List {
            state: self.state.clone(),
            definition: self.definition.clone(),
            limit: Some(self.limit),
        };
        let sagas = self.asking.run(async |platform| {
            let sagas = platform.sagas().list(&query).await;
            sagas.map_err(|error| self.asking.explain(error))
        })?;
        let list = sagas::Sagas { sagas };
        if self.asking.json {
            super::print(&serde_json::to_string_pretty(&list)?)?;
        } else if list.sagas.is_empty() {
            super::remark(&"no saga");
        } else {
            super::print(&render_list(&list.sagas))?;
        }
        Ok(ExitCode::SUCCESS)
    }

    fn show(&self, id: &str) -> Outcome {
        let saga = self
            .asking
            .run(async |platform| match platform.sagas().get(id).await {
                Ok(saga) => Ok(saga),
                Err(error) if error.kind() == ErrorKind::NotFound => {
                    bail!("there is no saga `{id}`; `ieum sagas` lists them")
                }
                Err(error) => Err(self.asking.explain(error)),
            })?;
        if self.asking.json {
            super::print(&serde_json::to_string_pretty(&saga)?)?;
        } else {
            super::print(&render(&saga))?;
        }
        Ok(ExitCode::SUCCESS)
    }
}

fn render_list(sagas: &[Summary]) -> String {
    let mut table = table(["SAGA", "DEFINITION", "STATE", "STEP", "STARTED", "WHY"]);
    for saga in sagas {
        let why = saga.parked.as_ref().or(saga.failure.as_ref());
        table.add_row([
            saga.id.to_string(),
            saga.definition.clone(),
            saga.status.to_string(),
            saga.step.clone().unwrap_or_default(),
            saga.started_at.to_string(),
            short(why.map_or("", String::as_str), 50),
        ]);
    }
    table.to_string()
}

fn render(saga: &SagaView) -> String {
    let Summary {
        id,
        definition,
        status,
        key,
        started_at,
        ..
    } = &saga.summary;
    let mut text = format!("saga {id}\n{definition}: {status} (key {key})\nstarted {started_at}\n");
    if let Some(why) = &saga.summary.parked {
        text.push_str(&format!("parked: {why}\n"));
    }
    if let Some(failure) = &saga.summary.failure {
        text.push_str(&format!("failed: {failure}\n"));
    }
    let mut table = table(["STEP", "SERVICE", "DO", "TRIES", "AT", "UNDO", "REMARK"]);
    for step in &saga.steps {
        let mut name = step.name.clone();
        if step.pivot {
            name.push_str(" (pivot)");
        }
        let remark = step.undo.as_ref().and_then(|undo| undo.error.as_ref());
        let remark = remark.or(step.call.error.as_ref());
        let uncertain = if step.uncertain { "uncertain; " } else { "" };
        table.add_row([
            name,
            step.service.clone(),
            progress(&step.call),
            step.call.attempts.to_string(),
            offset(*started_at, step.call.last_at),
            step.undo.as_ref().map_or_else(|| "–".to_owned(), progress),
            short(
                &format!("{uncertain}{}", remark.map_or("", String::as_str)),
                50,
            ),
        ]);
    }
    text.push_str(&table.to_string());
    text
}

/// The API's word for it.
fn progress(call: &CallView) -> String {
    let word = serde_json::to_value(call.progress).ok();
    let word = word.as_ref().and_then(serde_json::Value::as_str);
    word.unwrap_or("?").to_owned()
}

fn offset(start: Timestamp, at: Option<Timestamp>) -> String {
    at.map_or_else(String::new, |at| {
        format!("+{:.1} ms", at.since(start).as_secs_f64() * 1_000.0)
    })
}
