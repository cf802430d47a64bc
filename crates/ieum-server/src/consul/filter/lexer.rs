//! The words of an expression.

use std::str::CharIndices;

/// A word and where it begins, in bytes.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Token {
    pub(super) at: usize,
    pub(super) word: Word,
}

/// A word.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Word {
    /// A name of a selector, or a keyword.
    Name(String),
    /// A number, as it is written.
    Number(String),
    /// A quoted text.
    Text(String),
    /// One of `( ) . [ ] == !=`.
    Sign(&'static str),
    /// Nothing more.
    End,
}

/// The words of `text`; the last one is [`Word::End`].
pub(super) fn tokens(text: &str) -> Result<Vec<Token>, String> {
    let mut tokens = Vec::new();
    let mut rest = text.char_indices();
    loop {
        let unread = rest.clone();
        let Some((at, first)) = rest.next() else {
            break;
        };
        let word = match first {
            _ if first.is_whitespace() => continue,
            '"' => Word::Text(quoted(&mut rest, at)?),
            '`' => Word::Text(raw(&mut rest, at)?),
            '(' => Word::Sign("("),
            ')' => Word::Sign(")"),
            '.' => Word::Sign("."),
            '[' => Word::Sign("["),
            ']' => Word::Sign("]"),
            '=' if rest.next().is_some_and(|(_, next)| next == '=') => Word::Sign("=="),
            '!' if rest.next().is_some_and(|(_, next)| next == '=') => Word::Sign("!="),
            '-' | '0'..='9' => {
                rest = unread;
                Word::Number(while_in(&mut rest, |c| {
                    c == '-' || c == '.' || c.is_ascii_digit()
                }))
            }
            _ if first.is_ascii_alphabetic() => {
                rest = unread;
                let part = |c: char| c == '_' || c == '/' || c.is_ascii_alphanumeric();
                Word::Name(while_in(&mut rest, part))
            }
            _ => return Err(wrong(at, &format!("{first:?} has no place here"))),
        };
        tokens.push(Token { at, word });
    }
    tokens.push(Token {
        at: text.len(),
        word: Word::End,
    });
    Ok(tokens)
}

/// An error and where it is, as Consul writes it: line, column, offset.
pub(super) fn wrong(at: usize, why: &str) -> String {
    format!("1:{} ({at}): {why}", at + 1)
}

fn while_in(rest: &mut CharIndices<'_>, belongs: impl Fn(char) -> bool) -> String {
    let mut word = String::new();
    let mut ahead = rest.clone();
    while let Some((_, next)) = ahead.next()
        && belongs(next)
    {
        word.push(next);
        *rest = ahead.clone();
    }
    word
}

fn raw(rest: &mut CharIndices<'_>, at: usize) -> Result<String, String> {
    let mut text = String::new();
    for (_, next) in rest {
        match next {
            '`' => return Ok(text),
            _ => text.push(next),
        }
    }
    Err(wrong(at, "the text does not end"))
}

fn quoted(rest: &mut CharIndices<'_>, at: usize) -> Result<String, String> {
    let mut text = String::new();
    while let Some((_, next)) = rest.next() {
        match next {
            '"' => return Ok(text),
            '\\' => text.push(escaped(rest, at)?),
            _ => text.push(next),
        }
    }
    Err(wrong(at, "the text does not end"))
}

fn escaped(rest: &mut CharIndices<'_>, at: usize) -> Result<char, String> {
    match rest.next().map(|(_, next)| next) {
        Some('n') => Ok('\n'),
        Some('t') => Ok('\t'),
        Some('r') => Ok('\r'),
        Some(same @ ('"' | '\\' | '/' | '\'')) => Ok(same),
        Some('u') => {
            let digits: String = rest.by_ref().take(4).map(|(_, digit)| digit).collect();
            let code = u32::from_str_radix(&digits, 16).ok();
            let character = code.and_then(char::from_u32);
            character.ok_or_else(|| wrong(at, "\\u needs four hexadecimal digits"))
        }
        _ => Err(wrong(at, "the text has an escape that is not known")),
    }
}
