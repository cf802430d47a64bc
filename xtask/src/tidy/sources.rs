//! Sources: every module says what it owns, no file grows beyond what one can hold in mind.

use super::Findings;
use crate::workspace::Source;

const MOST_LINES: usize = 800;
const MOST_LINES_OF_LIB: usize = 80;

/// Texts that must not stand in a source, each with what to do instead. The words are put together
/// here so that this file does not break its own rules.
const BANNED: [(&str, &str, &str); 6] = [
    (
        "#[",
        "allow(",
        "write `#[expect(lint, reason = \"…\")]`, which complains when it is not needed",
    ),
    (
        "#![",
        "allow(",
        "write `#[expect(lint, reason = \"…\")]`, which complains when it is not needed",
    ),
    ("#[", "ignore", "an ignored test proves nothing"),
    ("TO", "DO", "file an issue, or do it now"),
    ("FIX", "ME", "file an issue, or do it now"),
    (
        "thread::",
        "sleep(",
        "wait for a condition, on a clock that a test controls",
    ),
];

pub(crate) fn check(sources: &[Source]) -> Findings {
    sources.iter().flat_map(check_one).collect()
}

fn check_one(source: &Source) -> Findings {
    let Source { path, text } = source;
    let mut findings = Findings::new();
    let first = text
        .lines()
        .find(|line| !line.trim().is_empty())
        .unwrap_or_default();
    let generated = first.starts_with("// @generated");
    if !generated && !first.starts_with("//!") {
        findings.push(format!(
            "{path}:1: say in `//!` what this module owns, and why"
        ));
    }
    let lines = text.lines().count();
    if !generated && lines > MOST_LINES {
        findings.push(format!("{path}: {lines} lines; split it by responsibility"));
    }
    if path.ends_with("/src/lib.rs") && lines > MOST_LINES_OF_LIB {
        findings.push(format!(
            "{path}: {lines} lines; a lib.rs has docs, modules and re-exports"
        ));
    }
    findings.extend(sleeping_tests(source));
    for (number, line) in text.lines().enumerate() {
        for (head, tail, instead) in BANNED {
            if line.contains(&format!("{head}{tail}")) {
                findings.push(format!("{path}:{}: `{head}{tail}`: {instead}", number + 1));
            }
        }
    }
    findings
}

/// Tests that wait by tokio's own timer: on a clock that nobody paused they would take the time.
/// Tests over real sockets and files wait for conditions.
fn sleeping_tests(Source { path, text }: &Source) -> Findings {
    let is_test = ["/tests/", "/tests.rs", "_tests.rs", "/conformance/"]
        .iter()
        .any(|part| path.contains(part));
    let begins = text.find("#[cfg(test)]\nmod ");
    let from = if is_test { Some(0) } else { begins };
    let Some(from) = from else {
        return Findings::new();
    };
    let first = text[..from].lines().count();
    let lines = text[from..].lines().enumerate();
    lines
        .filter(|(_, line)| line.contains("time::sleep(") || line.contains("time::sleep_until("))
        .map(|(number, _)| {
            let number = first + number + 1;
            format!(
                "{path}:{number}: a test waits by `ieum_base::testing::pass`, or for a condition"
            )
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn findings(path: &str, text: &str) -> usize {
        check(&[Source {
            path: path.into(),
            text: text.into(),
        }])
        .len()
    }

    #[test]
    fn a_module_opens_with_its_docs() {
        assert_eq!(findings("crates/x/src/a.rs", "//! Owns a.\n"), 0);
        assert_eq!(findings("crates/x/src/a.rs", "use std::fmt;\n"), 1);
    }

    #[test]
    fn a_test_that_may_really_sleep_is_found_and_code_that_waits_is_not() {
        let waits = format!("tokio::{}::sleep(pause).await;\n", "time");
        let code = format!("//! A.\n{waits}");
        let tested = format!("{code}#[cfg(test)]\nmod tests {{\n{waits}}}\n");
        assert_eq!(findings("crates/x/src/a.rs", &code), 0);
        assert_eq!(findings("crates/x/src/a.rs", &tested), 1);
        assert_eq!(findings("crates/x/src/tests/a.rs", &code), 1);
        assert_eq!(findings("crates/x/src/a_tests.rs", &code), 1);
    }

    #[test]
    fn long_files_and_banned_words_are_found() {
        let long = format!("//! Long.\n{}", "\n".repeat(900));
        assert_eq!(findings("crates/x/src/lib.rs", &long), 2);
        let banned = format!("//! A.\n// {}DO: later\n", "TO");
        assert_eq!(findings("crates/x/src/a.rs", &banned), 1);
    }
}
