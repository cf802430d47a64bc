//! Paths into a body, as Pact files write them: `$.items[*].id`, `$['a b'].*`.
//!
//! A rule is stored under such an expression; which rule is the best for a value is decided by
//! weight: a token that names a place counts twice as much as one that stands for any, and the
//! longer expression wins among those that match (Pact specification, version 2).

use std::fmt;

use crate::error::{Result, invalid};

/// One step of a path expression.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Token {
    /// `$`.
    Root,
    /// `.name` or `['name']`.
    Field(String),
    /// `[3]`.
    Index(usize),
    /// `.*`: any field, and any item.
    Star,
    /// `[*]`: any item.
    StarIndex,
}

/// A path expression, or the place of one value.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Path(Vec<Token>);

impl Path {
    /// `$`.
    pub fn root() -> Self {
        Self(vec![Token::Root])
    }

    /// The expression without any token: of a category that has one value only, such as the path of
    /// a request. It fits every place, with the least weight.
    pub const fn empty() -> Self {
        Self(Vec::new())
    }

    /// Reads an expression; a missing `$` is added.
    ///
    /// # Errors
    /// [`crate::ErrorKind::Invalid`] with the expression.
    pub fn parse(text: &str) -> Result<Self> {
        let mut tokens = Vec::new();
        let mut rest = text;
        if text.is_empty() {
            return Ok(Self(tokens));
        }
        tokens.push(Token::Root);
        match rest.strip_prefix('$') {
            Some(after) => rest = after,
            None if rest.starts_with(|c: char| c.is_alphanumeric() || c == '_') => {
                rest = push_name(rest, &mut tokens);
            }
            None => return Err(bad(text)),
        }
        while !rest.is_empty() {
            rest = push_token(rest, &mut tokens).ok_or_else(|| bad(text))?;
        }
        Ok(Self(tokens))
    }

    /// The place of a field of the value at this place.
    pub fn field(&self, name: &str) -> Self {
        self.with(Token::Field(name.to_owned()))
    }

    /// The place of an item of the list at this place.
    pub fn index(&self, index: usize) -> Self {
        self.with(Token::Index(index))
    }

    /// This expression with one more token.
    pub fn with(&self, token: Token) -> Self {
        let mut tokens = self.0.clone();
        tokens.push(token);
        Self(tokens)
    }

    /// The tokens, from the root.
    pub fn tokens(&self) -> &[Token] {
        &self.0
    }

    /// How well this expression fits the place `place`: 0 if not at all. An expression that is
    /// shorter than the place fits as a prefix: its rule cascades.
    pub(crate) fn weight(&self, place: &Self) -> usize {
        if self.0.len() > place.0.len() {
            return 0;
        }
        let pairs = self.0.iter().zip(&place.0);
        pairs.map(|(token, at)| fit(token, at)).product()
    }

    /// Whether this expression stands for the place itself, not for one above it.
    pub(crate) fn is_exactly(&self, place: &Self) -> bool {
        self.0.len() == place.0.len() && self.weight(place) > 0
    }
}

/// How well a token of an expression fits one of a place.
fn fit(token: &Token, at: &Token) -> usize {
    match (token, at) {
        (token, at) if token == at => 2,
        // A field whose name is a number is written like an index in older files.
        (Token::Index(index), Token::Field(name)) if *name == index.to_string() => 2,
        (Token::Field(name), Token::Index(index)) if *name == index.to_string() => 2,
        (Token::Star, _) | (Token::StarIndex, Token::Index(_)) => 1,
        _ => 0,
    }
}

/// Takes `.name`, `.*` or `[…]` from the front.
fn push_token<'a>(text: &'a str, tokens: &mut Vec<Token>) -> Option<&'a str> {
    if let Some(rest) = text.strip_prefix('.') {
        if let Some(rest) = rest.strip_prefix('*') {
            tokens.push(Token::Star);
            return Some(rest);
        }
        let after = push_name(rest, tokens);
        return (after.len() < rest.len()).then_some(after);
    }
    let inside = text.strip_prefix('[')?;
    if let Some(rest) = inside.strip_prefix("*]") {
        tokens.push(Token::StarIndex);
        return Some(rest);
    }
    let quote = inside.chars().next().filter(|c| matches!(c, '\'' | '"'));
    if let Some(quote) = quote {
        let (name, rest) = quoted(&inside[1..], quote)?;
        tokens.push(Token::Field(name));
        return rest.strip_prefix(']');
    }
    let (digits, rest) = inside.split_once(']')?;
    tokens.push(Token::Index(digits.parse().ok()?));
    Some(rest)
}

/// Takes an unquoted name from the front; what is no part of a name is left.
fn push_name<'a>(text: &'a str, tokens: &mut Vec<Token>) -> &'a str {
    let end = text.find(['.', '[']).unwrap_or(text.len());
    let (name, rest) = text.split_at(end);
    if !name.is_empty() {
        tokens.push(Token::Field(name.to_owned()));
    }
    rest
}

/// The text up to the closing quote, without its escapes, and what follows.
fn quoted(text: &str, quote: char) -> Option<(String, &str)> {
    let mut name = String::new();
    let mut chars = text.char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            '\\' => name.push(chars.next()?.1),
            c if c == quote => return Some((name, &text[at + c.len_utf8()..])),
            c => name.push(c),
        }
    }
    None
}

fn bad(text: &str) -> crate::Error {
    invalid(format!("`{text}` is no path expression"))
}

impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|token| match token {
            Token::Root => f.write_str("$"),
            Token::Field(name) if is_plain(name) => write!(f, ".{name}"),
            Token::Field(name) => {
                let name = name.replace('\\', "\\\\").replace('\'', "\\'");
                write!(f, "['{name}']")
            }
            Token::Index(index) => write!(f, "[{index}]"),
            Token::Star => f.write_str(".*"),
            Token::StarIndex => f.write_str("[*]"),
        })
    }
}

/// Whether a name needs no quotes.
fn is_plain(name: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | ':' | '#' | '@');
    !name.is_empty() && name.chars().all(plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(text: &str) -> Path {
        Path::parse(text).expect(text)
    }

    #[test]
    fn an_expression_is_written_as_it_was_read() {
        for text in [
            "$",
            "$.items[*].id",
            "$.*",
            "$[0].a-b",
            "$['a b'].c",
            r"$['it\'s']",
        ] {
            assert_eq!(path(text).to_string(), text);
        }
        assert_eq!(path("$[\"a\"]"), path("$.a"));
        assert_eq!(path("a.b").to_string(), "$.a.b");
    }

    #[test]
    fn what_is_no_expression_is_refused() {
        for text in ["$.", "$[", "$[x]", "$a b", "['a']", "$['a", "$['a'"] {
            assert!(Path::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn what_names_a_place_weighs_more_than_what_stands_for_any() {
        let place = path("$.items[0].id");
        let weigh = |text| path(text).weight(&place) * path(text).tokens().len();
        assert!(weigh("$.items[0].id") > weigh("$.items[*].id"));
        assert!(weigh("$.items[*].id") > weigh("$.items[*].*"));
        assert!(weigh("$.items[*].*") > weigh("$.items"));
        assert!(weigh("$.items") > weigh("$"));
        assert_eq!(weigh("$.others"), 0);
        assert!(path("$.items[*].*").is_exactly(&place));
        assert!(!path("$.items").is_exactly(&place));
    }
}
