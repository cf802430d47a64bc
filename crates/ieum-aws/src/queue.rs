//! A group's queue and the queue of its dead letters: making them, receiving, renewing, deleting.

use std::sync::Arc;
use std::time::Duration;

use ieum_base::Uuid;
use ieum_messaging::binary_mode::from_structured;
use ieum_messaging::{Error, ErrorKind, Message, Result};
use serde_json::{Value, json};

use crate::api::{Api, BATCH};
use crate::error::Failure;
use crate::places;
use crate::publisher::Publisher;

/// A group's queues.
#[derive(Clone, Debug)]
pub(crate) struct Queue {
    api: Arc<Api>,
    url: String,
    dead: String,
}

/// A message that was received, with what deletes it.
#[derive(Debug)]
pub(crate) struct Received {
    pub(crate) message: Message,
    pub(crate) receipt: String,
}

impl Queue {
    /// Makes a group's queues and subscribes the first to the topic; what is there stays.
    pub(crate) async fn make(
        api: &Arc<Api>,
        publisher: &Publisher,
        topic: &str,
        group: &str,
    ) -> Result<Self> {
        let (name, dead) = places::queues(topic, group)?;
        let arn = publisher.topic(topic).await?;
        let queue = Self {
            url: make_queue(api, &name).await?,
            dead: make_queue(api, &dead).await?,
            api: Arc::clone(api),
        };
        let own = queue.allow(&arn).await?;
        let parameters = [
            ("TopicArn", arn.as_str()),
            ("Protocol", "sqs"),
            ("Endpoint", &own),
            ("ReturnSubscriptionArn", "true"),
            ("Attributes.entry.1.key", "RawMessageDelivery"),
            ("Attributes.entry.1.value", "true"),
        ];
        let parameters = parameters.map(|(name, value)| (name.to_owned(), value.to_owned()));
        let subscribed = api.sns("Subscribe", &parameters).await;
        subscribed.map_err(|failure| failure.of("subscribing a queue", &api.place()))?;
        Ok(queue)
    }

    /// Lets the topic write to the queue, and answers the queue's ARN.
    async fn allow(&self, topic: &str) -> Result<String> {
        let asked = json!({"QueueUrl": self.url, "AttributeNames": ["QueueArn"]});
        let answer = self.ask("GetQueueAttributes", &asked).await?;
        let own = answer["Attributes"]["QueueArn"].as_str();
        let own = own.ok_or_else(|| strange(&self.api, "a queue without an ARN"))?;
        let policy = json!({
            "Version": "2012-10-17",
            "Statement": [{
                "Effect": "Allow",
                "Principal": {"Service": "sns.amazonaws.com"},
                "Action": "sqs:SendMessage",
                "Resource": own,
                "Condition": {"ArnEquals": {"aws:SourceArn": topic}},
            }],
        });
        let attributes = json!({"Policy": policy.to_string()});
        let change = json!({"QueueUrl": self.url, "Attributes": attributes});
        self.ask("SetQueueAttributes", &change).await?;
        Ok(own.to_owned())
    }

    /// At most ten messages, after waiting for one. What is no CloudEvent becomes a dead letter.
    ///
    /// `attempt` names the attempt: if an answer is lost, the next call of the same name has it again.
    pub(crate) async fn receive(self, attempt: Uuid, wait: Duration) -> Result<Vec<Received>> {
        let body = json!({
            "QueueUrl": self.url,
            "MaxNumberOfMessages": BATCH,
            "VisibilityTimeout": self.api.config.visibility.as_secs(),
            "WaitTimeSeconds": wait.as_secs(),
            "ReceiveRequestAttemptId": attempt.to_string(),
        });
        let answer = self.api.sqs("ReceiveMessage", &body, wait).await;
        let answer = answer.map_err(|failure| failure.of("receiving", &self.api.place()))?;
        let mut received = Vec::new();
        for message in answer["Messages"].as_array().into_iter().flatten() {
            let text = |name: &str| message[name].as_str().unwrap_or_default();
            let receipt = text("ReceiptHandle").to_owned();
            match from_structured(text("Body").as_bytes()) {
                Ok(message) => received.push(Received { message, receipt }),
                Err(error) => {
                    let id = text("MessageId");
                    self.set_aside(text("Body"), "strange", id, &error.to_string())
                        .await?;
                    self.delete(vec![receipt]).await?;
                }
            }
        }
        Ok(received)
    }

    /// Hides messages from others for the visibility's time from now; false if one is ours no longer.
    pub(crate) async fn renew(&self, receipts: Vec<String>) -> Result<bool> {
        let timeout = self.api.config.visibility.as_secs();
        let entry = |receipt| json!({"ReceiptHandle": receipt, "VisibilityTimeout": timeout});
        let entries = receipts.into_iter().map(entry).collect();
        let action = "ChangeMessageVisibilityBatch";
        self.api.sqs_batch(action, &self.url, entries).await
    }

    /// Deletes messages; false if one is ours no longer. One that was deleted is passed over.
    pub(crate) async fn delete(&self, receipts: Vec<String>) -> Result<bool> {
        let entry = |receipt| json!({"ReceiptHandle": receipt});
        let entries = receipts.into_iter().map(entry).collect();
        let action = "DeleteMessageBatch";
        self.api.sqs_batch(action, &self.url, entries).await
    }

    /// Keeps a message as a dead letter.
    pub(crate) async fn bury(&self, message: &Message, reason: &str) -> Result<()> {
        let body = serde_json::to_string(message);
        let body = body.map_err(|e| Error::new(ErrorKind::Internal, "JSON").caused_by(e))?;
        let id = message.event_id().simple().to_string();
        let key = places::message_group(message);
        self.set_aside(&body, &key, &id, reason).await
    }

    async fn set_aside(&self, body: &str, key: &str, id: &str, reason: &str) -> Result<()> {
        let attribute = json!({"DataType": "String", "StringValue": legal_reason(reason)});
        let letter = json!({
            "QueueUrl": self.dead,
            "MessageBody": body,
            "MessageGroupId": key,
            "MessageDeduplicationId": id,
            "MessageAttributes": {REASON: attribute},
        });
        self.ask("SendMessage", &letter).await.map(drop)
    }

    async fn ask(&self, action: &str, body: &Value) -> Result<Value> {
        let answer = self.api.sqs(action, body, Duration::ZERO).await;
        answer.map_err(|failure| failure.of(action, &self.api.place()))
    }
}

async fn make_queue(api: &Api, name: &str) -> Result<String> {
    let attributes = json!({
        "FifoQueue": "true",
        "MessageRetentionPeriod": LONGEST_KEPT.as_secs().to_string(),
    });
    let body = json!({"QueueName": name, "Attributes": attributes});
    let made = api.sqs("CreateQueue", &body, Duration::ZERO).await;
    let made = made.map_err(|failure| failure.of("making a queue", &api.place()))?;
    let url = made["QueueUrl"].as_str();
    url.map(str::to_owned)
        .ok_or_else(|| strange(api, "a queue without a URL"))
}

/// The first dead letters of a group, and why each was given up: what one look at the queue shows, at
/// most ten, in order per key. They stay where they are.
pub(crate) async fn dead_letters(
    api: &Api,
    topic: &str,
    group: &str,
) -> Result<Vec<(Message, String)>> {
    let (_, dead) = places::queues(topic, group)?;
    let found = json!({"QueueName": dead});
    let found = match api.sqs("GetQueueUrl", &found, Duration::ZERO).await {
        Ok(found) => found,
        Err(failure) if failure.is_absent() => return Ok(Vec::new()),
        Err(failure) => return Err(failure.of("finding a queue", &api.place())),
    };
    let look = json!({
        "QueueUrl": found["QueueUrl"],
        "MaxNumberOfMessages": BATCH,
        "VisibilityTimeout": 0,
        "MessageAttributeNames": [REASON],
    });
    let answer = api.sqs("ReceiveMessage", &look, Duration::ZERO).await;
    let answer = answer.map_err(|failure| failure.of("looking", &api.place()))?;
    let letters = answer["Messages"].as_array().into_iter().flatten();
    let letters = letters.filter_map(|letter| {
        let body = letter["Body"].as_str().unwrap_or_default();
        let reason = &letter["MessageAttributes"][REASON]["StringValue"];
        let message = from_structured(body.as_bytes()).ok()?;
        Some((message, reason.as_str().unwrap_or_default().to_owned()))
    });
    Ok(letters.collect())
}

fn strange(api: &Api, why: &str) -> Error {
    Failure::Strange(why.to_owned()).of("making a queue", &api.place())
}

/// An attribute is not empty, has only the characters of XML, and leaves room for the message.
fn legal_reason(reason: &str) -> String {
    let mut legal = String::new();
    for c in reason.chars() {
        if legal.len() + c.len_utf8() > LONGEST_REASON {
            break;
        }
        let is_legal = matches!(c, '\t' | '\n' | '\r' | ' '..='\u{FFFD}' | '\u{10000}'..);
        legal.push(if is_legal { c } else { ' ' });
    }
    if legal.is_empty() {
        legal.push_str("no reason was given");
    }
    legal
}

/// The attribute of a dead letter that says why.
const REASON: &str = "reason";

/// In bytes.
const LONGEST_REASON: usize = 2 << 10;

/// As long as SQS keeps a message at most.
const LONGEST_KEPT: Duration = Duration::from_secs(14 * 24 * 3_600);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reason_is_what_an_attribute_takes() {
        assert_eq!(legal_reason("이음\n2"), "이음\n2");
        assert_eq!(legal_reason("a\u{0}b\u{FFFF}"), "a b ");
        assert_eq!(legal_reason(""), "no reason was given");
        assert!(legal_reason(&"가".repeat(9_999)).len() <= LONGEST_REASON);
    }
}
