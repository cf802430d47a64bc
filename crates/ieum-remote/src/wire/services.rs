//! Services and the gateway's routes, for people; machines use Consul's API under `/v1/`.
//!
//! | call | answer |
//! |---|---|
//! | `GET /api/v1/services` | 200 [`Services`] |
//! | `GET /api/v1/routes` | 200 [`Routes`] |

use std::collections::BTreeMap;

use ieum_discovery::Status;
use serde::{Deserialize, Serialize};

/// All services.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Services {
    /// By name.
    pub services: Vec<ServiceView>,
}

/// A service and its instances.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ServiceView {
    /// Its name.
    pub name: String,
    /// The team that owns it, from the metadata of its instances.
    pub owner: Option<String>,
    /// The union of its instances' tags.
    pub tags: Vec<String>,
    /// Its instances, by id.
    pub instances: Vec<InstanceView>,
}

/// One running copy of a service.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct InstanceView {
    /// Its id.
    pub id: String,
    /// `address:port`.
    pub authority: String,
    /// The worst state of its checks.
    pub status: Status,
    /// What its worst check said last.
    #[serde(default)]
    pub output: String,
    /// Its metadata.
    #[serde(default)]
    pub meta: BTreeMap<String, String>,
}

/// The routes of the gateway, in the order in which they are tried.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Routes {
    /// Each route as it is configured, with its defaults filled in.
    pub routes: Vec<serde_json::Value>,
}
