//! How topics, groups and keys are called on NATS.
//!
//! Names of ours may have nearly any character; a stream's may have no space, `.`, `*`, `>` or slash,
//! and a bucket's key only a few more than letters and digits. What is not plain is written as `=` and
//! two hexadecimal digits, so that no two names meet.

use std::fmt::Write;
use std::str::FromStr;

use ieum_base::Uuid;
use ieum_messaging::{Error, ErrorKind};

/// What stands in front of all names of one system: 1 to 32 letters, digits, `_` and `-`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Namespace(String);

impl Namespace {
    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The stream of a topic.
    pub(crate) fn topic_stream(&self, topic: &str) -> String {
        format!("{}-{}", self.0, topic_token(topic))
    }

    /// The subject of a topic's messages.
    pub(crate) fn topic_subject(&self, topic: &str) -> String {
        format!("{}.topic.{}", self.0, topic_token(topic))
    }

    /// The stream of a group's dead letters. No stream of a topic has an `@`.
    pub(crate) fn dead_stream(&self, topic: &str, group: &str) -> String {
        format!("{}-dead-{}@{}", self.0, topic_token(topic), token(group))
    }

    /// The subject of a group's dead letters, without the position that ends it.
    pub(crate) fn dead_subject(&self, topic: &str, group: &str) -> String {
        format!("{}.dead.{}.{}", self.0, topic_token(topic), token(group))
    }

    /// The bucket of the groups' states.
    pub(crate) fn bucket(&self) -> String {
        format!("{}-groups", self.0)
    }

    /// The stream that is the bucket.
    pub(crate) fn bucket_stream(&self) -> String {
        format!("KV_{}", self.bucket())
    }

    /// The subject of a group's state in the bucket.
    pub(crate) fn group_subject(&self, topic: &str, group: &str) -> String {
        let (topic, group) = (topic_token(topic), token(group));
        format!("$KV.{}.{topic}.{group}", self.bucket())
    }
}

impl Default for Namespace {
    fn default() -> Self {
        Self("ieum".to_owned())
    }
}

impl FromStr for Namespace {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let legal = |byte: u8| byte.is_ascii_alphanumeric() || b"_-".contains(&byte);
        if (1..=32).contains(&text.len()) && text.bytes().all(legal) {
            return Ok(Self(text.to_owned()));
        }
        let why = format!(
            "the path of a NATS URL names what its streams begin with, in at most 32 letters, digits, \
             `_` and `-`: not `{text}`"
        );
        Err(Error::new(ErrorKind::Invalid, why))
    }
}

/// A topic as a token. Topics have no `-`, which stands for their `.`.
fn topic_token(topic: &str) -> String {
    token(&topic.replace('.', "-"))
}

/// Any text as a token of a subject, a stream's name and a bucket's key.
fn token(text: &str) -> String {
    let mut token = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"_-".contains(&byte) {
            token.push(char::from(byte));
        } else {
            // Writing to a string cannot fail.
            let _ = write!(token, "={byte:02X}");
        }
    }
    if token.len() <= LONGEST {
        return token;
    }
    // The name of a file has at most 255 bytes. `==` is in no token that was only encoded.
    let hash = Uuid::new_v5(&Uuid::NAMESPACE_OID, text.as_bytes());
    token.truncate(LONGEST / 2);
    format!("{token}=={}", hash.simple())
}

/// The longest token that is not shortened.
const LONGEST: usize = 90;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_names_stay_readable() {
        let shop: Namespace = "shop".parse().expect("legal");
        assert_eq!(shop.topic_stream("order.events"), "shop-order-events");
        assert_eq!(
            shop.topic_subject("order.events"),
            "shop.topic.order-events"
        );
        assert_eq!(
            shop.dead_stream("orders", "order-view"),
            "shop-dead-orders@order-view"
        );
        assert_eq!(
            shop.group_subject("orders", "order-view"),
            "$KV.shop-groups.orders.order-view"
        );
    }

    #[test]
    fn no_two_names_meet_and_none_is_illegal() {
        let names = [
            "a.b".to_owned(),
            "a-b".to_owned(),
            "a=2Db".to_owned(),
            "주문".to_owned(),
            "*>/\\".to_owned(),
            "x".repeat(200),
            format!("{}y", "x".repeat(199)),
        ];
        let tokens: Vec<String> = names.iter().map(|name| token(name)).collect();
        for (at, one) in tokens.iter().enumerate() {
            assert!(!tokens[at + 1..].contains(one), "{one}");
            let legal = |b: u8| b.is_ascii_alphanumeric() || b"_-=".contains(&b);
            assert!(one.bytes().all(legal) && one.len() <= 90, "{one}");
        }
        assert_ne!(topic_token("a.b"), topic_token("a=2Eb"));
    }

    #[test]
    fn a_namespace_is_a_plain_word() {
        for wrong in ["", "a.b", "a b", "a/b", &"x".repeat(33)] {
            assert!(wrong.parse::<Namespace>().is_err(), "{wrong:?}");
        }
    }
}
