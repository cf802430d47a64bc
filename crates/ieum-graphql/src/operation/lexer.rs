//! The lexical grammar of GraphQL (October 2021, with the escapes of September 2025).
//!
//! A lexer of ours, not the library's, because it is the first thing that a hostile document meets:
//! it allocates nothing, its work is linear in the bytes that it reads, it never recurses, and
//! [`scan`] stops at the first token beyond a limit, before anything was built.

use graphql_tools::parser::Pos;

use super::syntax::SyntaxError;
use crate::limits::{Exceeded, Limit, Limits};

/// One lexical token. A string is its source text, quotes included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Token<'a> {
    /// One of `! $ & ( ) : = @ [ ] { | }`; `.` stands for `...`.
    Punctuator(u8),
    Name(&'a str),
    Int(&'a str),
    Float(&'a str),
    Text(&'a str),
    Block(&'a str),
    End,
}

impl Token<'_> {
    /// The token as a message shows it.
    pub(crate) fn describe(&self) -> String {
        match self {
            Self::Punctuator(b'.') => "\"...\"".to_owned(),
            Self::Punctuator(byte) => format!("\"{}\"", char::from(*byte)),
            Self::Name(name) => format!("name \"{}\"", excerpt(name)),
            Self::Int(_) | Self::Float(_) => "a number".to_owned(),
            Self::Text(_) | Self::Block(_) => "a string".to_owned(),
            Self::End => "the end of the document".to_owned(),
        }
    }
}

/// Reads tokens one by one.
pub(crate) struct Lexer<'a> {
    text: &'a str,
    at: usize,
    line: usize,
    column: usize,
}

impl<'a> Lexer<'a> {
    pub(crate) fn new(text: &'a str) -> Self {
        Self {
            text,
            at: 0,
            line: 1,
            column: 1,
        }
    }

    /// The next token and where it begins; `End` for ever after the last.
    pub(crate) fn next(&mut self) -> Result<(Token<'a>, Pos), SyntaxError> {
        self.skip_ignored();
        let start = self.at;
        let pos = self.pos();
        let bytes = self.text.as_bytes();
        let Some(&first) = bytes.get(start) else {
            return Ok((Token::End, pos));
        };
        let token = match first {
            b'!' | b'$' | b'&' | b'(' | b')' | b':' | b'=' | b'@' | b'[' | b']' | b'{' | b'|'
            | b'}' => {
                self.advance(start + 1);
                Token::Punctuator(first)
            }
            b'.' if bytes[start..].starts_with(b"...") => {
                self.advance(start + 3);
                Token::Punctuator(b'.')
            }
            b'_' | b'a'..=b'z' | b'A'..=b'Z' => {
                let end = end_while(bytes, start, |b| b == b'_' || b.is_ascii_alphanumeric());
                self.advance(end);
                Token::Name(&self.text[start..end])
            }
            b'-' | b'0'..=b'9' => self.number(start, pos)?,
            b'"' if bytes[start..].starts_with(b"\"\"\"") => self.block(start, pos)?,
            b'"' => self.string(start, pos)?,
            _ => return Err(self.unexpected(start, pos)),
        };
        Ok((token, pos))
    }

    /// The byte after the last token.
    pub(crate) fn offset(&self) -> usize {
        self.at
    }

    fn pos(&self) -> Pos {
        Pos {
            line: self.line,
            column: self.column,
        }
    }

    /// Moves on to the byte `to`, counting lines and columns (in characters, from 1).
    fn advance(&mut self, to: usize) {
        let bytes = self.text.as_bytes();
        for index in self.at..to {
            match bytes[index] {
                b'\n' if index > 0 && bytes[index - 1] == b'\r' => {}
                b'\n' | b'\r' => {
                    self.line += 1;
                    self.column = 1;
                }
                // A continuation byte of UTF-8 belongs to a character that was counted.
                0x80..=0xBF => {}
                _ => self.column += 1,
            }
        }
        self.at = to;
    }

    /// Skips white space, line ends, commas, comments and byte order marks.
    fn skip_ignored(&mut self) {
        let bytes = self.text.as_bytes();
        let mut end = self.at;
        loop {
            match bytes.get(end) {
                Some(b' ' | b'\t' | b'\n' | b'\r' | b',') => end += 1,
                Some(b'#') => end = end_while(bytes, end, |b| b != b'\n' && b != b'\r'),
                Some(0xEF) if bytes[end..].starts_with("\u{feff}".as_bytes()) => end += 3,
                _ => break,
            }
        }
        self.advance(end);
    }

    fn number(&mut self, start: usize, pos: Pos) -> Result<Token<'a>, SyntaxError> {
        let bytes = self.text.as_bytes();
        let digits_from = start + usize::from(bytes[start] == b'-');
        let mut end = end_while(bytes, digits_from, |b| b.is_ascii_digit());
        let leading_zero = end > digits_from + 1 && bytes[digits_from] == b'0';
        if end == digits_from || leading_zero {
            return Err(SyntaxError::new("invalid number", pos));
        }
        let mut float = false;
        if bytes.get(end) == Some(&b'.') {
            let fraction = end_while(bytes, end + 1, |b| b.is_ascii_digit());
            if fraction == end + 1 {
                return Err(SyntaxError::new("invalid number", pos));
            }
            (end, float) = (fraction, true);
        }
        if matches!(bytes.get(end), Some(b'e' | b'E')) {
            let sign = usize::from(matches!(bytes.get(end + 1), Some(b'+' | b'-')));
            let exponent = end_while(bytes, end + 1 + sign, |b| b.is_ascii_digit());
            if exponent == end + 1 + sign {
                return Err(SyntaxError::new("invalid number", pos));
            }
            (end, float) = (exponent, true);
        }
        let glued = |b: &u8| *b == b'.' || *b == b'_' || b.is_ascii_alphanumeric();
        if bytes.get(end).is_some_and(glued) {
            return Err(SyntaxError::new("invalid number", pos));
        }
        self.advance(end);
        let source = &self.text[start..end];
        Ok(if float {
            Token::Float(source)
        } else {
            Token::Int(source)
        })
    }

    fn string(&mut self, start: usize, pos: Pos) -> Result<Token<'a>, SyntaxError> {
        let bytes = self.text.as_bytes();
        let mut end = start + 1;
        loop {
            match bytes.get(end) {
                None | Some(b'\n' | b'\r') => {
                    return Err(SyntaxError::new("unterminated string", pos));
                }
                Some(b'"') => break,
                // What follows is checked where the string is decoded; here it must not end it.
                Some(b'\\') => end += 2,
                Some(_) => end += 1,
            }
        }
        self.advance(end + 1);
        Ok(Token::Text(&self.text[start..=end]))
    }

    fn block(&mut self, start: usize, pos: Pos) -> Result<Token<'a>, SyntaxError> {
        let bytes = self.text.as_bytes();
        let mut end = start + 3;
        loop {
            let rest = bytes.get(end..).unwrap_or_default();
            if rest.is_empty() {
                return Err(SyntaxError::new("unterminated string", pos));
            } else if rest.starts_with(b"\\\"\"\"") {
                end += 4;
            } else if rest.starts_with(b"\"\"\"") {
                break;
            } else {
                end += 1;
            }
        }
        self.advance(end + 3);
        Ok(Token::Block(&self.text[start..end + 3]))
    }

    fn unexpected(&self, start: usize, pos: Pos) -> SyntaxError {
        let found = self.text[start..].chars().next().unwrap_or_default();
        SyntaxError::new(
            format!("unexpected character {}", found.escape_default()),
            pos,
        )
    }
}

/// Counts a document's tokens, directives and the depth of its brackets, and stops at the first beyond a
/// limit.
pub(crate) fn scan(text: &str, limits: &Limits) -> Result<(), ScanError> {
    if text.len() > limits.document_bytes {
        return Err(Exceeded::new(Limit::DocumentBytes, limits.document_bytes, None).into());
    }
    let mut lexer = Lexer::new(text);
    let (mut tokens, mut directives, mut depth) = (0, 0, 0);
    loop {
        let (token, pos) = lexer.next()?;
        match token {
            Token::End => return Ok(()),
            Token::Punctuator(b'{' | b'(' | b'[') => depth += 1,
            Token::Punctuator(b'}' | b')' | b']') => depth = usize::saturating_sub(depth, 1),
            Token::Punctuator(b'@') => directives += 1,
            _ => {}
        }
        tokens += 1;
        if directives > limits.directives {
            return Err(Exceeded::new(Limit::Directives, limits.directives, Some(pos)).into());
        }
        if tokens > limits.tokens {
            return Err(Exceeded::new(Limit::Tokens, limits.tokens, Some(pos)).into());
        }
        if depth > limits.nesting() {
            return Err(Exceeded::new(Limit::Nesting, limits.nesting(), Some(pos)).into());
        }
    }
}

/// Why a scan stopped.
#[derive(Debug)]
pub(crate) enum ScanError {
    Syntax(SyntaxError),
    Exceeded(Exceeded),
}

impl From<SyntaxError> for ScanError {
    fn from(error: SyntaxError) -> Self {
        Self::Syntax(error)
    }
}

impl From<Exceeded> for ScanError {
    fn from(exceeded: Exceeded) -> Self {
        Self::Exceeded(exceeded)
    }
}

fn end_while(bytes: &[u8], from: usize, keep: impl Fn(u8) -> bool) -> usize {
    let rest = bytes.get(from..).unwrap_or_default();
    from + rest.iter().take_while(|byte| keep(**byte)).count()
}

/// The beginning of a name, so that a message stays short whatever was sent.
fn excerpt(name: &str) -> &str {
    name.get(..EXCERPT_BYTES).unwrap_or(name)
}

const EXCERPT_BYTES: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: &str) {
        let mut lexer = Lexer::new(text);
        let mut seen = Vec::new();
        loop {
            match lexer.next() {
                Ok((Token::End, _)) => break,
                Ok((token, pos)) => seen.push(format!("{}:{} {token:?}", pos.line, pos.column)),
                Err(error) => {
                    seen.push(format!("{}:{} {}", error.pos.line, error.pos.column, error));
                    break;
                }
            }
        }
        assert_eq!(seen.join("\n"), expected);
    }

    #[test]
    fn tokens_have_their_place_in_lines_and_characters() {
        check(
            "{a,é",
            "1:1 Punctuator(123)\n1:2 Name(\"a\")\n1:4 unexpected character \\u{e9}",
        );
        check(
            "\u{feff}a\r\n b\rc\n#x\n\"é\"d",
            "1:2 Name(\"a\")\n2:2 Name(\"b\")\n3:1 Name(\"c\")\n5:1 Text(\"\\\"é\\\"\")\n5:4 Name(\"d\")",
        );
    }

    #[test]
    fn numbers_follow_the_grammar() {
        check(
            "0 -1 1.5e9 1e0",
            "1:1 Int(\"0\")\n1:3 Int(\"-1\")\n1:6 Float(\"1.5e9\")\n1:12 Float(\"1e0\")",
        );
        for wrong in ["01", "-", "1.", "1e", "1a", "1.2.3", "0x1", "1_0"] {
            check(wrong, "1:1 invalid number");
        }
    }

    #[test]
    fn strings_end_where_they_say() {
        check(
            r#""a\"b" "" c"#,
            "1:1 Text(\"\\\"a\\\\\\\"b\\\"\")\n1:8 Text(\"\\\"\\\"\")\n1:11 Name(\"c\")",
        );
        check(
            "\"\"\"a\\\"\"\"b\"\"\"",
            "1:1 Block(\"\\\"\\\"\\\"a\\\\\\\"\\\"\\\"b\\\"\\\"\\\"\")",
        );
        for open in ["\"", "\"a\n\"", "\"\\\"", "\"\"\"", "\"\"\"\"\"", "\"\\"] {
            check(open, "1:1 unterminated string");
        }
    }

    #[test]
    fn a_scan_stops_at_the_limit() {
        let limits = Limits {
            tokens: 3,
            depth: 2,
            directives: 0,
            document_bytes: 32,
            ..Limits::default()
        };
        let stopped = |text: &str| match scan(text, &limits) {
            Err(ScanError::Exceeded(exceeded)) => Some(exceeded.limit),
            Err(ScanError::Syntax(error)) => panic!("{error}"),
            Ok(()) => None,
        };
        assert_eq!(stopped("{a}"), None);
        assert_eq!(stopped("@a"), Some(Limit::Directives));
        assert_eq!(stopped("{a b}"), Some(Limit::Tokens));
        assert_eq!(stopped(&" ".repeat(33)), Some(Limit::DocumentBytes));
        let deep = Limits::default();
        let braces = "{".repeat(deep.nesting() + 1);
        assert!(matches!(
            scan(&braces, &deep),
            Err(ScanError::Exceeded(Exceeded {
                limit: Limit::Nesting,
                ..
            }))
        ));
    }
}
