//! Publishing to an SNS topic.
//!
//! A batch may succeed in part, and what is repeated comes behind what was taken. So no batch has two
//! messages of a key, and the next begins when the one before was taken whole: that keeps the order.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use ieum_messaging::binary_mode::to_structured;
use ieum_messaging::{Error, ErrorKind, Message, Result};

use crate::api::{Api, BATCH, Entry};
use crate::error::{Failure, is_throttled};
use crate::places;
use crate::xml::Element;

/// Publishes to SNS topics, which are made when they are first used.
#[derive(Debug)]
pub struct Publisher {
    api: Arc<Api>,
    /// The ARNs of topics that are there, by name.
    known: Mutex<HashMap<String, String>>,
}

/// A message as SNS takes it.
struct Letter {
    key: String,
    id: String,
    body: String,
}

impl Publisher {
    pub(crate) fn new(api: Arc<Api>) -> Self {
        Self {
            api,
            known: Mutex::default(),
        }
    }

    /// The ARN of a topic, which is made unless it is there.
    pub(crate) async fn topic(&self, topic: &str) -> Result<String> {
        let name = places::topic(topic)?;
        if let Some(arn) = self.known().get(topic) {
            return Ok(arn.clone());
        }
        let parameters = [
            ("Name", name.as_str()),
            ("Attributes.entry.1.key", "FifoTopic"),
            ("Attributes.entry.1.value", "true"),
        ];
        let parameters = parameters.map(|(name, value)| (name.to_owned(), value.to_owned()));
        let made = self.api.sns("CreateTopic", &parameters).await;
        let made = made.map_err(|failure| failure.of("making a topic", &self.api.place()))?;
        let arn = made.text_of("TopicArn").to_owned();
        let mut known = self.known();
        if known.len() >= MOST_KNOWN {
            known.clear();
        }
        known.insert(topic.to_owned(), arn.clone());
        Ok(arn)
    }

    fn known(&self) -> std::sync::MutexGuard<'_, HashMap<String, String>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Publishes one batch whole, in as many calls as it takes.
    async fn send(&self, topic: &str, batch: &[Letter]) -> Result<()> {
        let mut left: Vec<usize> = (0..batch.len()).collect();
        for attempt in 1.. {
            let arn = self.topic(topic).await?;
            let answer = self
                .api
                .sns("PublishBatch", &form(&arn, batch, &left))
                .await;
            let why = match answer {
                Ok(answer) => {
                    let failed = failures(&answer, &left);
                    if let Some(entry) = failed.iter().find(|entry| entry.is_senders_fault) {
                        let why = format!("SNS refuses a message ({})", entry.why);
                        return Err(Error::new(ErrorKind::Invalid, why));
                    }
                    left = failed.iter().map(|entry| entry.id).collect();
                    let Some(first) = failed.into_iter().next() else {
                        return Ok(());
                    };
                    first.why
                }
                Err(failure) if failure.is_absent() => {
                    // Somebody deleted the topic; it is made again.
                    self.known().remove(topic);
                    "the topic is not there".to_owned()
                }
                Err(failure) => return Err(self.failed(failure)),
            };
            self.api.pause(attempt, "publishing", &why).await?;
        }
        Ok(())
    }

    fn failed(&self, failure: Failure) -> Error {
        failure.of("publishing", &self.api.place())
    }
}

#[async_trait]
impl ieum_messaging::Publisher for Publisher {
    /// Not all or none: it ends as an error if a part was taken, and publishing it again within five
    /// minutes adds the rest.
    async fn publish(&self, topic: &str, messages: &[Message]) -> Result<()> {
        places::topic(topic)?;
        let limits = &self.api.config.limits;
        let mut letters = Vec::with_capacity(messages.len());
        for message in messages {
            message.validate(limits)?;
            letters.push(letter(message, limits.message_bytes)?);
        }
        for batch in batches(&letters) {
            self.send(topic, batch).await?;
        }
        Ok(())
    }
}

fn letter(message: &Message, most: usize) -> Result<Letter> {
    let body = String::from_utf8(to_structured(message)?);
    let body = body.map_err(|e| Error::new(ErrorKind::Internal, "JSON").caused_by(e))?;
    if body.len() > most {
        let why = format!(
            "the message has {} bytes as JSON, SNS takes {most}",
            body.len()
        );
        return Err(Error::new(ErrorKind::Invalid, why));
    }
    Ok(Letter {
        key: places::message_group(message),
        id: message.event_id().simple().to_string(),
        body,
    })
}

/// Parts of `letters`, in order, each with at most one of a key, and within the limits of one call.
fn batches(letters: &[Letter]) -> Vec<&[Letter]> {
    let (mut batches, mut rest) = (Vec::new(), letters);
    while !rest.is_empty() {
        let (mut keys, mut bytes) = (HashSet::new(), 0);
        let letters = rest.iter().take(BATCH);
        let fitting = letters.take_while(|letter| {
            bytes += letter.body.len();
            bytes <= CALL_BYTES && keys.insert(&letter.key)
        });
        let count = fitting.count();
        // One alone always fits.
        let (batch, after) = rest.split_at(count.max(1));
        batches.push(batch);
        rest = after;
    }
    batches
}

fn form(arn: &str, batch: &[Letter], left: &[usize]) -> Vec<(String, String)> {
    let mut form = vec![("TopicArn".to_owned(), arn.to_owned())];
    for (n, id) in (1..).zip(left) {
        let letter = &batch[*id];
        let fields = [
            ("Id", id.to_string()),
            ("Message", letter.body.clone()),
            ("MessageGroupId", letter.key.clone()),
            ("MessageDeduplicationId", letter.id.clone()),
        ];
        let named = |(name, value)| {
            (
                format!("PublishBatchRequestEntries.member.{n}.{name}"),
                value,
            )
        };
        form.extend(fields.map(named));
    }
    form
}

/// The entries of `asked` that SNS did not say it took.
fn failures(answer: &Element, asked: &[usize]) -> Vec<Entry> {
    let members = |list: &str| answer.find(list).map_or(&[][..], |list| &list.inside);
    let is = |member: &&Element, id: usize| member.text_of("Id") == id.to_string();
    let taken = |id: usize| members("Successful").iter().any(|member| is(&member, id));
    let failed = asked.iter().copied().filter(|id| !taken(*id));
    let entry = |id| {
        let said = members("Failed").iter().find(|member| is(member, id));
        let code = said.map_or("", |said| said.text_of("Code"));
        let is_theirs = said.is_some_and(|said| said.text_of("SenderFault") == "true");
        Entry {
            id,
            is_senders_fault: is_theirs && !is_throttled(code),
            why: format!(
                "{code}: {}",
                said.map_or("", |said| said.text_of("Message"))
            ),
        }
    };
    failed.map(entry).collect()
}

/// The most bytes of the messages of one call.
const CALL_BYTES: usize = 256 << 10;

/// The most topics whose ARNs are remembered.
const MOST_KNOWN: usize = 10_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_batch_has_two_of_a_key_or_too_much() {
        let letter = |key: &str, bytes: usize| Letter {
            key: key.to_owned(),
            id: String::new(),
            body: "x".repeat(bytes),
        };
        let sizes = |letters: &[Letter]| -> Vec<usize> {
            batches(letters).iter().map(|batch| batch.len()).collect()
        };
        let keys = ["a", "b", "a", "a", "c"].map(|key| letter(key, 1));
        assert_eq!(sizes(&keys), [2, 1, 2]);
        let many: Vec<Letter> = (0..25).map(|n| letter(&n.to_string(), 1)).collect();
        assert_eq!(sizes(&many), [10, 10, 5]);
        let large = ["a", "b", "c"].map(|key| letter(key, 130 << 10));
        assert_eq!(sizes(&large), [1, 1, 1]);
        assert_eq!(sizes(&[]), [0; 0]);
    }
}
