//! How topics, groups and keys are called on SNS and SQS.
//!
//! A name there has few letters, and a queue's at most 80 bytes: ours begin with what people read and
//! end with a hash of the whole, so that no two meet.

use ieum_base::Uuid;
use ieum_messaging::{Message, Result, names};

use crate::sign::sha256;

/// The name of a topic's SNS topic.
pub(crate) fn topic(topic: &str) -> Result<String> {
    names::check_topic(topic)?;
    Ok(format!("ieum-{}-{}.fifo", plain(topic, 100), hash(topic)))
}

/// The names of a group's queue and of the queue of its dead letters.
pub(crate) fn queues(topic: &str, group: &str) -> Result<(String, String)> {
    names::check_topic(topic)?;
    names::check("group", group)?;
    // A line break is in no name.
    let hash = hash(&format!("{topic}\n{group}"));
    let name = format!("{}-{}-{hash}", plain(topic, 18), plain(group, 16));
    Ok((format!("{name}.fifo"), format!("{name}-dead.fifo")))
}

/// The message group, within which SQS keeps the order: the key, or its hash if SQS does not take it.
pub(crate) fn message_group(message: &Message) -> String {
    let key = message.ordering_key();
    let is_legal = (1..=128).contains(&key.len()) && key.bytes().all(|b| b.is_ascii_graphic());
    if is_legal {
        key.to_owned()
    } else {
        sha256(key.as_bytes())
    }
}

fn plain(name: &str, most: usize) -> String {
    let plain = |c: char| if c.is_ascii_alphanumeric() { c } else { '_' };
    name.chars().map(plain).take(most).collect()
}

fn hash(text: &str) -> String {
    let hash = Uuid::new_v5(&Uuid::NAMESPACE_OID, text.as_bytes());
    hash.simple().to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_legal_and_kept_apart() {
        let long = "주".repeat(60);
        let mut seen = std::collections::BTreeSet::new();
        for (of, group) in [("a.b", "g"), ("a_b", "g"), ("a.b", "h"), (&long, &long)] {
            let (queue, dead) = queues(of, group).expect("names");
            for name in [queue, dead] {
                let stem = name.strip_suffix(".fifo").expect("an ending");
                let legal = |b: u8| b.is_ascii_alphanumeric() || b"-_".contains(&b);
                assert!(name.len() <= 80 && stem.bytes().all(legal), "{name}");
                assert!(seen.insert(name));
            }
        }
        assert!(topic("a-b").is_err() && queues("a", "b c").is_err());
    }

    #[test]
    fn a_key_that_sqs_does_not_take_is_hashed() {
        let group = |key: &str| {
            let message = Message::new("/s", "1", "t", &1).expect("a message");
            message_group(&message.with_key(key))
        };
        assert_eq!(group("order/1"), "order/1");
        for key in ["주문 1", "a b", "", &"x".repeat(129)] {
            assert_eq!(group(key).len(), 64, "{key}");
        }
        assert_ne!(group("주문 1"), group("주문 2"));
    }
}
