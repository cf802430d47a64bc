//! What operators send to the catalog for somebody else.

use std::collections::BTreeMap;

use axum::body::Bytes;
use ieum_discovery::catalog::{External, Node};
use ieum_discovery::consul::wire::status_of;
use ieum_discovery::{
    CheckDefinition, CheckId, CheckKind, Instance, InstanceId, Registration, Status,
};
use serde::Deserialize;
use serde_json::Value;

use super::requests::{folded, from_body, weight};
use crate::consul::NodeInfo;
use crate::consul::error::{Refused, Result};

/// What is registered, its names folded.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "lowercase", default)]
struct Registered {
    id: String,
    node: String,
    address: String,
    datacenter: String,
    taggedaddresses: BTreeMap<String, String>,
    nodemeta: BTreeMap<String, String>,
    skipnodeupdate: bool,
    service: Option<Value>,
    check: Option<Value>,
    checks: Vec<Value>,
}

/// An instance, its names folded.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "lowercase", default)]
struct Service {
    id: String,
    service: String,
    tags: Vec<String>,
    address: String,
    port: u16,
    meta: BTreeMap<String, String>,
    weights: Option<Value>,
}

/// A check, its names folded.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "lowercase", default)]
struct Check {
    checkid: String,
    name: String,
    notes: String,
    status: String,
    serviceid: String,
}

/// What is to be removed.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "lowercase", default)]
pub(in crate::consul) struct Removed {
    /// The node.
    pub(in crate::consul) node: String,
    /// Only this instance of it.
    pub(in crate::consul) serviceid: String,
    /// Only this check.
    pub(in crate::consul) checkid: String,
    /// The node's datacenter.
    pub(in crate::consul) datacenter: String,
}

/// Reads the body of `catalog/register`; answers the datacenter beside it.
pub(in crate::consul) fn external(body: &Bytes, home: &NodeInfo) -> Result<(External, String)> {
    let given: Registered = from_body(body)?;
    if given.node.is_empty() || given.address.is_empty() {
        return Err(Refused::bad_request("Must provide node and address"));
    }
    let registration = given.service.map(|service| {
        let service: Service = folded(service)?;
        instance(service, &given.address)
    });
    let registration = registration.transpose()?;
    let of = registration.as_ref().map(|r| &r.instance.id);
    let checks = given.check.into_iter().chain(given.checks);
    let checks = checks.map(|check| told(folded(check)?, of));
    let checks = checks.collect::<Result<Vec<_>>>()?;
    let at_home = given.node == home.name || given.node == home.id;
    let node = (!at_home).then_some(Node {
        name: given.node,
        id: given.id,
        address: given.address,
        tagged_addresses: given.taggedaddresses,
        meta: given.nodemeta,
    });
    let external = External {
        node,
        keep_node: given.skipnodeupdate,
        registration,
        checks,
    };
    Ok((external, given.datacenter))
}

/// Reads the body of `catalog/deregister`.
pub(in crate::consul) fn removed(body: &Bytes) -> Result<Removed> {
    let removed: Removed = from_body(body)?;
    match removed.node.is_empty() {
        true => Err(Refused::bad_request("Must provide node")),
        false => Ok(removed),
    }
}

fn instance(service: Service, address: &str) -> Result<Registration> {
    let Service {
        id,
        service,
        tags,
        address: own,
        port,
        meta,
        weights,
    } = service;
    let or = |given: String, default: &str| match given.is_empty() {
        true => default.to_owned(),
        false => given,
    };
    if id.is_empty() && service.is_empty() {
        return Err(Refused::bad_request("Must provide service name with ID"));
    }
    Ok(Registration {
        instance: Instance {
            id: InstanceId(or(id.clone(), &service)),
            service: or(service, &id),
            address: or(own, address),
            port,
            tags,
            meta,
            weight: weight(weights)?,
        },
        checks: Vec::new(),
    })
}

/// A check that nobody runs: it says what it is told to say.
fn told(check: Check, of: Option<&InstanceId>) -> Result<(InstanceId, CheckDefinition)> {
    if check.serviceid.is_empty() {
        return Err(Refused::bad_request(
            "Missing ServiceID: checks of a node are not supported, only checks of a service",
        ));
    }
    let instance = InstanceId(check.serviceid);
    if of.is_some_and(|of| *of != instance) {
        return Err(Refused::bad_request(format!(
            "ServiceID {:?} is not the service that is registered with it",
            instance.0
        )));
    }
    let id = match check.checkid.is_empty() {
        true => check.name.clone(),
        false => check.checkid,
    };
    let mut definition = CheckDefinition::new(CheckId(id), CheckKind::Told);
    if !check.name.is_empty() {
        definition.name = check.name;
    }
    definition.notes = check.notes;
    definition.initial = match check.status.as_str() {
        "" => Status::Critical,
        name => status_of(name)
            .ok_or_else(|| Refused::bad_request(format!("Invalid check status: '{name}'")))?,
    };
    Ok((instance, definition))
}
