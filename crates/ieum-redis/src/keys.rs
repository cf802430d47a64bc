//! The names of keys.
//!
//! A topic has no `-` in its name, so the first `-` behind the prefix ends the topic's, and what has
//! nothing before it belongs to no topic. A group's keys end with what they are, so that no group's
//! name makes one of another's.

use ieum_base::Uuid;

/// The names of keys behind one prefix.
#[derive(Clone, Debug)]
pub(crate) struct Keys {
    prefix: String,
}

/// The keys of a group, as its scripts want them.
#[derive(Debug)]
pub(crate) struct GroupKeys {
    pub(crate) state: String,
    pub(crate) topic: String,
    pub(crate) groups: String,
    pub(crate) parked: String,
    pub(crate) dead: String,
}

impl Keys {
    pub(crate) fn new(prefix: &str) -> Self {
        Self {
            prefix: prefix.to_owned(),
        }
    }

    /// The stream of a topic.
    pub(crate) fn topic(&self, topic: &str) -> String {
        format!("{}{topic}", self.prefix)
    }

    /// The groups of a topic: a hash of how far each has come.
    pub(crate) fn groups(&self, topic: &str) -> String {
        format!("{}{topic}-groups", self.prefix)
    }

    pub(crate) fn group(&self, topic: &str, group: &str) -> GroupKeys {
        let of = |what: &str| format!("{}{topic}-{group}.{what}", self.prefix);
        GroupKeys {
            state: of("state"),
            topic: self.topic(topic),
            groups: self.groups(topic),
            parked: of("parked"),
            dead: of("dead"),
        }
    }

    /// The identity of a message that was published not long ago.
    pub(crate) fn id(&self, event: Uuid) -> String {
        format!("{}-id-{}", self.prefix, event.simple())
    }

    /// An entry of a cache.
    pub(crate) fn cached(&self, name: &str, key: &str) -> String {
        format!("{}-cache-{name}:{key}", self.prefix)
    }

    /// The cell of a rate limit. What it counts by (an address, a user) is not readable from it.
    pub(crate) fn limit(&self, key: &str) -> String {
        let digest = Uuid::new_v5(&Uuid::NAMESPACE_OID, key.as_bytes());
        format!("{}-limit-{}", self.prefix, digest.simple())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn no_two_names_share_a_key() {
        let keys = Keys::new("ieum:");
        let mut seen = HashSet::new();
        let names = ["a", "a.b", "b", "groups", "dead", "a.dead", "id", "cache"];
        for topic in names {
            assert!(seen.insert(keys.topic(topic)) && seen.insert(keys.groups(topic)));
            for group in names
                .iter()
                .copied()
                .chain(["a-b", "b-a.dead", "-", "-groups"])
            {
                let of = keys.group(topic, group);
                for key in [of.state, of.parked, of.dead] {
                    assert!(seen.insert(key.clone()), "{key}");
                }
            }
        }
        assert!(seen.insert(keys.id(Uuid::nil())) && seen.insert(keys.limit("a")));
        assert!(seen.insert(keys.cached("id", "a")));
    }
}
