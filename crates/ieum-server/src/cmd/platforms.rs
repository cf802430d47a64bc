//! `ieum platforms`: which platforms share a log, and who does what only one of them may do.

use std::process::ExitCode;

use ieum_remote::wire::platforms::Platforms as List;

use super::Outcome;
use super::platform::Asking;
use super::table::table;

/// List the platforms on one log: who runs the health checks, and who owns which sagas.
#[derive(Debug, clap::Args)]
pub(super) struct Platforms {
    #[command(flatten)]
    asking: Asking,
}

impl Platforms {
    pub(super) fn run(self) -> Outcome {
        let list = self.asking.run(async |platform| {
            let platforms = platform.platforms().await;
            platforms.map_err(|error| self.asking.explain(error))
        })?;
        if self.asking.json {
            super::print(&serde_json::to_string_pretty(&list)?)?;
        } else {
            super::print(&render(&list))?;
        }
        Ok(ExitCode::SUCCESS)
    }
}

fn render(list: &List) -> String {
    let mut table = table(["PLATFORM", "STATE", "CHECKS", "PARTITIONS", "MIRRORS"]);
    for platform in &list.platforms {
        let state = match (platform.alive, platform.own) {
            (true, true) => "answers",
            (true, false) => "alive",
            (false, _) => "silent",
        };
        let partitions = match list.shared {
            true => platform.partitions.len().to_string(),
            false => "all".to_owned(),
        };
        let checks = if platform.checks { "runs them" } else { "–" };
        let mirrors = platform.mirrors.join(", ");
        table.add_row([platform.name.as_str(), state, checks, &partitions, &mirrors]);
    }
    let mut text = table.to_string();
    if list.unowned > 0 {
        text.push_str(&format!("\n{} partitions have no owner now", list.unowned));
    }
    text
}

#[cfg(test)]
mod tests {
    use ieum_remote::wire::platforms::PlatformView;

    use super::*;

    #[test]
    fn each_platform_says_what_it_does() {
        let view = |name: &str, own: bool, partitions: &[&str]| PlatformView {
            name: name.to_owned(),
            own,
            alive: true,
            checks: own,
            partitions: partitions.iter().map(|&p| p.to_owned()).collect(),
            mirrors: Vec::new(),
        };
        let list = List {
            shared: true,
            platforms: vec![
                view("a:8500", true, &["1", "2"]),
                view("b:8500", false, &["3"]),
            ],
            unowned: 1,
        };
        let text = render(&list);
        for part in [
            "a:8500",
            "answers",
            "runs them",
            "b:8500",
            "alive",
            "1 partitions",
        ] {
            assert!(text.contains(part), "{text}");
        }
    }
}
