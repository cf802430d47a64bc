//! What every new connection must be, and how it is set up.
//!
//! The promise "acknowledged is durable" is the server's to keep, so a server that cannot keep it is
//! refused rather than trusted: `fsync` off, a standby, a version whose behaviour was never tried.

use ieum_base::EngineUrl;
use tokio_postgres::{Client, SimpleQueryMessage};

use super::{Config, error};
use crate::{Error, ErrorKind, Result};

/// The oldest version that is supported, as `server_version_num` has it.
pub(super) const OLDEST: u32 = 150_000;

/// Sets the connection up, or says why its server does not do.
pub(super) async fn begin(client: &Client, url: &EngineUrl, config: &Config) -> Result<()> {
    let failed = |error| error::connecting(url, error);
    let answer = client.simple_query(&setup(config)).await.map_err(failed)?;
    let row = answer.iter().find_map(|message| match message {
        SimpleQueryMessage::Row(row) => Some(row),
        _ => None,
    });
    let text = |at: usize| row.and_then(|row| row.get(at)).unwrap_or_default();
    check(url, text)?;
    client.batch_execute(RECOGNISE).await.map_err(failed)
}

fn check<'a>(url: &EngineUrl, text: impl Fn(usize) -> &'a str) -> Result<()> {
    let unsupported = |what: String| Err(Error::new(ErrorKind::Unsupported, what));
    if text(0).parse::<u32>().unwrap_or(0) < OLDEST {
        return unsupported(format!(
            "{url} is PostgreSQL {}: ieum needs version {} or newer",
            text(1),
            OLDEST / 10_000
        ));
    }
    if text(2) != "on" {
        return unsupported(format!(
            "{url} runs with fsync = {}, so that a power cut loses what was acknowledged: set fsync \
             = on",
            text(2)
        ));
    }
    if text(3) != "f" {
        return unsupported(format!(
            "{url} is a standby, which only reads: name the primary server"
        ));
    }
    if text(4) != "UTF8" {
        return unsupported(format!(
            "the database of {url} is encoded in {}: create it with `ENCODING 'UTF8'`",
            text(4)
        ));
    }
    Ok(())
}

/// One statement that answers what [`check`] wants to know and settles the session. Whatever the
/// server's defaults are, transactions are READ COMMITTED and a commit waits for the disk.
fn setup(config: &Config) -> String {
    format!(
        "SELECT current_setting('server_version_num'), current_setting('server_version'), \
         current_setting('fsync'), pg_is_in_recovery(), current_setting('server_encoding'), \
         set_config('default_transaction_isolation', 'read committed', false), \
         set_config('synchronous_commit', CASE current_setting('synchronous_commit') \
         WHEN 'remote_apply' THEN 'remote_apply' ELSE 'on' END, false), \
         set_config('statement_timeout', '{}', false), \
         set_config('idle_in_transaction_session_timeout', '{}', false)",
        config.statement_timeout.as_millis(),
        config.idle_in_transaction_timeout.as_millis()
    )
}

/// A log that finds itself on another server, in another database or behind a promotion begins
/// another incarnation, before anybody reads from it.
const RECOGNISE: &str = "DO $$ BEGIN IF to_regprocedure('ieum_log_recognise()') IS NOT NULL THEN \
                         PERFORM ieum_log_recognise(); END IF; END $$";

#[cfg(test)]
mod tests {
    use super::*;

    /// What is said to a server that answers `row`.
    fn said(row: [&str; 5]) -> Option<String> {
        let url = "postgres://u:secret@db.example/orders";
        let url: EngineUrl = url.parse().expect("a URL");
        let refused = check(&url, |at| row[at]).err()?;
        assert_eq!(refused.kind(), ErrorKind::Unsupported);
        Some(refused.to_string())
    }

    #[test]
    fn a_server_that_cannot_keep_the_promise_is_refused_with_what_to_do() {
        assert_eq!(said(["150018", "15.18", "on", "f", "UTF8"]), None);
        assert_eq!(said(["170002", "17.2", "on", "f", "UTF8"]), None);
        let refusals = [
            (
                ["140019", "14.19", "on", "f", "UTF8"],
                "version 15 or newer",
            ),
            (["", "", "on", "f", "UTF8"], "version 15 or newer"),
            (["150018", "15.18", "off", "f", "UTF8"], "set fsync = on"),
            (["150018", "15.18", "on", "t", "UTF8"], "name the primary"),
            (["150018", "15.18", "on", "f", "LATIN1"], "ENCODING 'UTF8'"),
        ];
        for (row, advice) in refusals {
            let said = said(row).expect("refused");
            assert!(said.contains(advice), "{said}");
            assert!(
                said.contains("db.example") && !said.contains("secret"),
                "{said}"
            );
        }
    }
}
