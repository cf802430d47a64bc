//! A broker in memory: topics, groups, parked keys.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use ieum_base::{Clock, Deadline, Uuid};
use tokio::sync::watch;
use tokio::time::Instant;

use crate::{
    Capabilities, DeadLetter, DeadLetterFilter, DeadLetterReason, Deduplicates, Delivery, Durable,
    Epoch, Error, ErrorKind, GroupState, GroupSubscriber, Groups, Inspect, Limits, Message,
    Publisher, Result, Subscriber, Subscription, TopicState, names,
};

/// What a broker in memory promises.
pub const CAPABILITIES: Capabilities = Capabilities {
    engine: "memory",
    durable: Durable::Memory,
    deduplicates: Deduplicates::Always,
    retains_history: true,
    parks_keys: true,
    looks_ahead: true,
    caveats: &["nothing survives the process"],
};

/// The settings of a broker in memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Config {
    /// How long a worker keeps its group after it was last seen. Default 10 s.
    pub lease: Duration,
    /// The most messages over all topics; more are refused as `Full`. Default 100,000.
    pub messages: usize,
    /// The most dead letters and parked messages of one group. Default 1,000.
    pub parked: usize,
    /// The most topics, and the most groups of one topic. Default 1,000.
    pub names: usize,
    /// What a message may be at most.
    pub limits: Limits,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            lease: Duration::from_secs(10),
            messages: 100_000,
            parked: 1_000,
            names: 1_000,
            limits: Limits::default(),
        }
    }
}

/// A broker in memory: [`Publisher`], [`Groups`], [`Subscriber`] and [`Inspect`]. Clones are the
/// same broker.
#[derive(Clone, Debug)]
pub struct Broker {
    config: Config,
    clock: Clock,
    state: Arc<Mutex<State>>,
    published: Arc<watch::Sender<u64>>,
}

#[derive(Debug, Default)]
struct State {
    topics: BTreeMap<String, Topic>,
    /// Where each message went: an id means one message for ever.
    ids: HashMap<Uuid, (String, String)>,
}

#[derive(Debug, Default)]
struct Topic {
    /// The message at index *n* has position *n* + 1.
    log: Vec<Message>,
    groups: BTreeMap<String, Group>,
}

#[derive(Debug, Default)]
struct Group {
    member: Option<String>,
    epoch: u64,
    seen: Option<Instant>,
    checkpoint: u64,
    /// The keys that wait, each behind the message at this position.
    parked_keys: HashMap<String, u64>,
    dead_letters: BTreeMap<u64, DeadLetter>,
}

impl Default for Broker {
    fn default() -> Self {
        Self::new(Config::default(), Clock::system())
    }
}

impl Broker {
    /// An empty broker.
    pub fn new(config: Config, clock: Clock) -> Self {
        Self {
            config,
            clock,
            state: Arc::default(),
            published: Arc::new(watch::Sender::new(0)),
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Runs `work` on the group if `epoch` is its term, and renews its lease.
    fn as_worker<T>(
        &self,
        (topic, group, epoch): (&str, &str, Epoch),
        work: impl FnOnce(&mut View<'_>) -> Result<T>,
    ) -> Result<T> {
        let mut state = self.lock();
        let found = state.topics.get_mut(topic).and_then(|topic| {
            let group = topic.groups.get_mut(group)?;
            Some((&topic.log, group))
        });
        let superseded = || Error::new(ErrorKind::Superseded, format!("group `{group}`"));
        let (log, state) = found.ok_or_else(superseded)?;
        if state.epoch != epoch.0 {
            return Err(superseded());
        }
        state.seen = Some(Instant::now());
        work(&mut View {
            topic,
            name: group,
            log,
            group: state,
            broker: self,
        })
    }
}

/// A group together with the topic that it reads.
struct View<'a> {
    topic: &'a str,
    name: &'a str,
    log: &'a [Message],
    group: &'a mut Group,
    broker: &'a Broker,
}

impl View<'_> {
    /// What lies after the checkpoint, without parked keys. Parked messages that nothing else
    /// stands before are dealt with at once, so that they are not looked at again.
    fn pending(&mut self, after: u64, max: usize) -> Result<Vec<Delivery>> {
        let mut deliveries = Vec::new();
        let mut position = self.group.checkpoint.max(after);
        let is_front = position == self.group.checkpoint;
        while deliveries.len() < max
            && let Some(message) = self.at(position + 1)
        {
            position += 1;
            if !self.is_parked(message) {
                let message = message.clone();
                deliveries.push(Delivery { position, message });
            } else if is_front && deliveries.is_empty() {
                self.advance(position)?;
            }
        }
        Ok(deliveries)
    }

    fn at(&self, position: u64) -> Option<&Message> {
        let index = usize::try_from(position).ok()?.checked_sub(1)?;
        self.log.get(index)
    }

    fn is_parked(&self, message: &Message) -> bool {
        self.group.parked_keys.contains_key(message.ordering_key())
    }

    /// Moves the checkpoint, never back, and parks what it passes on parked keys; all or nothing.
    fn advance(&mut self, up_to: u64) -> Result<()> {
        if up_to > self.log.len() as u64 {
            let why = format!("position {up_to} lies beyond the end of `{}`", self.topic);
            return Err(Error::new(ErrorKind::Invalid, why));
        }
        let mut parked = Vec::new();
        for position in self.group.checkpoint + 1..=up_to {
            let Some(message) = self.at(position) else {
                continue;
            };
            let behind = self.group.parked_keys.get(message.ordering_key());
            let known = self.group.dead_letters.contains_key(&position);
            if let Some(&behind) = behind.filter(|_| !known) {
                let reason = DeadLetterReason::Behind(behind);
                parked.push(self.letter(position, message.clone(), reason));
            }
        }
        self.check_room(parked.len())?;
        let letters = parked.into_iter().map(|letter| (letter.position, letter));
        self.group.dead_letters.extend(letters);
        self.group.checkpoint = self.group.checkpoint.max(up_to);
        Ok(())
    }

    fn give_up(&mut self, position: u64, reason: &str) -> Result<()> {
        let missing = || {
            let why = format!("there is no position {position} in `{}`", self.topic);
            Error::new(ErrorKind::Invalid, why)
        };
        let message = self.at(position).cloned().ok_or_else(missing)?;
        let is_done = position <= self.group.checkpoint;
        if is_done || self.group.dead_letters.contains_key(&position) {
            return self.advance(position);
        }
        self.check_room(1)?;
        let key = message.ordering_key().to_owned();
        let reason = match self.group.parked_keys.get(&key) {
            Some(&behind) => DeadLetterReason::Behind(behind),
            None => DeadLetterReason::GaveUp(reason.to_owned()),
        };
        let letter = self.letter(position, message, reason);
        self.advance(position)?;
        self.group.parked_keys.entry(key).or_insert(position);
        self.group.dead_letters.insert(position, letter);
        Ok(())
    }

    fn letter(&self, position: u64, message: Message, reason: DeadLetterReason) -> DeadLetter {
        DeadLetter {
            topic: self.topic.to_owned(),
            group: self.name.to_owned(),
            position,
            key: message.ordering_key().to_owned(),
            reason,
            recorded_at: self.broker.clock.now(),
            message,
        }
    }

    fn check_room(&self, more: usize) -> Result<()> {
        if self.group.dead_letters.len() + more <= self.broker.config.parked {
            return Ok(());
        }
        let doing = format!("parking messages of group `{}`", self.name);
        Err(Error::new(ErrorKind::Full, doing))
    }
}

#[async_trait]
impl Publisher for Broker {
    async fn publish(&self, topic: &str, messages: &[Message]) -> Result<()> {
        names::check_topic(topic)?;
        for message in messages {
            message.validate(&self.config.limits)?;
        }
        let mut state = self.lock();
        let new = state.unpublished(topic, messages)?;
        if state.ids.len() + new.len() > self.config.messages {
            return Err(Error::new(
                ErrorKind::Full,
                format!("publishing to `{topic}`"),
            ));
        }
        state
            .topic(topic, self.config.names)?
            .log
            .extend(new.iter().copied().cloned());
        for message in new {
            let place = (topic.to_owned(), message.kind.clone());
            state.ids.insert(message.event_id(), place);
        }
        drop(state);
        self.published.send_modify(|count| *count += 1);
        Ok(())
    }
}

impl State {
    /// The messages that are not in the topic yet, in their order, each once.
    fn unpublished<'m>(&self, topic: &str, messages: &'m [Message]) -> Result<Vec<&'m Message>> {
        let mut new: Vec<&Message> = Vec::new();
        for message in messages {
            let id = message.event_id();
            let in_batch = new.iter().find(|other| other.event_id() == id);
            let place = self.ids.get(&id).map(|(topic, kind)| (&**topic, &**kind));
            match place.or_else(|| in_batch.map(|other| (topic, &*other.kind))) {
                None => new.push(message),
                Some(place) if place == (topic, &*message.kind) => {}
                Some(_) => {
                    let why = format!(
                        "the id `{}` of `{}` was used for another message",
                        message.id, message.source
                    );
                    return Err(Error::new(ErrorKind::Invalid, why));
                }
            }
        }
        Ok(new)
    }

    fn topic(&mut self, name: &str, most: usize) -> Result<&mut Topic> {
        if !self.topics.contains_key(name) && self.topics.len() >= most {
            return Err(Error::new(ErrorKind::Full, "making one more topic"));
        }
        Ok(self.topics.entry(name.to_owned()).or_default())
    }
}

#[async_trait]
impl Groups for Broker {
    async fn join(&self, topic: &str, group: &str, member: &str) -> Result<Epoch> {
        names::check_join(topic, group, member)?;
        let mut state = self.lock();
        let groups = &mut state.topic(topic, self.config.names)?.groups;
        if !groups.contains_key(group) && groups.len() >= self.config.names {
            return Err(Error::new(ErrorKind::Full, "making one more group"));
        }
        let state = groups.entry(group.to_owned()).or_default();
        let is_held = state
            .seen
            .is_some_and(|seen| seen.elapsed() < self.config.lease);
        if is_held && state.member.as_deref() != Some(member) {
            let doing = format!("joining group `{group}`");
            return Err(Error::new(ErrorKind::Busy, doing));
        }
        state.member = Some(member.to_owned());
        state.seen = Some(Instant::now());
        state.epoch += 1;
        Ok(Epoch(state.epoch))
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
        // Subscribed before the first look, so that nothing slips in between.
        let mut published = self.published.subscribe();
        loop {
            published.mark_unchanged();
            let found = self.as_worker((topic, group, epoch), |view| view.pending(after, max))?;
            if !found.is_empty() || max == 0 {
                return Ok(found);
            }
            let changed = tokio::time::timeout_at(deadline.instant(), published.changed());
            if changed.await.is_err() {
                return Ok(Vec::new());
            }
        }
    }

    async fn ack(&self, topic: &str, group: &str, epoch: Epoch, up_to: u64) -> Result<()> {
        self.as_worker((topic, group, epoch), |view| view.advance(up_to))
    }

    async fn dead_letter(
        &self,
        topic: &str,
        group: &str,
        epoch: Epoch,
        position: u64,
        reason: &str,
    ) -> Result<()> {
        self.as_worker((topic, group, epoch), |view| view.give_up(position, reason))
    }
}

#[async_trait]
impl Subscriber for Broker {
    async fn subscribe(
        &self,
        topic: &str,
        group: &str,
        member: &str,
    ) -> Result<Box<dyn Subscription>> {
        let groups: Arc<dyn Groups> = Arc::new(self.clone());
        GroupSubscriber::new(groups)
            .subscribe(topic, group, member)
            .await
    }
}

#[async_trait]
impl Inspect for Broker {
    async fn topics(&self) -> Result<Vec<TopicState>> {
        let state = self.lock();
        let topics = state.topics.iter();
        Ok(topics
            .map(|(name, topic)| TopicState {
                topic: name.clone(),
                messages: topic.log.len() as u64,
                head: topic.log.len() as u64,
            })
            .collect())
    }

    async fn groups(&self) -> Result<Vec<GroupState>> {
        let state = self.lock();
        let groups = state.topics.iter().flat_map(|(topic_name, topic)| {
            topic.groups.iter().map(|(name, group)| GroupState {
                topic: topic_name.clone(),
                group: name.clone(),
                member: group.member.clone(),
                epoch: Epoch(group.epoch),
                checkpoint: group.checkpoint,
                lag: topic.log.len() as u64 - group.checkpoint,
                dead_letters: group.dead_letters.len() as u64,
            })
        });
        Ok(groups.collect())
    }

    async fn dead_letters(
        &self,
        filter: &DeadLetterFilter,
        limit: usize,
    ) -> Result<Vec<DeadLetter>> {
        let state = self.lock();
        let wanted = |want: &Option<String>, name: &str| want.as_deref().is_none_or(|w| w == name);
        let topics = state.topics.iter();
        let letters = topics
            .filter(|(name, _)| wanted(&filter.topic, name))
            .flat_map(|(_, topic)| topic.groups.iter())
            .filter(|(name, _)| wanted(&filter.group, name))
            .flat_map(|(_, group)| group.dead_letters.values());
        Ok(letters.take(limit).cloned().collect())
    }
}
