//! `cargo xtask coverage`: each section of the guides, where it is shown, and how its tests went.
//!
//! The rows are data (`xtask/coverage/`), the list of sections is source (`guides`); the pages
//! `docs/coverage.md` and `docs/ko/coverage.md` are generated from both and from what the last run of
//! the tests found.

mod guides;
pub(crate) mod pitfalls;
mod rows;

use std::fmt::Write as _;

use anyhow::{Result, bail, ensure};
use serde_json::{Value, json};

use self::rows::{Chapter, Row};
use crate::proofs::pages::{Generated, Language, Library, cell};
use crate::proofs::{Proofs, Verdict};

const PAGE: &str = "docs/coverage.md";
const TWIN: &str = "docs/ko/coverage.md";

/// Prints the rows, or one line of JSON, or writes the pages.
pub(crate) fn run(args: &[&str]) -> Result<()> {
    let coverage = Coverage::read()?;
    let faults = coverage.faults();
    ensure!(faults.is_empty(), "{}", faults.join("\n"));
    match args {
        [] => print!("{}", coverage.listing()),
        ["--json"] => println!("{}", coverage.to_json()),
        ["--write"] => coverage.page().write()?,
        _ => bail!("usage: cargo xtask coverage [--json | --write]"),
    }
    let failed = coverage.count(Some(Verdict::Failed));
    ensure!(
        failed == 0,
        "{failed} rows failed when their tests last ran"
    );
    Ok(())
}

/// What is wrong with the rows and the committed pages; how tests went counts only after a run.
pub(crate) fn check(after_a_run: bool) -> Result<Vec<String>> {
    let coverage = Coverage::read()?;
    let mut faults = coverage.faults();
    if faults.is_empty() {
        faults = coverage.page().faults(after_a_run)?;
    }
    Ok(faults)
}

struct Coverage {
    chapters: Vec<Chapter>,
    proofs: Proofs,
    library: Library,
}

impl Coverage {
    fn read() -> Result<Self> {
        Ok(Self {
            chapters: rows::read()?,
            proofs: Proofs::read()?,
            library: Library::read()?,
        })
    }

    fn faults(&self) -> Vec<String> {
        rows::faults(&self.chapters, &self.proofs, &self.library)
    }

    /// Each row with its chapter and how it went.
    fn each(&self) -> impl Iterator<Item = (&Chapter, &Row, Option<Verdict>)> {
        self.chapters.iter().flat_map(move |chapter| {
            let rows = chapter.rows.iter().enumerate();
            rows.map(move |(place, row)| {
                let below = &chapter.rows[place + 1..];
                (chapter, row, row.verdict(below, &self.proofs))
            })
        })
    }

    fn count(&self, wanted: Option<Verdict>) -> usize {
        self.each().filter(|(_, _, found)| *found == wanted).count()
    }

    fn counts(&self) -> String {
        format!(
            "{} passed, {} failed, {} not run, {} planned",
            self.count(Some(Verdict::Passed)),
            self.count(Some(Verdict::Failed)),
            self.count(Some(Verdict::NotRun)),
            self.count(None),
        )
    }

    fn listing(&self) -> String {
        let mut text = String::new();
        for (chapter, row, verdict) in self.each() {
            let word = verdict.map_or("planned", |verdict| verdict.word(Language::English));
            let guide = chapter.title.split(':').next().unwrap_or_default();
            let _ = writeln!(text, "{word:10} {guide}  {}", row.section);
        }
        let _ = writeln!(text, "{}", self.counts());
        text
    }

    fn to_json(&self) -> Value {
        let word = |verdict: Option<Verdict>| verdict.map_or("planned", Verdict::key);
        let rows: Vec<Value> = self
            .each()
            .map(|(chapter, row, verdict)| {
                let tests = row.tests.iter().map(
                    |test| json!({ "test": test, "result": word(Some(self.proofs.verdict(test))) }),
                );
                json!({
                    "chapter": chapter.title,
                    "section": row.section,
                    "english": row.english,
                    "shown": row.shown,
                    "tests": tests.collect::<Vec<_>>(),
                    "parts": row.parts,
                    "result": word(verdict),
                })
            })
            .collect();
        json!({
            "passed": self.count(Some(Verdict::Passed)),
            "failed": self.count(Some(Verdict::Failed)),
            "notRun": self.count(Some(Verdict::NotRun)),
            "planned": self.count(None),
            "rows": rows,
        })
    }

    fn page(&self) -> Generated {
        Generated {
            path: PAGE,
            english: self.text(Language::English, PAGE),
            korean: self.text(Language::Korean, TWIN),
            command: "cargo xtask coverage --write",
        }
    }

    fn text(&self, language: Language, path: &str) -> String {
        let mut text = language.of(INTRODUCTION, INTRODUCTION_KO).to_owned();
        for chapter in &self.chapters {
            let title = language.of(&chapter.title, &chapter.korean_title);
            let head = language.of(
                "| section | in short | shown by | proved by | result |",
                "| 절 | 보이는 곳 | 증명하는 테스트 | 결과 |",
            );
            let columns = head.matches(" |").count();
            let rule = "---|".repeat(columns);
            let _ = writeln!(text, "\n## {title}\n\n{head}\n|{rule}");
            for (place, row) in chapter.rows.iter().enumerate() {
                let verdict = row.verdict(&chapter.rows[place + 1..], &self.proofs);
                let _ = writeln!(text, "{}", self.line(row, verdict, language, path));
            }
        }
        text
    }

    fn line(&self, row: &Row, verdict: Option<Verdict>, language: Language, path: &str) -> String {
        let section = row.section.trim_start_matches('#').trim();
        let section = match row.level() {
            2 => format!("**{}**", cell(section)),
            0 if language == Language::Korean => {
                let korean = row.korean.as_deref().unwrap_or_default();
                format!("{}: {korean}", cell(section))
            }
            _ => cell(section),
        };
        let links = row
            .shown
            .iter()
            .map(|it| self.library.link(path, it, language));
        let shown = links.collect::<Vec<_>>().join("<br>");
        let tests = row.tests.iter().map(|test| format!("`{test}`"));
        let tests = match row.parts {
            true => language.of("its parts", "아래 절들").to_owned(),
            false => tests.collect::<Vec<_>>().join("<br>"),
        };
        let result = match verdict {
            Some(verdict) => verdict.word(language).to_owned(),
            None => {
                let why = language.of(
                    row.planned.as_deref().unwrap_or_default(),
                    row.planned_ko.as_deref().unwrap_or_default(),
                );
                format!("{}: {why}", language.of("planned", "예정"))
            }
        };
        let english = match language {
            Language::English => format!(" {} |", cell(&row.english)),
            Language::Korean => String::new(),
        };
        format!("| {section} |{english} {shown} | {tests} | {result} |")
    }
}

const INTRODUCTION: &str = "\
# Coverage: the guides, section by section

ieum implements five Korean guides to the integration of microservices. Each of their sections is a row: \
under its heading as it stands, where ieum shows it, which tests prove it, and how these went when they last ran. \
A test is named by its package (and target) and its path; `cargo xtask test PATH` runs it. \
`cargo xtask coverage` prints this page's rows, with `--json` for machines, and fails if a section has no row, \
a row is empty, or names a test or a page that does not exist. What the guides' code gets wrong is on \
[a page of its own](pitfalls.md).
";

const INTRODUCTION_KO: &str = "\
# 커버리지: 가이드의 절 하나하나

ieum은 마이크로서비스 통합을 다루는 한국어 가이드 다섯 편을 구현한다. 가이드의 모든 절이 한 줄씩이다. \
원문 그대로의 제목, ieum이 그것을 보이는 곳, 증명하는 테스트, 마지막으로 돌렸을 때의 결과를 적는다. \
테스트는 패키지(와 타깃)와 경로로 부르며, `cargo xtask test 경로`로 돌린다. \
`cargo xtask coverage`는 이 표의 줄들을 출력하고(`--json`은 기계용), 줄이 없는 절, 빈 줄, 없는 테스트나 문서를 \
가리키는 줄이 있으면 실패한다. 가이드의 코드가 틀리는 것들은 [따로 모은 페이지](pitfalls.md)에 있다.
";
