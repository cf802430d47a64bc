//! The rows of coverage: what `xtask/coverage/*.toml` say, and what is wrong with them.

use anyhow::{Context, Result, ensure};
use serde::Deserialize;

use super::guides::GUIDES;
use crate::proofs::pages::Library;
use crate::proofs::{Proofs, TestName, Verdict, together};
use crate::workspace;

/// Where the rows are, from the root.
pub(super) const FOLDER: &str = "xtask/coverage";

/// What may be called planned, and nothing else: it is named in the guides as what one does not use.
const PLANNABLE: [&str; 1] = ["### 5.1 분산 트랜잭션 (2-Phase Commit)"];

/// The rows that belong together: those of one guide, or of the names that the guides fix.
pub(crate) struct Chapter {
    pub(crate) title: String,
    pub(crate) korean_title: String,
    pub(crate) rows: Vec<Row>,
}

/// A section of a guide, where it is shown, and what proves it.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Row {
    /// The heading as it stands, with the marks of its level.
    pub(crate) section: String,
    pub(crate) english: String,
    /// The same in Korean for a name, which is no Korean heading.
    pub(crate) korean: Option<String>,
    /// Pages and commands.
    #[serde(default)]
    pub(crate) shown: Vec<String>,
    #[serde(default)]
    pub(crate) tests: Vec<TestName>,
    /// The section says nothing itself; its parts are the rows below it.
    #[serde(default)]
    pub(crate) parts: bool,
    /// Why it is not there yet.
    pub(crate) planned: Option<String>,
    /// The same in Korean.
    pub(crate) planned_ko: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    row: Vec<Row>,
}

/// Reads all chapters: the guides in their order, then the names.
pub(crate) fn read() -> Result<Vec<Chapter>> {
    let mut chapters = Vec::new();
    for guide in &GUIDES {
        let rows = read_file(&guide.id.to_lowercase())?;
        let title = |text: &str| format!("{}: {text}", guide.id);
        chapters.push(Chapter {
            title: title(guide.english),
            korean_title: title(guide.title),
            rows,
        });
    }
    chapters.push(Chapter {
        title: "Names that the guides fix".to_owned(),
        korean_title: "가이드가 정한 이름".to_owned(),
        rows: read_file("names")?,
    });
    Ok(chapters)
}

fn read_file(name: &str) -> Result<Vec<Row>> {
    let path = format!("{FOLDER}/{name}.toml");
    let text = std::fs::read_to_string(workspace::root().join(&path)).context(path.clone())?;
    let file: File = toml::from_str(&text).context(path.clone())?;
    ensure!(!file.row.is_empty(), "{path} has no rows");
    Ok(file.row)
}

/// What is wrong: sections without a row, rows that show or prove nothing, names of no test or page.
pub(crate) fn faults(chapters: &[Chapter], proofs: &Proofs, library: &Library) -> Vec<String> {
    let mut faults = Vec::new();
    for (guide, chapter) in GUIDES.iter().zip(chapters) {
        let rows: Vec<&str> = chapter
            .rows
            .iter()
            .map(|row| row.section.as_str())
            .collect();
        faults.extend(sections_without_rows(guide.id, guide.sections, &rows));
    }
    for Chapter { title, rows, .. } in chapters {
        for (place, row) in rows.iter().enumerate() {
            let found = faults_of(row, &rows[place + 1..], proofs, library);
            let section = &row.section;
            faults.extend(
                found
                    .into_iter()
                    .map(|why| format!("{title}: {section}: {why}")),
            );
        }
    }
    faults
}

fn sections_without_rows(guide: &str, sections: &[&str], rows: &[&str]) -> Vec<String> {
    let mut faults: Vec<String> = sections
        .iter()
        .filter(|section| !rows.contains(section))
        .map(|section| format!("{guide}: no row for `{section}`"))
        .collect();
    if faults.is_empty() && sections != rows {
        faults.push(format!(
            "{guide}: the rows are not its sections in their order"
        ));
    }
    faults
}

fn faults_of(row: &Row, below: &[Row], proofs: &Proofs, library: &Library) -> Vec<String> {
    let mut faults = Vec::new();
    if row.english.is_empty() {
        faults.push("says nothing in English".to_owned());
    }
    if row.korean.is_some() != (row.level() == 0) {
        faults.push("a name says in Korean what it is, a heading does so itself".to_owned());
    }
    if row.planned.is_some() && !PLANNABLE.contains(&row.section.as_str()) {
        faults.push("may not be planned".to_owned());
    }
    if row.planned.is_some() != row.planned_ko.is_some() {
        faults.push("is planned in one language".to_owned());
    }
    if row.parts && (parts(row, below).is_empty() || !row.tests.is_empty()) {
        faults.push("has no parts, or tests of its own".to_owned());
    }
    let is_empty = row.shown.is_empty() || row.tests.is_empty();
    if is_empty && !row.parts && row.planned.is_none() {
        faults.push("an empty row: where is it shown, and which test proves it?".to_owned());
    }
    let unknown = row.tests.iter().filter(|test| !proofs.knows(test));
    faults.extend(unknown.map(|test| format!("there is no test `{test}`")));
    faults.extend(row.shown.iter().filter_map(|place| library.fault(place)));
    faults
}

/// The rows below `row` that are its parts: those of deeper headings.
fn parts<'a>(row: &Row, below: &'a [Row]) -> &'a [Row] {
    let level = row.level();
    let end = below.iter().position(|next| next.level() <= level);
    &below[..end.unwrap_or(below.len())]
}

impl Row {
    /// How deep the heading is; 0 for what is no heading.
    pub(crate) fn level(&self) -> usize {
        self.section.chars().take_while(|c| *c == '#').count()
    }

    /// How its tests went, or those of its parts, which stand in `below`; nothing if it is planned.
    pub(crate) fn verdict(&self, below: &[Self], proofs: &Proofs) -> Option<Verdict> {
        if self.planned.is_some() {
            return None;
        }
        if !self.parts {
            return Some(proofs.verdict_of_all(&self.tests));
        }
        let parts = parts(self, below).iter().enumerate();
        let verdicts = parts.filter_map(|(place, part)| part.verdict(&below[place + 1..], proofs));
        Some(together(verdicts))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(section: &str) -> Row {
        Row {
            section: section.to_owned(),
            english: "E".to_owned(),
            korean: None,
            shown: vec!["`ls`".to_owned()],
            tests: vec!["xtask coverage::rows::tests::an_empty_row_is_found".to_owned()],
            parts: false,
            planned: None,
            planned_ko: None,
        }
    }

    #[test]
    fn an_empty_row_is_found() {
        let proofs = Proofs::read().expect("sources");
        let library = Library::read().expect("pages");
        let faults = |row: &Row| faults_of(row, &[], &proofs, &library).len();
        assert_eq!(faults(&row("## A")), 0);
        let empty = |change: fn(&mut Row)| {
            let mut row = row("## A");
            change(&mut row);
            faults(&row)
        };
        assert_eq!(empty(|row| row.tests.clear()), 1);
        assert_eq!(empty(|row| row.shown.clear()), 1);
        assert_eq!(empty(|row| row.tests[0].push('x')), 1);
        assert_eq!(empty(|row| row.shown[0] = "docs/none.md".into()), 1);
        assert_eq!(empty(|row| row.shown[0] = "README.md#none".into()), 1);
        assert_eq!(empty(|row| row.parts = true), 1);
        assert_eq!(empty(|row| row.planned = Some("later".into())), 2);
    }

    #[test]
    fn a_section_without_a_row_is_found() {
        assert!(sections_without_rows("S", &["## A"], &["## A"]).is_empty());
        assert_eq!(
            sections_without_rows("S", &["## A", "## B"], &["## A"]).len(),
            1
        );
        assert_eq!(
            sections_without_rows("S", &["## A"], &["## A", "## C"]).len(),
            1
        );
    }

    #[test]
    fn the_parts_of_a_section_are_the_deeper_ones_below_it() {
        let rows = [row("### B"), row("#### C"), row("## D"), row("### E")];
        assert_eq!(parts(&row("## A"), &rows).len(), 2);
        assert_eq!(parts(&row("### A"), &rows).len(), 0);
    }
}
