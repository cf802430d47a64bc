//! What is wrong with a configuration, as a person reads it: place, line, caret, and what to do.

use std::fmt;
use std::ops::Range;
use std::path::{Path, PathBuf};

use ieum_base::redact;

/// Everything that is wrong with one configuration.
#[derive(Clone, Debug)]
pub struct Report {
    file: PathBuf,
    problems: Vec<Problem>,
}

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// What is wrong, in one sentence without a full stop.
    pub message: String,
    /// What to do about it.
    pub help: Option<String>,
    /// The key, like `gateway.routes[0].path`; empty if it is about the whole file.
    pub key: String,
    /// Where it stands; `None` if it is about something that is not there.
    pub place: Option<Place>,
    /// Whether the value may be a secret, and is not shown.
    is_secret: bool,
}

/// A place in a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// The line, from 1.
    pub line: usize,
    /// The column in characters, from 1.
    pub column: usize,
    /// The line's text.
    text: String,
    /// How many characters are meant.
    width: usize,
}

impl Report {
    /// A report about `file`.
    pub(super) fn new(file: &Path, problems: Vec<Problem>) -> Self {
        Self {
            file: file.to_owned(),
            problems,
        }
    }

    /// The problems, in the order of the file; at least one.
    pub fn problems(&self) -> &[Problem] {
        &self.problems
    }
}

impl Problem {
    /// A problem without a place.
    pub(crate) fn new(message: impl Into<String>) -> Self {
        Self {
            message: message.into(),
            help: None,
            key: String::new(),
            place: None,
            is_secret: false,
        }
    }

    /// What to do about it.
    #[must_use]
    pub(crate) fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    /// The key that it is about.
    #[must_use]
    pub(crate) fn key(mut self, key: impl Into<String>) -> Self {
        self.key = key.into();
        self
    }

    /// Where it stands in `text`.
    #[must_use]
    pub(super) fn at(mut self, text: &str, span: Option<&Range<usize>>) -> Self {
        self.place = span.map(|span| Place::of(text, span));
        if self.is_secret {
            self.without_value()
        } else {
            self
        }
    }

    /// Hides what is written behind the key: it may be a secret.
    #[must_use]
    pub(super) fn without_value(mut self) -> Self {
        self.is_secret = true;
        if let Some(place) = &mut self.place {
            let key = place.text.split('=').next().unwrap_or_default().trim_end();
            place.width = 3;
            place.column = key.chars().count() + 4;
            place.text = format!("{key} = ***");
        }
        self
    }
}

impl Place {
    fn of(text: &str, span: &Range<usize>) -> Self {
        let start = floor_char_boundary(text, span.start);
        let line_start = text[..start].rfind('\n').map_or(0, |newline| newline + 1);
        let line_end = text[start..].find('\n').map_or(text.len(), |i| start + i);
        let end = floor_char_boundary(text, span.end.clamp(start, line_end));
        let place = Self {
            line: text[..start].matches('\n').count() + 1,
            column: text[line_start..start].chars().count() + 1,
            text: text[line_start..line_end].trim_end().to_owned(),
            width: text[start..end].chars().count().max(1),
        };
        place.without_secrets()
    }

    /// The same without what can be recognised as a secret in the line. The marks stay within it.
    fn without_secrets(mut self) -> Self {
        let shown = match named_by_variable(&self.text) {
            Some(key) => format!("{key}= {}", redact::HIDDEN),
            None => redact::text(&self.text).into_owned(),
        };
        if shown != self.text {
            let length = shown.chars().count();
            self.column = self.column.min(length);
            self.width = self.width.min(length + 1 - self.column);
            self.text = shown;
        }
        self
    }
}

/// The key of `line` up to its `=`, if it names an environment variable (`…-env`) and what is written
/// behind it cannot be such a name: perhaps it is the secret itself.
fn named_by_variable(line: &str) -> Option<&str> {
    let (key, value) = line.split_once('=')?;
    let value = value.trim().trim_matches(['"', '\'']);
    let wrong = key.trim_end().ends_with("-env") && !redact::is_variable_name(value);
    wrong.then_some(key)
}

fn floor_char_boundary(text: &str, index: usize) -> usize {
    (0..=index.min(text.len()))
        .rev()
        .find(|&i| text.is_char_boundary(i))
        .unwrap_or(0)
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for problem in &self.problems {
            problem.write(f, &self.file)?;
        }
        if self.problems.len() > 1 {
            writeln!(
                f,
                "{} errors in {}",
                self.problems.len(),
                self.file.display()
            )?;
        }
        Ok(())
    }
}

impl std::error::Error for Report {}

impl Problem {
    fn write(&self, f: &mut fmt::Formatter<'_>, file: &Path) -> fmt::Result {
        writeln!(f, "error: {}", redact::text(&self.message))?;
        let file = file.display();
        let Some(place) = &self.place else {
            writeln!(f, "  --> {file}")?;
            return self.write_help(f, "  ");
        };
        let Place { line, column, .. } = place;
        let gutter = " ".repeat(line.to_string().len());
        writeln!(f, "{gutter}--> {file}:{line}:{column}")?;
        writeln!(f, "{gutter} |")?;
        writeln!(f, "{line} | {}", place.text.replace('\t', " "))?;
        let indent = " ".repeat(column - 1);
        writeln!(f, "{gutter} | {indent}{}", "^".repeat(place.width))?;
        self.write_help(f, &gutter)
    }

    fn write_help(&self, f: &mut fmt::Formatter<'_>, gutter: &str) -> fmt::Result {
        if !self.key.is_empty() {
            writeln!(f, "{gutter} = key: {}", self.key)?;
        }
        if let Some(help) = &self.help {
            writeln!(f, "{gutter} = help: {help}")?;
        }
        writeln!(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_caret_stands_below_the_value_also_behind_korean_text() {
        let text = "a = 1\nname = \"이음\", x = 5\n";
        let at = text.find("x =").expect("there");
        let problem = Problem::new("no such key")
            .key("x")
            .help("remove it")
            .at(text, Some(&(at..at + 1)));
        let report = Report::new(Path::new("ieum.toml"), vec![problem]);
        let expected = "error: no such key\n --> ieum.toml:2:14\n  |\n2 | name = \"이음\", x = 5\n  \
                        |              ^\n  = key: x\n  = help: remove it\n\n";
        assert_eq!(report.to_string(), expected);
    }

    #[test]
    fn what_may_be_a_secret_is_not_shown() {
        let text = "token = \"hunter2\"\n";
        let problem = Problem::new("wrong")
            .at(text, Some(&(8..17)))
            .without_value();
        let report = Report::new(Path::new("ieum.toml"), vec![problem]).to_string();
        assert!(!report.contains("hunter2"), "{report}");
        assert!(report.contains("token = ***"), "{report}");
    }

    #[test]
    fn a_line_is_shown_without_the_secrets_in_it() {
        for (line, shown) in [
            (
                "url = \"postgres://app:hunter2@db\"",
                "url = \"postgres://***@db\"",
            ),
            (
                "keys = [{ kid = \"a\", secret = \"hunter2\" }]",
                "keys = [{ kid = \"a\", secret = \"***\" }]",
            ),
            ("token-env = \"hunter2\"", "token-env = ***"),
            ("token-env = \"IEUM_TOKEN\"", "token-env = \"IEUM_TOKEN\""),
        ] {
            let place = Place::of(line, &(line.len() - 2..line.len()));
            assert_eq!(place.text, shown);
            assert!(place.column + place.width <= shown.len() + 1, "{place:?}");
        }
    }

    #[test]
    fn a_place_behind_the_end_of_the_file_is_the_end() {
        let place = Place::of("a", &(9..12));
        assert_eq!((place.line, place.column, place.width), (1, 2, 1));
    }
}
