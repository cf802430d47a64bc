//! What a command says: results on standard output, remarks and errors on standard error.
//!
//! The macros of the standard library panic if nobody reads any more, as in `ieum events | head`. That
//! is no failure of the command: it ends as it would have, or goes on if it serves others.
//!
//! Names, reasons and bodies were written by others. What a terminal would obey (control characters) and
//! what would turn the order of a line around (directional formatting) is shown as an escape instead.

use std::borrow::Cow;
use std::fmt::Display;
use std::io::{self, ErrorKind, Write};

use serde::Serialize;

/// Prints a text and a line's end to standard output. False if nobody reads any more, so that the rest
/// can be left out.
///
/// # Errors
/// Anything else that keeps the text from being written, such as a full disk.
pub fn print(text: &dyn Display) -> io::Result<bool> {
    let text = text.to_string();
    write(&harmless(&text, keeps_lines))
}

/// Prints a value as JSON, on several lines or on one. False as [`print()`] has it.
///
/// # Errors
/// As [`print()`], and a value that JSON cannot express.
pub fn print_json(value: &impl Serialize, lines: Lines) -> io::Result<bool> {
    let text = match lines {
        Lines::Many => serde_json::to_string_pretty(value)?,
        Lines::One => serde_json::to_string(value)?,
    };
    write(&escaped(&text))
}

/// How JSON is laid out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lines {
    /// Indented, for people who look at it.
    Many,
    /// One value per line, for programs that read line by line.
    One,
}

/// `text` on one line and without anything that a terminal would obey.
pub fn one_line(text: &str) -> Cow<'_, str> {
    harmless(text, |_| false)
}

fn write(text: &str) -> io::Result<bool> {
    let mut out = io::stdout().lock();
    match writeln!(out, "{}", text.trim_end()).and_then(|()| out.flush()) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(false),
        Err(error) => Err(error),
    }
}

/// Says a text and a line's end on standard error. If that cannot be written, there is nobody to tell.
pub fn remark(text: &dyn Display) {
    let text = text.to_string();
    let text = harmless(&text, keeps_lines);
    let _ = writeln!(io::stderr().lock(), "{}", text.trim_end());
}

const fn keeps_lines(c: char) -> bool {
    matches!(c, '\n' | '\t')
}

/// `text` with an escape for each character that acts on a terminal, but for those that `keep` names.
fn harmless(text: &str, keep: impl Fn(char) -> bool) -> Cow<'_, str> {
    let is_shown = |c: char| keep(c) || !acts(c);
    if text.chars().all(is_shown) {
        return Cow::Borrowed(text);
    }
    let shown = text.chars().map(|c| match is_shown(c) {
        true => c.to_string(),
        false => c.escape_default().to_string(),
    });
    Cow::Owned(shown.collect())
}

/// JSON that says the same without a character that acts on a terminal. White space stands between its
/// values, all others within a string, where JSON's own escape may stand in their place; each of them has
/// one of four digits.
fn escaped(json: &str) -> Cow<'_, str> {
    let is_shown = |c: char| keeps_lines(c) || !acts(c);
    if json.chars().all(is_shown) {
        return Cow::Borrowed(json);
    }
    let shown = json.chars().map(|c| match c {
        '\r' => " ".to_owned(),
        c if is_shown(c) => c.to_string(),
        c => format!("\\u{:04x}", u32::from(c)),
    });
    Cow::Owned(shown.collect())
}

/// True for a character that a terminal obeys, or that changes where others are shown.
fn acts(c: char) -> bool {
    c.is_control()
        || matches!(
            c,
            '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}'
        )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_that_a_terminal_obeys_is_printed() {
        for (text, shown) in [
            ("orders 주문 é 🛒", "orders 주문 é 🛒"),
            (
                "\u{1b}[2J\u{1b}]0;title\u{7}",
                "\\u{1b}[2J\\u{1b}]0;title\\u{7}",
            ),
            ("a\u{9b}31m", "a\\u{9b}31m"),
            ("a\rb\u{8}\u{7f}", "a\\rb\\u{8}\\u{7f}"),
            ("a\u{202e}b", "a\\u{202e}b"),
        ] {
            assert_eq!(harmless(text, keeps_lines), shown);
        }
        assert_eq!(harmless("a\n\tb", keeps_lines), "a\n\tb");
        assert_eq!(one_line("a\nb"), "a\\nb");
    }

    #[test]
    fn json_says_the_same_without_them() {
        let value = serde_json::json!({ "name": "\u{1b}[2J\u{9b}1m\u{7f}\u{202e}\u{2028}주문" });
        let text = serde_json::to_string_pretty(&value).expect("JSON");
        let printed = escaped(&text);
        assert!(
            printed.chars().all(|c| keeps_lines(c) || !acts(c)),
            "{printed}"
        );
        let read: serde_json::Value = serde_json::from_str(&printed).expect("JSON");
        assert_eq!(read, value);
        // As somebody wrote it, with white space of his own.
        assert_eq!(escaped("{\t\"a\":\r\n1}"), "{\t\"a\": \n1}");
    }
}
