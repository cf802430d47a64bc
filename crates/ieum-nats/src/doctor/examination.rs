//! The examination, finding by finding.

use std::sync::Arc;
use std::time::Duration;

use async_nats::jetstream::stream::{Info, StorageType};
use ieum_base::{ByteSize, Clock, EngineUrl, Finding, HumanDuration};
use ieum_messaging::{ErrorKind, Result};
use serde::Deserialize;
use serde_json::json;

use super::monitor::{self, Syncing};
use crate::config::Config;
use crate::connection::Connection;
use crate::error::refused;
use crate::inspect::Inspect;

/// What an account uses and may use. The client library's own type refuses what 2.9 answers.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Account {
    storage: u64,
    streams: u64,
    consumers: u64,
    limits: Limits,
}

/// An account's limits; below 0 is none.
#[derive(Debug, Deserialize)]
#[serde(default)]
struct Limits {
    max_storage: i64,
    max_streams: i64,
    max_consumers: i64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_storage: -1,
            max_streams: -1,
            max_consumers: -1,
        }
    }
}

/// Looks at the server of `url`: is it reachable, which version is it, does it have JetStream, and
/// which settings weaken what is promised. Changes nothing. How the server syncs is asked from its
/// monitoring, if the URL names it (`?monitor=HOST:PORT`).
pub async fn examine(url: &EngineUrl) -> Vec<Finding> {
    let opened = match Config::from_url(url) {
        Ok(config) => Box::pin(Connection::open(url, config, &Clock::system())).await,
        Err(error) => Err(error),
    };
    match opened {
        Ok(connection) => examine_server(url, Arc::new(connection)).await,
        Err(error) if error.kind() == ErrorKind::Unavailable => vec![Finding::broken(
            error.to_string(),
            "start the server, or correct the host and the port of the URL",
        )],
        Err(error) => vec![Finding::broken(
            error.to_string(),
            "nothing can be published or read until this is mended",
        )],
    }
}

async fn examine_server(url: &EngineUrl, connection: Arc<Connection>) -> Vec<Finding> {
    let info = connection.client.server_info();
    let mut findings = vec![version(&info.version)];
    findings.push(payload(info.max_payload, &connection.config));
    findings.extend(access(url, &info));
    findings.push(match account(&connection).await {
        Ok(account) => room(&account),
        Err(error) => Finding::broken(
            error.to_string(),
            "JetStream must answer: see the server's log",
        ),
    });
    let told = match &connection.config.monitor {
        Some(address) => Some(monitor::syncing(address, connection.config.answer).await),
        None => None,
    };
    findings.push(syncing(&info.version, told));
    match Inspect::new(Arc::clone(&connection)).streams().await {
        Ok(streams) => findings.extend(streams.iter().flat_map(|info| stream(info, &connection))),
        Err(error) => findings.push(Finding::broken(error.to_string(), "see the server's log")),
    }
    findings
}

fn version(version: &str) -> Finding {
    let what = format!("version {version}");
    if number(version) >= Some((2, 9)) {
        return Finding::fine(what);
    }
    Finding::weak(
        what,
        "this is older than what is tested here: use 2.9 or later",
    )
}

fn number(version: &str) -> Option<(u64, u64)> {
    let mut parts = version.split('.').map(str::parse);
    Some((parts.next()?.ok()?, parts.next()?.ok()?))
}

fn payload(most: usize, config: &Config) -> Finding {
    let what = format!("max_payload {}", ByteSize(most as u64));
    if most >= config.limits.message_bytes {
        return Finding::fine(what);
    }
    let limit = ByteSize(config.limits.message_bytes as u64);
    let advice = format!(
        "messages between that and {limit} are refused by this server and taken by other engines: set \
         `max_payload` to {limit} and some room for headers"
    );
    Finding::weak(what, advice)
}

fn access(url: &EngineUrl, info: &async_nats::ServerInfo) -> Option<Finding> {
    if !info.auth_required && url.user().is_none() {
        return Some(Finding::weak(
            "no password is asked for",
            "whoever reaches the server may publish, read and delete: give it users or tokens",
        ));
    }
    let here = ["127.", "localhost", "[::1]"];
    let is_here = here.iter().any(|host| url.authority().starts_with(host));
    let is_safe = info.tls_required || url.scheme() == "tls" || is_here;
    (!is_safe).then(|| {
        Finding::weak(
            "the connection is not encrypted",
            "passwords and messages can be read on the way: give the server a certificate and use \
             `tls://`",
        )
    })
}

async fn account(connection: &Connection) -> Result<Account> {
    let doing = "looking at the account";
    let asked = connection.api::<Account>(doing, "INFO", &json!({})).await?;
    asked.map_err(|error| refused(doing, error))
}

fn room(account: &Account) -> Finding {
    let limit = |limit: i64| u64::try_from(limit).ok();
    let mut used = vec![];
    let mut short = vec![];
    let mut see = |what: &str, is: u64, most: Option<u64>, shown: &dyn Fn(u64) -> String| {
        let most_shown = most.map_or("no limit".to_owned(), shown);
        used.push(format!("{} of {what} ({most_shown})", shown(is)));
        // Nine tenths.
        if most.is_some_and(|most| is.saturating_mul(10) >= most.saturating_mul(9)) {
            short.push(what.to_owned());
        }
    };
    let bytes = |bytes: u64| ByteSize(bytes).to_string();
    let count = |count: u64| count.to_string();
    let limits = &account.limits;
    see(
        "storage",
        account.storage,
        limit(limits.max_storage),
        &bytes,
    );
    see(
        "streams",
        account.streams,
        limit(limits.max_streams),
        &count,
    );
    see(
        "consumers",
        account.consumers,
        limit(limits.max_consumers),
        &count,
    );
    let what = format!("the account uses {}", used.join(", "));
    if short.is_empty() {
        return Finding::fine(what);
    }
    let advice = format!(
        "little is left of {}: when it is used up, publishing is refused until there is room; shorten \
         `max-age`, or raise the account's limits",
        short.join(" and ")
    );
    Finding::weak(what, advice)
}

/// What is known of how JetStream syncs its files.
fn syncing(version: &str, told: Option<Result<Syncing>>) -> Finding {
    let advice = "an answered publish survives the end of the server's process; a power cut may lose \
        what was answered since the last sync";
    let replicas = "three replicas on machines with power of their own";
    let is_fixed = number(version) < Some((2, 10));
    match told {
        Some(Ok(Syncing {
            sync_always: true, ..
        })) => Finding::fine("JetStream syncs before each answer"),
        Some(Ok(Syncing {
            sync_interval: Some(nanos),
            ..
        })) => Finding::weak(
            format!(
                "JetStream syncs its files every {}",
                HumanDuration(Duration::from_nanos(nanos))
            ),
            format!("{advice}: set `sync_interval: always`, or use {replicas}"),
        ),
        Some(Err(error)) if !is_fixed => Finding::weak(
            format!("how often JetStream syncs is not known: {error}"),
            format!("its default is every 2 minutes: {advice}; correct `monitor` in the URL"),
        ),
        None if !is_fixed => Finding::weak(
            "how often JetStream syncs is not known: its protocol does not tell",
            format!(
                "its default is every 2 minutes: {advice}; name the monitoring in the URL \
                 (`?monitor=HOST:PORT`) to have it looked up, and set `sync_interval: always`, or use \
                 {replicas}"
            ),
        ),
        _ => Finding::weak(
            "JetStream syncs its files every 2 minutes, which this version fixes",
            format!("{advice}: use {replicas}, or version 2.10 with `sync_interval: always`"),
        ),
    }
}

/// A stream of ours that promises less than it could.
fn stream(info: &Info, connection: &Connection) -> Option<Finding> {
    let config = &info.config;
    let name = &config.name;
    if config.storage == StorageType::Memory {
        return Some(Finding::weak(
            format!("the stream `{name}` is kept in memory"),
            "a restart of the server loses its messages: make it anew with storage on file",
        ));
    }
    let is_cluster = connection.client.server_info().cluster.is_some();
    (is_cluster && config.num_replicas == 1).then(|| {
        Finding::weak(
            format!("the stream `{name}` is on one server of the cluster"),
            "when that server is away, the stream is too: give it three replicas (`replicas=3` in the \
             URL for new streams, `nats stream update` for this one)",
        )
    })
}

#[cfg(test)]
mod tests {
    use ieum_base::Level;

    use super::*;

    #[test]
    fn the_sync_interval_is_told_as_far_as_it_is_known() {
        let told = |interval, always| {
            Some(Ok(Syncing {
                sync_interval: interval,
                sync_always: always,
            }))
        };
        let two_minutes = Some(120_000_000_000);
        for (version, told, level, what) in [
            ("2.9.10", None, Level::Weak, "which this version fixes"),
            (
                "2.9.10",
                told(None, false),
                Level::Weak,
                "which this version fixes",
            ),
            ("2.11.0", None, Level::Weak, "its protocol does not tell"),
            ("2.11.0", told(two_minutes, false), Level::Weak, "every 2m"),
            (
                "2.11.0",
                told(two_minutes, true),
                Level::Fine,
                "before each answer",
            ),
        ] {
            let found = syncing(version, told);
            assert_eq!(found.level, level, "{found:?}");
            assert!(found.what.contains(what), "{found:?}");
        }
    }

    #[test]
    fn an_account_that_is_nearly_used_up_is_told() {
        let mut account = Account::default();
        account.limits.max_storage = 1 << 20;
        account.storage = 1 << 10;
        assert_eq!(room(&account).level, Level::Fine);
        account.storage = 1 << 20;
        let found = room(&account);
        assert_eq!(found.level, Level::Weak);
        assert!(
            found
                .advice
                .is_some_and(|advice| advice.contains("left of storage"))
        );
    }

    #[test]
    fn versions_are_numbers() {
        assert_eq!(version("2.10.4").level, Level::Fine);
        assert_eq!(version("2.9.0-beta.1").level, Level::Fine);
        assert_eq!(version("2.8.4").level, Level::Weak);
        assert_eq!(version("?").level, Level::Weak);
    }
}
