//! Characters beyond the basic plane, past a reader that does not know them.
//!
//! The composing library refuses a string with such a character, an emoji in a description say. They are
//! written as a group of characters that it takes, and put back in what it composed.

use std::borrow::Cow;
use std::fmt::Write;

/// Writes characters beyond U+FFFF, and the marks themselves, as groups.
pub(super) fn hide(text: &str) -> Cow<'_, str> {
    let special = |c: char| c > '\u{FFFF}' || c == OPEN || c == CLOSE;
    if !text.contains(special) {
        return text.into();
    }
    let mut hidden = String::with_capacity(text.len() + 64);
    for c in text.chars() {
        if special(c) {
            // Writing to a string cannot fail.
            let _ = write!(hidden, "{OPEN}{:x}{CLOSE}", u32::from(c));
        } else {
            hidden.push(c);
        }
    }
    hidden.into()
}

/// Puts back what [`hide`] wrote.
pub(super) fn show(text: &str) -> Cow<'_, str> {
    if !text.contains(OPEN) {
        return text.into();
    }
    let mut shown = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, group)) = rest.split_once(OPEN) {
        shown.push_str(before);
        let (digits, after) = group.split_once(CLOSE).unwrap_or((group, ""));
        let code = u32::from_str_radix(digits, 16).ok();
        shown.extend(code.and_then(char::from_u32));
        rest = after;
    }
    shown.push_str(rest);
    shown.into()
}

/// Characters for private use: nobody else gives them a meaning.
const OPEN: char = '\u{E000}';
const CLOSE: char = '\u{E001}';

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_hidden_comes_back() {
        for text in [
            "plain 이음",
            "📦 a 🍣",
            "\u{E000}1f4e6\u{E001}📦",
            "\u{E001}\u{10FFFF}",
        ] {
            let hidden = hide(text);
            assert!(hidden.chars().all(|c| c <= '\u{FFFF}'), "{text}");
            assert_eq!(show(&hidden), text);
        }
    }
}
