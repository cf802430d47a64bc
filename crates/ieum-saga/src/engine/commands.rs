//! Commands to sagas that another platform owns.
//!
//! Who does not own a saga may not write to its stream. It appends what is wanted to the saga's
//! command stream, `saga_command-{id}`; the owner follows these streams, carries the command out,
//! and answers there under its fence. Where a command leads to a fact, fact and answer are one
//! append, so that a command is carried out once also when its owner changes in the middle of it.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use ieum_base::{Timestamp, Uuid};
use ieum_eventstore::{Event, Expect, Metadata, NewEvent, StreamName, Write};
use serde::{Deserialize, Serialize};
use tokio::sync::oneshot;

use super::config::STORE_BACKOFF;
use super::handle::Command;
use super::partition::Partition;
use super::shared::Shared;
use super::writer::read_saga;
use super::{Error, ErrorKind, Result};
use crate::events::{Fact, Recorded};

/// What a saga is told.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "order", rename_all = "kebab-case")]
pub(super) enum Order {
    /// To be undone.
    Cancel {
        /// Why.
        reason: String,
    },
    /// To go on, though it is parked.
    Resume {
        /// Why.
        reason: String,
    },
    /// Not to wait any longer.
    RetryNow,
}

/// What became of a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Obeyed {
    /// It was carried out, durably.
    Done,
    /// It is written down, durably, and the saga's owner has not answered yet: it carries the command
    /// out as soon as there is one.
    Accepted,
}

/// A command that is written down and not answered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Asked {
    pub(super) id: Uuid,
    pub(super) saga: Uuid,
    #[serde(flatten)]
    pub(super) order: Order,
}

/// The data of a command's event.
#[derive(Debug, Serialize, Deserialize)]
struct Written {
    #[serde(flatten)]
    order: Order,
    at: Timestamp,
}

/// The data of the event that answers a command.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Answer {
    pub(super) command: Uuid,
    /// Why it was not carried out; absent if it was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    refused: Option<Refusal>,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    detail: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Refusal {
    TooLate,
    NotParked,
    Ended,
    #[serde(other)]
    Other,
}

/// The commands that a partition is carrying out.
#[derive(Debug, Default)]
pub(super) struct InHand(Mutex<HashSet<Uuid>>);

/// Who waits for answers to commands that were written down.
#[derive(Debug, Default)]
pub(super) struct Waiting(Mutex<HashMap<Uuid, oneshot::Sender<Answer>>>);

/// Takes a waiting caller off the list when it goes away.
pub(super) struct Ticket<'a>(&'a Waiting, Uuid);

impl Asked {
    /// Reads a command's event.
    pub(super) fn from_event(event: &Event) -> Result<Self, String> {
        let saga = event.stream.id().parse::<Uuid>();
        let saga = saga.map_err(|error| error.to_string())?;
        let written: Written = event.decode().map_err(|error| error.to_string())?;
        Ok(Self {
            id: event.id,
            saga,
            order: written.order,
        })
    }

    /// The event to append, and where.
    pub(super) fn to_event(&self, at: Timestamp) -> Result<(StreamName, NewEvent)> {
        let written = Written {
            order: self.order.clone(),
            at,
        };
        let event = NewEvent::new(self.id, ASKED, &written).map_err(unwritable)?;
        Ok((stream(self.saga)?, event.with_metadata(about(self.saga))))
    }
}

impl Answer {
    fn of(command: Uuid, result: &Result<()>) -> Self {
        let (refused, detail) = match result {
            Ok(()) => (None, String::new()),
            Err(error) => {
                let refusal = match error.kind() {
                    ErrorKind::TooLate => Refusal::TooLate,
                    ErrorKind::NotParked => Refusal::NotParked,
                    ErrorKind::Ended => Refusal::Ended,
                    _ => Refusal::Other,
                };
                (Some(refusal), error.to_string())
            }
        };
        Self {
            command,
            refused,
            detail,
        }
    }

    /// What the caller is told.
    pub(super) fn into_result(self, saga: Uuid) -> Result<Obeyed> {
        let kind = match self.refused {
            None => return Ok(Obeyed::Done),
            Some(Refusal::TooLate) => ErrorKind::TooLate,
            Some(Refusal::NotParked) => ErrorKind::NotParked,
            Some(Refusal::Ended) => ErrorKind::Ended,
            Some(Refusal::Other) => return Err(Error::new(ErrorKind::Unreadable, self.detail)),
        };
        Err(Error::new(kind, saga.to_string()))
    }
}

/// The answer to a command that was carried out, to be appended together with what it led to. Its id
/// follows from the command's: a command has one answer.
pub(super) fn answer(saga: Uuid, command: Uuid, result: &Result<()>) -> Result<Write> {
    let id = Uuid::new_v5(&command, b"answer");
    let event = NewEvent::new(id, ANSWERED, &Answer::of(command, result)).map_err(unwritable)?;
    Ok(Write {
        stream: stream(saga)?,
        expect: Expect::Any,
        events: vec![event.with_metadata(about(saga))],
    })
}

impl Waiting {
    /// To be called before the command is written down.
    pub(super) fn expect(&self, command: Uuid) -> (Ticket<'_>, oneshot::Receiver<Answer>) {
        let (sender, receiver) = oneshot::channel();
        lock(&self.0).insert(command, sender);
        (Ticket(self, command), receiver)
    }

    /// Hands an answer to whoever waits for it here.
    pub(super) fn answered(&self, answer: Answer) {
        if let Some(waiting) = lock(&self.0).remove(&answer.command) {
            // It may have gone away just now.
            let _gone = waiting.send(answer);
        }
    }
}

impl Drop for Ticket<'_> {
    fn drop(&mut self) {
        lock(&self.0.0).remove(&self.1);
    }
}

impl Partition {
    /// Carries a command out and answers it, unless that is being done.
    pub(super) fn obey(self: &Arc<Self>, asked: Asked) {
        if !lock(&self.in_hand.0).insert(asked.id) {
            return;
        }
        let part = Arc::clone(self);
        self.spawn("saga-command", async move {
            part.carry_out(&asked).await;
            lock(&part.in_hand.0).remove(&asked.id);
        });
    }

    async fn carry_out(self: &Arc<Self>, asked: &Asked) {
        let stop = self.tasks.stop().clone();
        for attempt in 1_u32.. {
            let told = self.tell(asked).await;
            let again = told
                .as_ref()
                .err()
                .filter(|error| error.retry().is_worthwhile());
            let Some(error) = again else {
                return self.answer(asked, &told).await;
            };
            tracing::warn!(saga = %asked.saga, %error, "a command to a saga waits");
            let wait = STORE_BACKOFF.delay(attempt, &self.shared.rng);
            let slept = stop.unless_requested(self.shared.clock.sleep(wait));
            if slept.await.is_none() {
                return;
            }
        }
    }

    async fn tell(self: &Arc<Self>, asked: &Asked) -> Result<()> {
        let again = || Error::new(ErrorKind::Log, "the saga is not ready");
        let Some(mailbox) = self.index.mailbox(asked.saga) else {
            let facts = read_saga(&self.shared.store, asked.saga).await?;
            let ended =
                |recorded: &Recorded| matches!(recorded.fact, Fact::Completed | Fact::Compensated);
            if facts.is_empty() {
                return Err(Error::new(ErrorKind::UnknownSaga, asked.saga.to_string()));
            }
            return Err(match facts.iter().any(ended) {
                true => Error::new(ErrorKind::Ended, asked.saga.to_string()),
                false => again(),
            });
        };
        let (reply, answer) = oneshot::channel();
        let command = Command {
            order: asked.order.clone(),
            asked: Some(asked.id),
            reply,
        };
        mailbox.send(command).await.map_err(|_| again())?;
        answer.await.map_err(|_| again())?
    }

    /// A repetition, if the answer went along with what the command led to.
    async fn answer(&self, asked: &Asked, result: &Result<()>) {
        let written = match answer(asked.saga, asked.id, result) {
            Ok(write) => self.append(vec![write]).await,
            Err(error) => {
                tracing::error!(saga = %asked.saga, %error, "a command cannot be answered");
                return;
            }
        };
        if let Err(refused) = written {
            let error = refused.into_error("answering a command");
            tracing::warn!(saga = %asked.saga, %error, "the next owner answers a command");
        }
    }
}

impl Shared {
    /// Writes a command down for the saga's owner, and waits for its answer, within bounds.
    pub(super) async fn ask(&self, saga: Uuid, order: Order) -> Result<Obeyed> {
        let asked = Asked {
            id: self.clock.new_id(),
            saga,
            order,
        };
        let (stream, event) = asked.to_event(self.clock.now())?;
        let (_ticket, answer) = self.waiting.expect(asked.id);
        let written = self.append(stream, Expect::Any, vec![event]).await;
        written.map_err(|refused| refused.into_error("writing a command down"))?;
        match tokio::time::timeout(self.config.command_wait.0, answer).await {
            Ok(Ok(answer)) => answer.into_result(saga),
            Ok(Err(_)) | Err(_) => Ok(Obeyed::Accepted),
        }
    }
}

fn stream(saga: Uuid) -> Result<StreamName> {
    let name = StreamName::new(CATEGORY, saga);
    name.map_err(|error| Error::new(ErrorKind::UnknownSaga, error.to_string()))
}

fn about(saga: Uuid) -> Metadata {
    Metadata {
        correlation: Some(saga.to_string()),
        ..Metadata::default()
    }
}

fn unwritable(error: serde_json::Error) -> Error {
    Error::new(ErrorKind::Unreadable, "not JSON").caused_by(error)
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The category of the streams with commands to sagas.
pub(super) const CATEGORY: &str = "saga_command";
/// The type of a command.
pub(super) const ASKED: &str = "saga.command";
/// The type of the answer to one.
pub(super) const ANSWERED: &str = "saga.command-answered";
