//! Manifests: versions stand once in the root, every package has the workspace's lints.

use anyhow::{Context, Result};
use toml::Table;

use super::Findings;
use crate::workspace;

/// A package's manifest.
pub(crate) struct Manifest {
    pub(crate) path: String,
    pub(crate) table: Table,
}

impl Manifest {
    /// The package's name.
    pub(crate) fn name(&self) -> &str {
        self.table
            .get("package")
            .and_then(|package| package.get("name"))
            .and_then(toml::Value::as_str)
            .unwrap_or_default()
    }

    /// The names under `section`, such as `dependencies`.
    pub(crate) fn names<'a>(&'a self, section: &str) -> impl Iterator<Item = &'a str> {
        self.table
            .get(section)
            .and_then(toml::Value::as_table)
            .into_iter()
            .flat_map(|table| table.keys().map(String::as_str))
    }
}

/// Reads every package's manifest.
pub(crate) fn read_all() -> Result<Vec<Manifest>> {
    let files = workspace::files("Cargo.toml")?;
    files
        .into_iter()
        .filter(|file| file.path != "Cargo.toml")
        .map(|file| {
            let table = file.text.parse().with_context(|| file.path.clone())?;
            Ok(Manifest {
                path: file.path,
                table,
            })
        })
        .collect()
}

pub(crate) fn check(manifests: &[Manifest]) -> Findings {
    manifests.iter().flat_map(check_one).collect()
}

fn check_one(manifest: &Manifest) -> Findings {
    let path = &manifest.path;
    let mut findings = Findings::new();
    let lints = manifest
        .table
        .get("lints")
        .and_then(|lints| lints.get("workspace"));
    if lints.and_then(toml::Value::as_bool) != Some(true) {
        findings.push(format!("{path}: add `[lints] workspace = true`"));
    }
    let folder = path
        .strip_suffix("/Cargo.toml")
        .and_then(|p| p.strip_prefix("crates/"));
    if folder.is_some_and(|folder| folder != manifest.name()) {
        findings.push(format!(
            "{path}: the folder has another name than the package"
        ));
    }
    for section in ["dependencies", "dev-dependencies", "build-dependencies"] {
        let Some(table) = manifest.table.get(section).and_then(toml::Value::as_table) else {
            continue;
        };
        for (name, value) in table {
            if value.get("workspace").and_then(toml::Value::as_bool) != Some(true) {
                findings.push(format!(
                    "{path}: `{name}` takes its version from the root manifest"
                ));
            }
        }
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_of_its_own_is_found() {
        let table = "[package]\nname = \"x\"\n[dependencies]\nserde = \"1\"".parse();
        let manifest = Manifest {
            path: "crates/y/Cargo.toml".into(),
            table: table.expect("toml"),
        };
        let findings = check(&[manifest]);
        assert_eq!(findings.len(), 3, "{findings:?}");
    }
}
