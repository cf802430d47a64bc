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
