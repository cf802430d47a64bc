//! Reading a stream in its order from any place: a consumer that the server forgets, without
//! acknowledgements.
//!
//! Where a group stands is in its [`Record`](super::record::Record); the server's consumer is only a
//! cursor. So nothing is redelivered behind our back, out of order or too often, and losing the
//! cursor (the server was restarted, a message was dropped on the way) costs a new one that begins
//! after the last message that was read.

use std::time::Duration;

use async_nats::{Message, StatusCode, Subscriber};
use futures_util::StreamExt;
use ieum_base::Rng;
use ieum_messaging::{Error, ErrorKind, Result};
use serde::Deserialize;
use serde_json::json;

use crate::connection::Connection;
use crate::error::refused;

/// A cursor.
pub(super) struct Reader {
    stream: String,
    consumer: String,
    inbox: String,
    arriving: Subscriber,
    /// The place of the last message that was read.
    cursor: u64,
    /// The last message's number among those of this consumer.
    number: u64,
    /// How often the connection had been lost when the cursor was made.
    losses: u64,
    requests: u64,
}

/// A message as it comes from the stream.
#[derive(Debug)]
pub(super) struct Raw {
    pub(super) position: u64,
    /// When the stream took it, in nanoseconds since 1970.
    pub(super) stamp: i64,
    /// How many more there were behind it.
    pub(super) pending: u64,
    pub(super) message: Message,
}

/// Why nothing can be read.
pub(super) enum Broken {
    /// The cursor is gone: a new one helps.
    Gone,
    /// The server does not answer, or refuses.
    Failed(Error),
}

/// What the subject for answers tells of a message.
struct Place {
    position: u64,
    number: u64,
    stamp: i64,
    pending: u64,
}

/// What came.
enum Arrival {
    Message(Box<Raw>),
    /// The request has no more.
    End,
    Other,
}

#[derive(Deserialize)]
struct Made {
    name: String,
}

impl Reader {
    /// A cursor behind `after`.
    pub(super) async fn open(connection: &Connection, stream: String, after: u64) -> Result<Self> {
        let losses = connection.losses();
        let doing = format!("reading the stream `{stream}`");
        let request = json!({ "stream_name": stream, "config": {
            "deliver_policy": "by_start_sequence",
            "opt_start_seq": after + 1,
            "ack_policy": "none",
            "replay_policy": "instant",
            "inactive_threshold": nanos(FORGOTTEN),
            "mem_storage": true,
            "num_replicas": 1,
        }});
        let subject = format!("CONSUMER.CREATE.{stream}");
        let made = connection.api::<Made>(&doing, &subject, &request);
        let consumer = match made.await? {
            Ok(made) => made.name,
            Err(error) => return Err(refused(&doing, error)),
        };
        let inbox = format!("_INBOX.{:016x}", Rng::system().bits());
        let subscribed = connection.client.subscribe(format!("{inbox}.*"));
        let subscribed = connection.guarded(&doing, subscribed).await?;
        let arriving = subscribed.map_err(|error| unavailable(&doing, error))?;
        Ok(Self {
            stream,
            consumer,
            inbox,
            arriving,
            cursor: after,
            number: 0,
            losses,
            requests: 0,
        })
    }

    /// The place of the last message that was read.
    pub(super) const fn cursor(&self) -> u64 {
        self.cursor
    }

    /// Whether messages may have been lost on the way since it was made.
    pub(super) fn is_stale(&self, connection: &Connection) -> bool {
        connection.losses() != self.losses
    }

    /// The next messages, at most `max`: those that are there, or, with a `wait`, the first that
    /// comes. A dropped future may have read some: the cursor is of no use then.
    pub(super) async fn read(
        &mut self,
        connection: &Connection,
        max: usize,
        wait: Option<Duration>,
    ) -> Result<Vec<Raw>, Broken> {
        self.request(connection, max, wait).await?;
        let mut read = Vec::new();
        loop {
            let patience = if read.is_empty() {
                wait.unwrap_or_default() + connection.config.answer
            } else {
                STRAGGLER
            };
            let arrived = tokio::select! {
                arrived = tokio::time::timeout(patience, self.arriving.next()) => arrived,
                () = connection.lost_since(self.losses) => return Err(Broken::Gone),
            };
            match arrived {
                // The request was for fewer than asked: those that were there when it came.
                Err(_) if !read.is_empty() => return Ok(read),
                Err(_) => return Err(Broken::Failed(self.silent())),
                Ok(None) => return Err(Broken::Gone),
                Ok(Some(message)) => match self.arrived(message)? {
                    Arrival::End => return Ok(read),
                    Arrival::Other => {}
                    Arrival::Message(raw) => {
                        let pending = raw.pending;
                        read.push(*raw);
                        if read.len() >= max || pending == 0 {
                            return Ok(read);
                        }
                    }
                },
            }
        }
    }

    async fn request(
        &mut self,
        connection: &Connection,
        max: usize,
        wait: Option<Duration>,
    ) -> Result<(), Broken> {
        self.requests += 1;
        let most = PAGE_BYTES.max(2 * connection.client.max_payload());
        let request = match wait {
            Some(wait) => json!({ "batch": 1, "expires": nanos(wait) }),
            None => json!({ "batch": max, "no_wait": true, "max_bytes": most }),
        };
        let subject = format!(
            "$JS.API.CONSUMER.MSG.NEXT.{}.{}",
            self.stream, self.consumer
        );
        let reply = format!("{}.{}", self.inbox, self.requests);
        let body = request.to_string().into();
        let sent = connection.client.publish_with_reply(subject, reply, body);
        let doing = format!("reading the stream `{}`", self.stream);
        let sent = connection.guarded(&doing, sent).await;
        let sent = sent.map_err(Broken::Failed)?;
        sent.map_err(|error| Broken::Failed(unavailable(&doing, error)))
    }

    fn arrived(&mut self, message: Message) -> Result<Arrival, Broken> {
        if let Some(status) = message.status.filter(|status| *status != StatusCode::OK) {
            let of_this = message.subject.strip_prefix(self.inbox.as_str());
            let of_this = of_this.and_then(|rest| rest.strip_prefix('.'));
            if of_this != Some(&*self.requests.to_string()) {
                return Ok(Arrival::Other);
            }
            let text = message.description.as_deref().unwrap_or_default();
            return match status {
                StatusCode::NOT_FOUND | StatusCode::TIMEOUT => Ok(Arrival::End),
                StatusCode::REQUEST_TERMINATED if text.contains("MaxBytes") => Ok(Arrival::End),
                StatusCode::IDLE_HEARTBEAT => Ok(Arrival::Other),
                _ => Err(Broken::Gone),
            };
        }
        let place = message.reply.as_deref().and_then(place);
        let Some(place) = place.filter(|place| place.number == self.number + 1) else {
            return Err(Broken::Gone);
        };
        self.note_gap(place.position);
        (self.number, self.cursor) = (place.number, place.position);
        let raw = Raw {
            position: place.position,
            stamp: place.stamp,
            pending: place.pending,
            message,
        };
        Ok(Arrival::Message(Box::new(raw)))
    }

    /// Places are left out only where a message was removed. A group that begins misses nothing.
    fn note_gap(&self, position: u64) {
        if self.cursor > 0 && position > self.cursor + 1 {
            tracing::error!(
                stream = self.stream,
                after = self.cursor,
                before = position,
                "messages are gone that the group had not read: they were too old, or deleted"
            );
        }
    }

    fn silent(&self) -> Error {
        let doing = format!(
            "reading the stream `{}` (no answer came in time)",
            self.stream
        );
        Error::new(ErrorKind::Unavailable, doing)
    }
}

/// Reads `$JS.ACK.[DOMAIN.ACCOUNT.]STREAM.CONSUMER.DELIVERED.POSITION.NUMBER.STAMP.PENDING[.…]`.
fn place(reply: &str) -> Option<Place> {
    let tokens: Vec<&str> = reply.strip_prefix("$JS.ACK.")?.split('.').collect();
    let at = match tokens.len() {
        7 => 3,
        9.. => 5,
        _ => return None,
    };
    Some(Place {
        position: tokens.get(at)?.parse().ok()?,
        number: tokens.get(at + 1)?.parse().ok()?,
        stamp: tokens.get(at + 2)?.parse().ok()?,
        pending: tokens.get(at + 3)?.parse().ok()?,
    })
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

fn unavailable(doing: &str, error: impl std::error::Error + Send + Sync + 'static) -> Error {
    Error::new(ErrorKind::Unavailable, format!("{doing} ({error})")).caused_by(error)
}

/// When the server forgets a cursor that nobody asks.
const FORGOTTEN: Duration = Duration::from_secs(30);
/// How long a message that was announced is waited for when others are there already. They may have
/// been published while the request was served, and then it does not bring them.
const STRAGGLER: Duration = Duration::from_millis(5);
/// The most bytes of one page.
const PAGE_BYTES: usize = 16 << 20;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_where_a_message_lies_with_and_without_a_domain() {
        for reply in [
            "$JS.ACK.ieum-orders.abc.1.41.7.1700000000000000000.3",
            "$JS.ACK.hub.ACC.ieum-orders.abc.1.41.7.1700000000000000000.3",
            "$JS.ACK.hub.ACC.ieum-orders.abc.1.41.7.1700000000000000000.3.token",
        ] {
            let place = place(reply).expect(reply);
            assert_eq!((place.position, place.number, place.pending), (41, 7, 3));
            assert_eq!(place.stamp, 1_700_000_000_000_000_000);
        }
        for wrong in [
            "",
            "$JS.ACK.a.b.1.2.3.4",
            "$JS.ACK.a.b.1.x.3.4.5",
            "_INBOX.1",
        ] {
            assert!(place(wrong).is_none(), "{wrong}");
        }
    }
}
