//! What `ieum doctor` finds out about a server.
//!
//! It looks at what weakens a promise, also at what [`connect`](super::connect) would refuse: here
//! everything is told at once.

use futures_util::StreamExt;
use ieum_base::{EngineUrl, Finding};
use tokio_postgres::SimpleQueryMessage;

use super::config::{Server, TlsMode};
use super::pool::Dedicated;
use super::session::OLDEST;
use super::{Config, Pool};
use crate::{Error, ErrorKind, Result};

/// Looks at the server of `url`: whether it is reachable, its version, and the settings that weaken a
/// promise. Changes nothing.
pub async fn examine(url: &EngineUrl) -> Vec<Finding> {
    let config = Config::default();
    let settings = match settings(url, &config).await {
        Ok(settings) => settings,
        Err(error) => {
            return vec![Finding::broken("not reachable", error.to_string())];
        }
    };
    let mut findings = vec![Finding::fine("reachable")];
    findings.extend(settings.findings(&config));
    findings.extend(transport(url, &config, settings.is_encrypted));
    findings
}

/// What the server says of itself.
struct Settings {
    version: String,
    version_number: u32,
    fsync: String,
    full_page_writes: String,
    synchronous_commit: String,
    wal_sync_method: String,
    max_connections: usize,
    reserved: usize,
    used: usize,
    is_standby: bool,
    encoding: String,
    is_encrypted: bool,
}

const ASK: &str = "\
SELECT current_setting('server_version'), current_setting('server_version_num'), \
       current_setting('fsync'), current_setting('full_page_writes'), \
       current_setting('synchronous_commit'), current_setting('wal_sync_method'), \
       current_setting('max_connections'), current_setting('superuser_reserved_connections'), \
       (SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend'), \
       pg_is_in_recovery(), current_setting('server_encoding'), \
       (SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid())";

async fn settings(url: &EngineUrl, config: &Config) -> Result<Settings> {
    let Dedicated {
        client,
        mut messages,
    } = Pool::new(url, config.clone())?.dedicated().await?;
    let drive = async { while messages.next().await.is_some() {} };
    let asked = tokio::time::timeout(config.connect_timeout, async {
        tokio::select! {
            answer = client.simple_query(ASK) => answer.map_err(Error::from),
            () = drive => Err(Error::new(ErrorKind::Io, "the connection was closed")),
        }
    });
    let silent = |_| Error::new(ErrorKind::Unreachable, format!("{url} does not answer"));
    let answer = asked.await.map_err(silent)??;
    let row = answer.iter().find_map(|message| match message {
        SimpleQueryMessage::Row(row) => Some(row),
        _ => None,
    });
    let text = |at: usize| row.and_then(|row| row.get(at)).unwrap_or_default();
    let number = |at: usize| text(at).parse().unwrap_or(0);
    Ok(Settings {
        version: text(0).to_owned(),
        version_number: text(1).parse().unwrap_or(0),
        fsync: text(2).to_owned(),
        full_page_writes: text(3).to_owned(),
        synchronous_commit: text(4).to_owned(),
        wal_sync_method: text(5).to_owned(),
        max_connections: number(6),
        reserved: number(7),
        used: number(8),
        is_standby: text(9) == "t",
        encoding: text(10).to_owned(),
        is_encrypted: text(11) == "t",
    })
}

impl Settings {
    fn findings(&self, config: &Config) -> [Finding; 8] {
        [
            self.version(),
            self.role(),
            self.fsync(),
            self.full_page_writes(),
            self.synchronous_commit(),
            self.wal_sync_method(),
            self.connections(config.max_connections),
            self.encoding(),
        ]
    }

    fn version(&self) -> Finding {
        let what = format!("version {}", self.version);
        if self.version_number >= OLDEST {
            return Finding::fine(what);
        }
        let advice = format!("ieum needs version {} or newer: upgrade", OLDEST / 10_000);
        Finding::broken(what, advice)
    }

    fn role(&self) -> Finding {
        if self.is_standby {
            let advice = "a standby only reads: name the primary server in the URL";
            return Finding::broken("the server is a standby", advice);
        }
        Finding::fine("the server is a primary")
    }

    fn fsync(&self) -> Finding {
        let what = format!("fsync is {}", self.fsync);
        if self.fsync == "on" {
            return Finding::fine(what);
        }
        let advice = "a power cut loses what was acknowledged, or the whole database, and ieum \
                      refuses to connect: set fsync = on";
        Finding::broken(what, advice)
    }

    fn full_page_writes(&self) -> Finding {
        let what = format!("full_page_writes is {}", self.full_page_writes);
        if self.full_page_writes == "on" {
            return Finding::fine(what);
        }
        let advice = "a power cut in the middle of a page leaves it torn, unless the file system \
                      writes pages whole: set full_page_writes = on";
        Finding::weak(what, advice)
    }

    fn synchronous_commit(&self) -> Finding {
        let what = format!("synchronous_commit is {}", self.synchronous_commit);
        match &*self.synchronous_commit {
            "on" | "remote_apply" => Finding::fine(what),
            _ => Finding::weak(
                what,
                "ieum's own connections and every append turn it on; other programs' \
                 acknowledged writes in this database can be lost: set synchronous_commit = on",
            ),
        }
    }

    fn wal_sync_method(&self) -> Finding {
        let what = format!("wal_sync_method is {}", self.wal_sync_method);
        match &*self.wal_sync_method {
            "fdatasync" | "fsync" | "open_datasync" | "open_sync" | "fsync_writethrough" => {
                Finding::fine(what)
            }
            _ => Finding::weak(what, "it is not known to reach the disk: try pg_test_fsync"),
        }
    }

    fn connections(&self, pool: usize) -> Finding {
        let usable = self.max_connections.saturating_sub(self.reserved);
        let what = format!("{} of {usable} connections are in use", self.used);
        // A process has a pool and one connection that listens.
        let needed = pool + 1;
        if usable.saturating_sub(self.used) >= needed {
            return Finding::fine(what);
        }
        let advice = format!(
            "one process of ieum takes up to {needed}: raise max_connections, or lower \
             `max_connections` in the URL"
        );
        Finding::weak(what, advice)
    }

    fn encoding(&self) -> Finding {
        let what = format!("the database is encoded in {}", self.encoding);
        if self.encoding == "UTF8" {
            return Finding::fine(what);
        }
        Finding::broken(what, "make a database with `ENCODING 'UTF8'`")
    }
}

/// How the connection is kept from others, if it leaves the machine.
fn transport(url: &EngineUrl, config: &Config, is_encrypted: bool) -> Option<Finding> {
    let host = url
        .authority()
        .rsplit_once(':')
        .map_or(url.authority(), |(host, _)| host);
    let is_near = ["localhost", "127.0.0.1", "[::1]", ""].contains(&host);
    let verifies = matches!(Server::parse(url, config).ok()?.tls, TlsMode::VerifyFull(_));
    match (is_near, is_encrypted, verifies) {
        (true, ..) => None,
        (_, true, true) => Some(Finding::fine("the connection is encrypted and verified")),
        (_, true, false) => Some(Finding::weak(
            "the connection is encrypted, and whose certificate it is is not looked at",
            "who stands in between can read everything: add `sslmode=verify-full`, and \
             `sslrootcert=FILE` if your own authority signed the certificate",
        )),
        (_, false, _) => Some(Finding::weak(
            "the connection is not encrypted",
            "the password's proof and all data pass in the clear: switch TLS on at the server and \
             add `sslmode=verify-full`",
        )),
    }
}
