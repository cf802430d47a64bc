//! What topics and groups are called at the brokers.
//!
//! A topic keeps its name, a group is `ieum/TOPIC/GROUP`, its dead letters are the topic
//! `TOPIC-.GROUP-.dead`. Letters that Kafka does not allow are encoded as
//! [`names::encoded`] says, and `_` too, because Kafka takes `a.b` and `a_b` for the same in metrics.

use ieum_messaging::{Result, names};

/// A topic's name; a wrong one is refused.
pub(crate) fn topic(name: &str) -> Result<String> {
    names::check_topic(name)?;
    Ok(encoded(name))
}

/// A group's places.
#[derive(Clone, Debug)]
pub(crate) struct Places {
    /// The topic.
    pub(crate) topic: String,
    /// The `group.id`.
    pub(crate) group: String,
    /// The topic of the group's dead letters.
    pub(crate) dead: String,
}

impl Places {
    /// The places of `group` on `topic`; wrong names are refused.
    pub(crate) fn of(topic_name: &str, group_name: &str) -> Result<Self> {
        let topic = topic(topic_name)?;
        names::check("group", group_name)?;
        let group = encoded(group_name);
        Ok(Self {
            group: format!("ieum/{topic}/{group}"),
            dead: format!("{topic}-.{group}-.dead"),
            topic,
        })
    }
}

fn encoded(name: &str) -> String {
    // Shortened before `_` grows: what is long ends with a hash of the whole.
    names::encoded(name, MOST).replace('_', "-5F")
}

/// A dead letter topic's name has at most 249 bytes.
const MOST: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_legal_and_kept_apart() {
        let places = Places::of("order.events", "order-view").expect("names");
        assert_eq!(places.topic, "order.events");
        assert_eq!(places.dead, "order.events-.order-2Dview-.dead");
        assert_ne!(topic("a.b").expect("a name"), topic("a_b").expect("a name"));
        let dead = |topic, group| Places::of(topic, group).expect("names").dead;
        assert_ne!(dead("a", "b.c"), dead("a.b", "c"));
        let long = Places::of(&"x_".repeat(100), &"y_".repeat(100)).expect("names");
        assert!(long.dead.len() <= 249, "{}", long.dead.len());
    }
}
