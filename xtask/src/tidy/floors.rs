//! Floors: a crate depends on lower floors only, never on its own or a higher one.

use super::Findings;
use super::manifests::Manifest;

/// The house, from the ground up (ARCHITECTURE.md, "Floors").
const FLOORS: [&[&str]; 7] = [
    &["ieum-base"],
    &[
        "ieum-http",
        "ieum-resilience",
        "ieum-eventstore",
        "ieum-messaging",
        "ieum-graphql",
        "ieum-grpc",
    ],
    &["ieum-discovery", "ieum-telemetry", "ieum-contract"],
    &["ieum-client", "ieum-chassis"],
    &["ieum-saga", "ieum-gateway"],
    &[
        "ieum-sql",
        "ieum-aws",
        "ieum-nats",
        "ieum-kafka",
        "ieum-rabbitmq",
        "ieum-redis",
        "ieum-etcd",
        "ieum-remote",
    ],
    &["ieum-server", "ieum"],
];

/// Packages beside the house, and the crates of ours that they may depend on.
const BESIDE: [(&str, &[&str]); 4] = [
    ("ieum-testkit", &["ieum-base"]),
    ("shop", &["ieum", "ieum-server"]),
    ("ieum-tests", &["ieum-testkit"]),
    ("xtask", &[]),
];

pub(crate) fn check(manifests: &[Manifest]) -> Findings {
    manifests.iter().flat_map(check_one).collect()
}

fn check_one(manifest: &Manifest) -> Findings {
    let name = manifest.name();
    let ours = manifest
        .names("dependencies")
        .filter(|dependency| is_ours(dependency));
    if let Some((_, allowed)) = BESIDE.iter().find(|(beside, _)| *beside == name) {
        return ours
            .filter(|dependency| !allowed.contains(dependency))
            .map(|dependency| {
                format!(
                    "{}: `{name}` must not depend on `{dependency}`",
                    manifest.path
                )
            })
            .collect();
    }
    let Some(floor) = floor_of(name) else {
        return vec![format!(
            "{}: `{name}` has no floor: give it one in xtask",
            manifest.path
        )];
    };
    ours.filter(|dependency| floor_of(dependency).is_none_or(|below| below >= floor))
        .map(|dependency| {
            format!(
                "{}: floor {floor} cannot stand on `{dependency}`",
                manifest.path
            )
        })
        .collect()
}

fn is_ours(name: &str) -> bool {
    name == "ieum" || name.starts_with("ieum-") || name == "shop" || name == "xtask"
}

fn floor_of(name: &str) -> Option<usize> {
    FLOORS.iter().position(|floor| floor.contains(&name))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn findings(name: &str, dependency: &str) -> usize {
        let text = format!("[package]\nname = \"{name}\"\n[dependencies]\n{dependency} = {{}}");
        let table = text.parse().expect("toml");
        check(&[Manifest {
            path: format!("crates/{name}/Cargo.toml"),
            table,
        }])
        .len()
    }

    #[test]
    fn a_crate_stands_on_lower_floors_only() {
        assert_eq!(findings("ieum-saga", "ieum-eventstore"), 0);
        assert_eq!(findings("ieum-saga", "ieum-gateway"), 1);
        assert_eq!(findings("ieum-eventstore", "ieum-sql"), 1);
        assert_eq!(findings("ieum-unknown", "serde"), 1);
    }

    #[test]
    fn the_shop_sees_the_facade_only() {
        assert_eq!(findings("shop", "ieum"), 0);
        assert_eq!(findings("shop", "ieum-saga"), 1);
        assert_eq!(findings("ieum-tests", "ieum-server"), 1);
    }
}
