//! `ieum services`: which instances of which services live where, and how they are.

use ieum_discovery::Status;
use ieum_remote::wire::{paths, services};

use super::Outcome;
use super::answer::{Shown, show};
use super::platform::Asking;
use super::table::{NOTHING, or_nothing, short, table, word};

/// List services with their instances and the state of their checks.
#[derive(Debug, clap::Args)]
pub(super) struct Services {
    #[command(flatten)]
    asking: Asking,
}

impl Services {
    pub(super) fn run(self) -> Outcome {
        show(
            &self.asking,
            paths::SERVICES,
            |list: &services::Services| {
                Shown::rows(
                    list.services.is_empty(),
                    render(list),
                    "no service is registered",
                )
            },
        )
    }
}

fn render(list: &services::Services) -> String {
    let header = ["SERVICE", "INSTANCE", "ADDRESS", "STATUS", "OWNER", "CHECK"];
    table(header, list.services.iter().flat_map(rows))
}

/// A line per instance; a service without one has a line, too.
fn rows(service: &services::ServiceView) -> Vec<[String; 6]> {
    let owner = or_nothing(service.owner.as_deref());
    let row = |[id, address, status, check]: [String; 4]| {
        [
            service.name.clone(),
            id,
            address,
            status,
            owner.clone(),
            check,
        ]
    };
    if service.instances.is_empty() {
        let nothing = || NOTHING.to_owned();
        return vec![row([
            nothing(),
            nothing(),
            "no instance".to_owned(),
            String::new(),
        ])];
    }
    let instances = service.instances.iter();
    let lines = instances.map(|instance| {
        let check = match instance.status {
            Status::Passing => String::new(),
            _ => short(&instance.output, 60),
        };
        let (id, address) = (instance.id.clone(), instance.authority.clone());
        row([id, address, word(&instance.status), check])
    });
    lines.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failing_check_says_why() {
        let instance = services::InstanceView {
            id: "orders-1".into(),
            authority: "127.0.0.1:3002".into(),
            status: Status::Critical,
            output: "connection refused\nby the peer".into(),
            meta: std::collections::BTreeMap::new(),
        };
        let list = services::Services {
            services: vec![services::ServiceView {
                name: "orders".into(),
                owner: Some("team-orders".into()),
                tags: Vec::new(),
                instances: vec![instance],
            }],
        };
        let text = render(&list);
        for part in [
            "orders-1",
            "127.0.0.1:3002",
            "critical",
            "team-orders",
            "connection refused",
        ] {
            assert!(text.contains(part), "{text}");
        }
        assert!(!text.contains("by the peer"), "{text}");
    }
}
