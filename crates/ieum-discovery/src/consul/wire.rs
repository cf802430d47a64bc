//! Consul's JSON: what is registered, and what is answered.
//!
//! Fields that ieum has no use for are written with Consul's neutral values where clients expect
//! them, and ignored when read.

use std::collections::BTreeMap;
use std::time::Duration;

use ieum_base::HumanDuration;
use serde::{Deserialize, Deserializer, Serialize};

use crate::{
    Check, CheckDefinition, CheckId, CheckKind, Instance, InstanceId, Registered, Registration,
    Status,
};

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

impl From<&Registration> for ServiceDefinition {
    fn from(registration: &Registration) -> Self {
        let instance = &registration.instance;
        Self {
            id: instance.id.0.clone(),
            name: instance.service.clone(),
            tags: instance.tags.clone(),
            address: instance.address.clone(),
            port: instance.port,
            meta: instance.meta.clone(),
            weights: Weights::from(instance),
            checks: registration
                .checks
                .iter()
                .map(CheckRegistration::from)
                .collect(),
        }
    }
}

impl From<&Instance> for Weights {
    fn from(instance: &Instance) -> Self {
        Self {
            passing: instance.weight,
            warning: 1,
        }
    }
}

impl From<&CheckDefinition> for CheckRegistration {
    fn from(check: &CheckDefinition) -> Self {
        let CheckDetails {
            http,
            method,
            tcp,
            interval,
            timeout,
        } = CheckDetails::from(&check.kind);
        Self {
            check_id: check.id.0.clone(),
            name: check.name.clone(),
            http,
            method,
            tcp,
            interval,
            timeout,
            ttl: match &check.kind {
                CheckKind::Ttl { ttl } => text(*ttl),
                _ => String::new(),
            },
            status: status_name(check.initial).to_owned(),
            notes: check.notes.clone(),
            deregister_critical_service_after: check.deregister_after.map(text).unwrap_or_default(),
        }
    }
}

impl From<&CheckKind> for CheckDetails {
    fn from(kind: &CheckKind) -> Self {
        match kind {
            CheckKind::Http {
                url,
                method,
                interval,
                timeout,
            } => Self {
                http: url.clone(),
                method: method.clone(),
                interval: text(*interval),
                timeout: text(*timeout),
                ..Self::default()
            },
            CheckKind::Tcp {
                address,
                interval,
                timeout,
            } => Self {
                tcp: address.clone(),
                interval: text(*interval),
                timeout: text(*timeout),
                ..Self::default()
            },
            CheckKind::Ttl { .. } | CheckKind::Elsewhere => Self::default(),
        }
    }
}

impl From<HealthEntry> for Registered {
    fn from(entry: HealthEntry) -> Self {
        let HealthEntry {
            node,
            service,
            checks,
        } = entry;
        Self {
            created: service.create_index,
            modified: service.modify_index,
            instance: Instance {
                id: InstanceId(service.id),
                service: service.service,
                // As in Consul: an instance without an address has its node's.
                address: match service.address.is_empty() {
                    true => node.address,
                    false => service.address,
                },
                port: service.port,
                tags: service.tags,
                meta: service.meta,
                weight: service.weights.passing.max(1),
            },
            checks: checks.into_iter().map(Check::from).collect(),
        }
    }
}

impl From<HealthCheck> for Check {
    fn from(check: HealthCheck) -> Self {
        // A state that we do not know is not one to send work to.
        let status = status_of(&check.status).unwrap_or_default();
        Self {
            status,
            output: check.output,
            definition: CheckDefinition {
                id: CheckId(check.check_id),
                name: check.name,
                kind: check.definition.into(),
                initial: Status::default(),
                notes: check.notes,
                deregister_after: None,
            },
        }
    }
}

impl From<CheckDetails> for CheckKind {
    fn from(details: CheckDetails) -> Self {
        let time = |text: &str| text.parse::<HumanDuration>().map(Duration::from).ok();
        match (time(&details.interval), time(&details.timeout)) {
            (Some(interval), Some(timeout)) if !details.http.is_empty() => Self::Http {
                url: details.http,
                method: details.method,
                interval,
                timeout,
            },
            (Some(interval), Some(timeout)) if !details.tcp.is_empty() => Self::Tcp {
                address: details.tcp,
                interval,
                timeout,
            },
            _ => Self::Elsewhere,
        }
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

fn text(duration: Duration) -> String {
    HumanDuration(duration).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_consul_itself_answers_can_be_read() {
        let json = r#"{
            "Node": {"ID": "1", "Node": "n1", "Address": "10.1.0.1", "Datacenter": "dc1",
                     "TaggedAddresses": null, "Meta": null, "CreateIndex": 8, "ModifyIndex": 8},
            "Service": {"ID": "web-1", "Service": "web", "Tags": null, "Address": "", "Meta": null,
                        "Port": 80, "Weights": {"Passing": 10, "Warning": 1}, "Proxy": {},
                        "Connect": {}, "CreateIndex": 12, "ModifyIndex": 13},
            "Checks": [
                {"Node": "n1", "CheckID": "serfHealth", "Name": "Serf Health Status",
                 "Status": "passing", "Definition": {}, "ServiceTags": [], "Type": ""},
                {"Node": "n1", "CheckID": "service:web-1", "Name": "web", "Status": "maintenance",
                 "Definition": null, "ServiceID": "web-1", "ExposedPort": 0}
            ]}"#;
        let entry: HealthEntry = serde_json::from_str(json).expect("Consul's JSON");
        let registered = Registered::from(entry);
        assert_eq!(registered.instance.authority(), "10.1.0.1:80");
        assert_eq!(registered.instance.weight, 10);
        assert_eq!((registered.created, registered.modified), (12, 13));
        assert_eq!(registered.checks[0].definition.kind, CheckKind::Elsewhere);
        assert_eq!(
            registered.status(),
            Status::Critical,
            "an unknown state is not a good one"
        );
    }

    #[test]
    fn a_registration_is_written_as_consul_reads_it() {
        let mut check = CheckDefinition::new(
            CheckId("c".to_owned()),
            CheckKind::Http {
                url: "http://h/health".to_owned(),
                method: "GET".to_owned(),
                interval: Duration::from_millis(1_500),
                timeout: Duration::from_secs(1),
            },
        );
        check.deregister_after = Some(Duration::from_secs(90));
        let json = serde_json::to_value(CheckRegistration::from(&check)).expect("JSON");
        let expected = serde_json::json!({
            "CheckID": "c", "Name": "c", "HTTP": "http://h/health", "Method": "GET",
            "Interval": "1500ms", "Timeout": "1s", "Status": "critical", "Notes": "",
            "DeregisterCriticalServiceAfter": "90s"
        });
        assert_eq!(json, expected);
    }
}
