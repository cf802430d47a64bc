//! Decides operations on keys one after the other, each on what the ones before would leave, and all
//! or none.

use std::collections::BTreeMap;

use bytes::Bytes;
use ieum_base::Uuid;

use super::state::starting_with;
use super::{Change, Config, Entry, Found, Op, Outcome, Refusal, State};
use crate::{Error, ErrorKind, Result};

/// The index of what is not in the log yet.
pub(super) const PENDING: u64 = u64::MAX;

/// A state with changes that are not made yet.
pub(super) struct Draft<'a> {
    state: &'a State,
    written: BTreeMap<String, Option<Entry>>,
    changes: Vec<Change>,
}

/// Why one operation cannot be done.
struct No {
    what: String,
    invalid: bool,
}

impl<'a> Draft<'a> {
    pub(super) fn of(state: &'a State) -> Self {
        Self {
            state,
            written: BTreeMap::new(),
            changes: Vec::new(),
        }
    }

    /// Decides; the changes are none if an operation is refused or nothing would be other than it is.
    ///
    /// # Errors
    /// `Full` if the store would hold more than `config` says.
    pub(super) fn decide(mut self, ops: &[Op], config: &Config) -> Result<(Outcome, Vec<Change>)> {
        let (mut found, mut refused) = (Vec::new(), Vec::new());
        for (place, op) in ops.iter().enumerate() {
            match self.run(op) {
                Ok(entries) => found.extend(entries),
                Err(No { what, invalid }) => refused.push(Refusal {
                    op: place,
                    what,
                    invalid,
                }),
            }
        }
        if !refused.is_empty() {
            return Ok((Err(refused), Vec::new()));
        }
        self.fits(config)?;
        Ok((Ok(found), self.changes))
    }

    fn run(&mut self, op: &Op) -> Result<Vec<Found>, No> {
        match op {
            Op::Set { key, value, flags } => Ok(self.set(key, value, *flags)),
            Op::Cas {
                key,
                value,
                flags,
                index,
            } => {
                self.expect_index(key, *index)?;
                Ok(self.set(key, value, *flags))
            }
            Op::Lock {
                key,
                value,
                flags,
                session,
            } => self.lock(key, value, *flags, *session),
            Op::Unlock {
                key,
                value,
                flags,
                session,
            } => self.unlock(key, value, *flags, *session),
            Op::Get { key } => match self.get(key) {
                Some(entry) => Ok(vec![found(key, Some(entry.clone()))]),
                None => Err(no(format!("key {key:?} doesn't exist"))),
            },
            Op::GetOrEmpty { key } => Ok(vec![found(key, self.get(key).cloned())]),
            Op::GetTree { prefix } => {
                let entries = self.tree(prefix).into_iter();
                Ok(entries
                    .map(|entry| found(&entry.key.clone(), Some(entry)))
                    .collect())
            }
            Op::CheckIndex { key, index } => self.check_index(key, *index),
            Op::CheckSession { key, session } => self.check_session(key, *session),
            Op::CheckNotExists { key } => match self.get(key) {
                Some(_) => Err(no(format!("key {key:?} exists"))),
                None => Ok(Vec::new()),
            },
            Op::Delete { key } => Ok(self.delete(key)),
            Op::DeleteTree { prefix } => Ok(self.delete_tree(prefix)),
            Op::DeleteCas { key, index } => match self.get(key) {
                Some(entry) if entry.modified != *index => Err(stale(key)),
                _ => Ok(self.delete(key)),
            },
        }
    }

    fn get(&self, key: &str) -> Option<&Entry> {
        match self.written.get(key) {
            Some(written) => written.as_ref(),
            None => self.state.entry(key),
        }
    }

    fn tree(&self, prefix: &str) -> Vec<Entry> {
        let unwritten = self.state.tree(prefix);
        let unwritten = unwritten.filter(|entry| !self.written.contains_key(&entry.key));
        let written = starting_with(&self.written, prefix).filter_map(|(_, entry)| entry.as_ref());
        let mut entries: Vec<Entry> = unwritten.chain(written).cloned().collect();
        entries.sort_unstable_by(|a, b| a.key.cmp(&b.key));
        entries
    }

    fn set(&mut self, key: &str, value: &Bytes, flags: u64) -> Vec<Found> {
        let known = self.get(key);
        let session = known.and_then(|entry| entry.session);
        let lock_index = known.map_or(0, |entry| entry.lock_index);
        self.write(key, value, flags, session, lock_index)
    }

    fn lock(
        &mut self,
        key: &str,
        value: &Bytes,
        flags: u64,
        session: Uuid,
    ) -> Result<Vec<Found>, No> {
        if self.state.session(session).is_none() {
            let what = format!("invalid session {:?}", session.to_string());
            return Err(No {
                what,
                invalid: true,
            });
        }
        let known = self.get(key);
        let lock_index = known.map_or(0, |entry| entry.lock_index);
        match known.and_then(|entry| entry.session) {
            Some(holder) if holder == session => {
                Ok(self.write(key, value, flags, Some(session), lock_index))
            }
            Some(_) => Err(no(format!(
                "failed to lock key {key:?}, lock is already held"
            ))),
            None if self.state.is_delayed(key) => Err(no(format!(
                "failed to lock key {key:?}, its lock delay is not over"
            ))),
            None => Ok(self.write(key, value, flags, Some(session), lock_index + 1)),
        }
    }

    fn unlock(
        &mut self,
        key: &str,
        value: &Bytes,
        flags: u64,
        session: Uuid,
    ) -> Result<Vec<Found>, No> {
        match self.get(key) {
            Some(entry) if entry.session == Some(session) => {
                let lock_index = entry.lock_index;
                Ok(self.write(key, value, flags, None, lock_index))
            }
            _ => Err(no(format!(
                "failed to unlock key {key:?}, lock isn't held, or is held by another session"
            ))),
        }
    }

    /// A key that would be as it is does not change, so nobody is woken.
    fn write(
        &mut self,
        key: &str,
        value: &Bytes,
        flags: u64,
        session: Option<Uuid>,
        lock_index: u64,
    ) -> Vec<Found> {
        let known = self.get(key);
        if let Some(entry) = known
            && entry.value == *value
            && (entry.flags, entry.session, entry.lock_index) == (flags, session, lock_index)
        {
            return vec![without_value(entry.clone())];
        }
        let entry = Entry {
            key: key.to_owned(),
            value: value.clone(),
            flags,
            session,
            lock_index,
            created: known.map_or(PENDING, |entry| entry.created),
            modified: PENDING,
        };
        self.changes.push(Change::Set {
            key: key.to_owned(),
            value: value.clone(),
            flags,
            session,
            lock_index,
        });
        self.written.insert(key.to_owned(), Some(entry.clone()));
        vec![without_value(entry)]
    }

    fn delete(&mut self, key: &str) -> Vec<Found> {
        if self.get(key).is_some() {
            self.written.insert(key.to_owned(), None);
            self.changes.push(Change::Deleted {
                key: key.to_owned(),
            });
        }
        Vec::new()
    }

    fn delete_tree(&mut self, prefix: &str) -> Vec<Found> {
        let gone = self.tree(prefix);
        if !gone.is_empty() {
            self.changes.push(Change::TreeDeleted {
                prefix: prefix.to_owned(),
            });
        }
        self.written
            .extend(gone.into_iter().map(|entry| (entry.key, None)));
        Vec::new()
    }

    fn expect_index(&self, key: &str, index: u64) -> Result<(), No> {
        match self.get(key) {
            None if index == 0 => Ok(()),
            Some(entry) if entry.modified == index => Ok(()),
            _ => Err(stale(key)),
        }
    }

    fn check_index(&self, key: &str, index: u64) -> Result<Vec<Found>, No> {
        match self.get(key) {
            Some(entry) if entry.modified == index => Ok(vec![without_value(entry.clone())]),
            Some(entry) => Err(no(format!(
                "current modify index {} does not equal {index} for key {key:?}",
                entry.modified
            ))),
            None => Err(no(format!("key {key:?} doesn't exist"))),
        }
    }

    fn check_session(&self, key: &str, session: Uuid) -> Result<Vec<Found>, No> {
        match self.get(key) {
            Some(entry) if entry.session == Some(session) => Ok(vec![without_value(entry.clone())]),
            Some(_) => Err(no(format!("key {key:?} is not held by session {session}"))),
            None => Err(no(format!("key {key:?} doesn't exist"))),
        }
    }

    /// Only what grows is refused: a full store can still be made smaller.
    fn fits(&self, config: &Config) -> Result<()> {
        let (mut keys, mut bytes) = (self.state.len(), self.state.bytes());
        for (key, written) in &self.written {
            let before = self.state.entry(key);
            let size = |entry: &Entry| key.len() + entry.value.len();
            keys = keys + usize::from(written.is_some()) - usize::from(before.is_some());
            bytes = bytes + written.as_ref().map_or(0, size) - before.map_or(0, size);
        }
        let most_bytes = usize::try_from(config.max_bytes.0).unwrap_or(usize::MAX);
        if keys > config.max_keys && keys > self.state.len() {
            let most = config.max_keys;
            return Err(full(format!("the store holds its limit of {most} keys")));
        }
        if bytes > most_bytes && bytes > self.state.bytes() {
            return Err(full(format!(
                "the store holds its limit of {most_bytes} bytes"
            )));
        }
        Ok(())
    }
}

fn found(key: &str, entry: Option<Entry>) -> Found {
    Found {
        entry,
        key: key.to_owned(),
        with_value: true,
    }
}

fn without_value(entry: Entry) -> Found {
    Found {
        key: entry.key.clone(),
        entry: Some(entry),
        with_value: false,
    }
}

fn no(what: String) -> No {
    No {
        what,
        invalid: false,
    }
}

fn stale(key: &str) -> No {
    no(format!("failed to set key {key:?}, index is stale"))
}

fn full(why: String) -> Error {
    Error::new(ErrorKind::Full, why)
}
