//! Publishing: one message of the stream per envelope, each answered by the server.
//!
//! JetStream 2.9 has no batches. All messages are checked before the first is sent, so that none is
//! refused for what it is while others went through. They are sent in their order, many at once, but
//! never two of one key: should one be lost on the way, none of its key has overtaken it. A batch of
//! which a part was stored ends as an error; publishing it again adds the rest, because the stream
//! knows the ids of the part.

use std::collections::HashSet;
use std::sync::Arc;

use async_nats::HeaderMap;
use async_trait::async_trait;
use bytes::Bytes;
use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use ieum_messaging::{Error, ErrorKind, Message, Result, names};

use crate::binding;
use crate::connection::{Connection, NotStored, Stored, Which};
use crate::streams::Streams;

/// Publishes to streams.
#[derive(Clone, Debug)]
pub struct Publisher {
    connection: Arc<Connection>,
    streams: Arc<Streams>,
}

/// A message that was checked, as it is sent.
struct Ready<'m> {
    message: &'m Message,
    headers: HeaderMap,
    payload: Bytes,
}

impl Publisher {
    pub(crate) const fn new(connection: Arc<Connection>, streams: Arc<Streams>) -> Self {
        Self {
            connection,
            streams,
        }
    }

    /// Checks one message against what we and the server take.
    fn prepare<'m>(&self, message: &'m Message) -> Result<Ready<'m>> {
        message.validate(&self.connection.config.limits)?;
        let (mut headers, payload) = binding::write(message)?;
        headers.insert(MESSAGE_ID, message.event_id().to_string());
        let (actual, limit) = (
            binding::size(&headers, &payload),
            self.connection.client.max_payload(),
        );
        if actual > limit {
            let why = format!(
                "the message has {actual} bytes with its headers, and the server's `max_payload` is \
                 {limit}"
            );
            return Err(Error::new(ErrorKind::Invalid, why));
        }
        Ok(Ready {
            message,
            headers,
            payload,
        })
    }

    async fn send(&self, topic: &str, subject: &str, ready: Ready<'_>) -> Result<()> {
        let doing = format!("publishing to `{topic}`");
        let stored = self
            .connection
            .store(&doing, subject.to_owned(), ready.headers, ready.payload)
            .await;
        match stored {
            Ok(stored) if stored.duplicate => self.compare(topic, ready.message, stored).await,
            Ok(_) => Ok(()),
            Err(NotStored::Failed(error)) => Err(error),
            Err(NotStored::Outrun) => Err(Error::new(ErrorKind::Internal, doing)),
            Err(NotStored::NoStream) => {
                let stream = self.connection.config.namespace.topic_stream(topic);
                self.streams.forget(&stream);
                let why = format!("{doing} (no stream takes it at present)");
                Err(Error::new(ErrorKind::Unavailable, why))
            }
        }
    }

    /// The stream knows the id: is it the same message? An id means one message for ever.
    async fn compare(&self, topic: &str, message: &Message, first: Stored) -> Result<()> {
        let stream = self.connection.config.namespace.topic_stream(topic);
        let doing = format!("comparing a message of `{topic}`");
        let kept = self.connection.get(&doing, &stream, Which::At(first.seq));
        let Some(kept) = kept.await? else {
            return Ok(());
        };
        let limits = &self.connection.config.limits;
        let first = binding::read(Some(&kept.headers), &kept.payload, limits);
        if first.is_ok_and(|first| first.kind != message.kind) {
            return Err(used_twice(message));
        }
        Ok(())
    }
}

#[async_trait]
impl ieum_messaging::Publisher for Publisher {
    async fn publish(&self, topic: &str, messages: &[Message]) -> Result<()> {
        names::check_topic(topic)?;
        let ready = messages.iter().map(|message| self.prepare(message));
        let ready = ready.collect::<Result<Vec<_>>>()?;
        check_ids(messages)?;
        self.streams.topic(&self.connection, topic).await?;
        let subject = self.connection.config.namespace.topic_subject(topic);
        let mut at_work = FuturesUnordered::new();
        let mut keys: HashSet<&str> = HashSet::new();
        for ready in ready {
            let key = ready.message.ordering_key();
            while keys.contains(key) || keys.len() >= self.connection.config.in_flight {
                let Some((done, answer)) = at_work.next().await else {
                    break;
                };
                answer?;
                keys.remove(done);
            }
            keys.insert(key);
            let sent = self.send(topic, &subject, ready);
            at_work.push(async move { (key, sent.await) });
            // Sent before the next one is looked at: what is pushed runs only when it is asked for.
            if let Some(Some((done, answer))) =
                futures_util::FutureExt::now_or_never(at_work.next())
            {
                answer?;
                keys.remove(done);
            }
        }
        while let Some((_, answer)) = at_work.next().await {
            answer?;
        }
        Ok(())
    }
}

/// Two messages of a batch with one id are the same message.
fn check_ids(messages: &[Message]) -> Result<()> {
    let mut kinds = std::collections::HashMap::with_capacity(messages.len());
    for message in messages {
        let first = kinds.entry(message.event_id()).or_insert(&message.kind);
        if **first != message.kind {
            return Err(used_twice(message));
        }
    }
    Ok(())
}

fn used_twice(message: &Message) -> Error {
    let why = format!(
        "the id `{}` of `{}` was used for another message",
        message.id, message.source
    );
    Error::new(ErrorKind::Invalid, why)
}

/// The header by which a stream knows a message again.
const MESSAGE_ID: &str = "Nats-Msg-Id";
