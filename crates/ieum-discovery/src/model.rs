//! The words of discovery: instance, check, status, snapshot.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// The id of an instance, unique over all services.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct InstanceId(pub String);

/// The id of a check, unique over all instances; Consul's `service:<instance id>` by default.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct CheckId(pub String);

impl fmt::Display for InstanceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl CheckId {
    /// The id of an instance's only check, as Consul gives it.
    pub fn of(instance: &InstanceId) -> Self {
        Self(format!("service:{instance}"))
    }
}

impl fmt::Display for CheckId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// One running copy of a service.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Instance {
    /// Its id.
    pub id: InstanceId,
    /// The service that it is a copy of.
    pub service: String,
    /// Host name or IP address.
    pub address: String,
    /// TCP port.
    pub port: u16,
    /// Labels to select by.
    #[serde(default)]
    pub tags: Vec<String>,
    /// Facts about it, such as its owner (a team) and version.
    #[serde(default)]
    pub meta: BTreeMap<String, String>,
    /// Its share of the traffic, 1 to 65,535.
    #[serde(default = "one")]
    pub weight: u16,
}

const fn one() -> u16 {
    1
}

impl Instance {
    /// `address:port`, with brackets around an IPv6 address.
    pub fn authority(&self) -> String {
        if self.address.contains(':') {
            format!("[{}]:{}", self.address, self.port)
        } else {
            format!("{}:{}", self.address, self.port)
        }
    }
}

/// How an instance or a check is; the worst check decides.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// Well.
    Passing,
    /// Well enough to work.
    Warning,
    /// Not to be sent anything.
    #[default]
    Critical,
}

/// How the state of an instance is found out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum CheckKind {
    /// The registry asks this URL: 2xx is passing, 429 warning, all else critical.
    Http {
        /// The URL.
        url: String,
        /// The method; `GET` by default.
        method: String,
        /// The time between two checks.
        interval: Duration,
        /// The longest wait for an answer.
        timeout: Duration,
        /// Fields to send; a name may have several values.
        #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
        headers: BTreeMap<String, Vec<String>>,
        /// The body to send.
        #[serde(default, skip_serializing_if = "String::is_empty")]
        body: String,
    },
    /// The registry opens a TCP connection.
    Tcp {
        /// `host:port`.
        address: String,
        /// The time between two checks.
        interval: Duration,
        /// The longest wait for the connection.
        timeout: Duration,
    },
    /// The instance reports within this time, or is critical.
    Ttl {
        /// The longest time between two reports.
        ttl: Duration,
    },
    /// Nobody asks and nothing expires: the state is as it was last told.
    Told,
    /// Another registry finds it out, and does not say how. Seen in a snapshot, never registered.
    Elsewhere,
}

impl CheckKind {
    /// Asks `url` with `GET`.
    pub fn http(url: String, interval: Duration, timeout: Duration) -> Self {
        Self::Http {
            url,
            method: "GET".to_owned(),
            interval,
            timeout,
            headers: BTreeMap::new(),
            body: String::new(),
        }
    }
}

/// A check as it is registered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CheckDefinition {
    /// Its id.
    pub id: CheckId,
    /// A name for people.
    pub name: String,
    /// How the state is found out.
    pub kind: CheckKind,
    /// The state before the first result; critical by default, as in Consul.
    #[serde(default)]
    pub initial: Status,
    /// Remarks for people.
    #[serde(default)]
    pub notes: String,
    /// The instance is removed when the check was critical for this long; `None` means never.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deregister_after: Option<Duration>,
}

impl CheckDefinition {
    /// A check of `kind` that is named after its id and critical until its first result.
    pub fn new(id: CheckId, kind: CheckKind) -> Self {
        Self {
            name: id.0.clone(),
            id,
            kind,
            initial: Status::Critical,
            notes: String::new(),
            deregister_after: None,
        }
    }
}

/// A check and its state.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Check {
    /// What was registered.
    pub definition: CheckDefinition,
    /// Its state.
    pub status: Status,
    /// What the last result said.
    pub output: String,
}

/// An instance and its checks as they are registered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Registration {
    /// The instance.
    pub instance: Instance,
    /// Its checks; none means always passing.
    #[serde(default)]
    pub checks: Vec<CheckDefinition>,
}

/// An instance with the state of its checks.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Registered {
    /// The instance.
    pub instance: Instance,
    /// Its checks, in the order of their registration.
    pub checks: Vec<Check>,
    /// The index of the registration.
    pub created: u64,
    /// The index of its last change.
    pub modified: u64,
}

impl Registered {
    /// What was registered.
    pub fn registration(&self) -> Registration {
        Registration {
            instance: self.instance.clone(),
            checks: self.checks.iter().map(|c| c.definition.clone()).collect(),
        }
    }

    /// The worst state of its checks; passing if there is none.
    pub fn status(&self) -> Status {
        self.checks
            .iter()
            .map(|check| check.status)
            .max()
            .unwrap_or(Status::Passing)
    }
}

/// The instances of a service at one index.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Snapshot {
    /// The position of the service's last change; at least 1.
    pub index: u64,
    /// All instances, whatever their state, in the order of their ids.
    pub instances: Vec<Registered>,
}

impl Snapshot {
    /// The instances that may be sent work: no check is critical.
    pub fn available(&self) -> impl Iterator<Item = &Instance> {
        self.instances
            .iter()
            .filter(|r| r.status() < Status::Critical)
            .map(|r| &r.instance)
    }
}
