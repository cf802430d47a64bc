//! `cargo xtask blocks`: what becomes of each block of code in the documents.
//!
//! Shell blocks are run by the black-box tests (`tests/blackbox/documents.rs`) unless their fence says
//! why not; this lists those, so that nobody has to look for what is not proved.

use std::collections::BTreeMap;

use anyhow::{Result, ensure};

use super::markdown::Page;
use super::twins;
use crate::workspace::{self, Source};

/// What a fence has before the reason.
const NOT_RUN: &str = "sh,not-run=";

/// Prints how many blocks of each language there are, and each shell block that is not run.
pub(crate) fn run(args: &[&str]) -> Result<()> {
    ensure!(args.is_empty(), "usage: cargo xtask blocks");
    let documents = workspace::files(".md")?;
    print!("{}", listing(&documents));
    Ok(())
}

fn listing(documents: &[Source]) -> String {
    let mut languages: BTreeMap<String, usize> = BTreeMap::new();
    let mut not_run = Vec::new();
    let is_original = |document: &&Source| twins::english_path(&document.path).is_none();
    for document in documents.iter().filter(is_original) {
        for block in Page::parse(&document.text).blocks {
            *languages.entry(block.language().to_owned()).or_default() += 1;
            if let Some(why) = block.info.strip_prefix(NOT_RUN) {
                let place = format!("{}:{}", document.path, block.line);
                not_run.push(format!("{place:50} {why}"));
            }
        }
    }
    let counts = languages
        .iter()
        .map(|(language, count)| format!("{count} {language}"));
    let counts = counts.collect::<Vec<_>>().join(", ");
    let shells = languages.get("sh").copied().unwrap_or_default();
    let last = format!("{} of {shells} shell blocks are not run", not_run.len());
    not_run.extend([last, counts, String::new()]);
    not_run.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_run_is_listed_with_the_reason() {
        let page = |path: &str| Source {
            path: path.to_owned(),
            text: "```sh\nls\n```\n```sh,not-run=stays-open\nls\n```\n```json\n{}\n```\n"
                .to_owned(),
        };
        let listing = listing(&[page("docs/a.md"), page("docs/ko/a.md")]);
        let lines: Vec<&str> = listing.lines().collect();
        assert!(lines[0].starts_with("docs/a.md:4 ") && lines[0].ends_with(" stays-open"));
        assert_eq!(lines[1], "1 of 2 shell blocks are not run");
        assert_eq!(lines[2], "1 json, 2 sh");
    }
}
