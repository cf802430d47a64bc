//! What `ieum doctor` finds out about a Redis server.

use std::collections::HashMap;

use ieum_base::{Clock, EngineUrl, Finding, Stop, Tasks};
use ieum_messaging::Durable;

use crate::client::Info;
use crate::connection::{Connection, Patience};
use crate::error::{ErrorKind, Result};

/// Looks at the server at `url`: whether it is reached, its version, and the settings that weaken what
/// it promises.
pub async fn examine(url: &EngineUrl) -> Vec<Finding> {
    let tasks = Tasks::new(Stop::new());
    let findings = look(url, &tasks).await;
    tasks.stop().request();
    findings.unwrap_or_else(|error| {
        let advice = match error.kind() {
            ErrorKind::Unavailable => "start the server, or correct host and port in the URL",
            ErrorKind::Full => "make room",
            _ => "correct the URL or the server, as it says",
        };
        vec![Finding::broken(error.to_string(), advice)]
    })
}

async fn look(url: &EngineUrl, tasks: &Tasks) -> Result<Vec<Finding>> {
    let connection = Connection::open(url, &Clock::system(), tasks).await?;
    let settings = Settings::read(&connection).await?;
    let info = settings.info.get("redis_version").unwrap_or("unknown");
    let mut findings = vec![
        Finding::fine(format!("`{url}` answers")),
        Finding::fine(format!("version {info}")),
    ];
    findings.push(settings.durability());
    findings.push(settings.eviction());
    findings.push(settings.replicas());
    Ok(findings)
}

/// What a server is set to. What may not be read is unknown.
pub(crate) struct Settings {
    info: Info,
    config: HashMap<String, String>,
}

impl Settings {
    pub(crate) async fn read(connection: &Connection) -> Result<Self> {
        let limit = connection.config().patience;
        let info = connection.ask(limit, Patience::Wait, async |mut c| {
            redis::cmd("INFO").query_async::<String>(&mut c).await
        });
        let info = Info(info.await?);
        let mut config = HashMap::new();
        for name in ["appendonly", "appendfsync", "maxmemory", "maxmemory-policy"] {
            let asked = connection.ask(limit, Patience::Wait, async |mut c| {
                let mut get = redis::cmd("CONFIG");
                get.arg("GET").arg(name);
                get.query_async::<HashMap<String, String>>(&mut c).await
            });
            match asked.await {
                Ok(found) => config.extend(found),
                // An ACL may hide them, and a service in the cloud too.
                Err(error) if matches!(error.kind(), ErrorKind::Unavailable) => return Err(error),
                Err(error) => tracing::debug!(%error, name, "a setting of Redis is hidden"),
            }
        }
        Ok(Self { info, config })
    }

    fn get(&self, name: &str) -> Option<&str> {
        self.config.get(name).map(String::as_str)
    }

    /// Whether commands are written to a file.
    pub(crate) fn appendonly(&self) -> Option<bool> {
        self.get("appendonly").map(|value| value == "yes")
    }

    /// When that file is synced.
    pub(crate) fn fsync(&self) -> Option<&str> {
        self.get("appendfsync")
    }

    /// Whether a full memory makes it drop keys.
    pub(crate) fn evicts(&self) -> bool {
        let policy = self.get("maxmemory-policy").unwrap_or("noeviction");
        policy != "noeviction" && self.get("maxmemory").unwrap_or("0") != "0"
    }

    /// What an answered write has survived. With `everysec` a write may wait in the process while a
    /// sync is on its way, so that not even the end of the process is survived for certain.
    pub(crate) fn durable(&self) -> Durable {
        match (self.appendonly(), self.fsync()) {
            (Some(true), Some("always")) => Durable::Synced,
            (Some(true), Some("no")) => Durable::Written,
            _ => Durable::Memory,
        }
    }

    fn durability(&self) -> Finding {
        let always =
            "set `appendfsync always` if topics live here; a cache and limits need nothing";
        match (self.appendonly(), self.fsync()) {
            (Some(true), Some("always")) => Finding::fine("appendfsync is always"),
            (Some(true), Some(other)) => Finding::weak(
                format!("appendfsync is {other}"),
                format!("a crash loses seconds of acknowledged messages: {always}"),
            ),
            (Some(false), _) => Finding::weak(
                "appendonly is off",
                format!("everything is lost with the process: set `appendonly yes`, and {always}"),
            ),
            _ => Finding::weak(
                "appendonly and appendfsync may not be read",
                "nothing is known about what a crash loses: allow `CONFIG GET` to the user",
            ),
        }
    }

    fn eviction(&self) -> Finding {
        let policy = self.get("maxmemory-policy");
        match policy {
            None => Finding::weak(
                "maxmemory-policy may not be read",
                "a policy that evicts keys loses messages: allow `CONFIG GET` to the user",
            ),
            Some(policy) if self.evicts() => Finding::weak(
                format!("maxmemory-policy is {policy}"),
                "a full memory loses messages and leases: set `noeviction`, or keep the cache on a \
                 server of its own",
            ),
            Some(policy) => Finding::fine(format!("maxmemory-policy is {policy}")),
        }
    }

    fn replicas(&self) -> Finding {
        match self.info.get("connected_slaves").unwrap_or("0") {
            "0" => Finding::fine("no replica"),
            count => Finding::weak(
                format!("{count} replicas follow, later than the answers"),
                "a failover loses what the replica did not have yet; inboxes and leases do not \
                 notice: prefer a disk that survives",
            ),
        }
    }
}
