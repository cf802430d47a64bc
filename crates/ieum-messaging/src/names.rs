//! The names of topics, groups and members: one rule for every engine.

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
}
