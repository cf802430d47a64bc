//! `cargo xtask twins`: which Korean page belongs to which English one, and whether it keeps up.
//!
//! A translation opens with a line that names its original and the fingerprint of what was
//! translated. Both pages have the same outline, the same code, and tables of the same length: what
//! a check can compare, a reader of either page gets.

use anyhow::{Context, Result, bail, ensure};

use super::fingerprint;
use super::markdown::Page;
use crate::workspace::{self, Source};

/// Pages of the root that are translated.
const ROOT: [&str; 4] = [
    "README.md",
    "ARCHITECTURE.md",
    "CONTRIBUTING.md",
    "STYLE.md",
];

/// Lists what is missing or stale; `--stamp FILE…` says that a Korean page has been looked at.
pub(crate) fn run(args: &[&str]) -> Result<()> {
    match args {
        [] => list(),
        ["--stamp", files @ ..] if !files.is_empty() => files.iter().try_for_each(|f| stamp(f)),
        _ => bail!("usage: cargo xtask twins [--stamp FILE…]"),
    }
}

/// What is wrong with the translation of one page.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// There is no Korean page.
    Missing,
    /// The Korean page was made from another text, or does not say from which.
    Stale,
    /// The Korean page is built differently: what, in words.
    Differs(String),
}

/// An original, its translation, and what is wrong with it.
pub(crate) struct Twin<'a> {
    pub(crate) english: &'a Source,
    pub(crate) korean: String,
    pub(crate) faults: Vec<Fault>,
}

/// Every page that has to have a translation.
pub(crate) fn all(documents: &[Source]) -> Vec<Twin<'_>> {
    documents
        .iter()
        .filter_map(|english| {
            let korean = korean_path(&english.path)?;
            let translation = documents.iter().find(|page| page.path == korean);
            let faults = match translation {
                None => vec![Fault::Missing],
                Some(translation) => compare(english, translation),
            };
            Some(Twin {
                english,
                korean,
                faults,
            })
        })
        .collect()
}

/// Where the translation of the page at `path` is; nothing for what is no original.
pub(crate) fn korean_path(path: &str) -> Option<String> {
    let is_beside = ROOT.contains(&path)
        || path.ends_with("/README.md")
            && ["examples/", "console/", "shop/storefront/"]
                .iter()
                .any(|folder| path.starts_with(folder));
    if is_beside {
        return Some(format!("{}.ko.md", path.strip_suffix(".md")?));
    }
    let below = path.strip_prefix("docs/")?;
    (!below.starts_with("ko/")).then(|| format!("docs/ko/{below}"))
}

/// Where the original of the Korean page at `path` is; nothing for what is no translation.
pub(crate) fn english_path(path: &str) -> Option<String> {
    let below = path.strip_prefix("docs/ko/");
    let english = match below {
        Some(below) => format!("docs/{below}"),
        None => format!("{}.md", path.strip_suffix(".ko.md")?),
    };
    (korean_path(&english).as_deref() == Some(path)).then_some(english)
}

/// The first line of the translation of `english`.
pub(crate) fn first_line(english: &Source) -> String {
    let hash = fingerprint(&english.text);
    format!("<!-- 영어 원문: {} @ {hash} -->", english.path)
}

fn compare(english: &Source, korean: &Source) -> Vec<Fault> {
    let mut faults = Vec::new();
    if korean.text.lines().next() != Some(&first_line(english)) {
        faults.push(Fault::Stale);
    }
    let (ours, theirs) = (Page::parse(&english.text), Page::parse(&korean.text));
    let levels = |page: &Page| page.headings.iter().map(|h| h.level).collect::<Vec<_>>();
    if levels(&ours) != levels(&theirs) {
        faults.push(Fault::Differs("its headings".to_owned()));
    }
    let code = |page: &Page| {
        let blocks = page.blocks.iter();
        blocks
            .map(|b| (b.info.clone(), b.text.clone()))
            .collect::<Vec<_>>()
    };
    let (code, translated) = (code(&ours), code(&theirs));
    if code.len() != translated.len() {
        faults.push(Fault::Differs("how many code blocks it has".to_owned()));
    }
    for (number, (block, twin)) in (1..).zip(code.iter().zip(&translated)) {
        if block != twin {
            faults.push(Fault::Differs(format!("its code block {number}")));
        }
    }
    if ours.tables != theirs.tables {
        faults.push(Fault::Differs("the rows of its tables".to_owned()));
    }
    faults
}

fn list() -> Result<()> {
    let documents = workspace::files(".md")?;
    let twins = all(&documents);
    let mut done = 0;
    for Twin {
        english,
        korean,
        faults,
    } in &twins
    {
        let first = first_line(english);
        for fault in faults {
            match fault {
                Fault::Missing => println!("missing  {korean}\n         {first}"),
                Fault::Stale => println!("stale    {korean}\n         {first}"),
                Fault::Differs(what) => println!("differs  {korean}: {what}"),
            }
        }
        done += usize::from(faults.is_empty());
    }
    println!("{done} of {} pages have their Korean twin", twins.len());
    Ok(())
}

/// Writes the first line anew: whoever calls this has compared the page with its original.
fn stamp(path: &str) -> Result<()> {
    let root = workspace::root();
    let path = path.trim_start_matches("./");
    let original = english_path(path).with_context(|| format!("{path} is no translation"))?;
    let read = |path: &str| std::fs::read_to_string(root.join(path)).context(path.to_owned());
    let english = Source {
        text: read(&original)?,
        path: original,
    };
    let korean = read(path)?;
    let body = match korean.split_once('\n') {
        Some((first, rest)) if first.starts_with("<!-- 영어 원문: ") => rest,
        _ => &korean,
    };
    ensure!(!body.trim().is_empty(), "{path} is empty");
    std::fs::write(root.join(path), format!("{}\n{body}", first_line(&english)))?;
    println!("stamped  {path}");
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(path: &str, text: &str) -> Source {
        Source {
            path: path.to_owned(),
            text: text.to_owned(),
        }
    }

    #[test]
    fn a_translation_lies_in_docs_ko_or_beside_its_original() {
        for (english, korean) in [
            ("docs/a/b.md", "docs/ko/a/b.md"),
            ("README.md", "README.ko.md"),
            ("examples/x/README.md", "examples/x/README.ko.md"),
            ("shop/storefront/README.md", "shop/storefront/README.ko.md"),
        ] {
            assert_eq!(korean_path(english).as_deref(), Some(korean));
            assert_eq!(english_path(korean).as_deref(), Some(english));
        }
        assert_eq!(korean_path("docs/ko/a/b.md"), None);
        assert_eq!(korean_path("README.ko.md"), None);
        assert_eq!(korean_path("CHANGELOG.md"), None);
        assert_eq!(english_path("docs/a.md"), None);
    }

    #[test]
    fn a_translation_that_fell_behind_or_lost_code_is_found() {
        let english = source("docs/a.md", "# A\n```sh\nls\n```\n| a |\n|---|\n| b |\n");
        let good = "# 가\n```sh\nls\n```\n| 가 |\n|---|\n| 나 |\n";
        let fresh = format!("{}\n{good}", first_line(&english));
        let faults = |text: &str| compare(&english, &source("docs/ko/a.md", text));
        assert_eq!(faults(&fresh), []);
        assert_eq!(faults(good), [Fault::Stale]);
        let other = fresh.replace("ls", "rm").replace("| 나 |\n", "");
        let differs = |what: &str| Fault::Differs(what.to_owned());
        assert_eq!(
            faults(&other),
            [
                differs("its code block 1"),
                differs("the rows of its tables")
            ]
        );
        assert_eq!(
            faults(&fresh.replace("# 가", "## 가")),
            [differs("its headings")]
        );
    }

    #[test]
    fn a_page_without_a_translation_is_found() {
        let documents = [source("docs/a.md", "# A\n"), source("CHANGELOG.md", "x\n")];
        let twins = all(&documents);
        assert_eq!(twins.len(), 1);
        assert_eq!(twins[0].faults, [Fault::Missing]);
    }
}
