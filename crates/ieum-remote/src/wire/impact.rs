//! What depends on an event type, a topic, a service or a route.
//!
//! | call | query | answer |
//! |---|---|---|
//! | `GET /api/v1/impact/{subject}` | [`GetImpact`] | 200 [`Impact`], 404 with the nearest names |
//!
//! Where each part comes from and what it does not see stands in `docs/reference/impact.md`.

use ieum_eventstore::Position;
use serde::{Deserialize, Serialize};

/// The step of a [`SagaUse`] that stands for the saga's beginning; no step can have this name.
pub const TRIGGER: &str = "(trigger)";

/// The query of an impact.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GetImpact {
    /// What the subject is. By default the first that is known by the name, in the order of
    /// [`SubjectKind`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kind: Option<SubjectKind>,
}

/// What a subject is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SubjectKind {
    /// A type of event, like `order.placed`.
    EventType,
    /// A topic, like `order.events`.
    Topic,
    /// A service.
    Service,
    /// A route of the gateway, by its name.
    Route,
}

impl SubjectKind {
    /// All of them, in the order in which a name is looked up.
    pub const ALL: [Self; 4] = [Self::EventType, Self::Topic, Self::Service, Self::Route];

    /// Its name on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::EventType => "event-type",
            Self::Topic => "topic",
            Self::Service => "service",
            Self::Route => "route",
        }
    }

    /// The kind with this name.
    pub fn find(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == name)
    }
}

/// A name and what it stands for.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Subject {
    /// What it is.
    pub kind: SubjectKind,
    /// Its name.
    pub name: String,
}

/// What depends on a subject. Each list is sorted and names nothing twice.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Impact {
    /// What was asked about.
    pub subject: Subject,
    /// What else has this name.
    #[serde(default)]
    pub also: Vec<SubjectKind>,
    /// Services that publish it; of a service, those whose messages it hears.
    pub publishers: Vec<String>,
    /// Consumer groups that hear it; of a service or a route, those that hear what is published there.
    pub consumers: Vec<Consumer>,
    /// Routes that lead to its publishers and consumers, or to the service itself.
    pub routes: Vec<RouteUse>,
    /// Contracts about it.
    pub contracts: Vec<ContractUse>,
    /// Sagas that it starts, and their steps; of a service, the steps that call it.
    pub sagas: Vec<SagaUse>,
    /// All services that a change touches; of a service, the others.
    pub services: Vec<String>,
    /// What the service, or the services of the route, publish themselves.
    #[serde(default)]
    pub events: Vec<Published>,
    /// One level further: what the consumers, and the services that the sagas call, publish in turn.
    #[serde(default)]
    pub next: Vec<Published>,
    /// How much of the log was looked at for publishers.
    #[serde(default)]
    pub seen: Seen,
}

/// A consumer group.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Consumer {
    /// The service that works for the group.
    pub service: String,
    /// The group.
    pub group: String,
    /// The topic that it hears.
    pub topic: String,
}

/// A route of the gateway to one service.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RouteUse {
    /// Its name.
    pub name: String,
    /// Its path.
    pub path: String,
    /// The service that answers, or a part of the answer.
    pub service: String,
}

/// A contract between two services.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ContractUse {
    /// Who relies on it; `*` is everybody.
    pub consumer: String,
    /// Who promises it.
    pub provider: String,
    /// `pact` or `openapi`.
    pub kind: String,
    /// Its file.
    pub source: String,
}

/// A step of a saga, or its beginning.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SagaUse {
    /// The saga's definition.
    pub definition: String,
    /// The step, or [`TRIGGER`].
    pub step: String,
    /// What the step calls (`POST inventory/reservations`), or the event that starts the saga.
    pub call: String,
}

/// Messages of one type that a service publishes.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Published {
    /// Who publishes.
    pub service: String,
    /// The type.
    #[serde(rename = "type")]
    pub kind: String,
    /// The topic.
    pub topic: String,
}

/// How much of the log was looked at.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Seen {
    /// True if all of it: nobody else has ever published.
    pub complete: bool,
    /// Messages up to here were not looked at; 0 if all were.
    pub after: Position,
    /// Messages behind this position were not looked at.
    pub up_to: Position,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kind_is_found_by_the_name_that_it_is_written_with() {
        for kind in SubjectKind::ALL {
            assert_eq!(serde_json::to_value(kind).expect("JSON"), kind.as_str());
            assert_eq!(SubjectKind::find(kind.as_str()), Some(kind));
        }
        assert_eq!(SubjectKind::find("thing"), None);
    }
}
