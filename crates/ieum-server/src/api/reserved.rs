//! What belongs to the platform: streams, checkpoints and epochs that its callers must not write.
//!
//! The registry and the sagas stand in the same log as everybody's events. They are for everybody to
//! read; written around their owners they would break a rule that only the owner checks.

use ieum_eventstore::{Append, Error, ErrorKind, Result};

/// Categories of the platform, beside those that start with one of these and `_`.
const CATEGORIES: [&str; 2] = ["registry", "saga"];

/// Refuses an append that would write to a stream of the platform.
pub(super) fn check_append(append: &Append) -> Result<()> {
    let mut categories = append.writes.iter().map(|write| write.stream.category());
    categories.try_for_each(check_category)
}

/// Refuses to write to a category (a topic) of the platform.
pub(super) fn check_category(category: &str) -> Result<()> {
    refuse_if(is_reserved(category, '_'), "category", category)
}

/// Refuses to move a checkpoint or an epoch of the platform.
pub(super) fn check_name(name: &str) -> Result<()> {
    refuse_if(is_reserved(name, '-'), "name", name)
}

fn is_reserved(name: &str, separator: char) -> bool {
    CATEGORIES.iter().any(|own| {
        let rest = name.strip_prefix(own);
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(separator))
    })
}

fn refuse_if(reserved: bool, what: &str, name: &str) -> Result<()> {
    if !reserved {
        return Ok(());
    }
    let context = format!("the {what} `{name}` is the platform's own: choose another one");
    Err(Error::new(ErrorKind::Invalid, context))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_platforms_own_names_are_refused_and_others_are_not() {
        for own in ["registry", "saga", "saga_definition", "saga_deadletter"] {
            assert!(check_category(own).is_err(), "{own}");
        }
        for free in ["order.events", "sagas", "registry.audit", "users"] {
            assert!(check_category(free).is_ok(), "{free}");
        }
        assert!(check_name("saga-engine").is_err());
        assert!(check_name("orders-projection").is_ok());
    }
}
