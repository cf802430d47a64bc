//! The names of topics, groups and members: one rule for every engine.

use ieum_base::Uuid;

use crate::{Error, ErrorKind, Result};

/// The longest name, in bytes.
pub const MAX_LEN: usize = 200;

/// Checks the name of a topic. It is a category of the log, hence has no `-`.
pub fn check_topic(name: &str) -> Result<()> {
    check("topic", name)?;
    if name.contains('-') {
        return Err(refused(format!("a topic's name has no `-`: `{name}`")));
    }
    Ok(())
}

/// Checks the name of a group or a member; `what` is its kind in the error.
pub fn check(what: &str, name: &str) -> Result<()> {
    let clean = !name.contains(|c: char| c.is_control() || c.is_whitespace());
    if clean && !name.is_empty() && name.len() <= MAX_LEN {
        return Ok(());
    }
    let shown: String = name.chars().filter(|c| !c.is_control()).take(80).collect();
    Err(refused(format!(
        "`{shown}` is no name for a {what}: 1 to {MAX_LEN} bytes without spaces"
    )))
}

/// Checks what a member names that joins a group on a topic.
pub fn check_join(topic: &str, group: &str, member: &str) -> Result<()> {
    check_topic(topic)?;
    check("group", group)?;
    check("member", member)
}

/// The name as an engine with few letters can have it: of ASCII letters, digits, `.`, `_` and `-`,
/// and at most `most` bytes (64 or more). Two names never become the same.
///
/// Other characters are written as `-` and two hexadecimal digits a byte; what is too long ends with
/// `--` and a UUID (version 5) of the whole.
pub fn encoded(name: &str, most: usize) -> String {
    let mut text = String::with_capacity(name.len());
    for byte in name.bytes() {
        match byte {
            b'.' | b'_' => text.push(char::from(byte)),
            _ if byte.is_ascii_alphanumeric() => text.push(char::from(byte)),
            _ => text.push_str(&format!("-{byte:02X}")),
        }
    }
    if text.len() > most {
        let whole = Uuid::new_v5(&Uuid::NAMESPACE_OID, name.as_bytes()).simple();
        text.truncate(most.saturating_sub(34));
        text.push_str(&format!("--{whole}"));
    }
    text
}

fn refused(why: String) -> Error {
    Error::new(ErrorKind::Invalid, why)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_topic_is_a_category() {
        assert!(check_topic("order.events").is_ok());
        for wrong in ["", "order-events", "order events", "a\nb"] {
            assert!(check_topic(wrong).is_err(), "{wrong:?}");
        }
        assert!(check("group", "order-view").is_ok());
        assert!(check("group", &"x".repeat(201)).is_err());
    }

    #[test]
    fn an_encoded_name_is_short_and_still_its_own() {
        assert_eq!(encoded("order.events_1", 64), "order.events_1");
        assert_eq!(encoded("order-view", 64), "order-2Dview");
        assert_eq!(encoded("주", 64), "-EC-A3-BC");
        let long = |end: char| encoded(&format!("{}{end}", "x".repeat(199)), 100);
        assert_eq!((long('a').len(), long('b').len()), (100, 100));
        assert_ne!(long('a'), long('b'));
        assert!(long('a').starts_with("xxx") && long('a').contains("x--"));
    }
}
