//! A member's term in a group: joining, the lease, and writing the group's entry.
//!
//! A candidate takes over when the entry's revision stood still for a lease on its own monotonic
//! clock, during which it kept looking (H16: no stored time is compared). Whoever writes names the
//! revision that it read, so that of two only one succeeds.

use std::time::Duration;

use async_nats::HeaderMap;
use ieum_base::Rng;
use ieum_messaging::{Epoch, Error, ErrorKind, Result};
use tokio::time::Instant;

use super::record::{Key, Record};
use super::{Names, dead_letters};
use crate::connection::{Connection, NotStored, Which};
use crate::streams::{self, Streams};

/// What this process knows of a group's entry.
#[derive(Debug)]
pub(crate) struct Tenure {
    /// As it was read or written last.
    pub(super) record: Record,
    revision: u64,
    written: Instant,
}

/// What a candidate saw of the entry.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sight {
    revision: u64,
    first: Instant,
    last: Instant,
}

impl Sight {
    /// Looks at `revision` once more. Who did not look for a lease begins anew: the server may have
    /// been away, and the member with it.
    fn look(before: Option<Self>, revision: u64, lease: Duration, now: Instant) -> Self {
        let first = before
            .filter(|sight| sight.revision == revision && now - sight.last < lease)
            .map_or(now, |sight| sight.first);
        Self {
            revision,
            first,
            last: now,
        }
    }

    fn stood_still(&self, lease: Duration) -> bool {
        self.last - self.first >= lease
    }
}

impl Tenure {
    /// Begins a term of `member`.
    pub(super) async fn begin(
        connection: &Connection,
        names: &Names,
        member: &str,
        sight: &mut Option<Sight>,
    ) -> Result<Self> {
        let doing = format!("joining group `{}`", names.group);
        for _ in 0..ATTEMPTS {
            let (found, revision) = read(connection, names).await?;
            let is_taken = found.as_ref().is_some_and(|found| found.member != member);
            let before = found.unwrap_or_else(|| names.fresh());
            if is_taken && !before.member.is_empty() {
                let lease = before.lease().max(connection.config.lease);
                let seen = Sight::look(*sight, revision, lease, Instant::now());
                *sight = Some(seen);
                if !seen.stood_still(lease) {
                    return Err(Error::new(ErrorKind::Busy, doing));
                }
            }
            check_incarnation(connection, names, &before).await?;
            let record = Record {
                member: member.to_owned(),
                epoch: before.epoch + 1,
                draw: Rng::system().bits(),
                lease_ms: u64::try_from(connection.config.lease.as_millis()).unwrap_or(u64::MAX),
                ..before
            };
            match store(connection, names, &record, revision).await {
                Ok(revision) => {
                    *sight = None;
                    let written = Instant::now();
                    return Ok(Self {
                        record,
                        revision,
                        written,
                    });
                }
                Err(NotStored::Outrun) => {}
                Err(error) => return Err(failed(&doing, error)),
            }
        }
        Err(Error::new(ErrorKind::Busy, doing))
    }

    /// Begins a term that nobody works in, and keeps what the one before gave up; `None` if nobody
    /// ever joined.
    pub(crate) async fn vacate(
        connection: &Connection,
        streams: &Streams,
        names: &Names,
    ) -> Result<Option<Self>> {
        let doing = format!("ending the term in group `{}`", names.group);
        for _ in 0..ATTEMPTS {
            let (found, revision) = read(connection, names).await?;
            let Some(before) = found else {
                return Ok(None);
            };
            let record = Record {
                member: String::new(),
                epoch: before.epoch + 1,
                draw: Rng::system().bits(),
                ..before
            };
            match store(connection, names, &record, revision).await {
                Ok(revision) => {
                    let written = Instant::now();
                    dead_letters::keep(connection, streams, names, &record.aside).await?;
                    return Ok(Some(Self {
                        record,
                        revision,
                        written,
                    }));
                }
                Err(NotStored::Outrun) => {}
                Err(error) => return Err(failed(&doing, error)),
            }
        }
        let why = format!("{doing} (it changes all the time)");
        Err(Error::new(ErrorKind::Unavailable, why))
    }

    /// Lets `key` go on, of which `count` dead letters are dealt with, from the place `back` if one is
    /// given.
    pub(crate) async fn release(
        &mut self,
        connection: &Connection,
        names: &Names,
        key: &str,
        back: Option<(u64, Option<i64>)>,
        count: usize,
    ) -> Result<()> {
        let key = Key::new(key);
        let change = |record: &mut Record| {
            record.aside.clear();
            record.parked.remove(&key);
            record.dead = record.dead.saturating_sub(count as u64);
            if let Some((to, stamp)) = back.filter(|(to, _)| *to < record.checkpoint) {
                record.checkpoint = to;
                record.stamp = stamp;
            }
        };
        self.write(connection, names, change).await
    }

    pub(super) const fn epoch(&self) -> Epoch {
        Epoch(self.record.epoch)
    }

    /// Changes the entry. `change` may run several times, on what the entry is by then.
    pub(super) async fn write(
        &mut self,
        connection: &Connection,
        names: &Names,
        change: impl Fn(&mut Record),
    ) -> Result<()> {
        let doing = format!("writing where group `{}` stands", names.group);
        for _ in 0..ATTEMPTS {
            let mut record = self.record.clone();
            change(&mut record);
            match store(connection, names, &record, self.revision).await {
                Ok(revision) => {
                    self.record = record;
                    self.revision = revision;
                    self.written = Instant::now();
                    return Ok(());
                }
                // Either somebody took over, or it is an earlier write of ours without an answer.
                Err(NotStored::Outrun) => self.read_again(connection, names).await?,
                Err(error) => return Err(failed(&doing, error)),
            }
        }
        let why = format!("{doing} (it changes all the time)");
        Err(Error::new(ErrorKind::Unavailable, why))
    }

    /// Renews the lease if it is time to. `Superseded` if somebody took over.
    pub(super) async fn keep(&mut self, connection: &Connection, names: &Names) -> Result<()> {
        if self.written.elapsed() < connection.config.lease / 4 {
            return self.verify(connection, names).await;
        }
        self.write(connection, names, |_| {}).await
    }

    /// When the lease should be renewed, at the latest.
    pub(super) fn due(&self, connection: &Connection) -> Instant {
        self.written + connection.config.lease / 4
    }

    /// `Superseded` if somebody took over.
    pub(super) async fn verify(&mut self, connection: &Connection, names: &Names) -> Result<()> {
        let (record, revision) = read(connection, names).await?;
        if revision == self.revision {
            return Ok(());
        }
        self.adopt(names, record, revision)
    }

    async fn read_again(&mut self, connection: &Connection, names: &Names) -> Result<()> {
        let (record, revision) = read(connection, names).await?;
        self.adopt(names, record, revision)
    }

    fn adopt(&mut self, names: &Names, record: Option<Record>, revision: u64) -> Result<()> {
        let term = (self.record.epoch, self.record.draw);
        let ours = record.filter(|record| (record.epoch, record.draw) == term);
        self.record = ours.ok_or_else(|| superseded(names))?;
        self.revision = revision;
        Ok(())
    }
}

pub(super) fn superseded(names: &Names) -> Error {
    Error::new(ErrorKind::Superseded, format!("group `{}`", names.group))
}

/// The group's entry, if there is one, and the revision to replace.
pub(crate) async fn read(connection: &Connection, names: &Names) -> Result<(Option<Record>, u64)> {
    let doing = format!("reading where group `{}` stands", names.group);
    let namespace = &connection.config.namespace;
    let (stream, subject) = (namespace.bucket_stream(), names.entry(namespace));
    let found = connection.get(&doing, &stream, Which::LastOf(&subject));
    let Some(found) = found.await? else {
        return Ok((None, 0));
    };
    // An operator may have deleted the entry with a tool for buckets, which leaves a mark.
    if found.headers.get(OPERATION).is_some() {
        return Ok((None, found.seq));
    }
    let record = serde_json::from_slice(&found.payload).map_err(|error| {
        let why = format!("{doing}: the entry `{subject}` is not understood: {error}");
        Error::new(ErrorKind::Internal, why).caused_by(error)
    })?;
    Ok((Some(record), found.seq))
}

async fn store(
    connection: &Connection,
    names: &Names,
    record: &Record,
    revision: u64,
) -> Result<u64, NotStored> {
    let doing = format!("writing where group `{}` stands", names.group);
    let payload = serde_json::to_vec(record).map_err(|error| {
        let why = format!("{doing}: {error}");
        NotStored::Failed(Error::new(ErrorKind::Internal, why).caused_by(error))
    })?;
    let mut headers = HeaderMap::new();
    headers.insert(EXPECTED, revision.to_string());
    let subject = names.entry(&connection.config.namespace);
    let stored = connection.store(&doing, subject, headers, payload.into());
    stored.await.map(|stored| stored.seq)
}

fn failed(doing: &str, error: NotStored) -> Error {
    match error {
        NotStored::Failed(error) => error,
        NotStored::NoStream | NotStored::Outrun => {
            let why = format!("{doing} (the bucket of the groups is not there at present)");
            Error::new(ErrorKind::Unavailable, why)
        }
    }
}

/// A checkpoint is of use only in the stream that it was made in (H35): never skip in silence.
async fn check_incarnation(connection: &Connection, names: &Names, record: &Record) -> Result<()> {
    let stream = connection.config.namespace.topic_stream(&names.topic);
    let Some(info) = streams::info(connection, &stream).await? else {
        let why = format!("joining group `{}` (its topic is gone)", names.group);
        return Err(Error::new(ErrorKind::Unavailable, why));
    };
    let (at, end) = (record.checkpoint, info.state.last_sequence);
    if at <= end {
        let doing = format!("looking where group `{}` stands", names.group);
        let kept = connection.get(&doing, &stream, Which::At(at));
        let kept = if record.stamp.is_some() {
            kept.await?
        } else {
            None
        };
        if kept.is_none_or(|kept| Some(kept.stamp) == record.stamp) {
            return Ok(());
        }
    }
    let why = format!(
        "group `{}` stands at {at} of the topic `{}`, and the stream `{stream}`, which ends at {end}, is \
         another one than it has read: it was restored or made anew. Delete the entry `{}` of the \
         bucket, and the group begins with the first message",
        names.group,
        names.topic,
        names.entry(&connection.config.namespace)
    );
    Err(Error::new(ErrorKind::Internal, why))
}

/// How often a write is repeated that others outran.
const ATTEMPTS: usize = 5;
/// The header by which a write names the revision that it replaces; 0 for none.
const EXPECTED: &str = "Nats-Expected-Last-Subject-Sequence";
/// The header of a mark that an entry was deleted.
const OPERATION: &str = "KV-Operation";

#[cfg(test)]
mod tests {
    use super::*;

    const LEASE: Duration = Duration::from_secs(10);

    fn look(before: Option<Sight>, revision: u64, now: Instant) -> Sight {
        Sight::look(before, revision, LEASE, now)
    }

    #[tokio::test(start_paused = true)]
    async fn a_candidate_takes_over_when_nothing_moved_for_a_lease_while_it_looked() {
        let start = Instant::now();
        let second = Duration::from_secs(1);
        let mut sight = look(None, 7, start);
        assert!(!sight.stood_still(LEASE));
        for n in 1..10 {
            sight = look(Some(sight), 7, start + n * second);
            assert!(!sight.stood_still(LEASE), "after {n} s");
        }
        assert!(look(Some(sight), 7, start + 10 * second).stood_still(LEASE));
        let renewed = look(Some(sight), 8, start + 10 * second);
        assert!(!renewed.stood_still(LEASE));
        // It did not look for a while, as when the server was away.
        let away = look(Some(sight), 7, start + 60 * second);
        assert!(!away.stood_still(LEASE));
    }
}
