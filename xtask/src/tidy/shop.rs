//! The shop: its services meet only over the network, and its auditor trusts none of them.

use std::collections::BTreeSet;

use super::Findings;
use crate::workspace::Source;

const SERVICES: &str = "shop/src/services/";
const AUDITOR: &str = "shop/src/audit";

pub(crate) fn check(sources: &[Source]) -> Findings {
    let names: BTreeSet<&str> = sources.iter().filter_map(|s| service_of(&s.path)).collect();
    sources
        .iter()
        .flat_map(|source| {
            if let Some(own) = service_of(&source.path) {
                names
                    .iter()
                    .filter(|name| **name != own)
                    .flat_map(|other| imports(source, other))
                    .collect()
            } else if source.path.starts_with(AUDITOR) {
                imports(source, "")
            } else {
                Findings::new()
            }
        })
        .collect()
}

/// The service that a file belongs to.
fn service_of(path: &str) -> Option<&str> {
    let rest = path.strip_prefix(SERVICES)?;
    let name = rest.split(['/', '.']).next()?;
    (name != "mod").then_some(name)
}

/// Lines of `source` that reach into the service `other` (any, if empty).
fn imports(source: &Source, other: &str) -> Findings {
    let mut paths = vec![format!("services::{other}")];
    if !other.is_empty() {
        paths.push(format!("super::super::{other}"));
    }
    let reaches = |line: &str| {
        paths.iter().any(|path| {
            line.match_indices(path.as_str()).any(|(at, _)| {
                other.is_empty() || line[at + path.len()..].starts_with([':', ';', ',', ' ', '}'])
            })
        })
    };
    let lines = source.text.lines().enumerate();
    lines
        .filter(|(_, line)| !line.trim_start().starts_with("//") && reaches(line))
        .map(|(number, line)| {
            format!(
                "{}:{}: meets a service over the network only: {}",
                source.path,
                number + 1,
                line.trim()
            )
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(path: &str, text: &str) -> Source {
        Source {
            path: path.into(),
            text: text.into(),
        }
    }

    #[test]
    fn a_service_does_not_import_another() {
        let orders = source(
            "shop/src/services/orders/api.rs",
            "use crate::services::users::User;\n",
        );
        let own = source(
            "shop/src/services/users/api.rs",
            "use crate::services::users::domain;\n",
        );
        assert_eq!(check(&[orders, own]).len(), 1);
    }

    #[test]
    fn the_auditor_shares_no_code_with_the_services() {
        let audit = source(
            "shop/src/audit/mod.rs",
            "use crate::services::orders::schema;\n",
        );
        assert_eq!(check(&[audit]).len(), 1);
    }
}
