//! Topics and consumer groups.
//!
//! | call | body or query | answer |
//! |---|---|---|
//! | `GET /api/v1/topics` | | 200 [`Topics`] |
//! | `POST /api/v1/topics/{topic}` | CloudEvents (structured, batch or binary) | 202 when durable |
//! | `POST /api/v1/topics/{topic}/groups/{group}/join` | [`Join`] | 200 [`Joined`], 409 busy |
//! | `POST /api/v1/topics/{topic}/groups/{group}/pull` | [`Pull`] | 200 [`Pulled`] |
//! | `POST /api/v1/topics/{topic}/groups/{group}/ack` | [`Ack`] | 204 |
//! | `POST /api/v1/topics/{topic}/groups/{group}/dead-letters` | [`GiveUp`] | 204 |
//! | `GET /api/v1/groups` | | 200 [`Groups`] |
//! | `POST /api/v1/topics/{topic}/groups/{group}/dead-letters/replay` | [`DeadLetterKey`] | 200 [`Settled`] |
//! | `POST /api/v1/topics/{topic}/groups/{group}/dead-letters/skip` | [`DeadLetterKey`] | 200 [`Settled`] |
//! | `GET /api/v1/dead-letters` | [`ListDeadLetters`] | 200 [`DeadLetters`] |

use ieum_base::HumanDuration;
use ieum_messaging::{DeadLetter, DeadLetterFilter, Delivery, Epoch, GroupState, TopicState};
use serde::{Deserialize, Serialize};

/// Asks to become the worker of the group.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Join {
    /// Who asks.
    pub member: String,
}

/// The worker's term.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Joined {
    /// To be sent with every later call.
    pub epoch: Epoch,
}

/// Asks for messages.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Pull {
    /// The worker's term.
    pub epoch: Epoch,
    /// Only messages behind this position, wherever the checkpoint is; all behind it by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<u64>,
    /// The most messages in the answer. 0 only renews the lease.
    pub max: usize,
    /// How long to wait for the first; not at all by default.
    #[serde(default)]
    pub wait: HumanDuration,
}

/// Messages for the worker; none means that none came in time.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Pulled {
    /// The messages, in order.
    pub deliveries: Vec<Delivery>,
}

/// Names what was set aside by its key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct DeadLetterKey {
    /// The key.
    pub key: String,
}

/// How many messages an operator dealt with; none if nothing of the key was set aside.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Settled {
    /// How many.
    pub messages: usize,
}

/// Acknowledges messages.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Ack {
    /// The worker's term.
    pub epoch: Epoch,
    /// The position of the last message that is done with.
    pub up_to: u64,
}

/// Gives up on a message.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct GiveUp {
    /// The worker's term.
    pub epoch: Epoch,
    /// The message's position.
    pub position: u64,
    /// Why, for an operator.
    pub reason: String,
}

/// All topics.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Topics {
    /// By name.
    pub topics: Vec<TopicState>,
}

/// All consumer groups.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Groups {
    /// By topic and name.
    pub groups: Vec<GroupState>,
}

/// The query of a list of dead letters.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ListDeadLetters {
    /// Of this topic.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub topic: Option<String>,
    /// Of this group.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group: Option<String>,
    /// The most in the answer; the server's bound by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<usize>,
}

impl ListDeadLetters {
    /// The filter that it asks for.
    pub fn filter(self) -> DeadLetterFilter {
        DeadLetterFilter {
            topic: self.topic,
            group: self.group,
        }
    }
}

/// Messages that were given up, or wait behind one.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct DeadLetters {
    /// By topic, group and position.
    pub dead_letters: Vec<DeadLetter>,
}
