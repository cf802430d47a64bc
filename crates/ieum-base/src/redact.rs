//! Taking secrets out of what is shown: paths, URLs, and the messages of parsers and peers.
//!
//! A [`Secret`](crate::Secret) cannot be printed. But a secret also arrives where nobody expected
//! one: in a path, in the query of a URL that an error quotes, in a field of the wrong type. What is
//! logged, traced or answered about such input passes through here. Recognised are credentials in
//! URLs, values behind a name that says "secret", tokens in JWT's form, and card numbers; what has no
//! form and no name cannot be recognised, so query strings and bodies are not shown at all.

use std::borrow::Cow;
use std::ops::Range;

/// What stands in the place of a secret.
pub const HIDDEN: &str = "***";

/// `path` as it may be shown: without a segment that is a card number or a token, and without what
/// follows a segment (or the name of a parameter) that says "secret", as in `/reset-password/…`.
///
/// Costs some tens of nanoseconds and no allocation when there is nothing to hide.
pub fn path(path: &str) -> Cow<'_, str> {
    let mut named = false;
    let hides = path.split('/').any(|segment| {
        let hidden = !segment.is_empty() && (named || holds_secret(segment));
        named = is_secret_name(segment);
        hidden
    });
    if !hides {
        return Cow::Borrowed(path);
    }
    let mut shown = String::with_capacity(path.len());
    let mut named = false;
    for (place, segment) in path.split('/').enumerate() {
        if place > 0 {
            shown.push('/');
        }
        let hidden = !segment.is_empty() && (named || holds_secret(segment));
        shown.push_str(if hidden { HIDDEN } else { segment });
        named = is_secret_name(segment);
    }
    Cow::Owned(shown)
}

/// `text` without the secrets that can be recognised in it: credentials in URLs, values behind
/// secret names (`password=…`, `"token": "…"`), tokens in JWT's form, bearer tokens, card numbers.
pub fn text(text: &str) -> Cow<'_, str> {
    let mut found = Vec::new();
    credentials(text, &mut found);
    named_values(text, &mut found);
    tokens(text, &mut found);
    cards(text, &mut found);
    replaced(text, found)
}

/// What a parser said about input, without the input's values: serde quotes what it found
/// (``invalid type: string "4242…", expected u8``). Names of fields stay, for they help.
pub fn parser_message(message: &str) -> Cow<'_, str> {
    const QUOTING: [&str; 8] = [
        "string \"",
        "character `",
        "integer `",
        "floating point `",
        "unknown variant `",
        "invalid value: `",
        "Unknown variant `",
        "invalid digit `",
    ];
    let mut found = Vec::new();
    for opening in QUOTING {
        for (start, _) in message.match_indices(opening) {
            let value = start + opening.len();
            let quote = &opening[opening.len() - 1..];
            // The value may hold the quote itself: what ends it is the last one before the parser's
            // own words go on.
            let rest = &message[value..];
            let own_words = rest.rfind(", expected ").unwrap_or(rest.len());
            let end = rest[..own_words].rfind(quote).unwrap_or(own_words);
            found.push(value..value + end);
        }
    }
    match replaced(message, found) {
        Cow::Borrowed(unchanged) => text(unchanged),
        Cow::Owned(changed) => Cow::Owned(text(&changed).into_owned()),
    }
}

/// True if there is a card number in `text`: 13 to 19 digits that stand alone, perhaps in groups, with
/// an issuer's beginning and the right check digit.
pub fn has_card_number(text: &str) -> bool {
    let mut found = Vec::new();
    cards(text, &mut found);
    !found.is_empty()
}

/// True if `name` is that of something secret: of a header, a parameter, a field, a variable.
pub fn is_secret_name(name: &str) -> bool {
    let name = name.strip_suffix(['s', 'S']).unwrap_or(name).as_bytes();
    let last = name.last().map_or(0, u8::to_ascii_lowercase);
    LAST_LETTERS.contains(&last)
        && SECRET_WORDS.iter().any(|word| {
            let tail = name.len().checked_sub(word.len()).map(|at| &name[at..]);
            tail.is_some_and(|tail| tail.eq_ignore_ascii_case(word.as_bytes()))
        })
}

/// True if `name` looks like that of an environment variable, and not like a secret that somebody
/// wrote in the place of its name: capitals, digits and `_`.
pub fn is_variable_name(name: &str) -> bool {
    let legal = |byte: u8| byte.is_ascii_uppercase() || byte.is_ascii_digit() || byte == b'_';
    name.bytes().all(legal) && name.starts_with(|c: char| !c.is_ascii_digit()) && name.len() <= 64
}

/// What the name of a secret ends with (a plural `s` aside).
const SECRET_WORDS: [&str; 17] = [
    "password",
    "passwd",
    "pwd",
    "passphrase",
    "secret",
    "token",
    "apikey",
    "api-key",
    "api_key",
    "private-key",
    "private_key",
    "secret_key",
    "credential",
    "authorization",
    "cookie",
    "signature",
    "cvc",
];
const LAST_LETTERS: [u8; 7] = *b"dtnylec";

fn holds_secret(segment: &str) -> bool {
    let bytes = segment.as_bytes();
    let has_form = bytes.starts_with(b"eyJ") || bytes.iter().any(|b| b"=@:".contains(b));
    if has_form && matches!(text(segment), Cow::Owned(_)) {
        return true;
    }
    let digits = bytes.iter().filter(|b| b.is_ascii_digit()).count();
    digits >= CARD_DIGITS.start && has_card_number(segment)
}

/// `user:password@` behind `://`. The user may stay if the rest is hidden already.
fn credentials(text: &str, found: &mut Vec<Range<usize>>) {
    for (at, mark) in text.match_indices("://") {
        let start = at + mark.len();
        let rest = &text[start..];
        let end = rest.find(|c: char| "/?#\"'`<>".contains(c) || c.is_whitespace());
        let mut authority = &rest[..end.unwrap_or(rest.len())];
        let host = authority
            .rsplit_once('@')
            .map_or(authority, |(_, host)| host);
        let port = host.rsplit_once(':').map_or("", |(_, port)| port);
        if !host.starts_with('[') && !port.bytes().all(|byte| byte.is_ascii_digit()) {
            // No port: a password with a `/`, which somebody forgot to encode, begins here.
            let end = rest.find(|c: char| "\"'`<>".contains(c) || c.is_whitespace());
            authority = &rest[..end.unwrap_or(rest.len())];
        }
        let Some(end) = authority.rfind('@') else {
            continue;
        };
        let shown_already = authority[..end]
            .split_once(':')
            .is_none_or(|(_, password)| password == HIDDEN);
        let is_token = !authority[..end].contains(':');
        if !shown_already || is_token && &authority[..end] != HIDDEN {
            found.push(start..start + end);
        }
    }
}

/// The value behind a secret name and `=` or `:`, quoted or not.
fn named_values(text: &str, found: &mut Vec<Range<usize>>) {
    for (at, _) in text.match_indices(['=', ':']) {
        let before = text[..at].trim_end_matches([' ', '"', '\'', '`', '\\']);
        let word = |c: char| !c.is_ascii_alphanumeric() && c != '_' && c != '-';
        let name = &before[before.rfind(word).map_or(0, |i| i + 1)..];
        if !is_secret_name(name) {
            continue;
        }
        let behind = &text[at + 1..];
        let value = behind.trim_start_matches([' ', '"', '\'', '`', '\\', '=']);
        let start = text.len() - value.len();
        let quoted = behind[..behind.len() - value.len()].contains(['"', '\'', '`']);
        // A scheme's name and the credentials behind it are one value.
        let scheme = ["bearer ", "basic ", "token "].iter().find(|scheme| {
            let head = value.get(..scheme.len());
            head.is_some_and(|head| head.eq_ignore_ascii_case(scheme))
        });
        let skip = scheme.map_or(0, |scheme| scheme.len());
        let ends = |c: char| match quoted {
            true => "\"'`\\".contains(c),
            false => c.is_whitespace() || "&;,\"'`\\)}]".contains(c),
        };
        let end = value[skip..].find(ends).map_or(value.len(), |i| i + skip);
        if end > 0 && &value[..end] != HIDDEN {
            found.push(start..start + end);
        }
    }
}

/// JSON Web Tokens, and what follows the word `Bearer` and is too long for a word.
fn tokens(text: &str, found: &mut Vec<Range<usize>>) {
    let token_of = |start: usize| {
        let of_token = |c: char| c.is_ascii_alphanumeric() || "-_.~+/=".contains(c);
        let rest = &text[start..];
        let end = rest.find(|c: char| !of_token(c)).unwrap_or(rest.len());
        start..start + end
    };
    for (at, _) in text.match_indices("eyJ") {
        let token = token_of(at);
        if token.len() >= 16 && text[token.clone()].contains('.') {
            found.push(token);
        }
    }
    for scheme in ["Bearer ", "bearer ", "Basic ", "basic "] {
        for (at, _) in text.match_indices(scheme) {
            let token = token_of(at + scheme.len());
            if token.len() >= 16 {
                found.push(token);
            }
        }
    }
}

/// Card numbers: 13 to 19 digits that stand alone, perhaps in groups, with the right check digit.
fn cards(text: &str, found: &mut Vec<Range<usize>>) {
    let bytes = text.as_bytes();
    let mut at = 0;
    while at < bytes.len() {
        if !bytes[at].is_ascii_digit() {
            at += 1;
            continue;
        }
        let end = end_of_digits(bytes, at);
        let alone = |byte: Option<&u8>| !byte.is_some_and(u8::is_ascii_alphanumeric);
        let before = at.checked_sub(1).map(|i| &bytes[i]);
        if alone(before) && alone(bytes.get(end)) && is_card_number(&bytes[at..end]) {
            found.push(at..end);
        }
        at = end;
    }
}

/// Where the digits end that begin at `start`; one space or dash may stand between two.
fn end_of_digits(bytes: &[u8], start: usize) -> usize {
    let is_digit = |at: usize| bytes.get(at).is_some_and(u8::is_ascii_digit);
    let mut at = start;
    loop {
        if is_digit(at) {
            at += 1;
        } else if matches!(bytes.get(at), Some(b' ' | b'-')) && is_digit(at + 1) {
            at += 2;
        } else {
            return at;
        }
    }
}

/// The issuers' ranges (3 to 6, and Mastercard's in 2) and the check digit of ISO/IEC 7812-1.
fn is_card_number(digits: &[u8]) -> bool {
    let digits = digits.iter().filter(|b| b.is_ascii_digit());
    let digits: Vec<u32> = digits.map(|b| u32::from(b - b'0')).collect();
    let issuer = matches!(digits.first(), Some(2..=6));
    let doubled = |(place, digit): (usize, &u32)| match place % 2 {
        0 => *digit,
        _ => digit * 2 / 10 + digit * 2 % 10,
    };
    let sum: u32 = digits.iter().rev().enumerate().map(doubled).sum();
    issuer && CARD_DIGITS.contains(&digits.len()) && sum.is_multiple_of(10)
}

const CARD_DIGITS: Range<usize> = 13..20;

/// `text` with every range of `found` hidden; ranges may overlap.
fn replaced(text: &str, mut found: Vec<Range<usize>>) -> Cow<'_, str> {
    if found.is_empty() {
        return Cow::Borrowed(text);
    }
    found.sort_by_key(|range| range.start);
    let mut shown = String::with_capacity(text.len());
    let mut done = 0;
    for range in found {
        if range.end <= done {
            continue;
        }
        if range.start >= done {
            shown.push_str(&text[done..range.start]);
            shown.push_str(HIDDEN);
        }
        done = range.end;
    }
    shown.push_str(&text[done..]);
    Cow::Owned(shown)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_ordinary_path_stays_as_it_is() {
        for shown in [
            "/",
            "/api/v1/users/u-1",
            "/api/v1/orders/0190a1b2-0000-7000-8000-000000000001",
            "/payments/cards",
            "/v1/agent/check/pass/service:users-1",
            "/files/1763731629123456",
            "/한글/path",
        ] {
            assert!(
                matches!(path(shown), Cow::Borrowed(same) if same == shown),
                "{shown}"
            );
        }
    }

    #[test]
    fn a_secret_in_a_path_is_hidden() {
        for (given, shown) in [
            ("/reset-password/hunter2/now", "/reset-password/***/now"),
            ("/v1/Tokens/abc", "/v1/Tokens/***"),
            ("/cards/4242424242424242", "/cards/***"),
            ("/cards/4242-4242-4242-4242/x", "/cards/***/x"),
            ("/a/eyJhbGciOiJIUzI1NiJ9.eyJzdWIi.c2ln", "/a/***"),
            ("/a;token=hunter2/b", "/***/b"),
        ] {
            assert_eq!(path(given), shown);
        }
    }

    #[test]
    fn a_message_is_shown_without_its_secrets() {
        for (given, shown) in [
            (
                "http://u:hunter2@host:1/x failed",
                "http://***@host:1/x failed",
            ),
            ("ieum://hunter2@host", "ieum://***@host"),
            ("pg://u:hun/ter2@host:1/x", "pg://***@host:1/x"),
            ("pg://u:hun?ter#2@host/x", "pg://***@host/x"),
            (
                "GET /x?a=1&access_token=hunter2&b=2",
                "GET /x?a=1&access_token=***&b=2",
            ),
            (
                r#"{"password":"hunter 2","a":1}"#,
                r#"{"password":"***","a":1}"#,
            ),
            ("DB_PASSWORD: hunter2, next", "DB_PASSWORD: ***, next"),
            ("authorization: Bearer hunter2", "authorization: ***"),
            ("sent Bearer abcdefghijklmnop1 to", "sent Bearer *** to"),
            ("card 4242 4242 4242 4242 refused", "card *** refused"),
            ("x=eyJhbGciOiJIUzI1NiJ9.e30.c2ln,", "x=***,"),
        ] {
            assert_eq!(text(given), shown);
        }
    }

    #[test]
    fn what_is_no_secret_stays() {
        for shown in [
            "postgres://app:***@db/shop",
            "no keys: order-1",
            "`token-file`: the file `t` with the secret cannot be read",
            "trace 0af7651916cd43dd8448eb211c80319c took 4242424242424241 ns",
            "mail@example.com wrote to http://host/a@b or http://host:80/a@b",
            "a token: ***",
        ] {
            assert_eq!(text(shown), shown);
        }
    }

    #[test]
    fn a_parser_does_not_quote_what_it_read() {
        for (given, shown) in [
            (
                "expMonth: invalid type: string \"a\\\"b, expected c\", expected u8 at line 1",
                "expMonth: invalid type: string \"***\", expected u8 at line 1",
            ),
            (
                "invalid type: integer `123456`, expected a string",
                "invalid type: integer `***`, expected a string",
            ),
            (
                "unknown variant `hunter2`, expected `a` or `b`",
                "unknown variant `***`, expected `a` or `b`",
            ),
            (
                "unknown field `colour`, expected `color`",
                "unknown field `colour`, expected `color`",
            ),
        ] {
            assert_eq!(parser_message(given), shown);
        }
    }
}
