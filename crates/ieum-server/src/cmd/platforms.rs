//! `ieum platforms`: which platforms share a log, and who does what only one of them may do.

use ieum_remote::wire::paths;
use ieum_remote::wire::platforms::Platforms as List;

use super::Outcome;
use super::answer::{Shown, show};
use super::platform::Asking;
use super::table::{NOTHING, table};

/// List the platforms on one log: who runs the health checks, and who owns which sagas.
#[derive(Debug, clap::Args)]
pub(super) struct Platforms {
    #[command(flatten)]
    asking: Asking,
}

impl Platforms {
    pub(super) fn run(self) -> Outcome {
        show(&self.asking, paths::PLATFORMS, |list| {
            Shown::Text(render(list))
        })
    }
}

fn render(list: &List) -> String {
    let rows = list.platforms.iter().map(|platform| {
        let state = match (platform.alive, platform.own) {
            (true, true) => "answers",
            (true, false) => "alive",
            (false, _) => "silent",
        };
        let partitions = match list.shared {
            true => platform.partitions.len().to_string(),
            false => "all".to_owned(),
        };
        let checks = if platform.checks {
            "runs them"
        } else {
            NOTHING
        };
        [
            platform.name.clone(),
            state.to_owned(),
            checks.to_owned(),
            partitions,
            platform.mirrors.join(", "),
        ]
    });
    let mut text = table(
        ["PLATFORM", "STATE", "CHECKS", "PARTITIONS", "MIRRORS"],
        rows,
    );
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
