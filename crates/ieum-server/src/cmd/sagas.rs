//! `ieum sagas`: what runs, what waits for an operator, how one saga went, and what to tell it.

use std::process::ExitCode;

use clap::{Args, Subcommand};
use ieum_base::Timestamp;
use ieum_remote::Platform;
use ieum_remote::wire::{paths, sagas};
use ieum_saga::engine::{Stalled, Summary};
use ieum_saga::{CallView, SagaView};

use super::Outcome;
use super::answer::{Shown, show, show_or};
use super::platform::Asking;
use super::table::{NOTHING, short, table, word};

/// List sagas, show the steps of one, or tell one what to do.
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(super) struct Sagas {
    #[command(subcommand)]
    action: Option<Action>,
    /// The saga to show.
    id: Option<String>,
    /// Only sagas in this state: running, compensating, parked, completed, compensated.
    #[arg(long, conflicts_with = "id")]
    state: Option<String>,
    /// Only sagas of this definition.
    #[arg(long, conflicts_with = "id")]
    definition: Option<String>,
    /// The most to list, 1 to 1000. Default 100.
    #[arg(long, value_name = "N", conflicts_with = "id")]
    limit: Option<usize>,
    #[command(flatten)]
    asking: Asking,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Undo a saga; refused from its pivot on.
    Cancel(Told),
    /// Let a parked saga go on, in the direction that it had.
    Resume(Told),
    /// Try the next attempt now, without waiting for it.
    Retry(Retried),
    /// List the definitions in their latest versions.
    Definitions(Asking),
    /// List the open sagas that nothing will move; there must be none.
    Stalled(Asking),
}

/// A saga, and why it is told something.
#[derive(Debug, Args)]
struct Told {
    /// The saga.
    id: String,
    /// Why, for the saga's history.
    #[arg(long, value_name = "TEXT", default_value = "")]
    reason: String,
    #[command(flatten)]
    asking: Asking,
}

/// A saga whose next attempt is due.
#[derive(Debug, Args)]
struct Retried {
    /// The saga.
    id: String,
    #[command(flatten)]
    asking: Asking,
}

impl Sagas {
    pub(super) fn run(self) -> Outcome {
        match (self.action, self.id) {
            (Some(action), _) => action.run(),
            (None, Some(id)) => show_one(&self.asking, &id),
            (None, None) => {
                let query = sagas::List {
                    state: self.state,
                    definition: self.definition,
                    limit: self.limit,
                };
                let path = paths::with_query(paths::SAGAS, &query);
                show(&self.asking, &path, |list: &sagas::Sagas| {
                    Shown::rows(list.sagas.is_empty(), render_list(&list.sagas), "no saga")
                })
            }
        }
    }
}

impl Action {
    fn run(self) -> Outcome {
        match self {
            Self::Cancel(Told { id, reason, asking }) => tell(&asking, &id, async |platform| {
                platform.sagas().cancel(&id, &reason).await
            }),
            Self::Resume(Told { id, reason, asking }) => tell(&asking, &id, async |platform| {
                platform.sagas().resume(&id, &reason).await
            }),
            Self::Retry(Retried { id, asking }) => tell(&asking, &id, async |platform| {
                platform.sagas().retry_now(&id).await
            }),
            Self::Definitions(asking) => show(
                &asking,
                paths::SAGA_DEFINITIONS,
                |list: &sagas::Definitions| {
                    let text = render_definitions(list);
                    Shown::rows(list.definitions.is_empty(), text, "no saga is defined")
                },
            ),
            Self::Stalled(asking) => {
                show(&asking, paths::SAGA_LIVENESS, |list: &sagas::Liveness| {
                    let text = render_stalled(&list.stalled);
                    Shown::rows(list.stalled.is_empty(), text, "no saga stands still")
                })
            }
        }
    }
}

/// Tells a saga something; programs are answered with the saga as it then is.
fn tell(
    asking: &Asking,
    id: &str,
    command: impl AsyncFnOnce(&Platform) -> ieum_remote::Result<()>,
) -> Outcome {
    asking.run(async |platform| {
        let told = command(&platform).await;
        told.map_err(|error| asking.explain(error))
    })?;
    if asking.json {
        return show_one(asking, id);
    }
    super::remark(&format_args!(
        "written down; `ieum sagas {id}` shows how it goes"
    ));
    Ok(ExitCode::SUCCESS)
}

fn show_one(asking: &Asking, id: &str) -> Outcome {
    let missing = || format!("there is no saga `{id}`; `ieum sagas` lists them");
    let Some(segment) = paths::segment(id) else {
        anyhow::bail!(missing());
    };
    let path = format!("{}/{segment}", paths::SAGAS);
    show_or(
        asking,
        &path,
        |_| Some(missing()),
        |saga| Shown::Text(render(saga)),
    )
}

fn render_list(sagas: &[Summary]) -> String {
    let rows = sagas.iter().map(|saga| {
        let why = saga.parked.as_ref().or(saga.failure.as_ref());
        [
            saga.id.to_string(),
            saga.definition.clone(),
            saga.status.to_string(),
            saga.step.clone().unwrap_or_default(),
            saga.started_at.to_string(),
            short(why.map_or("", String::as_str), 50),
        ]
    });
    table(
        ["SAGA", "DEFINITION", "STATE", "STEP", "STARTED", "WHY"],
        rows,
    )
}

fn render_definitions(list: &sagas::Definitions) -> String {
    let rows = list.definitions.iter().map(|definition| {
        let steps = definition.definition.steps.iter();
        let steps: Vec<_> = steps.map(|step| step.name.as_str()).collect();
        let hash = definition.hash.to_string();
        [definition.name.clone(), short(&hash, 13), steps.join(" → ")]
    });
    table(["DEFINITION", "VERSION", "STEPS"], rows)
}

fn render_stalled(stalled: &[Stalled]) -> String {
    let rows = stalled.iter().map(|stalled| {
        let saga = &stalled.saga;
        [
            saga.id.to_string(),
            saga.definition.clone(),
            short(&stalled.why, 80),
        ]
    });
    table(["SAGA", "DEFINITION", "WHY"], rows)
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
    let rows = saga.steps.iter().map(|step| {
        let pivot = if step.pivot { " (pivot)" } else { "" };
        let remark = step.undo.as_ref().and_then(|undo| undo.error.as_ref());
        let remark = remark.or(step.call.error.as_ref());
        let uncertain = if step.uncertain { "uncertain; " } else { "" };
        [
            format!("{}{pivot}", step.name),
            step.service.clone(),
            word(&step.call.progress),
            step.call.attempts.to_string(),
            offset(*started_at, step.call.last_at),
            undone(step.undo.as_ref()),
            short(
                &format!("{uncertain}{}", remark.map_or("", String::as_str)),
                50,
            ),
        ]
    });
    let header = ["STEP", "SERVICE", "DO", "TRIES", "AT", "UNDO", "REMARK"];
    text.push_str(&table(header, rows));
    text
}

fn undone(undo: Option<&CallView>) -> String {
    undo.map_or_else(|| NOTHING.to_owned(), |undo| word(&undo.progress))
}

fn offset(start: Timestamp, at: Option<Timestamp>) -> String {
    at.map_or_else(String::new, |at| {
        format!("+{:.1} ms", at.since(start).as_secs_f64() * 1_000.0)
    })
}
