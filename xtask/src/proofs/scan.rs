//! The names of all tests, from the sources: no build is needed to find a claim without a test.
//!
//! The sources are formatted, so that a module ends at the brace below its first letter.

use std::collections::{BTreeMap, BTreeSet};

use super::TestName;
use crate::workspace::{self, Source};

/// The tests of `sources`, as pages name them.
pub(crate) fn tests(sources: &[Source]) -> BTreeSet<TestName> {
    let mut packages = Packages::default();
    let mut found = BTreeSet::new();
    for source in sources {
        if let Some((binary, modules)) = packages.place(&source.path) {
            let tests = tests_of(&source.text).into_iter();
            found.extend(tests.map(|test| {
                let path: Vec<&str> = modules.iter().map(String::as_str).chain(test).collect();
                format!("{binary} {}", path.join("::"))
            }));
        }
    }
    found
}

/// What the manifests say, by folder.
#[derive(Default)]
struct Packages {
    known: BTreeMap<String, Option<Package>>,
}

#[derive(Clone)]
struct Package {
    name: String,
    /// Test targets with a folder of their own: the folder, and the target's name.
    targets: Vec<(String, String)>,
}

impl Packages {
    /// The binary that the source at `path` belongs to, and the modules that lead to it.
    fn place(&mut self, path: &str) -> Option<(String, Vec<String>)> {
        let mut folder = path;
        let package = loop {
            folder = folder.rsplit_once('/')?.0;
            let known = self.known.entry(folder.to_owned());
            if let Some(package) = known.or_insert_with(|| manifest(folder)) {
                break package;
            }
        };
        place_in(package, path[folder.len()..].trim_start_matches('/'))
    }
}

fn manifest(folder: &str) -> Option<Package> {
    let path = workspace::root().join(folder).join("Cargo.toml");
    let table: toml::Table = std::fs::read_to_string(path).ok()?.parse().ok()?;
    package(&table)
}

fn package(table: &toml::Table) -> Option<Package> {
    let name = table.get("package")?.get("name")?.as_str()?.to_owned();
    let targets = table.get("test").and_then(toml::Value::as_array);
    let targets = targets.into_iter().flatten().filter_map(|target| {
        let folder = target.get("path")?.as_str()?.rsplit_once('/')?.0;
        Some((folder.to_owned(), target.get("name")?.as_str()?.to_owned()))
    });
    let targets = targets.collect();
    Some(Package { name, targets })
}

/// The same for a path from the package's folder.
fn place_in(package: &Package, path: &str) -> Option<(String, Vec<String>)> {
    let mut parts = path.strip_suffix(".rs")?.split('/').map(str::to_owned);
    let first = parts.next()?;
    let mut modules: Vec<String> = parts.collect();
    let Package { name, targets } = package;
    let target = targets.iter().find(|(folder, _)| *folder == first);
    let binary = match (first.as_str(), target) {
        (_, Some((_, target))) => format!("{name}/{target}"),
        ("src", None) => name.clone(),
        ("tests", None) if !modules.is_empty() => format!("{name}/{}", modules.remove(0)),
        _ => return None,
    };
    if modules
        .last()
        .is_some_and(|last| matches!(last.as_str(), "mod" | "main" | "lib"))
    {
        modules.pop();
    }
    Some((binary, modules))
}

/// The tests of one file, each with the modules inside the file that lead to it.
fn tests_of(text: &str) -> Vec<Vec<&str>> {
    let mut found = Vec::new();
    let mut inside: Vec<(usize, &str)> = Vec::new();
    let mut is_test = false;
    for line in text.lines() {
        let code = line.trim_start();
        let indent = line.len() - code.len();
        if code == "}" && inside.last().is_some_and(|(at, _)| *at == indent) {
            inside.pop();
        } else if let Some(name) = module(code) {
            inside.push((indent, name));
        } else if is_test && let Some(name) = function(code) {
            let modules = inside.iter().map(|(_, name)| *name);
            found.push(modules.chain([name]).collect());
            is_test = false;
        }
        let is_attribute = code.starts_with("#[");
        is_test |= is_attribute && is_test_attribute(code);
    }
    found
}

fn is_test_attribute(code: &str) -> bool {
    let name = code[2..].split(['(', ']']).next().unwrap_or_default();
    name == "test" || name.ends_with("::test")
}

fn module(code: &str) -> Option<&str> {
    let (before, rest) = code.split_once("mod ")?;
    let is_visibility = before.is_empty() || before.starts_with("pub");
    rest.strip_suffix(" {").filter(|_| is_visibility)
}

fn function(code: &str) -> Option<&str> {
    let code = code.strip_prefix("async ").unwrap_or(code);
    code.strip_prefix("fn ")?.split(['(', '<']).next()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tests_are_found_with_the_modules_around_them() {
        // One line each: a brace at the margin of this file would end the module around it.
        let text = [
            "#[test]",
            "fn at_the_top() {",
            "}",
            "mod tests {",
            "    pub(super) mod deeper {",
            "        #[tokio::test(start_paused = true)]",
            "        #[cfg(unix)]",
            "        async fn waits() {",
            "        }",
            "    }",
            "    fn helper() {",
            "    }",
            "    #[test]",
            "    fn outside_again() {",
            "    }",
            "}",
        ]
        .join("\n");
        let found: Vec<String> = tests_of(&text).iter().map(|path| path.join("::")).collect();
        assert_eq!(
            found,
            ["at_the_top", "tests::deeper::waits", "tests::outside_again"]
        );
    }

    #[test]
    fn a_file_belongs_to_a_binary() {
        let manifest = "[package]\nname = \"x-y\"\n[[test]]\nname = \"bb\"\npath = \"bb/main.rs\"";
        let package = package(&manifest.parse().expect("toml")).expect("a package");
        let place = |path: &str| {
            let (binary, modules) = place_in(&package, path).expect("a place");
            format!("{binary} {}", modules.join("::"))
        };
        assert_eq!(place("src/a/b.rs"), "x-y a::b");
        assert_eq!(place("src/a/mod.rs"), "x-y a");
        assert_eq!(place("src/lib.rs"), "x-y ");
        assert_eq!(place("tests/it/a.rs"), "x-y/it a");
        assert_eq!(place("tests/it.rs"), "x-y/it ");
        assert_eq!(place("bb/main.rs"), "x-y/bb ");
        assert_eq!(place("bb/a/b.rs"), "x-y/bb a::b");
    }

    #[test]
    fn this_very_test_is_found() {
        let found = tests(&workspace::files(".rs").expect("sources"));
        assert!(found.contains("xtask proofs::scan::tests::this_very_test_is_found"));
    }
}
