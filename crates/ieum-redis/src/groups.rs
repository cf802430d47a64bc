//! Consumer groups on streams: a checkpoint per group, one worker at a time, parked keys.
//!
//! Redis' own pending lists know nothing of an order per key nor of a worker that was superseded, so
//! a group is a checkpoint over the stream, as in the embedded log: what lies behind it is delivered
//! again, in order, to whoever works next. Every script that changes a group checks the worker's epoch
//! itself (H13). The stream has a native consumer group of the same name whose last id follows the
//! checkpoint, for the eyes of `XINFO GROUPS`.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use ieum_base::Deadline;
use ieum_messaging::{Delivery, Epoch, Error, ErrorKind, Message, Result, names};
use redis::{Script, Value};
use tokio::time::Instant;

use crate::connection::{Connection, Patience};
use crate::keys::Keys;
use crate::position::Position;
use crate::reply::{self, text};

/// Consumer groups on streams.
pub struct Groups {
    connection: Connection,
    keys: Keys,
    scripts: Scripts,
    seen: Mutex<HashMap<Name, Seen>>,
}

struct Scripts {
    join: Script,
    pull: Script,
    ack: Script,
    dead_letter: Script,
}

/// A topic and a group.
type Name = (String, String);

/// What this process knows of a group.
#[derive(Clone, Debug, Default)]
struct Seen {
    /// The epoch and the renewals of another worker, and since when they stand still.
    other: Option<(String, String, Instant)>,
    /// When this process renewed its own lease.
    renewed: Option<(u64, Instant)>,
}

/// A worker of a group in its term.
#[derive(Clone, Copy)]
struct Worker<'a> {
    topic: &'a str,
    group: &'a str,
    epoch: Epoch,
}

impl Groups {
    /// Groups over `connection`.
    pub fn new(connection: Connection) -> Self {
        let of_worker =
            |code: &str| Script::new(&format!("{}{code}", include_str!("scripts/group.lua")));
        Self {
            keys: Keys::new(&connection.config().prefix),
            scripts: Scripts {
                join: Script::new(include_str!("scripts/join.lua")),
                pull: of_worker(include_str!("scripts/pull.lua")),
                ack: of_worker(include_str!("scripts/ack.lua")),
                dead_letter: of_worker(include_str!("scripts/dead_letter.lua")),
            },
            connection,
            seen: Mutex::default(),
        }
    }

    /// The connection that they use.
    pub(crate) const fn connection(&self) -> &Connection {
        &self.connection
    }

    /// Asks a script of a worker, and reads what it refused.
    async fn ask(
        &self,
        script: &Script,
        worker: Worker<'_>,
        arguments: &[&str],
        doing: &str,
    ) -> Result<Value> {
        let Worker {
            topic,
            group,
            epoch,
        } = worker;
        let keys = self.keys.group(topic, group);
        let config = self.connection.config();
        let renews = self.must_renew(worker);
        let mut call = script.prepare_invoke();
        for key in [keys.state, keys.topic, keys.groups, keys.parked, keys.dead] {
            call.key(key);
        }
        call.arg(epoch.0)
            .arg(u8::from(renews))
            .arg(group)
            .arg(config.dead_letters);
        for argument in arguments {
            call.arg(*argument);
        }
        let asked = self
            .connection
            .ask(config.patience, Patience::Wait, async |mut c| {
                call.invoke_async::<Value>(&mut c).await
            });
        let answer = asked.await?;
        reply::of_worker(&answer, doing)?;
        if renews {
            self.note(topic, group, |seen| {
                seen.renewed = Some((epoch.0, Instant::now()))
            });
        }
        Ok(answer)
    }

    /// A lease is renewed a few times in its length, not with each question: that is a write.
    fn must_renew(&self, worker: Worker<'_>) -> bool {
        let every = self.connection.config().lease / RENEWALS;
        let seen = self.seen(worker.topic, worker.group);
        let is_fresh =
            |(epoch, at): (u64, Instant)| epoch == worker.epoch.0 && at.elapsed() < every;
        !seen.renewed.is_some_and(is_fresh)
    }

    fn seen(&self, topic: &str, group: &str) -> Seen {
        let seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let name = (topic.to_owned(), group.to_owned());
        seen.get(&name).cloned().unwrap_or_default()
    }

    fn note(&self, topic: &str, group: &str, change: impl FnOnce(&mut Seen)) {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        if seen.len() >= MOST_SEEN {
            seen.clear();
        }
        let name = (topic.to_owned(), group.to_owned());
        change(seen.entry(name).or_default());
    }

    async fn try_join(
        &self,
        (topic, group, member): (&str, &str, &str),
        stood_still: Option<(&str, &str)>,
    ) -> Result<Joined> {
        let keys = self.keys.group(topic, group);
        let (epoch, renewals) = stood_still.unwrap_or(("", ""));
        let mut call = self.scripts.join.prepare_invoke();
        call.key(keys.state).key(keys.topic).key(keys.groups);
        call.arg(member)
            .arg(epoch)
            .arg(renewals)
            .arg(group)
            .arg(MOST_GROUPS);
        let patience = self.connection.config().patience;
        let asked = self
            .connection
            .ask(patience, Patience::Wait, async |mut c| {
                call.invoke_async::<Value>(&mut c).await
            });
        let answer = asked.await?;
        let doing = format!("joining group `{group}` of `{topic}`");
        let parts: Vec<_> = reply::parts(&answer).iter().filter_map(text).collect();
        match parts[..] {
            ["worker", epoch, _] => {
                let epoch = epoch.parse().map_err(|_| reply::strange(&doing, &answer))?;
                Ok(Joined::Worker(Epoch(epoch)))
            }
            ["busy", epoch, renewals] => Ok(Joined::Busy(epoch.to_owned(), renewals.to_owned())),
            ["full", ..] => Err(Error::new(ErrorKind::Full, doing)),
            _ => Err(reply::strange(&doing, &answer)),
        }
    }

    /// Whether another worker's renewals have stood still for a lease, on this process' clock.
    fn stands_still(&self, topic: &str, group: &str, epoch: &str, renewals: &str) -> bool {
        let now = Instant::now();
        let mut since = now;
        self.note(topic, group, |seen| match &seen.other {
            Some((e, r, at)) if e == epoch && r == renewals => since = *at,
            _ => seen.other = Some((epoch.to_owned(), renewals.to_owned(), now)),
        });
        now - since >= self.connection.config().lease
    }

    /// What lies behind the checkpoint and `after`, up to the first entry that is no message. One that
    /// stands at the front becomes a dead letter: somebody else's mistake must not stop the group.
    async fn look(&self, worker: Worker<'_>, after: u64, max: usize) -> Result<Vec<Delivery>> {
        let doing = format!("reading `{}` for group `{}`", worker.topic, worker.group);
        let (after, max) = (Position(after).to_string(), max.to_string());
        let arguments = [after.as_str(), max.as_str()];
        let asked = self.ask(&self.scripts.pull, worker, &arguments, &doing);
        let answer = asked.await?;
        let entries = reply::of_worker(&answer, &doing)?.first();
        let entries = entries.map_or(&[][..], reply::parts);
        let found: Vec<_> = entries.iter().map_while(read).collect();
        if let (true, Some(first)) = (found.is_empty() && after == "0-0", entries.first()) {
            let id = reply::parts(first).first().and_then(text);
            let id = id.ok_or_else(|| reply::strange(&doing, first))?;
            tracing::error!(
                topic = worker.topic,
                id,
                "an entry of a stream is no message"
            );
            let arguments = [id, "it is no CloudEvent"];
            self.ask(&self.scripts.dead_letter, worker, &arguments, &doing)
                .await?;
        }
        Ok(found)
    }
}

enum Joined {
    Worker(Epoch),
    Busy(String, String),
}

/// An entry that `pull` answered: its id and its event.
fn read(entry: &Value) -> Option<Delivery> {
    let [id, Value::BulkString(event)] = reply::parts(entry) else {
        return None;
    };
    let position = Position::parse(text(id)?)?.0;
    let message: Message = serde_json::from_slice(event).ok()?;
    Some(Delivery { position, message })
}

#[async_trait]
impl ieum_messaging::Groups for Groups {
    async fn join(&self, topic: &str, group: &str, member: &str) -> Result<Epoch> {
        names::check_join(topic, group, member)?;
        let who = (topic, group, member);
        let joined = match self.try_join(who, None).await {
            Ok(Joined::Busy(epoch, renewals))
                if self.stands_still(topic, group, &epoch, &renewals) =>
            {
                self.try_join(who, Some((&epoch, &renewals))).await
            }
            joined => joined,
        };
        match joined {
            Ok(Joined::Worker(epoch)) => {
                self.note(topic, group, |seen| {
                    seen.other = None;
                    seen.renewed = Some((epoch.0, Instant::now()));
                });
                Ok(epoch)
            }
            Ok(Joined::Busy(..)) => Err(Error::new(
                ErrorKind::Busy,
                format!("joining group `{group}`"),
            )),
            Err(error) => {
                // While the server is away nobody can renew: that is no silence of the worker's.
                self.note(topic, group, |seen| seen.other = None);
                Err(error)
            }
        }
    }

    async fn pull(
        &self,
        topic: &str,
        group: &str,
        epoch: Epoch,
        max: usize,
        wait: Duration,
    ) -> Result<Vec<Delivery>> {
        self.pull_after(topic, group, epoch, 0, max, wait).await
    }

    async fn pull_after(
        &self,
        topic: &str,
        group: &str,
        epoch: Epoch,
        after: u64,
        max: usize,
        wait: Duration,
    ) -> Result<Vec<Delivery>> {
        let deadline = Deadline::after(wait);
        let worker = Worker {
            topic,
            group,
            epoch,
        };
        // Listened to before the first look, so that nothing slips in between.
        let mut published = self.connection.wake_ups(topic);
        loop {
            published.mark_unchanged();
            let found = self.look(worker, after, max).await?;
            if !found.is_empty() || max == 0 || deadline.is_over() {
                return Ok(found);
            }
            // A wake-up may be lost with a connection: a look now and then is behind it (H10).
            let longest = POLL.min(self.connection.config().lease / RENEWALS);
            let until = deadline.at_most(longest).instant();
            let _ = tokio::time::timeout_at(until, published.changed()).await;
        }
    }

    async fn ack(&self, topic: &str, group: &str, epoch: Epoch, up_to: u64) -> Result<()> {
        let worker = Worker {
            topic,
            group,
            epoch,
        };
        let doing = format!("acknowledging in group `{group}` of `{topic}`");
        let up_to = Position(up_to).to_string();
        let arguments = [up_to.as_str()];
        let asked = self.ask(&self.scripts.ack, worker, &arguments, &doing);
        asked.await.map(drop)
    }

    async fn dead_letter(
        &self,
        topic: &str,
        group: &str,
        epoch: Epoch,
        position: u64,
        reason: &str,
    ) -> Result<()> {
        let worker = Worker {
            topic,
            group,
            epoch,
        };
        let doing = format!("giving up in group `{group}` of `{topic}`");
        let id = Position(position).to_string();
        let arguments = [id.as_str(), reason];
        let asked = self.ask(&self.scripts.dead_letter, worker, &arguments, &doing);
        asked.await.map(drop)
    }
}

impl fmt::Debug for Groups {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Groups")
            .field("connection", &self.connection)
            .finish_non_exhaustive()
    }
}

/// How often a lease is renewed in its length.
const RENEWALS: u32 = 4;
/// The longest time between two looks.
const POLL: Duration = Duration::from_secs(1);
/// The most groups of a topic.
const MOST_GROUPS: u64 = 1_000;
/// The most groups that are remembered here; what is forgotten costs a renewal.
const MOST_SEEN: usize = 1_000;
