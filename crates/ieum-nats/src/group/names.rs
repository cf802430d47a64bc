//! A group of a topic, and how its things are called.

use crate::group::Record;
use crate::names::Namespace;

/// The topic and the group.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Names {
    pub(crate) topic: String,
    pub(crate) group: String,
}

impl Names {
    pub(crate) fn new(topic: &str, group: &str) -> Self {
        Self {
            topic: topic.to_owned(),
            group: group.to_owned(),
        }
    }

    /// The group's entry before anybody joined.
    pub(super) fn fresh(&self) -> Record {
        Record::new(&self.topic, &self.group)
    }

    /// The subject of the group's entry.
    pub(crate) fn entry(&self, namespace: &Namespace) -> String {
        namespace.group_subject(&self.topic, &self.group)
    }

    /// The stream of the topic.
    pub(crate) fn stream(&self, namespace: &Namespace) -> String {
        namespace.topic_stream(&self.topic)
    }

    /// The stream of the group's dead letters.
    pub(crate) fn dead_stream(&self, namespace: &Namespace) -> String {
        namespace.dead_stream(&self.topic, &self.group)
    }
}
