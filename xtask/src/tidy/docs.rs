//! Documents: no dead link, code that says its language, and a Korean twin that keeps up.

use std::collections::BTreeMap;
use std::path::{Component, Path, PathBuf};

use anyhow::{Context, Result};

use super::Findings;
use crate::documents::markdown::{Block, Link, Page};
use crate::documents::twins::{self, Fault};
use crate::workspace::{self, Source};

pub(crate) fn check() -> Result<Findings> {
    let documents = workspace::files(".md")?;
    let pages = documents
        .iter()
        .map(|document| (document.path.as_str(), Page::parse(&document.text)))
        .collect();
    let root = workspace::root();
    let mut findings = check_pages(&pages, |path| root.join(path).exists());
    findings.extend(check_twins(&documents));
    let doctests = std::fs::read_to_string(root.join(DOCTESTS)).context(DOCTESTS)?;
    findings.extend(uncompiled(&pages, &doctests));
    Ok(findings)
}

/// What compiles the Rust of pages, and names each.
const DOCTESTS: &str = "crates/ieum/src/documents.rs";

type Pages<'a> = BTreeMap<&'a str, Page>;

fn check_pages(pages: &Pages<'_>, exists: impl Fn(&Path) -> bool) -> Findings {
    let mut findings = Findings::new();
    for (path, page) in pages {
        for link in &page.links {
            if let Some(why) = fault_of_link(path, link, pages, &exists) {
                let Link { line, target } = link;
                findings.push(format!("{path}:{line}: `{target}`: {why}"));
            }
        }
        for block in &page.blocks {
            if let Some(why) = fault_of_block(block) {
                findings.push(format!("{path}:{}: {why}", block.line));
            }
        }
    }
    findings
}

/// What is wrong with a link of the page at `path`.
fn fault_of_link(
    path: &str,
    link: &Link,
    pages: &Pages<'_>,
    exists: impl Fn(&Path) -> bool,
) -> Option<&'static str> {
    let target = link.target.as_str();
    if target.contains(':') {
        return fault_of_address(target);
    }
    let (file, anchor) = target.split_once('#').unwrap_or((target, ""));
    let resolved = match file {
        "" => PathBuf::from(path),
        file => match resolve(path, file) {
            Some(resolved) => resolved,
            None => return Some("a link out of the repository"),
        },
    };
    if !exists(&resolved) {
        return Some("a dead link");
    }
    let resolved = resolved.to_string_lossy();
    if let Some(page) = pages.get(&*resolved)
        && !anchor.is_empty()
        && !page.headings.iter().any(|h| h.anchor == anchor)
    {
        return Some("no heading of that page has this anchor");
    }
    let is_original = twins::english_path(path).as_deref() == Some(&*resolved);
    let twin = twins::english_path(path).and_then(|_| twins::korean_path(&resolved));
    (!is_original && twin.is_some_and(|twin| pages.contains_key(twin.as_str())))
        .then_some("a Korean page links to the Korean one, which exists")
}

/// The path from the root that `file` has for the page at `path`, if it is in the repository.
fn resolve(path: &str, file: &str) -> Option<PathBuf> {
    let mut resolved = Path::new(path).parent()?.to_path_buf();
    for component in Path::new(file).components() {
        match component {
            Component::Normal(name) => resolved.push(name),
            Component::ParentDir => {
                if !resolved.pop() {
                    return None;
                }
            }
            Component::CurDir => {}
            Component::RootDir | Component::Prefix(_) => return None,
        }
    }
    Some(resolved)
}

/// Addresses outside are not asked, or a check would depend on other people's servers.
fn fault_of_address(target: &str) -> Option<&'static str> {
    if target.contains(char::is_whitespace) {
        return Some("an address with a space");
    }
    let rest = ["https://", "http://", "mailto:"]
        .iter()
        .find_map(|scheme| target.strip_prefix(scheme));
    match rest {
        None => Some("an address of no scheme that a page needs"),
        Some(rest) if rest.starts_with('/') || rest.is_empty() => Some("an address without a host"),
        Some(_) => None,
    }
}

/// What is wrong with a block of code, as far as one sees without running it.
fn fault_of_block(block: &Block) -> Option<String> {
    let words: Vec<&str> = block.info.split(',').skip(1).collect();
    match block.language() {
        "" => Some("a block of code names its language; `text` if it has none".to_owned()),
        "json" => {
            let parsed = serde_json::from_str::<serde_json::Value>(&block.text);
            parsed.err().map(|error| format!("no JSON: {error}"))
        }
        "toml" => {
            let parsed = block.text.parse::<toml::Table>();
            parsed.err().map(|error| format!("no TOML: {error}"))
        }
        "sh" => words
            .iter()
            .find(|word| word.strip_prefix("not-run=").is_none_or(str::is_empty))
            .map(|word| format!("`{word}`: a block runs, or has `not-run=` and the reason")),
        "bash" | "shell" | "console" => {
            Some("a block that one can run is `sh`, what it prints is `text`".to_owned())
        }
        "rust" if words.contains(&"ignore") => Some(
            "code is compiled: `no_run` if it must not run, hidden lines (`# …`) for the rest"
                .to_owned(),
        ),
        _ => None,
    }
}

/// English pages whose Rust nobody compiles. Those of the patterns have a list and a test of their own.
fn uncompiled(pages: &Pages<'_>, doctests: &str) -> Findings {
    let has_rust = |page: &Page| page.blocks.iter().any(|block| block.language() == "rust");
    let is_elsewhere =
        |path: &str| path.starts_with("docs/patterns/") || twins::english_path(path).is_some();
    pages
        .iter()
        .filter(|(path, page)| has_rust(page) && !is_elsewhere(path) && !doctests.contains(*path))
        .map(|(path, _)| format!("{path}: its Rust is not compiled: name it in {DOCTESTS}"))
        .collect()
}

fn check_twins(documents: &[Source]) -> Findings {
    let mut findings = Findings::new();
    for twin in twins::all(documents) {
        let korean = &twin.korean;
        for fault in &twin.faults {
            findings.push(match fault {
                Fault::Missing => format!("{korean}: there is no such page yet"),
                Fault::Stale => format!(
                    "{korean}: the original changed; compare, then `cargo xtask twins --stamp {korean}`"
                ),
                Fault::Differs(what) => {
                    let english = &twin.english.path;
                    format!("{korean}: not as in {english}: {what}")
                }
            });
        }
    }
    let is_orphan = |page: &&Source| {
        let is_korean = page.path.starts_with("docs/ko/") || page.path.ends_with(".ko.md");
        let english = twins::english_path(&page.path);
        is_korean && !english.is_some_and(|english| documents.iter().any(|d| d.path == english))
    };
    let orphans = documents.iter().filter(is_orphan);
    findings.extend(orphans.map(|page| format!("{}: no page is its original", page.path)));
    findings
}

#[cfg(test)]
mod tests {
    use super::*;

    fn faults(link: &str) -> usize {
        let page = format!("# One two\n[a]({link})\n");
        let korean = format!("# 하나\n[가]({link})\n");
        let pages: Pages<'_> = [
            ("docs/a.md", Page::parse("# One two\n")),
            ("docs/b.md", Page::parse(&page)),
            ("docs/ko/a.md", Page::parse("# 하나\n")),
            ("docs/ko/c.md", Page::parse(&korean)),
        ]
        .into();
        let known = |path: &Path| pages.contains_key(&*path.to_string_lossy());
        check_pages(&pages, known).len()
    }

    #[test]
    fn a_dead_link_is_found() {
        // The second page is in another folder, where the first link is good and the others are not.
        assert_eq!(faults("a.md"), 0);
        assert_eq!(faults("a.md#one-two"), 1);
        assert_eq!(faults("a.md#three"), 2);
        assert_eq!(faults("../../a.md"), 2);
        assert_eq!(faults("#one-two"), 1);
        assert_eq!(faults("https://example.com/a"), 0);
        assert_eq!(faults("https:///a"), 2);
        assert_eq!(faults("javascript:alert(1)"), 2);
    }

    #[test]
    fn a_korean_page_links_to_korean_pages() {
        let pages: Pages<'_> = [
            ("docs/a.md", Page::default()),
            ("docs/b.md", Page::default()),
            ("docs/ko/a.md", Page::parse("[b](../b.md) [en](../a.md)")),
            ("docs/ko/b.md", Page::parse("[a](../a.md)")),
        ]
        .into();
        let known = |path: &Path| pages.contains_key(&*path.to_string_lossy());
        assert_eq!(check_pages(&pages, known).len(), 2);
    }

    #[test]
    fn a_page_whose_rust_nobody_compiles_is_found() {
        let rust = "```rust\nfn f() {}\n```\n";
        let pages: Pages<'_> = [
            ("docs/a.md", Page::parse(rust)),
            ("docs/b.md", Page::parse(rust)),
            ("docs/c.md", Page::parse("```text\n```\n")),
            ("docs/ko/b.md", Page::parse(rust)),
        ]
        .into();
        assert_eq!(
            uncompiled(&pages, "include_str!(\"../docs/a.md\")").len(),
            1
        );
    }

    #[test]
    fn a_block_names_its_language_and_is_what_it_says() {
        let fault = |info: &str, text: &str| {
            fault_of_block(&Block {
                line: 1,
                info: info.to_owned(),
                text: text.to_owned(),
            })
        };
        for (info, text) in [
            ("sh", "ls"),
            ("sh,not-run=needs-a-cluster", "ls"),
            ("json", "{}"),
            ("toml", "a = 1"),
            ("rust,no_run", "fn f() {}"),
            ("text", "?"),
        ] {
            assert_eq!(fault(info, text), None, "{info}");
        }
        for (info, text) in [
            ("", "ls"),
            ("sh,not-run=", "ls"),
            ("sh,later", "ls"),
            ("bash", "ls"),
            ("json", "{a}"),
            ("toml", "a = "),
            ("rust,ignore", ""),
        ] {
            assert!(fault(info, text).is_some(), "{info}");
        }
    }
}
