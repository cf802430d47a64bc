//! Normalise: one spelling for each path, and none for those that could mean two things.
//!
//! A path is read by the gateway's router, by its rules, and by the upstream's framework. Where they
//! read differently, rules are evaded: `/api/v1/%61dmin`, `/users/..%2fadmin`, `/admin;x`. So the
//! path is brought into the normal form of RFC 3986 once (no needless escapes, upper-case hex, no
//! empty segments), and the very same string is routed, authorised and forwarded. What has more than
//! one reading is refused: encoded slashes, backslashes, control characters, dot segments however
//! they are written, escapes of escapes, path parameters (`;`), and bytes that are not UTF-8.

use std::borrow::Cow;

use crate::errors::{Code, Refusal};

/// A path that is safe to route by.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Normalised {
    /// It was in its normal form.
    Clean,
    /// Its normal form.
    Changed(String),
}

/// The normal form of a request's path.
pub(crate) fn request(path: &str) -> Result<Cow<'_, str>, Box<Refusal>> {
    match self::path(path) {
        Ok(Normalised::Clean) => Ok(Cow::Borrowed(path)),
        Ok(Normalised::Changed(path)) => Ok(Cow::Owned(path)),
        Err(why) => Err(Refusal::new(Code::AmbiguousPath, why)),
    }
}

/// The normal form of a path, or why it has none.
pub(crate) fn path(path: &str) -> Result<Normalised, &'static str> {
    if !path.starts_with('/') {
        return Err("the path does not begin with `/`");
    }
    if is_clean(path.as_bytes()) {
        return Ok(Normalised::Clean);
    }
    let mut normal = String::with_capacity(path.len());
    for segment in path.split('/').skip(1) {
        if segment.is_empty() {
            continue;
        }
        normal.push('/');
        push_segment(&mut normal, segment)?;
    }
    if normal.is_empty() || path.ends_with('/') {
        normal.push('/');
    }
    if normal == path {
        return Ok(Normalised::Clean);
    }
    Ok(Normalised::Changed(normal))
}

/// True if every byte is plain and no segment is empty or begins with a dot. Most paths are.
fn is_clean(path: &[u8]) -> bool {
    let mut before = 0;
    for (at, &byte) in path.iter().enumerate() {
        let starts_segment = before == b'/' && at > 0;
        if !is_plain(byte) && byte != b'/' || starts_segment && (byte == b'/' || byte == b'.') {
            return false;
        }
        before = byte;
    }
    true
}

fn push_segment(normal: &mut String, segment: &str) -> Result<(), &'static str> {
    let start = normal.len();
    let mut decoded = Vec::with_capacity(segment.len());
    let mut bytes = segment.bytes();
    while let Some(byte) = bytes.next() {
        match byte {
            b'%' => {
                let value = escape(bytes.next(), bytes.next())?;
                check(value)?;
                push_byte(normal, value);
                decoded.push(value);
            }
            b';' => return Err("the path holds `;`"),
            b'\\' => return Err("the path holds a backslash"),
            _ if is_plain(byte) => {
                normal.push(char::from(byte));
                decoded.push(byte);
            }
            _ => return Err("the path holds a character that must be escaped"),
        }
    }
    let written = &normal[start..];
    if matches!(written, "." | "..") {
        return Err("the path holds a dot segment");
    }
    if written
        .match_indices("%25")
        .any(|(at, _)| begins_with_hex(&written[at + 3..]))
    {
        return Err("the path holds an escape of an escape");
    }
    match std::str::from_utf8(&decoded) {
        Ok(_) => Ok(()),
        Err(_) => Err("the path is not UTF-8"),
    }
}

/// What may not even be escaped.
const fn check(value: u8) -> Result<(), &'static str> {
    match value {
        b'/' => Err("the path holds an escaped slash"),
        b'\\' => Err("the path holds an escaped backslash"),
        b';' => Err("the path holds an escaped `;`"),
        0..=0x1f | 0x7f => Err("the path holds an escaped control character"),
        _ => Ok(()),
    }
}

fn escape(high: Option<u8>, low: Option<u8>) -> Result<u8, &'static str> {
    let digit = |byte: Option<u8>| byte.and_then(|b| char::from(b).to_digit(16));
    match (digit(high), digit(low)) {
        (Some(high), Some(low)) => Ok((high * 16 + low) as u8),
        _ => Err("the path holds `%` without two hex digits"),
    }
}

/// Unreserved characters stand for themselves; all others that were escaped stay escaped.
fn push_byte(normal: &mut String, value: u8) {
    const HEX: &[u8; 16] = b"0123456789ABCDEF";
    if is_unreserved(value) {
        normal.push(char::from(value));
    } else {
        normal.push('%');
        normal.push(char::from(HEX[usize::from(value >> 4)]));
        normal.push(char::from(HEX[usize::from(value & 15)]));
    }
}

const fn is_unreserved(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~')
}

/// What a segment may hold unescaped (RFC 3986, `pchar`), without `;`.
const fn is_plain(byte: u8) -> bool {
    is_unreserved(byte)
        || matches!(
            byte,
            b'!' | b'$' | b'&' | b'\'' | b'(' | b')' | b'*' | b'+' | b',' | b'=' | b':' | b'@'
        )
}

fn begins_with_hex(text: &str) -> bool {
    let digits = text.as_bytes().get(..2);
    digits.is_some_and(|two| two.iter().all(u8::is_ascii_hexdigit))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn check(text: &str, expected: Option<&str>) {
        let normal = match path(text) {
            Ok(Normalised::Clean) => Some(text.to_owned()),
            Ok(Normalised::Changed(normal)) => Some(normal),
            Err(_) => None,
        };
        assert_eq!(normal.as_deref(), expected, "{text}");
    }

    #[test]
    fn each_path_has_one_spelling() {
        check("/", Some("/"));
        check("/api/v1/users", Some("/api/v1/users"));
        check("/api/v1/users/", Some("/api/v1/users/"));
        check("/api/v1/%75sers", Some("/api/v1/users"));
        check("//api///v1", Some("/api/v1"));
        check("//", Some("/"));
        check("/%ec%8b%a0", Some("/%EC%8B%A0"));
        check("/a%20b", Some("/a%20b"));
        check("/.well-known/x", Some("/.well-known/x"));
        check("/v1.2/a..b", Some("/v1.2/a..b"));
        check("/100%25", Some("/100%25"));
        check("/users/@me:x", Some("/users/@me:x"));
    }

    #[test]
    fn what_has_two_readings_is_refused() {
        let refused = [
            "",
            "users",
            "/..",
            "/a/../b",
            "/a/.",
            "/./a",
            "/%2e%2e/a",
            "/a/%2E",
            "/.%2e",
            "/a%2fb",
            "/a%2Fb",
            "/a\\b",
            "/a%5cb",
            "/a%00",
            "/a%0d%0a",
            "/a%7f",
            "/%252e%252e/",
            "/a%252fb",
            "/%25zz%2541",
            "/admin;x",
            "/..;/admin",
            "/a%3bb",
            "/%",
            "/%4",
            "/%zz",
            "/%c0%af",
            "/%ff",
            "/a b",
            "/신발",
        ];
        for text in refused {
            check(text, None);
        }
    }

    proptest! {
        /// The normal form of a normal form is itself.
        #[test]
        fn normalising_twice_changes_nothing(text in "(/(%[0-9a-fA-F]{2}|[a-z.%~;@/]){0,6}){1,4}") {
            if let Ok(Normalised::Changed(once)) = path(&text) {
                prop_assert_eq!(path(&once), Ok(Normalised::Clean));
            }
        }

        /// No reader that decodes a normal form finds a way up or a new segment.
        #[test]
        fn decoding_finds_nothing_new(text in "(/(%(25|2e|2E|2f|5c|00|41|c0|af)|[a-z.]){0,6}){1,4}") {
            let normal = match path(&text) {
                Ok(Normalised::Clean) => text,
                Ok(Normalised::Changed(normal)) => normal,
                Err(_) => return Ok(()),
            };
            let once = percent_encoding::percent_decode_str(&normal).decode_utf8().expect("UTF-8");
            let twice = percent_encoding::percent_decode_str(&once).decode_utf8_lossy();
            for decoded in [&once, &twice] {
                prop_assert_eq!(decoded.matches('/').count(), normal.matches('/').count());
                prop_assert!(!decoded.split('/').any(|s| s == "." || s == ".."));
            }
        }
    }
}
