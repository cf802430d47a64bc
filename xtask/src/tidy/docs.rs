//! Documents: no dead link, and the Korean README says what the English one says.

use std::path::Path;

use anyhow::Result;

use super::Findings;
use crate::workspace::{self, Source};

pub(crate) fn check() -> Result<Findings> {
    let documents = workspace::files(".md")?;
    let mut findings: Findings = documents.iter().flat_map(dead_links).collect();
    findings.extend(compare_readmes(&documents));
    Ok(findings)
}

/// Relative links to files that do not exist.
fn dead_links(document: &Source) -> Findings {
    let folder = Path::new(&document.path).parent().unwrap_or(Path::new(""));
    let mut findings = Findings::new();
    for (number, line) in document.text.lines().enumerate() {
        for target in links(line) {
            let file = target.split('#').next().unwrap_or_default();
            let outside =
                target.contains("://") || target.starts_with("mailto:") || file.is_empty();
            if !outside && !workspace::root().join(folder).join(file).exists() {
                findings.push(format!(
                    "{}:{}: dead link to `{target}`",
                    document.path,
                    number + 1
                ));
            }
        }
    }
    findings
}

/// The targets of `[text](target)` in a line.
fn links(line: &str) -> impl Iterator<Item = &str> {
    line.split("](")
        .skip(1)
        .filter_map(|rest| rest.split_once(')').map(|(target, _)| target))
}

/// The two READMEs have the same outline and the same code.
fn compare_readmes(documents: &[Source]) -> Findings {
    let find = |path: &str| documents.iter().find(|document| document.path == path);
    let (Some(english), Some(korean)) = (find("README.md"), find("README.ko.md")) else {
        return vec!["README.md and README.ko.md: both must exist".to_owned()];
    };
    let mut findings = Findings::new();
    if outline(&english.text) != outline(&korean.text) {
        findings.push("README.ko.md: its headings do not match those of README.md".to_owned());
    }
    if code(&english.text) != code(&korean.text) {
        findings.push("README.ko.md: its code blocks are not those of README.md".to_owned());
    }
    findings
}

/// The levels of the headings, in order.
fn outline(text: &str) -> Vec<usize> {
    let mut fenced = false;
    let mut levels = Vec::new();
    for line in text.lines() {
        fenced ^= line.starts_with("```");
        if !fenced && line.starts_with('#') {
            levels.push(line.chars().take_while(|c| *c == '#').count());
        }
    }
    levels
}

/// The code blocks without their comments, which may be translated.
fn code(text: &str) -> Vec<&str> {
    let blocks = text.split("```").skip(1).step_by(2);
    blocks
        .flat_map(str::lines)
        .filter(|line| !line.trim_start().starts_with('#'))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_links_and_outlines() {
        assert_eq!(
            links("see [a](b.md#c) and [d](e)").collect::<Vec<_>>(),
            ["b.md#c", "e"]
        );
        assert_eq!(outline("# A\n```sh\n# not a heading\n```\n## B\n"), [1, 2]);
        assert_eq!(code("x\n```sh\n# 주석\nls\n```\n"), ["sh", "ls"]);
    }
}
