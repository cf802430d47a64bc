//! What is known of keys and sessions: a fold of what happened.
//!
//! Each key has an index of its own, and so has each set of keys with the same beginning: the index of
//! its last change, which never goes back. A deleted key leaves its index behind; of the longest
//! deleted only the highest index is remembered.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ops::Bound;
use std::time::Duration;

use ieum_base::Uuid;
use tokio::time::Instant;

use super::{Behavior, Change, Entry, Session};

/// All keys and sessions at one index.
#[derive(Debug, Default)]
pub struct State {
    entries: BTreeMap<String, Entry>,
    bytes: usize,
    deleted: BTreeMap<String, u64>,
    oldest_deleted: BTreeSet<(u64, String)>,
    /// The highest index of a deleted key that was forgotten.
    floor: u64,
    sessions: BTreeMap<Uuid, Session>,
    /// The keys that each session holds.
    held: HashMap<Uuid, BTreeSet<String>>,
    sessions_index: u64,
    /// When each session was last heard of, and until when keys cannot be taken: in memory only, so
    /// that a step of the time of day ends no session.
    heard: HashMap<Uuid, Instant>,
    /// When each session was last renewed at this process.
    told: HashMap<Uuid, Instant>,
    delays: HashMap<String, Instant>,
}

/// What a change touched, so that those who wait are woken.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Touched {
    pub(super) keys: Vec<String>,
    pub(super) sessions: bool,
}

impl State {
    /// A key.
    pub fn entry(&self, key: &str) -> Option<&Entry> {
        self.entries.get(key)
    }

    /// The keys that begin with `prefix`, in order.
    pub fn tree<'a>(&'a self, prefix: &'a str) -> impl Iterator<Item = &'a Entry> {
        starting_with(&self.entries, prefix).map(|(_, entry)| entry)
    }

    /// The index of a key's last change, also after it was deleted; at least 1.
    pub fn index_of(&self, key: &str) -> u64 {
        let deleted = || self.deleted.get(key).copied().unwrap_or(self.floor);
        let entry = self.entries.get(key).map(|entry| entry.modified);
        entry.unwrap_or_else(deleted).max(1)
    }

    /// The index of the last change of any key that begins with `prefix`; at least 1.
    pub fn index_of_tree(&self, prefix: &str) -> u64 {
        let living = self.tree(prefix).map(|entry| entry.modified);
        let deleted = starting_with(&self.deleted, prefix).map(|(_, index)| *index);
        living
            .chain(deleted)
            .max()
            .unwrap_or(0)
            .max(self.floor)
            .max(1)
    }

    /// How many keys there are.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// True if there is no key.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// The bytes of all keys and values.
    pub const fn bytes(&self) -> usize {
        self.bytes
    }

    /// A session.
    pub fn session(&self, id: Uuid) -> Option<&Session> {
        self.sessions.get(&id)
    }

    /// All sessions, in order of their ids.
    pub fn sessions(&self) -> impl Iterator<Item = &Session> {
        self.sessions.values()
    }

    /// How many sessions there are.
    pub fn sessions_len(&self) -> usize {
        self.sessions.len()
    }

    /// The index of the last beginning or end of a session; at least 1.
    pub fn sessions_index(&self) -> u64 {
        self.sessions_index.max(1)
    }

    /// True while nobody may take the key, because who held it ended.
    pub fn is_delayed(&self, key: &str) -> bool {
        self.delays
            .get(key)
            .is_some_and(|end| *end > Instant::now())
    }

    /// When the session ends unless it is renewed; `None` if time does not end it. As in Consul, it
    /// lives for its TTL for certain and at most twice as long.
    pub(super) fn end_of(&self, session: &Session) -> Option<Instant> {
        let heard = self.heard.get(&session.id)?;
        Some(*heard + session.ttl?.saturating_mul(2))
    }

    pub(super) fn hear(&mut self, id: Uuid) {
        if self.sessions.contains_key(&id) {
            let now = Instant::now();
            self.heard.insert(id, now);
            self.told.insert(id, now);
        }
    }

    /// Notes that a session was renewed at `when`, at somebody else on the same log.
    pub(super) fn hear_at(&mut self, id: Uuid, when: Instant) {
        if let Some(heard) = self.heard.get_mut(&id) {
            *heard = when.max(*heard);
        }
    }

    /// Lets every session live for its whole TTL again.
    pub(super) fn hear_everything(&mut self) {
        let now = Instant::now();
        self.heard.values_mut().for_each(|heard| *heard = now);
    }

    /// How long ago each session was renewed at this process, of those that were.
    pub(super) fn told(&self) -> BTreeMap<Uuid, Duration> {
        let told = self.told.iter();
        told.map(|(id, when)| (*id, when.elapsed())).collect()
    }

    /// Folds changes in at their index.
    pub(super) fn apply(&mut self, index: u64, changes: &[Change]) -> Touched {
        let mut touched = Touched::default();
        for change in changes {
            self.fold(index, change, &mut touched);
        }
        self.forget_deleted();
        touched
    }

    /// Forgets the delays: those of an earlier life are over, as they are in Consul when its leader
    /// changes.
    pub(super) fn begin(&mut self) {
        self.delays.clear();
    }

    fn fold(&mut self, index: u64, change: &Change, touched: &mut Touched) {
        match change {
            Change::Set {
                key,
                value,
                flags,
                session,
                lock_index,
            } => {
                let created = self.entries.get(key).map_or(index, |entry| entry.created);
                self.insert(Entry {
                    key: key.clone(),
                    value: value.clone(),
                    flags: *flags,
                    session: *session,
                    lock_index: *lock_index,
                    created,
                    modified: index,
                });
                touched.keys.push(key.clone());
            }
            Change::Deleted { key } => self.delete(index, key, touched),
            Change::TreeDeleted { prefix } => {
                let keys = starting_with(&self.entries, prefix);
                let keys: Vec<String> = keys.map(|(key, _)| key.clone()).collect();
                keys.iter().for_each(|key| self.delete(index, key, touched));
            }
            Change::SessionCreated(session) => {
                let created = index;
                let session = Session {
                    created,
                    ..session.clone()
                };
                self.heard.insert(session.id, Instant::now());
                self.sessions.insert(session.id, session);
                self.sessions_index = index;
                touched.sessions = true;
            }
            Change::SessionEnded { session } => self.end(index, *session, touched),
        }
    }

    fn insert(&mut self, entry: Entry) {
        let key = entry.key.clone();
        self.forget(&key);
        if let Some(index) = self.deleted.remove(&key) {
            self.oldest_deleted.remove(&(index, key.clone()));
        }
        if let Some(session) = entry.session {
            self.held.entry(session).or_default().insert(key.clone());
        }
        self.bytes += key.len() + entry.value.len();
        self.entries.insert(key, entry);
    }

    /// Takes an entry out, as if it had never been.
    fn forget(&mut self, key: &str) -> Option<Entry> {
        let entry = self.entries.remove(key)?;
        self.bytes -= key.len() + entry.value.len();
        if let Some(session) = entry.session
            && let Some(held) = self.held.get_mut(&session)
        {
            held.remove(key);
            if held.is_empty() {
                self.held.remove(&session);
            }
        }
        Some(entry)
    }

    fn delete(&mut self, index: u64, key: &str, touched: &mut Touched) {
        if self.forget(key).is_some() {
            self.deleted.insert(key.to_owned(), index);
            self.oldest_deleted.insert((index, key.to_owned()));
            touched.keys.push(key.to_owned());
        }
    }

    fn end(&mut self, index: u64, id: Uuid, touched: &mut Touched) {
        let Some(session) = self.sessions.remove(&id) else {
            return;
        };
        self.heard.remove(&id);
        self.told.remove(&id);
        self.sessions_index = index;
        touched.sessions = true;
        let now = Instant::now();
        self.delays.retain(|_, end| *end > now);
        for key in self.held.remove(&id).unwrap_or_default() {
            if session.lock_delay > Duration::ZERO {
                self.delays.insert(key.clone(), now + session.lock_delay);
            }
            match session.behavior {
                Behavior::Delete => self.delete(index, &key, touched),
                Behavior::Release => {
                    if let Some(entry) = self.entries.get_mut(&key) {
                        entry.session = None;
                        entry.modified = index;
                    }
                    touched.keys.push(key);
                }
            }
        }
    }

    fn forget_deleted(&mut self) {
        while self.deleted.len() > MOST_DELETED
            && let Some((index, key)) = self.oldest_deleted.pop_first()
        {
            self.deleted.remove(&key);
            self.floor = self.floor.max(index);
        }
    }
}

/// The entries of a map whose keys begin with `prefix`.
pub(super) fn starting_with<'a, T>(
    map: &'a BTreeMap<String, T>,
    prefix: &'a str,
) -> impl Iterator<Item = (&'a String, &'a T)> {
    map.range::<str, _>((Bound::Included(prefix), Bound::Unbounded))
        .take_while(move |(key, _)| key.starts_with(prefix))
}

/// How many deleted keys are remembered with an index of their own.
const MOST_DELETED: usize = 4_096;
