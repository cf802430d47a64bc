//! The values of string tokens.

use graphql_tools::parser::Pos;

use super::syntax::SyntaxError;

/// The value of a quoted string; `source` has its quotes.
pub(crate) fn decode(source: &str, pos: Pos) -> Result<String, SyntaxError> {
    let body = &source[1..source.len() - 1];
    if !body.contains('\\') {
        return Ok(body.to_owned());
    }
    let invalid = || SyntaxError::new("invalid escape in a string", pos);
    let mut value = String::with_capacity(body.len());
    let mut rest = body;
    while let Some(at) = rest.find('\\') {
        value.push_str(&rest[..at]);
        let mut chars = rest[at + 1..].chars();
        let plain = match chars.next().ok_or_else(invalid)? {
            same @ ('"' | '\\' | '/') => same,
            'b' => '\u{8}',
            'f' => '\u{c}',
            'n' => '\n',
            'r' => '\r',
            't' => '\t',
            'u' => {
                let (decoded, after) = unicode(chars.as_str()).ok_or_else(invalid)?;
                value.push(decoded);
                rest = after;
                continue;
            }
            _ => return Err(invalid()),
        };
        value.push(plain);
        rest = chars.as_str();
    }
    value.push_str(rest);
    Ok(value)
}

/// What follows `\u`: `{…}`, four digits, or a pair of surrogates; and the rest.
fn unicode(text: &str) -> Option<(char, &str)> {
    if let Some(braced) = text.strip_prefix('{') {
        let (digits, rest) = braced.split_once('}')?;
        let code = hex(digits).filter(|_| digits.len() <= 8)?;
        return Some((char::from_u32(code)?, rest));
    }
    let (high, rest) = four(text)?;
    if !(0xD800..0xDC00).contains(&high) {
        return Some((char::from_u32(high)?, rest));
    }
    let (low, rest) = four(rest.strip_prefix("\\u")?)?;
    if !(0xDC00..0xE000).contains(&low) {
        return None;
    }
    let code = 0x10000 + ((high - 0xD800) << 10) + (low - 0xDC00);
    Some((char::from_u32(code)?, rest))
}

fn four(text: &str) -> Option<(u32, &str)> {
    Some((hex(text.get(..4)?)?, &text[4..]))
}

fn hex(digits: &str) -> Option<u32> {
    let all_hex = !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_hexdigit());
    all_hex.then(|| u32::from_str_radix(digits, 16).ok())?
}

/// The value of a block string: the common indentation and blank lines at both ends are removed.
pub(crate) fn decode_block(source: &str) -> String {
    let body = source[3..source.len() - 3].replace("\\\"\"\"", "\"\"\"");
    let lines: Vec<&str> = split_lines(&body);
    let indent = |line: &str| {
        line.bytes()
            .take_while(|b| matches!(b, b' ' | b'\t'))
            .count()
    };
    let blank = |line: &&str| indent(line) == line.len();
    let common = lines
        .iter()
        .skip(1)
        .filter(|line| !blank(line))
        .map(|line| indent(line))
        .min()
        .unwrap_or(0);
    let Some(first) = lines.iter().position(|line| !blank(line)) else {
        return String::new();
    };
    let last = lines.iter().rposition(|line| !blank(line)).unwrap_or(first);
    let mut value = String::with_capacity(body.len());
    for (index, line) in lines.iter().enumerate().take(last + 1).skip(first) {
        if index > first {
            value.push('\n');
        }
        // Only spaces and tabs were counted, one byte each; a shorter line is blank.
        let cut = if index == 0 { 0 } else { common };
        value.push_str(line.get(cut..).unwrap_or_default());
    }
    value
}

fn split_lines(text: &str) -> Vec<&str> {
    let mut lines = Vec::new();
    let mut rest = text;
    while let Some(at) = rest.find(['\n', '\r']) {
        lines.push(&rest[..at]);
        let end = if rest[at..].starts_with("\r\n") { 2 } else { 1 };
        rest = &rest[at + end..];
    }
    lines.push(rest);
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escapes_become_characters() {
        let check = |source: &str, expected: Option<&str>| {
            let value = decode(source, Pos::default()).ok();
            assert_eq!(value.as_deref(), expected, "{source}");
        };
        check(r#""""#, Some(""));
        check(r#""\"\\\/\b\f\n\r\t""#, Some("\"\\/\u{8}\u{c}\n\r\t"));
        check(r#""\u00e9\u{e9}x""#, Some("ééx"));
        check(r#""\uD83D\uDE00""#, Some("😀"));
        for wrong in [
            r#""\uD83D""#,
            r#""\uDE00""#,
            r#""\uD83Dx""#,
            r#""\u{110000}""#,
            r#""\u{}""#,
            r#""\u12""#,
            r#""\u+123""#,
        ] {
            check(wrong, None);
        }
    }

    #[test]
    fn block_strings_lose_their_indentation() {
        let check = |body: &str, expected: &str| {
            assert_eq!(decode_block(&format!("\"\"\"{body}\"\"\"")), expected);
        };
        check("", "");
        check("  \n\t\n ", "");
        check("\n    a\n      b\r\n\n    c\n  ", "a\n  b\n\nc");
        check("a\n  b", "a\nb");
        check("x \\\"\"\" y", "x \"\"\" y");
    }
}
