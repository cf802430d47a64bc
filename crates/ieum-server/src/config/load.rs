//! Reading a configuration: parse, decode, check; every error at once, each with its place.
//!
//! Serde stops at the first error. Here the entry that it stumbled over is taken out of the document
//! and reading goes on, so that one run shows all of them. Rules across keys are looked at only when
//! the document itself is sound.

use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::report::{Problem, Report};
use super::tree::{self, Tree};
use super::{Config, Overrides, rules};

/// More errors than this are not shown: the rest would only repeat them.
const MAX_PROBLEMS: usize = 25;

/// Where a configuration was read from; empty for one that was made in code.
#[derive(Clone, Debug, Default)]
pub struct Source {
    file: PathBuf,
    text: String,
    /// The keys that the command line gave.
    given: Vec<&'static str>,
}

/// Reads and checks the file at `path`.
pub fn load(path: &Path) -> Result<Config, Report> {
    load_with(Some(path), &Overrides::default())
}

/// Reads the file at `path`, or takes the defaults, and checks what it is with `overrides`.
pub fn load_with(path: Option<&Path>, overrides: &Overrides) -> Result<Config, Report> {
    let Some(path) = path else {
        return parse_with(Path::new(""), String::new(), overrides);
    };
    let text = std::fs::read_to_string(path).map_err(|error| {
        let problem = Problem::new(format!("the configuration cannot be read: {error}")).help(
            "name another file with `-c FILE`, or start without one: every key has a default",
        );
        Report::new(path, vec![problem])
    })?;
    parse_with(path, text, overrides)
}

/// Reads and checks `text` as the content of `file`; relative paths in it start at its folder.
pub fn parse(file: &Path, text: String) -> Result<Config, Report> {
    parse_with(file, text, &Overrides::default())
}

/// The same, with what the command line says in place of the file.
pub fn parse_with(file: &Path, text: String, overrides: &Overrides) -> Result<Config, Report> {
    let mut config = decode(&text).map_err(|problems| Report::new(file, problems))?;
    let given = overrides.apply(&mut config);
    config.source = Source {
        file: file.to_owned(),
        text,
        given,
    };
    config
        .gateway
        .relative_to(config.source.file.parent().unwrap_or_else(|| Path::new("")));
    let problems = rules::check(&config);
    if problems.is_empty() {
        Ok(config)
    } else {
        Err(config.source.report(problems))
    }
}

impl Source {
    /// The folder at which relative paths start.
    pub fn base(&self) -> &Path {
        self.file.parent().unwrap_or_else(|| Path::new(""))
    }

    /// A report on `problems`, each placed by its key.
    pub(crate) fn report(&self, problems: Vec<Problem>) -> Report {
        let tree = Tree::parse(&self.text).ok();
        let place = |problem: Problem| {
            if self.given.contains(&problem.key.as_str()) {
                let key = format!("{} (given on the command line)", problem.key);
                return problem.key(key);
            }
            let path = tree::Path::parse(&problem.key);
            let span = tree.as_ref().and_then(|tree| tree.span_of(&path));
            problem.at(&self.text, span.as_ref())
        };
        let mut problems: Vec<_> = problems.into_iter().map(place).collect();
        problems.sort_by_key(|p| p.place.as_ref().map_or(usize::MAX, |place| place.line));
        let file = if self.file.as_os_str().is_empty() {
            Path::new("(no file)")
        } else {
            &self.file
        };
        Report::new(file, problems)
    }
}

fn decode(text: &str) -> Result<Config, Vec<Problem>> {
    let mut tree = Tree::parse(text).map_err(|errors| {
        let syntax = |error: &toml::de::Error| {
            Problem::new(format!("this is not TOML: {}", error.message()))
                .at(text, error.span().as_ref())
        };
        errors
            .iter()
            .take(MAX_PROBLEMS)
            .map(syntax)
            .collect::<Vec<_>>()
    })?;
    let mut problems = Vec::new();
    let mut removed: Vec<String> = Vec::new();
    loop {
        let error = match Config::deserialize(tree.deserializer()) {
            Ok(config) if problems.is_empty() => return Ok(config),
            Ok(_) => break,
            Err(error) => error,
        };
        let path = error.span().and_then(|span| tree.locate(&span));
        let place = path.as_ref().map(ToString::to_string).unwrap_or_default();
        let missing = error.message().strip_prefix("missing field ");
        let missing = missing.map(|key| format!("{place}.{}", key.trim_matches('`')));
        // A required key that is there, but wrong, was reported when it was taken out.
        if missing.is_none_or(|key| !removed.contains(&key)) {
            problems.push(explain(&error, text, path.as_ref()));
        }
        if !path.is_some_and(|path| tree.remove(&path)) || problems.len() == MAX_PROBLEMS {
            break;
        }
        removed.retain(|key| !key.starts_with(&place));
        removed.push(place);
    }
    problems.sort_by_key(|problem: &Problem| {
        let place = problem.place.as_ref();
        place.map_or((usize::MAX, 0), |place| (place.line, place.column))
    });
    Err(problems)
}

/// Says in the words of the configuration what serde said in those of Rust.
fn explain(error: &toml::de::Error, text: &str, path: Option<&tree::Path>) -> Problem {
    let span = error.span();
    let key = path.map(ToString::to_string).unwrap_or_default();
    let secret = path
        .and_then(tree::Path::last_key)
        .is_some_and(may_be_secret);
    let message = error.message();
    if secret && message.starts_with("unknown field") {
        return in_plain_words(message)
            .help(
                "a secret is not written into the configuration: name its place with a key \
                   that ends with `-env` or `-file`",
            )
            .key(key)
            .at(text, span.as_ref())
            .without_value();
    }
    in_plain_words(message).key(key).at(text, span.as_ref())
}

fn in_plain_words(message: &str) -> Problem {
    if let Some(rest) = message.strip_prefix("unknown field ") {
        return unknown("key", rest, "the keys here are");
    }
    if let Some(rest) = message.strip_prefix("unknown variant ") {
        return unknown("value", rest, "the values here are");
    }
    if let Some(rest) = message.strip_prefix("missing field ") {
        return Problem::new(format!("the key {rest} is missing"))
            .help(format!("add {rest} to this table"));
    }
    let wrong = ["invalid type: ", "invalid value: ", "invalid length: "]
        .iter()
        .find_map(|prefix| message.strip_prefix(prefix));
    match wrong.and_then(|rest| rest.rsplit_once(", expected ")) {
        Some((found, expected)) => {
            let expected = plain_type(expected);
            Problem::new(format!("expected {expected}, found {found}"))
        }
        None => Problem::new(message),
    }
}

/// `rest` is serde's "`prot`, expected one of `listen`, `port`".
fn unknown(what: &str, rest: &str, listing: &str) -> Problem {
    let mut names = rest.split('`').skip(1).step_by(2);
    let wrong = names.next().unwrap_or_default();
    let known: Vec<_> = names.collect();
    let message = match closest(wrong, &known) {
        Some(right) => format!("unknown {what} `{wrong}`, did you mean `{right}`?"),
        None => format!("unknown {what} `{wrong}`"),
    };
    let problem = Problem::new(message);
    if known.is_empty() {
        problem.help("nothing may stand here; remove it")
    } else {
        problem.help(format!("{listing} `{}`", known.join("`, `")))
    }
}

/// The name of a type, for people who do not write Rust.
fn plain_type(expected: &str) -> &str {
    match expected {
        "u8" | "u16" | "u32" | "u64" | "usize" => "a whole number that is in range",
        "f32" | "f64" => "a number",
        "socket address" => "an address like \"127.0.0.1:8500\"",
        "path string" => "the path of a file or folder",
        other => other,
    }
}

/// The known name that `wrong` most likely meant.
fn closest<'a>(wrong: &str, known: &[&'a str]) -> Option<&'a str> {
    let normal = wrong.to_lowercase().replace('_', "-");
    let distance = |name: &&&str| strsim::damerau_levenshtein(&normal, name);
    let near = |name: &&&str| distance(name) <= normal.chars().count().div_ceil(3);
    let near = known.iter().filter(near).min_by_key(distance);
    let begins = |name: &&&str| normal.len() > 2 && name.starts_with(&normal);
    near.or_else(|| known.iter().find(begins)).copied()
}

fn may_be_secret(key: &str) -> bool {
    ["token", "secret", "password", "key", "credential"]
        .iter()
        .any(|word| key.ends_with(word))
}
