//! Wake-ups: the head moved.
//!
//! They are hints. Who waits has read the head after registering and reads again when woken; a hint
//! that is lost costs one poll (H10). Within the process the answer to an append wakes; other
//! processes hear `NOTIFY`, sent after the commit by a connection of its own, at most every few
//! milliseconds: in the commit itself it would serialise all databases of the server.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use futures_util::StreamExt;
use ieum_base::{Backoff, Rng, Stop};
use ieum_eventstore::{Head, Position};
use tokio::sync::{Notify, watch};
use tokio_postgres::types::ToSql;
use tokio_postgres::{AsyncMessage, Client};

use super::Config;
use super::read;
use crate::postgres::Pool;
use crate::postgres::pool::Dedicated;
use crate::{Error, ErrorKind, Result};

/// What this process knows of the head, and whom to tell.
#[derive(Clone, Debug)]
pub(super) struct Hints {
    seen: watch::Sender<Seen>,
    untold: Arc<Notify>,
}

/// A head as it was last heard of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Seen {
    head: Option<Head>,
    pub(super) position: Position,
    /// What all processes were told.
    told: Position,
}

/// Listens, tells and polls on a connection of its own, which it opens again for ever.
pub(super) struct Listener {
    pub(super) pool: Pool,
    pub(super) hints: Hints,
    pub(super) config: Config,
}

impl Hints {
    pub(super) fn new() -> Self {
        Self {
            seen: watch::Sender::new(Seen::default()),
            untold: Arc::default(),
        }
    }

    /// Woken whenever the head is heard to have moved.
    pub(super) fn watch(&self) -> watch::Receiver<Seen> {
        self.seen.subscribe()
    }

    /// What is believed of the head now, for [`is_at`](Self::is_at).
    pub(super) fn believed(&self) -> Position {
        self.seen.borrow().position
    }

    /// An append of this process was answered: the head is at least there. Other processes are to be
    /// told, soon, unless somebody has told them. (That a reader of this process has seen it before
    /// says nothing about them.)
    pub(super) fn appended(&self, to: Position) {
        self.moved(to);
        if self.seen.borrow().told < to {
            self.untold.notify_one();
        }
    }

    /// All processes were told that the head is at least there.
    fn heard(&self, to: Position) {
        self.seen.send_if_modified(|seen| {
            seen.told = seen.told.max(to);
            false
        });
        self.moved(to);
    }

    fn moved(&self, to: Position) {
        self.seen.send_if_modified(|seen| {
            let moves = seen.position < to;
            seen.position = seen.position.max(to);
            moves
        });
    }

    /// The head was read, and is there. It was `believed` to be elsewhere before it was read: if it
    /// is not that far, the belief was wrong, and who waits beyond it would be woken for ever.
    pub(super) fn is_at(&self, head: Head, believed: Position) {
        self.seen.send_if_modified(|seen| {
            let same = seen
                .head
                .is_none_or(|known| known.incarnation == head.incarnation);
            let wrong = head.position < believed && seen.position == believed;
            let position = if same && !wrong {
                head.position.max(seen.position)
            } else {
                head.position
            };
            let before = std::mem::replace(&mut seen.position, position);
            seen.told = seen.told.min(position);
            seen.head = Some(head);
            before != position
        });
    }

    fn is_awaited(&self) -> bool {
        self.seen.receiver_count() > 0
    }
}

impl Listener {
    /// Works until a stop is requested.
    pub(super) async fn run(self, stop: Stop) {
        let rng = Rng::system();
        let mut attempt = 0;
        loop {
            let failed = match stop.unless_requested(self.pool.dedicated()).await {
                None => return,
                Some(Ok(connection)) => {
                    attempt = 0;
                    let Some(error) = stop.unless_requested(self.serve(connection)).await else {
                        return;
                    };
                    error
                }
                Some(Err(error)) => error,
            };
            attempt += 1;
            tracing::debug!(error = %failed, "listening to the log was interrupted");
            let delay = BACKOFF.delay(attempt, &rng);
            if stop
                .unless_requested(self.pool.clock().sleep(delay))
                .await
                .is_none()
            {
                return;
            }
        }
    }

    /// Serves one connection until it breaks.
    async fn serve(&self, connection: Dedicated) -> Error {
        let Dedicated {
            client,
            mut messages,
        } = connection;
        let own: OnceLock<String> = OnceLock::new();
        let hear = async {
            while let Some(message) = messages.next().await {
                if let AsyncMessage::Notification(told) = message.map_err(Error::from)?
                    && let Some(position) = own.get().and_then(|own| told_of(own, told.payload()))
                {
                    self.hints.heard(position);
                }
            }
            Err(Error::new(ErrorKind::Io, "the connection was closed"))
        };
        let limit = self.pool.config().connect_timeout;
        let work = async {
            let begun = tokio::time::timeout(limit, listen(&client));
            // What was told before this is found by the look at the head.
            let oid = begun.await.map_err(|_elapsed| silent())??;
            own.get_or_init(|| oid);
            loop {
                let believed = self.hints.believed();
                let head = tokio::time::timeout(limit, read::head_of(&client));
                let head = head.await.map_err(|_elapsed| silent())??;
                self.hints.is_at(head, believed);
                self.until_poll(&client).await?;
            }
        };
        let ended: Result<()> = tokio::select! {
            ended = hear => ended,
            ended = work => ended,
        };
        ended
            .err()
            .unwrap_or_else(|| Error::new(ErrorKind::Io, "the connection was closed"))
    }

    /// Tells what is to be told, until it is time to look at the head because somebody waits.
    async fn until_poll(&self, client: &Client) -> Result<()> {
        loop {
            let polled = tokio::time::timeout(self.config.poll, self.hints.untold.notified());
            if polled.await.is_err() {
                if self.hints.is_awaited() {
                    return Ok(());
                }
                continue;
            }
            let position = self.hints.believed().to_string();
            let parameters: [&(dyn ToSql + Sync); 1] = [&position];
            let told = client.execute(TELL, &parameters);
            let limit = self.pool.config().connect_timeout;
            tokio::time::timeout(limit, told)
                .await
                .map_err(|_elapsed| silent())??;
            self.pool.clock().sleep(self.config.tell_every).await;
        }
    }
}

/// Begins to listen, and answers which table the log is, as notifications name it.
async fn listen(client: &Client) -> Result<String> {
    client.batch_execute(LISTEN).await?;
    Ok(client.query_one(OWN, &[]).await?.try_get(0)?)
}

/// The position that a notification tells of, if it is of the log `own`: all logs of a database, each
/// in a schema of its own, share the channel.
fn told_of(own: &str, payload: &str) -> Option<Position> {
    let position = payload.strip_prefix(own)?.strip_prefix(' ')?;
    position.parse().ok().map(Position)
}

fn silent() -> Error {
    Error::new(ErrorKind::Io, "the server does not answer")
}

/// This connection writes nothing that could be lost, so it waits for no disk.
const LISTEN: &str = "SET synchronous_commit = off; LISTEN ieum_log";

const OWN: &str = "SELECT 'ieum_log'::regclass::oid::text";

const TELL: &str = "SELECT pg_notify('ieum_log', 'ieum_log'::regclass::oid::text || ' ' || $1)";

const BACKOFF: Backoff = Backoff::new(Duration::from_millis(50), Duration::from_secs(1));

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;
    use ieum_base::Clock;

    use super::*;

    fn head(position: u64) -> Head {
        Head {
            incarnation: Clock::system().new_id(),
            position: Position(position),
        }
    }

    #[test]
    fn other_processes_are_told_of_what_only_a_reader_of_this_one_has_seen() {
        let hints = Hints::new();
        hints.is_at(head(1), Position::START);
        hints.appended(Position(1));
        assert!(hints.untold.notified().now_or_never().is_some());
        hints.heard(Position(1));
        hints.appended(Position(1));
        assert!(hints.untold.notified().now_or_never().is_none());
    }

    #[test]
    fn a_hint_beyond_the_head_is_forgotten_and_a_later_one_is_not() {
        let (hints, head) = (Hints::new(), head(5));
        hints.is_at(head, Position::START);
        hints.heard(Position(1_000));
        hints.is_at(head, hints.believed());
        assert_eq!(hints.believed(), Position(5));
        // Between the belief and the answer, an append was answered.
        let believed = hints.believed();
        hints.appended(Position(6));
        hints.is_at(head, believed);
        assert_eq!(hints.believed(), Position(6));
    }

    #[test]
    fn a_notification_of_another_log_in_the_database_says_nothing() {
        assert_eq!(told_of("16386", "16386 7"), Some(Position(7)));
        for other in ["163865 7", "1638 67", "7", "16386 ", ""] {
            assert_eq!(told_of("16386", other), None, "{other}");
        }
    }
}
