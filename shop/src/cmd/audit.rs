//! `shop audit`

use std::time::Duration;

use anyhow::{Result, ensure};
use ieum_server::console;

use super::engines;
use crate::audit::{self, Source};
use crate::cli::AuditArgs;
use crate::demo::report::{self, Summary};

/// How often books that do not balance are read again: beside a running demo, events may still be on
/// their way.
const LOOKS: u32 = 5;
/// The pause before that.
const PAUSE: Duration = Duration::from_millis(500);

/// Audits. True if the books balance.
pub(crate) async fn run(args: &AuditArgs) -> Result<bool> {
    let source = source(args)?;
    let mut books = look(&source).await?;
    for _ in 1..LOOKS {
        if books.balance() {
            break;
        }
        tokio::time::sleep(PAUSE).await;
        books = look(&source).await?;
    }
    let summary = Summary::of(&books);
    if args.json {
        let findings = report::findings(&books);
        if !findings.is_empty() {
            console::remark(&findings);
        }
        console::print(&summary.json()?)?;
    } else {
        let findings = report::findings(&books);
        console::print(&format_args!("{}\n{findings}", summary.table()))?;
    }
    Ok(books.balance())
}

fn source(args: &AuditArgs) -> Result<Source> {
    // A folder alone means its own files, whatever the environment has for others.
    let database = match &args.data {
        Some(_) if args.database.is_none() => None,
        _ => engines::database(args.database.as_ref())?,
    };
    ensure!(
        args.data.is_some() || database.is_some(),
        "whose books? Name what `shop demo` was given with --data or --database"
    );
    Ok(Source::new(args.data.as_deref(), database.as_ref()))
}

async fn look(source: &Source) -> Result<audit::Books> {
    let source = source.clone();
    tokio::task::spawn_blocking(move || audit::audit(&source)).await?
}
