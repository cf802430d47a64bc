//! What topics and groups are called at the broker.
//!
//! | at the broker | kind | name |
//! |---|---|---|
//! | a topic | durable fanout exchange | `ieum/TOPIC` |
//! | a group | durable queue, single active consumer | `ieum/TOPIC/GROUP` |
//! | its dead letters | durable queue, bounded | `ieum/TOPIC/GROUP/dead` |
//! | who takes over from whom | direct exchange | `ieum` |
//!
//! A name has the letters of [`names::encoded`], so that `/` only stands between parts. Services in
//! other languages publish to a topic's exchange, and bind queues of their own to it.

use ieum_messaging::{Result, names};
use lapin::types::ShortString;

/// The exchange through which a member tells another of the same name to step down.
pub(crate) const TURNS: &str = "ieum";

/// A group's places.
#[derive(Clone, Debug)]
pub(crate) struct Places {
    /// The topic's exchange.
    pub(crate) exchange: ShortString,
    /// The group's queue.
    pub(crate) queue: ShortString,
    /// The group's dead letters.
    pub(crate) dead: ShortString,
}

impl Places {
    /// The places of `group` on `topic`; wrong names are refused.
    pub(crate) fn of(topic: &str, group: &str) -> Result<Self> {
        names::check("group", group)?;
        let exchange = exchange(topic)?;
        let queue = format!("{exchange}/{}", names::encoded(group, LONGEST));
        Ok(Self {
            dead: format!("{queue}/dead").into(),
            queue: queue.into(),
            exchange,
        })
    }

    /// What is told to the members of the group that are called `member`.
    pub(crate) fn turn(&self, member: &str) -> Result<ShortString> {
        names::check("member", member)?;
        let name = names::encoded(&format!("{}/{member}", self.queue), 250);
        Ok(name.into())
    }
}

/// A topic's exchange; a wrong name is refused.
pub(crate) fn exchange(topic: &str) -> Result<ShortString> {
    names::check_topic(topic)?;
    Ok(format!("ieum/{}", names::encoded(topic, LONGEST)).into())
}

/// The longest part of a name: a queue's name has at most 255 bytes.
const LONGEST: usize = 110;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_short_and_kept_apart() {
        let places = Places::of("order.events", "order-view").expect("names");
        assert_eq!(places.exchange.as_str(), "ieum/order.events");
        assert_eq!(places.dead.as_str(), "ieum/order.events/order-2Dview/dead");
        let long = "주".repeat(66);
        let places = Places::of(&long, &long).expect("names");
        assert!(places.dead.as_str().len() <= 255, "{}", places.dead);
        assert!(places.turn(&long).expect("a name").as_str().len() <= 255);
        let apart = |topic, group| Places::of(topic, group).expect("names").queue;
        assert_ne!(apart("a", "b/c"), apart("a/b", "c"));
        assert!(Places::of("a-b", "c").is_err() && Places::of("a", "").is_err());
    }
}
