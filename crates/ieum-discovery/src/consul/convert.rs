//! Consul's words to ours and back.

use std::time::Duration;

use ieum_base::HumanDuration;

use super::wire::{
    CheckDetails, CheckRegistration, HealthCheck, HealthEntry, ServiceDefinition, Weights,
    status_name, status_of,
};
use crate::{
    Check, CheckDefinition, CheckId, CheckKind, Instance, InstanceId, Registered, Registration,
    Status,
};

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
            header,
            body,
            tcp,
            interval,
            timeout,
            ..
        } = CheckDetails::from(&check.kind);
        Self {
            check_id: check.id.0.clone(),
            name: check.name.clone(),
            http,
            method,
            header,
            body,
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
                headers,
                body,
            } => Self {
                http: url.clone(),
                method: method.clone(),
                header: headers.clone(),
                body: body.clone(),
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
            CheckKind::Ttl { .. } | CheckKind::Told | CheckKind::Elsewhere => Self::default(),
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
                headers: details.header,
                body: details.body,
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
            CheckKind::http(
                "http://h/health".to_owned(),
                Duration::from_millis(1_500),
                Duration::from_secs(1),
            ),
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
