//! `tracestate`: what vendors know about a trace, passed on and never read.
//!
//! What breaks the grammar is dropped as a whole, as the recommendation's test suite asks for: a list
//! that is half understood is worse than none. What is only long loses whole entries, those above 128
//! characters first and then from the end (W3C, 3.3.1.5): the first entry is the latest writer's.

use std::sync::Arc;

/// The most entries of a list (W3C, 3.3.1.1).
const MOST_ENTRIES: usize = 32;
/// The longest list that is passed on; the recommendation asks for at least this.
const LONGEST: usize = 512;
/// An entry longer than this is the first to go.
const LONG_ENTRY: usize = 128;

/// The fields joined in order, or `None` if nothing is left or they break the grammar.
pub(super) fn parse<'a>(fields: impl IntoIterator<Item = &'a str>) -> Option<Arc<str>> {
    let mut entries: Vec<&str> = Vec::new();
    for field in fields {
        let trimmed = field.split(',').map(|entry| entry.trim_matches(OWS));
        for entry in trimmed.filter(|entry| !entry.is_empty()) {
            let (key, value) = entry.split_once('=')?;
            let known = |other: &&str| other.split('=').next() == Some(key);
            let fits = entries.len() < MOST_ENTRIES;
            if !fits || !is_key(key) || !is_value(value) || entries.iter().any(known) {
                return None;
            }
            entries.push(entry);
        }
    }
    shorten(&mut entries);
    (!entries.is_empty()).then(|| entries.join(",").into())
}

/// Drops whole entries until the list is short enough.
fn shorten(entries: &mut Vec<&str>) {
    while length(entries) > LONGEST {
        let long = entries.iter().rposition(|entry| entry.len() > LONG_ENTRY);
        entries.remove(long.unwrap_or(entries.len() - 1));
    }
}

/// With the commas between them.
fn length(entries: &[&str]) -> usize {
    let texts: usize = entries.iter().map(|entry| entry.len()).sum();
    texts + entries.len().saturating_sub(1)
}

/// `vendor` or `tenant@vendor`: 256 characters, or 241 and 14.
fn is_key(key: &str) -> bool {
    let Some((tenant, vendor)) = key.split_once('@') else {
        return is_word(key, 256) && key.starts_with(|c: char| c.is_ascii_lowercase());
    };
    is_word(tenant, 241)
        && tenant.starts_with(|c: char| c.is_ascii_lowercase() || c.is_ascii_digit())
        && is_word(vendor, 14)
        && vendor.starts_with(|c: char| c.is_ascii_lowercase())
}

fn is_word(word: &str, longest: usize) -> bool {
    let legal = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b"_-*/".contains(&b);
    (1..=longest).contains(&word.len()) && word.bytes().all(legal)
}

/// Printable ASCII without `,` and `=`. (The space at its end was trimmed with the entry.)
fn is_value(value: &str) -> bool {
    let legal = |b: u8| (b' '..=b'~').contains(&b) && b != b'=';
    (1..=256).contains(&value.len()) && value.bytes().all(legal)
}

/// Optional white space (RFC 9110, 5.6.3).
const OWS: [char; 2] = [' ', '\t'];

#[cfg(test)]
mod tests {
    use super::*;

    fn check(fields: &[&str], expected: Option<&str>) {
        let passed_on = parse(fields.iter().copied());
        assert_eq!(passed_on.as_deref(), expected, "{fields:?}");
    }

    #[test]
    fn what_is_short_enough_is_passed_on_whole() {
        let exact = format!("a={},b={}", "x".repeat(253), "y".repeat(254));
        assert_eq!(exact.len(), LONGEST);
        check(&[&exact], Some(&exact));
    }

    #[test]
    fn long_entries_go_first_and_the_first_entry_last() {
        let long = format!("long={}", "x".repeat(200));
        let filler = (0..5).map(|n| format!("k{n}={}", "v".repeat(80)));
        let filler = filler.collect::<Vec<_>>().join(",");
        check(&[&filler, &long], Some(&filler));
        check(&[&long, &filler], Some(&filler));
        let short = (0..7).map(|n| format!("k{n}={}", "v".repeat(80)));
        let short = short.collect::<Vec<_>>();
        check(&[&short.join(",")], Some(&short[..6].join(",")));
    }

    #[test]
    fn a_broken_entry_takes_the_list_with_it() {
        for broken in ["novalue", "a=", "=1", "a=b=c", "a=é", "2a=1", "a b=1"] {
            check(&["ok=1", broken], None);
        }
        check(&["2tenant@v=1"], Some("2tenant@v=1"));
    }
}
