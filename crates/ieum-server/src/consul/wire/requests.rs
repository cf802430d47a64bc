//! What clients send.

use std::collections::BTreeMap;
use std::time::Duration;

use axum::body::Bytes;
use axum::http::Uri;
use ieum_base::redact;
use ieum_discovery::consul::wire::status_of;
use ieum_discovery::{
    CheckDefinition, CheckId, CheckKind, Instance, InstanceId, Registration, Status,
};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::values::{Time, fold_names, is_unset};
use crate::consul::NodeInfo;
use crate::consul::error::{Refused, Result};

/// A service as it is registered, its names folded.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "lowercase", default)]
struct Service {
    id: String,
    name: String,
    tags: Vec<String>,
    address: String,
    port: u16,
    meta: BTreeMap<String, String>,
    weights: Option<Value>,
    check: Option<Value>,
    checks: Vec<Value>,
    #[serde(flatten)]
    rest: BTreeMap<String, Value>,
}

/// A check as it is registered, its names folded.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "lowercase", default)]
struct Check {
    id: String,
    checkid: String,
    name: String,
    serviceid: String,
    notes: String,
    status: String,
    http: String,
    method: String,
    header: BTreeMap<String, Vec<String>>,
    body: String,
    tcp: String,
    interval: Time,
    timeout: Time,
    ttl: Time,
    deregistercriticalserviceafter: Time,
    #[serde(flatten)]
    rest: BTreeMap<String, Value>,
}

/// How much traffic an instance gets, its names folded.
#[derive(Debug, Deserialize)]
struct Weights {
    passing: Option<u16>,
}

/// The state of a check as it is reported.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(in crate::consul) struct Update {
    /// `passing`, `warning` or `critical`.
    pub(in crate::consul) status: String,
    /// What the result said.
    pub(in crate::consul) output: String,
}

/// Reads the body of `agent/check/update`.
pub(in crate::consul) fn update(body: &Bytes) -> Result<Update> {
    from_body(body)
}

/// Reads the body of `agent/service/register`.
pub(in crate::consul) fn registration(
    body: &Bytes,
    node: &NodeInfo,
    least_deregister_after: Duration,
) -> Result<Registration> {
    let service: Service = from_body(body)?;
    refuse_unsupported("service", &service.rest, &UNSUPPORTED_OF_SERVICES)?;
    if service.name.is_empty() {
        return Err(Refused::bad_request("Missing service name"));
    }
    let id = match service.id.is_empty() {
        true => service.name.clone(),
        false => service.id,
    };
    let given: Vec<Value> = service.check.into_iter().chain(service.checks).collect();
    let given: Vec<Value> = given.into_iter().filter(|check| !is_unset(check)).collect();
    let count = given.len();
    let checks = given.into_iter().enumerate().map(|(place, check)| {
        let id = match count {
            1 => format!("service:{id}"),
            _ => format!("service:{id}:{}", place + 1),
        };
        let name = format!("Service '{}' check", service.name);
        folded::<Check>(check)?.into_definition(id, name, least_deregister_after)
    });
    Ok(Registration {
        checks: checks.collect::<Result<_>>()?,
        instance: Instance {
            id: InstanceId(id),
            service: service.name,
            address: address(&service.address, node)?,
            port: service.port,
            tags: service.tags,
            meta: service.meta,
            weight: weight(service.weights)?,
        },
    })
}

/// Reads the body of `agent/check/register`: the instance, and its check.
pub(in crate::consul) fn check_of_instance(
    body: &Bytes,
    least_deregister_after: Duration,
) -> Result<(InstanceId, CheckDefinition)> {
    let check: Check = from_body(body)?;
    if check.name.is_empty() {
        return Err(Refused::bad_request("Missing check name"));
    }
    if check.serviceid.is_empty() {
        return Err(Refused::bad_request(
            "Missing ServiceID: checks of the node are not supported, only checks of a service",
        ));
    }
    let instance = InstanceId(check.serviceid.clone());
    let (id, name) = (check.name.clone(), check.name.clone());
    let check = check.into_definition(id, name, least_deregister_after)?;
    Ok((instance, check))
}

impl Check {
    fn into_definition(
        self,
        default_id: String,
        default_name: String,
        least_deregister_after: Duration,
    ) -> Result<CheckDefinition> {
        refuse_unsupported("check", &self.rest, &UNSUPPORTED_OF_CHECKS)?;
        let or = |given: String, default: String| match given.is_empty() {
            true => default,
            false => given,
        };
        let kind = self.kind()?;
        let initial = match self.status.as_str() {
            "" => Status::Critical,
            name => status_of(name).ok_or_else(|| {
                invalid_check("Status for checks must 'passing', 'warning', 'critical'")
            })?,
        };
        Ok(CheckDefinition {
            id: CheckId(or(self.checkid, or(self.id, default_id))),
            name: or(self.name, default_name),
            kind,
            initial,
            notes: self.notes,
            deregister_after: self
                .deregistercriticalserviceafter
                .0
                .map(|after| after.max(least_deregister_after)),
        })
    }

    fn kind(&self) -> Result<CheckKind> {
        let given = [
            !self.http.is_empty(),
            !self.tcp.is_empty(),
            self.ttl.0.is_some(),
        ];
        match given.iter().filter(|given| **given).count() {
            1 => {}
            0 => return Err(invalid_check("an HTTP, a TCP or a TTL must be given")),
            _ => return Err(invalid_check("only one of HTTP, TCP and TTL may be given")),
        }
        if let Some(ttl) = self.ttl.0 {
            return Ok(CheckKind::Ttl { ttl });
        }
        let interval = self
            .interval
            .0
            .ok_or_else(|| invalid_check("Interval must be > 0 for Script, HTTP, or TCP checks"))?;
        let timeout = self.timeout.0.unwrap_or(DEFAULT_TIMEOUT);
        if !self.tcp.is_empty() {
            return Ok(CheckKind::Tcp {
                address: self.tcp.clone(),
                interval,
                timeout,
            });
        }
        let uri = self.http.parse::<Uri>().ok();
        let authority = uri.as_ref().and_then(Uri::authority);
        if authority.is_some_and(|authority| authority.as_str().contains('@')) {
            return Err(invalid_check(
                "credentials in the URL are not supported; send them in Header",
            ));
        }
        Ok(CheckKind::Http {
            url: self.http.clone(),
            method: match self.method.as_str() {
                "" => "GET".to_owned(),
                method => method.to_ascii_uppercase(),
            },
            interval,
            timeout,
            headers: self.header.clone(),
            body: self.body.clone(),
        })
    }
}

/// An instance without an address has its node's; an address for "all" is none to call.
fn address(given: &str, node: &NodeInfo) -> Result<String> {
    match given {
        "" => Ok(node.address.clone()),
        "0.0.0.0" | "::" | "[::]" => Err(Refused::bad_request("Invalid service address")),
        address => Ok(address
            .trim_start_matches('[')
            .trim_end_matches(']')
            .to_owned()),
    }
}

pub(super) fn weight(given: Option<Value>) -> Result<u16> {
    let Some(given) = given else {
        return Ok(1);
    };
    match folded::<Weights>(given)?.passing.unwrap_or(1) {
        0 => Err(Refused::bad_request(
            "Invalid Weight: Passing must be greater than 0",
        )),
        passing => Ok(passing),
    }
}

/// Refuses what would otherwise be ignored in silence.
fn refuse_unsupported(what: &str, rest: &BTreeMap<String, Value>, names: &[&str]) -> Result<()> {
    let found = rest
        .iter()
        .find(|(name, value)| names.contains(&name.as_str()) && !is_unset(value));
    match found {
        Some((name, _)) => Err(Refused::bad_request(format!(
            "Invalid {what}: `{name}` is not supported; \
             services have HTTP, TCP and TTL checks, with the defaults of Consul"
        ))),
        None => Ok(()),
    }
}

pub(super) fn from_body<T: DeserializeOwned>(body: &Bytes) -> Result<T> {
    folded(serde_json::from_slice(body).map_err(|e| undecodable(&e))?)
}

pub(super) fn folded<T: DeserializeOwned>(mut value: Value) -> Result<T> {
    fold_names(&mut value);
    serde_json::from_value(value).map_err(|e| undecodable(&e))
}

pub(super) fn undecodable(error: &serde_json::Error) -> Refused {
    let why = error.to_string();
    let why = redact::parser_message(&why);
    Refused::bad_request(format!("Request decode failed: {why}"))
}

fn invalid_check(why: &str) -> Refused {
    Refused::bad_request(format!("Invalid check: {why}"))
}

const UNSUPPORTED_OF_SERVICES: [&str; 4] = ["kind", "proxy", "connect", "socketpath"];

const UNSUPPORTED_OF_CHECKS: [&str; 17] = [
    "args",
    "script",
    "scriptargs",
    "dockercontainerid",
    "grpc",
    "h2ping",
    "udp",
    "osservice",
    "aliasnode",
    "aliasservice",
    "tcpusetls",
    "tlsskipverify",
    "tlsservername",
    "disableredirects",
    "successbeforepassing",
    "failuresbeforewarning",
    "failuresbeforecritical",
];

/// Consul's default timeout of a check.
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(10);
