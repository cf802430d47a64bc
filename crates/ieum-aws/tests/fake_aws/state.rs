//! What the fake keeps: topics, subscriptions, FIFO queues with their locks.
//!
//! As the services' documentation has it: no message of a group is delivered while one of that group
//! is hidden; a receipt is good until its visibility ends; an id is known for five minutes; the same
//! attempt to receive has the same answer.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::{Condvar, Mutex, MutexGuard};
use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::Instant;

use super::server::Refusal;

#[derive(Default)]
pub(super) struct State {
    inner: Mutex<Inner>,
    arrived: Condvar,
}

#[derive(Default)]
struct Inner {
    topics: BTreeMap<String, Topic>,
    queues: BTreeMap<String, Queue>,
    calls: HashMap<String, usize>,
    /// How many calls of an action are still refused.
    throttled: HashMap<String, usize>,
    /// How many entries of batches still fail, without being at fault.
    failing: usize,
    is_down: bool,
    last: u64,
}

#[derive(Default)]
struct Topic {
    subscribed: Vec<String>,
    known: HashMap<String, Instant>,
}

#[derive(Default)]
struct Queue {
    attributes: BTreeMap<String, String>,
    messages: Vec<Stored>,
    known: HashMap<String, Instant>,
    attempts: HashMap<String, Vec<String>>,
    deleted: HashSet<String>,
}

struct Stored {
    id: u64,
    group: String,
    body: String,
    attributes: Value,
    hidden_until: Instant,
    receipt: String,
}

impl State {
    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().expect("a lock")
    }

    /// Refuses the next `count` calls of `action` as too many.
    pub(super) fn throttle(&self, action: &str, count: usize) {
        self.lock().throttled.insert(action.to_owned(), count);
    }

    /// Fails the next `count` entries of batches.
    pub(super) fn fail_entries(&self, count: usize) {
        self.lock().failing = count;
    }

    /// Breaks all connections, or takes new ones again.
    pub(super) fn set_down(&self, is_down: bool) {
        self.lock().is_down = is_down;
        self.arrived.notify_all();
    }

    pub(super) fn is_down(&self) -> bool {
        self.lock().is_down
    }

    /// How often `action` was called.
    pub(super) fn calls(&self, action: &str) -> usize {
        self.lock().calls.get(action).copied().unwrap_or(0)
    }

    /// Writes to every queue whose name begins with `start`, as somebody else.
    pub(super) fn write(&self, start: &str, body: &str) {
        let mut inner = self.lock();
        let names = inner.queues.keys().filter(|name| name.starts_with(start));
        for name in names.cloned().collect::<Vec<_>>() {
            if !name.contains("-dead") {
                inner.put(&name, "other", body, &Value::Null, "other");
            }
        }
    }

    /// Counts a call; refuses it if it is to be throttled.
    pub(super) fn called(&self, action: &str) -> Result<(), Refusal> {
        let mut inner = self.lock();
        *inner.calls.entry(action.to_owned()).or_default() += 1;
        match inner.throttled.get_mut(action) {
            Some(left) if *left > 0 => {
                *left -= 1;
                Err(("ThrottlingException", "Rate exceeded".to_owned()))
            }
            _ => Ok(()),
        }
    }

    pub(super) fn sns(
        &self,
        action: &str,
        form: &BTreeMap<String, String>,
    ) -> Result<String, Refusal> {
        let mut inner = self.lock();
        match action {
            "ListTopics" => Ok("<Topics/>".to_owned()),
            "CreateTopic" => {
                let name = &form["Name"];
                assert!(name.len() <= 256 && is_legal(name), "{name}");
                assert_eq!(form["Attributes.entry.1.key"], "FifoTopic");
                let arn = format!("arn:aws:sns:eu-west-1:1:{name}");
                inner.topics.entry(arn.clone()).or_default();
                Ok(format!("<TopicArn>{arn}</TopicArn>"))
            }
            "Subscribe" => {
                assert_eq!(form["Attributes.entry.1.key"], "RawMessageDelivery");
                let queue = queue_of(&form["Endpoint"]);
                let policy = inner.queue(&queue)?.attributes.get("Policy").cloned();
                let topic = inner.topic(&form["TopicArn"])?;
                let is_allowed = policy.is_some_and(|policy| policy.contains(&form["TopicArn"]));
                assert!(is_allowed, "the topic may not write to the queue");
                if !topic.subscribed.contains(&queue) {
                    topic.subscribed.push(queue);
                }
                Ok("<SubscriptionArn>arn:x</SubscriptionArn>".to_owned())
            }
            "PublishBatch" => {
                let answer = inner.publish(form);
                self.arrived.notify_all();
                answer
            }
            _ => Err(("InvalidAction", action.to_owned())),
        }
    }

    pub(super) fn sqs(&self, action: &str, body: &Value) -> Result<Option<Value>, Refusal> {
        let mut inner = self.lock();
        let name = queue_of(text(body, "QueueUrl"));
        match action {
            "ListQueues" => Ok(Some(json!({}))),
            "CreateQueue" => {
                let name = text(body, "QueueName");
                assert!(name.len() <= 80 && is_legal(name), "{name}");
                assert_eq!(body["Attributes"]["FifoQueue"], "true");
                inner.queues.entry(name.to_owned()).or_default();
                Ok(Some(json!({"QueueUrl": format!("http://sqs/1/{name}")})))
            }
            "GetQueueUrl" => {
                let name = text(body, "QueueName");
                inner.queue(name)?;
                Ok(Some(json!({"QueueUrl": format!("http://sqs/1/{name}")})))
            }
            "GetQueueAttributes" => {
                let arn = format!("arn:aws:sqs:eu-west-1:1:{name}");
                Ok(Some(json!({"Attributes": {"QueueArn": arn}})))
            }
            "SetQueueAttributes" => {
                let attributes = serde_json::from_value(body["Attributes"].clone());
                inner.queue(&name)?.attributes = attributes.expect("texts");
                Ok(None)
            }
            "SendMessage" => {
                let (group, id) = (
                    text(body, "MessageGroupId"),
                    text(body, "MessageDeduplicationId"),
                );
                inner.queue(&name)?;
                inner.put(
                    &name,
                    group,
                    text(body, "MessageBody"),
                    &body["MessageAttributes"],
                    id,
                );
                self.arrived.notify_all();
                Ok(Some(json!({"MessageId": "1"})))
            }
            "ReceiveMessage" => self.receive(inner, &name, body).map(Some),
            "DeleteMessageBatch" | "ChangeMessageVisibilityBatch" => {
                let answer = inner.each(action, &name, body);
                self.arrived.notify_all();
                answer.map(Some)
            }
            _ => Err(("InvalidAction", action.to_owned())),
        }
    }

    /// Waits on behalf of a long call.
    fn receive(
        &self,
        mut inner: MutexGuard<'_, Inner>,
        name: &str,
        body: &Value,
    ) -> Result<Value, Refusal> {
        let wait = Duration::from_secs(body["WaitTimeSeconds"].as_u64().unwrap_or(0));
        let deadline = Instant::now() + wait;
        loop {
            let found = inner.queue(name)?.take(body);
            let now = Instant::now();
            if !found.is_empty() || now >= deadline || inner.is_down {
                return Ok(json!({"Messages": found}));
            }
            // What is hidden comes back without anybody's word.
            let pause = (deadline - now).min(Duration::from_millis(50));
            let waited = self.arrived.wait_timeout(inner, pause);
            inner = waited.expect("a lock").0;
        }
    }
}

impl Inner {
    fn queue(&mut self, name: &str) -> Result<&mut Queue, Refusal> {
        let absent = || ("QueueDoesNotExist", format!("no queue {name}"));
        self.queues.get_mut(name).ok_or_else(absent)
    }

    fn topic(&mut self, arn: &str) -> Result<&mut Topic, Refusal> {
        let absent = || ("NotFound", format!("no topic <{arn}>"));
        self.topics.get_mut(arn).ok_or_else(absent)
    }

    fn publish(&mut self, form: &BTreeMap<String, String>) -> Result<String, Refusal> {
        let (mut taken, mut failed) = (String::new(), String::new());
        let arn = &form["TopicArn"];
        let mut bytes = 0;
        for n in 1..=11 {
            let field =
                |name: &str| form.get(&format!("PublishBatchRequestEntries.member.{n}.{name}"));
            let Some(id) = field("Id") else { break };
            assert!(n <= 10, "more than ten entries");
            let (body, group) = (field("Message"), field("MessageGroupId"));
            let (body, group) = (body.expect("a message"), group.expect("a group"));
            bytes += body.len();
            assert!(bytes <= 256 << 10, "more than 256 KiB in a call");
            let is_legal = group.len() <= 128 && group.bytes().all(|b| b.is_ascii_graphic());
            assert!(is_legal && !group.is_empty(), "{group}");
            if self.failing > 0 {
                self.failing -= 1;
                failed.push_str(&format!(
                    "<member><Id>{id}</Id><Code>InternalError</Code><Message>a &amp; b</Message>\
                     <SenderFault>false</SenderFault></member>"
                ));
                continue;
            }
            let known = field("MessageDeduplicationId").expect("an id");
            let topic = self.topic(arn)?;
            let is_new = is_new(&mut topic.known, known);
            for queue in topic.subscribed.clone().into_iter().filter(|_| is_new) {
                self.put(&queue, group, body, &Value::Null, known);
            }
            taken.push_str(&format!(
                "<member><Id>{id}</Id><MessageId>1</MessageId></member>"
            ));
        }
        let list = |name: &str, members: &str| match members {
            "" => format!("<{name}/>"),
            _ => format!("<{name}>{members}</{name}>"),
        };
        Ok(list("Failed", &failed) + &list("Successful", &taken))
    }

    fn put(&mut self, name: &str, group: &str, body: &str, attributes: &Value, known: &str) {
        self.last += 1;
        let id = self.last;
        let queue = self.queues.get_mut(name).expect("a queue");
        if is_new(&mut queue.known, known) {
            queue.messages.push(Stored {
                id,
                group: group.to_owned(),
                body: body.to_owned(),
                attributes: attributes.clone(),
                hidden_until: Instant::now(),
                receipt: String::new(),
            });
        }
    }

    /// Deletes or hides each entry by its receipt, if that is good.
    fn each(&mut self, action: &str, name: &str, body: &Value) -> Result<Value, Refusal> {
        let entries = body["Entries"].as_array().expect("entries");
        assert!(
            (1..=10).contains(&entries.len()),
            "{} entries",
            entries.len()
        );
        let (mut taken, mut failed) = (Vec::new(), Vec::new());
        for entry in entries {
            let id = &entry["Id"];
            if self.failing > 0 {
                self.failing -= 1;
                let why = json!({"Id": id, "Code": "InternalError", "SenderFault": false});
                failed.push(why);
                continue;
            }
            let queue = self.queue(name)?;
            let receipt = text(entry, "ReceiptHandle");
            let seconds = entry["VisibilityTimeout"].as_u64();
            if queue.change(action, receipt, seconds) {
                taken.push(json!({"Id": id}));
            } else {
                let code = "ReceiptHandleIsInvalid";
                failed.push(json!({"Id": id, "Code": code, "SenderFault": true}));
            }
        }
        Ok(json!({"Successful": taken, "Failed": failed}))
    }
}

impl Queue {
    /// The first messages that may be delivered, which are hidden from now on.
    fn take(&mut self, body: &Value) -> Vec<Value> {
        let now = Instant::now();
        let hidden = Duration::from_secs(body["VisibilityTimeout"].as_u64().expect("a time"));
        let most = body["MaxNumberOfMessages"].as_u64().expect("a number") as usize;
        assert!((1..=10).contains(&most), "{most}");
        let attempt = text(body, "ReceiveRequestAttemptId").to_owned();
        let again = self.attempts.get(&attempt).cloned().unwrap_or_default();
        let held = |m: &&Stored| again.contains(&m.receipt) && m.hidden_until > now;
        let found: Vec<Value> = self
            .messages
            .iter()
            .filter(held)
            .map(Stored::json)
            .collect();
        if !found.is_empty() {
            return found;
        }
        let locked = self.messages.iter().filter(|m| m.hidden_until > now);
        let locked: HashSet<String> = locked.map(|m| m.group.clone()).collect();
        let free = self
            .messages
            .iter_mut()
            .filter(|m| !locked.contains(&m.group));
        let mut found = Vec::new();
        for message in free.take(most) {
            message.hidden_until = now + hidden;
            message.receipt = format!("r{}-{}", message.id, uuid());
            found.push(message.json());
        }
        if !attempt.is_empty() {
            let receipts = found.iter().map(|m| text(m, "ReceiptHandle").to_owned());
            self.attempts.insert(attempt, receipts.collect());
        }
        found
    }

    fn change(&mut self, action: &str, receipt: &str, seconds: Option<u64>) -> bool {
        let now = Instant::now();
        let good = |m: &Stored| m.receipt == receipt && m.hidden_until > now;
        let Some(at) = self.messages.iter().position(good) else {
            return action == "DeleteMessageBatch" && self.deleted.contains(receipt);
        };
        match seconds {
            Some(seconds) => self.messages[at].hidden_until = now + Duration::from_secs(seconds),
            None => {
                self.deleted.insert(receipt.to_owned());
                self.messages.remove(at);
            }
        }
        true
    }
}

impl Stored {
    fn json(&self) -> Value {
        json!({
            "MessageId": self.id.to_string(),
            "ReceiptHandle": self.receipt,
            "Body": self.body,
            "MessageAttributes": self.attributes,
        })
    }
}

/// Whether an id was not seen within five minutes, and remembers it.
fn is_new(known: &mut HashMap<String, Instant>, id: &str) -> bool {
    let now = Instant::now();
    known.retain(|_, seen| now - *seen < Duration::from_secs(300));
    if known.contains_key(id) {
        return false;
    }
    known.insert(id.to_owned(), now);
    true
}

fn text<'a>(value: &'a Value, name: &str) -> &'a str {
    value[name].as_str().unwrap_or_default()
}

fn uuid() -> String {
    ieum_base::Clock::system().new_id().simple().to_string()
}

/// The name of a queue, from its URL or ARN.
fn queue_of(place: &str) -> String {
    place
        .rsplit(['/', ':'])
        .next()
        .unwrap_or_default()
        .to_owned()
}

fn is_legal(name: &str) -> bool {
    let stem = name.strip_suffix(".fifo");
    stem.is_some_and(|stem| {
        stem.bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"-_".contains(&b))
    })
}
