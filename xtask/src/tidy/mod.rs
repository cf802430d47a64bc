//! `cargo xtask tidy`: what the compiler does not check, as checks that name the file and the rule.
//!
//! One file per kind of rule. Each check gets the workspace's files and returns what it found, so
//! that a run shows everything at once.

mod dependencies;
mod docs;
mod engines;
mod floors;
mod manifests;
mod shop;
mod sources;

use anyhow::{Result, bail};

/// A broken rule: where, and what to do.
pub(crate) type Findings = Vec<String>;

/// Runs every check; fails with all findings.
pub(crate) fn run() -> Result<()> {
    let findings = all()?;
    if findings.is_empty() {
        println!("tidy: everything is in its place");
        return Ok(());
    }
    bail!(
        "{}\ntidy: {} broken rules",
        findings.join("\n"),
        findings.len()
    );
}

fn all() -> Result<Findings> {
    let rust = crate::workspace::files(".rs")?;
    let manifests = manifests::read_all()?;
    let mut findings = floors::check(&manifests);
    findings.extend(manifests::check(&manifests));
    findings.extend(dependencies::check()?);
    findings.extend(engines::check()?);
    findings.extend(sources::check(&rust));
    findings.extend(shop::check(&rust));
    findings.extend(docs::check()?);
    findings.extend(crate::coverage::check(false)?);
    findings.extend(crate::coverage::pitfalls::check(false)?);
    Ok(findings)
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_workspace_is_tidy() {
        let findings = super::all().expect("the checks run");
        assert!(findings.is_empty(), "\n{}", findings.join("\n"));
    }
}
