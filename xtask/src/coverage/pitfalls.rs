//! `cargo xtask pitfalls`: what the code of the guides gets wrong, and the tests that it cannot here.
//!
//! The rows are data (`xtask/coverage/pitfalls.toml`); `docs/pitfalls.md` and its Korean twin are
//! generated from them and from what the last run of the tests found.

use std::fmt::Write as _;

use anyhow::{Context, Result, bail, ensure};
use serde::Deserialize;
use serde_json::{Value, json};

use super::rows::FOLDER;
use crate::proofs::pages::{Generated, Language, Library, cell};
use crate::proofs::{Proofs, TestName, Verdict};
use crate::workspace;

const PAGE: &str = "docs/pitfalls.md";
const TWIN: &str = "docs/ko/pitfalls.md";

/// Prints the pitfalls, or one line of JSON, or writes the pages.
pub(crate) fn run(args: &[&str]) -> Result<()> {
    let pitfalls = Pitfalls::read()?;
    let faults = pitfalls.faults();
    ensure!(faults.is_empty(), "{}", faults.join("\n"));
    match args {
        [] => print!("{}", pitfalls.listing()),
        ["--json"] => println!("{}", pitfalls.to_json()),
        ["--write"] => pitfalls.page().write()?,
        _ => bail!("usage: cargo xtask pitfalls [--json | --write]"),
    }
    let failed = pitfalls.count(Verdict::Failed);
    ensure!(
        failed == 0,
        "{failed} pitfalls failed when their tests last ran"
    );
    Ok(())
}

/// What is wrong with the rows and the committed pages; how tests went counts only after a run.
pub(crate) fn check(after_a_run: bool) -> Result<Vec<String>> {
    let pitfalls = Pitfalls::read()?;
    let mut faults = pitfalls.faults();
    if faults.is_empty() {
        faults = pitfalls.page().faults(after_a_run)?;
    }
    Ok(faults)
}

/// Something that the guides' code does, and that a user would suffer from.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Pitfall {
    title: String,
    title_ko: String,
    /// Which guide and section.
    guide: String,
    /// The line that does it.
    code: String,
    /// What a user suffers.
    wrong: String,
    wrong_ko: String,
    /// What ieum does instead.
    how: String,
    how_ko: String,
    /// Pages that tell more.
    shown: Vec<String>,
    tests: Vec<TestName>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    pitfall: Vec<Pitfall>,
}

struct Pitfalls {
    rows: Vec<Pitfall>,
    proofs: Proofs,
    library: Library,
}

impl Pitfalls {
    fn read() -> Result<Self> {
        let path = format!("{FOLDER}/pitfalls.toml");
        let text = std::fs::read_to_string(workspace::root().join(&path)).context(path.clone())?;
        let file: File = toml::from_str(&text).context(path)?;
        Ok(Self {
            rows: file.pitfall,
            proofs: Proofs::read()?,
            library: Library::read()?,
        })
    }

    fn faults(&self) -> Vec<String> {
        let mut faults = Vec::new();
        for row in &self.rows {
            let found = faults_of(row, &self.proofs, &self.library).into_iter();
            faults.extend(found.map(|why| format!("{}: {why}", row.title)));
        }
        faults
    }

    fn count(&self, wanted: Verdict) -> usize {
        let verdicts = self.rows.iter().map(|row| self.verdict(row));
        verdicts.filter(|found| *found == wanted).count()
    }

    fn verdict(&self, row: &Pitfall) -> Verdict {
        self.proofs.verdict_of_all(&row.tests)
    }

    fn listing(&self) -> String {
        let mut text = String::new();
        for row in &self.rows {
            let word = self.verdict(row).word(Language::English);
            let _ = writeln!(text, "{word:10} {}", row.title);
        }
        let [passed, failed, not_run] = self.counts();
        let _ = writeln!(text, "{passed} passed, {failed} failed, {not_run} not run");
        text
    }

    fn counts(&self) -> [usize; 3] {
        [Verdict::Passed, Verdict::Failed, Verdict::NotRun].map(|verdict| self.count(verdict))
    }

    fn to_json(&self) -> Value {
        let rows = self.rows.iter().map(|row| {
            json!({
                "title": row.title,
                "guide": row.guide,
                "code": row.code,
                "wrong": row.wrong,
                "how": row.how,
                "shown": row.shown,
                "tests": row.tests,
                "result": self.verdict(row).key(),
            })
        });
        let [passed, failed, not_run] = self.counts();
        json!({
            "passed": passed,
            "failed": failed,
            "notRun": not_run,
            "pitfalls": rows.collect::<Vec<_>>(),
        })
    }

    fn page(&self) -> Generated {
        Generated {
            path: PAGE,
            english: self.text(Language::English, PAGE),
            korean: self.text(Language::Korean, TWIN),
            command: "cargo xtask pitfalls --write",
        }
    }

    fn text(&self, language: Language, path: &str) -> String {
        let mut text = language.of(INTRODUCTION, INTRODUCTION_KO).to_owned();
        for row in &self.rows {
            let title = language.of(&row.title, &row.title_ko);
            let links = row
                .shown
                .iter()
                .map(|it| self.library.link(path, it, language));
            let tests = row.tests.iter().map(|test| format!("`{test}`"));
            let code = format!("`{}`", row.code.replace('`', "'"));
            let cells = [
                (
                    language.of("in the guides", "가이드에서"),
                    format!("{code} ({})", row.guide),
                ),
                (
                    language.of("what goes wrong", "무엇이 잘못되나"),
                    language.of(&row.wrong, &row.wrong_ko).to_owned(),
                ),
                (
                    language.of("in ieum", "ieum에서는"),
                    language.of(&row.how, &row.how_ko).to_owned(),
                ),
                (
                    language.of("more", "더 읽기"),
                    links.collect::<Vec<_>>().join(", "),
                ),
                (
                    language.of("proved by", "증명하는 테스트"),
                    tests.collect::<Vec<_>>().join("<br>"),
                ),
                (
                    language.of("result", "결과"),
                    self.verdict(row).word(language).to_owned(),
                ),
            ];
            let _ = writeln!(text, "\n## {title}\n\n| | |\n|---|---|");
            for (name, content) in cells {
                let _ = writeln!(text, "| {name} | {} |", cell(&content));
            }
        }
        text
    }
}

fn faults_of(row: &Pitfall, proofs: &Proofs, library: &Library) -> Vec<String> {
    let mut faults = Vec::new();
    let texts = [
        &row.title,
        &row.title_ko,
        &row.guide,
        &row.code,
        &row.wrong,
        &row.wrong_ko,
        &row.how,
        &row.how_ko,
    ];
    if texts.iter().any(|text| text.is_empty()) || row.tests.is_empty() || row.shown.is_empty() {
        faults.push("something is empty".to_owned());
    }
    let unknown = row.tests.iter().filter(|test| !proofs.knows(test));
    faults.extend(unknown.map(|test| format!("there is no test `{test}`")));
    faults.extend(row.shown.iter().filter_map(|place| library.fault(place)));
    faults
}

const INTRODUCTION: &str = "\
# Pitfalls: what the code of the guides gets wrong

The guides explain patterns with short code, and short code leaves things out. Each of these was found in it; \
each would hurt a user; each has a test here that fails if ieum did the same. \
`cargo xtask pitfalls` prints them with how their tests went, `--json` for machines. \
Which section of the guides is shown where is in [coverage](coverage.md).
";

const INTRODUCTION_KO: &str = "\
# 함정: 가이드의 코드가 틀리는 것

가이드는 짧은 코드로 패턴을 설명하고, 짧은 코드는 무언가를 빠뜨린다. 아래는 모두 그 코드에서 찾은 것이고, \
사용자를 다치게 하며, ieum이 똑같이 하면 실패하는 테스트가 여기에 있다. \
`cargo xtask pitfalls`는 테스트 결과와 함께 이것들을 출력한다(`--json`은 기계용). \
가이드의 어느 절이 어디에 있는지는 [커버리지](coverage.md)에 있다.
";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pitfall_without_a_test_is_found() {
        let mut pitfalls = Pitfalls::read().expect("rows");
        let mut row = pitfalls.rows.remove(0);
        let faults = |row: &Pitfall| faults_of(row, &pitfalls.proofs, &pitfalls.library).len();
        assert_eq!(faults(&row), 0);
        row.tests.push("xtask no::such_test".to_owned());
        assert_eq!(faults(&row), 1);
        row.tests.clear();
        row.wrong.clear();
        assert_eq!(faults(&row), 1);
    }
}
