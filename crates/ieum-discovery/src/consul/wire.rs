//! Consul's JSON: what is registered, and what is answered.
//!
//! Fields that ieum has no use for are written with Consul's neutral values where clients expect
//! them, and ignored when read.

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer, Serialize};

use crate::Status;

/// The body of `PUT /v1/agent/service/register`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct ServiceDefinition {
    /// The instance's id.
    #[serde(rename = "ID")]
    pub id: String,
    /// The service's name.
    pub name: String,
    /// Labels.
    #[serde(deserialize_with = "null_is_default")]
    pub tags: Vec<String>,
    /// Host name or IP address.
    pub address: String,
    /// TCP port.
    pub port: u16,
    /// Facts about the instance.
    #[serde(deserialize_with = "null_is_default")]
    pub meta: BTreeMap<String, String>,
    /// Its share of the traffic.
    #[serde(deserialize_with = "null_is_default")]
    pub weights: Weights,
    /// Its checks.
    #[serde(deserialize_with = "null_is_default")]
    pub checks: Vec<CheckRegistration>,
}

/// How much traffic an instance gets, by its state.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Weights {
    /// While it is passing.
    pub passing: u16,
    /// While it is warning.
    pub warning: u16,
}

impl Default for Weights {
    fn default() -> Self {
        Self {
            passing: 1,
            warning: 1,
        }
    }
}

/// A check as it is registered. Exactly one of `http`, `tcp` and `ttl` is given.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct CheckRegistration {
    /// The check's id.
    #[serde(rename = "CheckID")]
    pub check_id: String,
    /// A name for people.
    pub name: String,
    /// The URL to ask.
    #[serde(rename = "HTTP", skip_serializing_if = "String::is_empty")]
    pub http: String,
    /// The method to ask with.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub method: String,
    /// Fields to ask with.
    #[serde(
        deserialize_with = "null_is_default",
        skip_serializing_if = "BTreeMap::is_empty"
    )]
    pub header: BTreeMap<String, Vec<String>>,
    /// The body to ask with.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub body: String,
    /// The address to connect to.
    #[serde(rename = "TCP", skip_serializing_if = "String::is_empty")]
    pub tcp: String,
    /// The time between two runs.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub interval: String,
    /// The longest wait for an answer.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub timeout: String,
    /// The longest time between two reports.
    #[serde(rename = "TTL", skip_serializing_if = "String::is_empty")]
    pub ttl: String,
    /// The state before the first result.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub status: String,
    /// Remarks for people.
    pub notes: String,
    /// When a critical instance is removed.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub deregister_critical_service_after: String,
}

/// The body of `PUT /v1/agent/check/update/:id`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct CheckUpdate {
    /// `passing`, `warning` or `critical`.
    pub status: String,
    /// What the result said.
    pub output: String,
}

/// One entry of `GET /v1/health/service/:name`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct HealthEntry {
    /// The node that the instance is registered at.
    pub node: Node,
    /// The instance.
    pub service: AgentService,
    /// Its checks.
    #[serde(deserialize_with = "null_is_default")]
    pub checks: Vec<HealthCheck>,
}

/// A node: in Consul a machine with an agent; in ieum the platform.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Node {
    /// A UUID.
    #[serde(rename = "ID")]
    pub id: String,
    /// The node's name.
    pub node: String,
    /// Its address.
    pub address: String,
    /// Its datacenter.
    pub datacenter: String,
    /// Its addresses by purpose.
    #[serde(deserialize_with = "null_is_default")]
    pub tagged_addresses: BTreeMap<String, String>,
    /// Facts about it.
    #[serde(deserialize_with = "null_is_default")]
    pub meta: BTreeMap<String, String>,
    /// The index of its registration.
    pub create_index: u64,
    /// The index of its last change.
    pub modify_index: u64,
}

/// An instance as an agent describes it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct AgentService {
    /// The instance's id.
    #[serde(rename = "ID")]
    pub id: String,
    /// The service's name.
    pub service: String,
    /// Labels.
    #[serde(deserialize_with = "null_is_default")]
    pub tags: Vec<String>,
    /// Facts about the instance.
    #[serde(deserialize_with = "null_is_default")]
    pub meta: BTreeMap<String, String>,
    /// TCP port.
    pub port: u16,
    /// Host name or IP address; empty means the node's.
    pub address: String,
    /// Its share of the traffic.
    #[serde(deserialize_with = "null_is_default")]
    pub weights: Weights,
    /// Always false here: nobody else may change the tags.
    pub enable_tag_override: bool,
    /// The datacenter of its node.
    pub datacenter: String,
    /// The index of its registration.
    pub create_index: u64,
    /// The index of its last change.
    pub modify_index: u64,
}

/// A check and its state.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct HealthCheck {
    /// The node's name.
    pub node: String,
    /// The check's id.
    #[serde(rename = "CheckID")]
    pub check_id: String,
    /// A name for people.
    pub name: String,
    /// `passing`, `warning` or `critical`.
    pub status: String,
    /// Remarks for people.
    pub notes: String,
    /// What the last result said.
    pub output: String,
    /// The instance's id.
    #[serde(rename = "ServiceID")]
    pub service_id: String,
    /// The service's name.
    pub service_name: String,
    /// The instance's labels.
    #[serde(deserialize_with = "null_is_default")]
    pub service_tags: Vec<String>,
    /// `http`, `tcp`, `ttl`; empty for a check of the node.
    #[serde(rename = "Type")]
    pub kind: String,
    /// How it is run, as far as it is told.
    #[serde(deserialize_with = "null_is_default")]
    pub definition: CheckDetails,
    /// The time between two runs.
    pub interval: String,
    /// The longest wait for an answer.
    pub timeout: String,
    /// The index of its registration.
    pub create_index: u64,
    /// The index of its last change.
    pub modify_index: u64,
}

/// How a check is run. Consul answers it empty for most checks.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct CheckDetails {
    /// The URL to ask.
    #[serde(rename = "HTTP", skip_serializing_if = "String::is_empty")]
    pub http: String,
    /// The method to ask with.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub method: String,
    /// Fields to ask with.
    #[serde(
        deserialize_with = "null_is_default",
        skip_serializing_if = "BTreeMap::is_empty"
    )]
    pub header: BTreeMap<String, Vec<String>>,
    /// The body to ask with.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub body: String,
    /// The address to connect to.
    #[serde(rename = "TCP", skip_serializing_if = "String::is_empty")]
    pub tcp: String,
    /// The time between two runs.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub interval: String,
    /// The longest wait for an answer.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub timeout: String,
}

/// One entry of `GET /v1/catalog/service/:name`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct CatalogService {
    /// The node's UUID.
    #[serde(rename = "ID")]
    pub id: String,
    /// The node's name.
    pub node: String,
    /// The node's address.
    pub address: String,
    /// The node's datacenter.
    pub datacenter: String,
    /// The node's addresses by purpose.
    #[serde(deserialize_with = "null_is_default")]
    pub tagged_addresses: BTreeMap<String, String>,
    /// Facts about the node.
    #[serde(deserialize_with = "null_is_default")]
    pub node_meta: BTreeMap<String, String>,
    /// The instance's id.
    #[serde(rename = "ServiceID")]
    pub service_id: String,
    /// The service's name.
    pub service_name: String,
    /// The instance's address; empty means the node's.
    pub service_address: String,
    /// The instance's labels.
    #[serde(deserialize_with = "null_is_default")]
    pub service_tags: Vec<String>,
    /// Facts about the instance.
    #[serde(deserialize_with = "null_is_default")]
    pub service_meta: BTreeMap<String, String>,
    /// The instance's TCP port.
    pub service_port: u16,
    /// The instance's share of the traffic.
    #[serde(deserialize_with = "null_is_default")]
    pub service_weights: Weights,
    /// Always false here.
    pub service_enable_tag_override: bool,
    /// The index of its registration.
    pub create_index: u64,
    /// The index of its last change.
    pub modify_index: u64,
}

/// Consul's word for a state.
pub const fn status_name(status: Status) -> &'static str {
    match status {
        Status::Passing => "passing",
        Status::Warning => "warning",
        Status::Critical => "critical",
    }
}

/// The state that Consul calls `name`.
pub fn status_of(name: &str) -> Option<Status> {
    match name {
        "passing" => Some(Status::Passing),
        "warning" => Some(Status::Warning),
        "critical" => Some(Status::Critical),
        _ => None,
    }
}

/// Go writes an empty list or map as `null`.
fn null_is_default<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de> + Default,
{
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}
