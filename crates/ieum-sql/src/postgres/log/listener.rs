//! Wake-ups: the head moved.
//!
//! They are hints. Who waits has read the head after registering and reads again when woken; a hint
//! that is lost costs one poll (H10). Within the process the answer to an append wakes; other
//! processes hear `NOTIFY`, sent after the commit by a connection of its own, at most every few
//! milliseconds: in the commit itself it would serialise all databases of the server.

use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use ieum_base::{Backoff, Rng, Stop};
use ieum_eventstore::{Head, Position};
use tokio::sync::{Notify, watch};
use tokio_postgres::AsyncMessage;

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

    /// The head is at least there. True if that is news.
    pub(super) fn moved(&self, to: Position) -> bool {
        self.seen.send_if_modified(|seen| {
            let moves = seen.position < to;
            seen.position = seen.position.max(to);
            moves
        })
    }

    /// The head is there. In another incarnation it may have gone back.
    pub(super) fn is_at(&self, head: Head) {
        self.seen.send_if_modified(|seen| {
            let same = seen
                .head
                .is_none_or(|known| known.incarnation == head.incarnation);
            let position = if same {
                head.position.max(seen.position)
            } else {
                head.position
            };
            let before = std::mem::replace(&mut seen.position, position);
            seen.head = Some(head);
            before != position
        });
    }

    /// Other processes are to be told, soon.
    pub(super) fn tell(&self) {
        self.untold.notify_one();
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
        let hear = async {
            while let Some(message) = messages.next().await {
                if let AsyncMessage::Notification(told) = message.map_err(Error::from)? {
                    let position = told.payload().parse().unwrap_or(0);
                    self.hints.moved(Position(position));
                }
            }
            Err(Error::new(ErrorKind::Io, "the connection was closed"))
        };
        let limit = self.pool.config().connect_timeout;
        let work = async {
            client.batch_execute(LISTEN).await?;
            loop {
                let head = tokio::time::timeout(limit, read::head_of(&client));
                self.hints.is_at(head.await.map_err(|_elapsed| silent())??);
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
    async fn until_poll(&self, client: &tokio_postgres::Client) -> Result<()> {
        loop {
            let polled = tokio::time::timeout(self.config.poll, self.hints.untold.notified());
            if polled.await.is_err() {
                if self.hints.is_awaited() {
                    return Ok(());
                }
                continue;
            }
            let position = self.hints.seen.borrow().position;
            client
                .execute("SELECT pg_notify('ieum_log', $1)", &[&position.to_string()])
                .await?;
            self.pool.clock().sleep(self.config.tell_every).await;
        }
    }
}

fn silent() -> Error {
    Error::new(ErrorKind::Io, "the server does not answer")
}

/// This connection writes nothing that could be lost, so it waits for no disk.
const LISTEN: &str = "SET synchronous_commit = off; LISTEN ieum_log";

const BACKOFF: Backoff = Backoff::new(Duration::from_millis(50), Duration::from_secs(1));
