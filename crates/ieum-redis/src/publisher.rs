//! Publishing: one script for a batch, all or none.

use std::fmt;

use async_trait::async_trait;
use ieum_messaging::{Error, ErrorKind, Limits, Message, Result, names};
use redis::{Script, Value};

use crate::connection::{Connection, Patience};
use crate::keys::Keys;
use crate::reply;

/// Publishes to streams.
///
/// A batch is one script: the server runs it alone, and writes it to its log of commands as a whole.
/// What was published within the `window` is known by source and id and not added again; the same id
/// for another type or topic is refused. How durable an answer is depends on the server's
/// `appendfsync`.
pub struct Publisher {
    connection: Connection,
    keys: Keys,
    script: Script,
    limits: Limits,
}

impl Publisher {
    /// A publisher over `connection`.
    pub fn new(connection: Connection) -> Self {
        Self {
            keys: Keys::new(&connection.config().prefix),
            script: Script::new(include_str!("scripts/publish.lua")),
            limits: Limits::default(),
            connection,
        }
    }

    async fn publish_batch(&self, topic: &str, messages: &[Message]) -> Result<()> {
        let config = self.connection.config();
        let mut call = self.script.prepare_invoke();
        call.key(self.keys.topic(topic))
            .key(self.keys.groups(topic));
        call.arg(topic).arg(millis(config.window)).arg(config.most);
        call.arg(config.retain).arg(self.connection.channel());
        for message in messages {
            let event = serde_json::to_vec(message).map_err(|error| {
                let doing = format!(
                    "writing the message `{}` of `{}`",
                    message.id, message.source
                );
                Error::new(ErrorKind::Invalid, doing).caused_by(error)
            })?;
            call.key(self.keys.id(message.event_id()));
            call.arg(&*message.kind)
                .arg(message.ordering_key())
                .arg(event);
        }
        let asked = self
            .connection
            .ask(config.patience, Patience::Wait, async |mut c| {
                call.invoke_async::<Value>(&mut c).await
            });
        let answer = asked.await?;
        let doing = || format!("publishing to `{topic}`");
        match reply::parts(&answer) {
            [Value::BulkString(conflict), Value::Int(index)] if conflict == b"conflict" => {
                let message = usize::try_from(*index).ok().and_then(|at| messages.get(at));
                let named = message.map(|m| format!("the id `{}` of `{}`", m.id, m.source));
                let why = format!("{} was used for another message", named.unwrap_or_default());
                Err(Error::new(ErrorKind::Invalid, why))
            }
            _ => reply::of_worker(&answer, &doing()).map(drop),
        }
    }
}

#[async_trait]
impl ieum_messaging::Publisher for Publisher {
    async fn publish(&self, topic: &str, messages: &[Message]) -> Result<()> {
        names::check_topic(topic)?;
        for message in messages {
            message.validate(&self.limits)?;
        }
        if messages.len() > self.limits.batch {
            let why = format!("a batch of more than {} messages", self.limits.batch);
            return Err(Error::new(ErrorKind::Invalid, why));
        }
        if messages.is_empty() {
            return Ok(());
        }
        self.publish_batch(topic, messages).await
    }
}

impl fmt::Debug for Publisher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Publisher")
            .field("connection", &self.connection)
            .finish_non_exhaustive()
    }
}

/// Whole milliseconds, at least one.
pub(crate) fn millis(duration: std::time::Duration) -> u64 {
    u64::try_from(duration.as_millis())
        .unwrap_or(u64::MAX)
        .max(1)
}
