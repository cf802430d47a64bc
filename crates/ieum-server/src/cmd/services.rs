//! `ieum services`: which instances of which services live where, and how they are.

use std::process::ExitCode;

use ieum_remote::wire::services;

use super::Outcome;
use super::platform::Asking;
use super::table::{short, table};

/// List services with their instances and the state of their checks.
#[derive(Debug, clap::Args)]
pub(super) struct Services {
    #[command(flatten)]
    asking: Asking,
}

impl Services {
    pub(super) fn run(self) -> Outcome {
        let services = self.asking.run(async |platform| {
            let services = platform.services().await;
            services.map_err(|error| self.asking.explain(error))
        })?;
        let list = services::Services { services };
        if self.asking.json {
            super::print(&serde_json::to_string_pretty(&list)?)?;
        } else if list.services.is_empty() {
            super::remark(&"no service is registered");
        } else {
            super::print(&render(&list))?;
        }
        Ok(ExitCode::SUCCESS)
    }
}

fn render(list: &services::Services) -> String {
    let mut table = table(["SERVICE", "INSTANCE", "ADDRESS", "STATUS", "OWNER", "CHECK"]);
    for service in &list.services {
        let owner = service.owner.as_deref().unwrap_or("–");
        if service.instances.is_empty() {
            table.add_row([service.name.as_str(), "–", "–", "no instance", owner, ""]);
        }
        for instance in &service.instances {
            let status = format!("{:?}", instance.status).to_lowercase();
            let well = status == "passing";
            let output = if well {
                String::new()
            } else {
                short(&instance.output, 60)
            };
            let name = service.name.as_str();
            let row = [
                name,
                &instance.id,
                &instance.authority,
                &status,
                owner,
                &output,
            ];
            table.add_row(row);
        }
    }
    table.to_string()
}

#[cfg(test)]
mod tests {
    use ieum_discovery::Status;

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
