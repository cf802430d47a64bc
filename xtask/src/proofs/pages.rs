//! What generated pages have in common: two languages, links to pages that exist, verdicts.

use std::collections::BTreeMap;

use anyhow::{Context, Result};

use super::Verdict;
use crate::documents::markdown::Page;
use crate::documents::twins;
use crate::workspace::{self, Source};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Language {
    English,
    Korean,
}

impl Language {
    /// The one of two texts that is in this language.
    pub(crate) fn of<'a>(self, english: &'a str, korean: &'a str) -> &'a str {
        match self {
            Self::English => english,
            Self::Korean => korean,
        }
    }
}

impl Verdict {
    /// Its name in JSON.
    pub(crate) fn key(self) -> &'static str {
        match self {
            Self::Passed => "passed",
            Self::Failed => "failed",
            Self::NotRun => "notRun",
        }
    }

    pub(crate) fn word(self, language: Language) -> &'static str {
        match self {
            Self::Passed => language.of("passed", "통과"),
            Self::Failed => language.of("**failed**", "**실패**"),
            Self::NotRun => language.of("not run", "아직 안 돌림"),
        }
    }
}

/// The pages that a generated one can link to.
pub(crate) struct Library {
    pages: BTreeMap<String, Page>,
}

impl Library {
    pub(crate) fn read() -> Result<Self> {
        let documents = workspace::files(".md")?.into_iter();
        let pages = documents.map(|document| {
            let page = Page::parse(&document.text);
            (document.path, page)
        });
        Ok(Self {
            pages: pages.collect(),
        })
    }

    /// What is wrong with a place: a command in backticks, or a path from the root, with an anchor
    /// if only a part of the page is meant.
    pub(crate) fn fault(&self, place: &str) -> Option<String> {
        if place.starts_with('`') {
            return None;
        }
        let (path, anchor) = place.split_once('#').unwrap_or((place, ""));
        if !workspace::root().join(path).exists() {
            return Some(format!("there is no `{path}`"));
        }
        let is_dead = !anchor.is_empty() && self.heading(path, anchor).is_none();
        is_dead.then(|| format!("`{path}` has no heading `{anchor}`"))
    }

    /// The place as Markdown on the page at `from`: a link to the page, in the language if there is
    /// a translation, under the title of what it leads to.
    pub(crate) fn link(&self, from: &str, place: &str, language: Language) -> String {
        if place.starts_with('`') {
            return place.to_owned();
        }
        let (path, anchor) = place.split_once('#').unwrap_or((place, ""));
        let number = self.heading(path, anchor);
        let twin = twins::korean_path(path).filter(|twin| self.pages.contains_key(twin));
        let to = match (language, twin) {
            (Language::Korean, Some(twin)) => twin,
            _ => path.to_owned(),
        };
        let headings = self.pages.get(&to).map(|page| &page.headings);
        // A translation has the same headings in the same order.
        let heading = headings.and_then(|headings| headings.get(number.unwrap_or(0)));
        let text = heading.map_or_else(|| format!("`{to}`"), |heading| heading.text.clone());
        let anchor = match heading {
            Some(heading) if !anchor.is_empty() => format!("#{}", heading.anchor),
            _ => String::new(),
        };
        format!("[{text}]({}{anchor})", relative(from, &to))
    }

    fn heading(&self, path: &str, anchor: &str) -> Option<usize> {
        let headings = &self.pages.get(path)?.headings;
        headings.iter().position(|heading| heading.anchor == anchor)
    }
}

/// `../b.md` for `b.md` seen from `a/c.md`.
fn relative(from: &str, to: &str) -> String {
    let folders: Vec<&str> = from.split('/').collect();
    let folders = &folders[..folders.len() - 1];
    let parts: Vec<&str> = to.split('/').collect();
    let shared = folders.iter().zip(&parts).take_while(|(a, b)| a == b);
    let shared = shared.count();
    let up = "../".repeat(folders.len() - shared);
    format!("{up}{}", parts[shared..].join("/"))
}

/// A generated page in both languages.
pub(crate) struct Generated {
    /// Where the English one is.
    pub(crate) path: &'static str,
    pub(crate) english: String,
    /// Without the line that names the original.
    pub(crate) korean: String,
    /// What writes the page.
    pub(crate) command: &'static str,
}

impl Generated {
    pub(crate) fn write(&self) -> Result<()> {
        let root = workspace::root();
        for (path, text) in self.files()? {
            std::fs::write(root.join(&path), text).context(path)?;
        }
        Ok(())
    }

    /// What is wrong with the committed pages; verdicts count only if `with_verdicts`.
    pub(crate) fn faults(&self, with_verdicts: bool) -> Result<Vec<String>> {
        let same = |stands: &str, text: &str| match with_verdicts {
            true => stands == text,
            false => without_verdicts(stands) == without_verdicts(text),
        };
        let mut faults = Vec::new();
        for (path, text) in self.files()? {
            let stands = std::fs::read_to_string(workspace::root().join(&path));
            if !same(&stands.unwrap_or_default(), &text) {
                let command = self.command;
                faults.push(format!("{path}: not what was found: run `{command}`"));
            }
        }
        Ok(faults)
    }

    fn files(&self) -> Result<[(String, String); 2]> {
        let english = Source {
            path: self.path.to_owned(),
            text: self.english.clone(),
        };
        let korean = twins::korean_path(self.path).context("the page has no twin")?;
        let first = twins::first_line(&english);
        let text = format!("{first}\n{}", self.korean);
        Ok([(english.path, english.text), (korean, text)])
    }
}

/// The lines of a page without how tests went, and without the fingerprint of such a page.
fn without_verdicts(text: &str) -> Vec<&str> {
    const ALL: [Verdict; 3] = [Verdict::Passed, Verdict::Failed, Verdict::NotRun];
    let words = [Language::English, Language::Korean]
        .into_iter()
        .flat_map(|language| ALL.map(|verdict| verdict.word(language)));
    let words: Vec<&str> = words.collect();
    let strip = |line| {
        let cell: Option<&str> = str::strip_suffix(line, " |");
        cell.and_then(|cell| words.iter().find_map(|word| cell.strip_suffix(word)))
            .unwrap_or(line)
    };
    let is_first = |line: &&str| line.starts_with("<!-- 영어 원문: ");
    let lines = text.lines().filter(|line| !is_first(line));
    lines.map(strip).collect()
}

/// `text` with what would end a cell of a table taken out of its way.
pub(crate) fn cell(text: &str) -> String {
    text.replace('|', "\\|").replace('\n', " ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_is_relative_to_its_page() {
        assert_eq!(relative("docs/coverage.md", "docs/a/b.md"), "a/b.md");
        assert_eq!(relative("docs/ko/coverage.md", "docs/a.md"), "../a.md");
        assert_eq!(relative("docs/coverage.md", "README.md"), "../README.md");
    }

    #[test]
    fn verdicts_do_not_make_two_pages_differ_and_all_else_does() {
        let page = "| a | passed |\n";
        assert_eq!(
            without_verdicts(page),
            without_verdicts("| a | **failed** |")
        );
        assert_ne!(without_verdicts(page), without_verdicts("| b | passed |"));
        assert_ne!(without_verdicts(page), without_verdicts("| a | planned |"));
    }
}
