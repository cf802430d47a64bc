//! `shop audit`

use std::time::Duration;

use anyhow::Result;
use ieum_server::console;

use crate::audit;
use crate::cli::AuditArgs;
use crate::demo::report::{self, Summary};

/// How often books that do not balance are read again: beside a running demo, events may still be on
/// their way.
const LOOKS: u32 = 5;
/// The pause before that.
const PAUSE: Duration = Duration::from_millis(500);

/// Audits. True if the books balance.
pub(crate) async fn run(args: &AuditArgs) -> Result<bool> {
    let mut books = look(args).await?;
    for _ in 1..LOOKS {
        if books.balance() {
            break;
        }
        tokio::time::sleep(PAUSE).await;
        books = look(args).await?;
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

async fn look(args: &AuditArgs) -> Result<audit::Books> {
    let data = args.data.clone();
    tokio::task::spawn_blocking(move || audit::audit(&data)).await?
}
