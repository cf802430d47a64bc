//! One group as one process works for it.

use std::sync::Arc;
use std::time::Duration;

use ieum_messaging::{DeadLetterReason, Delivery, Epoch, Error, ErrorKind, Message, Result};
use tokio::sync::{Mutex, MutexGuard};
use tokio::time::Instant;

use super::reader::{Broken, Raw, Reader};
use super::record::{Aside, Key};
use super::tenure::{Sight, Tenure, superseded};
use super::window::Window;
use super::{Names, dead_letters};
use crate::binding;
use crate::connection::Connection;
use crate::streams::{self, Streams};

/// A group's state and cursor. What one member knows: two members have a session each.
pub(crate) struct Session {
    connection: Arc<Connection>,
    streams: Arc<Streams>,
    names: Names,
    /// Held while somebody pulls, with the term that it is of. Empty after a pull that was dropped: it
    /// may have read messages.
    reader: Mutex<Option<(Epoch, Reader)>>,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    tenure: Option<Tenure>,
    sight: Option<Sight>,
    window: Window,
}

/// What a pull found so far.
struct Found {
    start: u64,
    max: usize,
    deadline: Instant,
    deliveries: Vec<Delivery>,
    bytes: usize,
}

impl Found {
    fn is_full(&self) -> bool {
        self.deliveries.len() >= self.max || self.bytes >= PAGE_BYTES
    }
}

impl Session {
    pub(crate) fn new(connection: Arc<Connection>, streams: Arc<Streams>, names: Names) -> Self {
        Self {
            connection,
            streams,
            names,
            reader: Mutex::default(),
            state: Mutex::default(),
        }
    }

    /// Begins a term of `member`.
    pub(crate) async fn join(&self, member: &str) -> Result<Epoch> {
        self.streams
            .topic(&self.connection, &self.names.topic)
            .await?;
        self.streams.bucket(&self.connection).await?;
        let mut state = self.state.lock().await;
        let state = &mut *state;
        let tenure = Tenure::begin(&self.connection, &self.names, member, &mut state.sight).await;
        let tenure = tenure.inspect_err(|error| {
            // Streams may have been removed: they are looked at again.
            if error.kind() == ErrorKind::Unavailable {
                let namespace = &self.connection.config.namespace;
                self.streams.forget(&self.names.stream(namespace));
                self.streams.forget(&namespace.bucket_stream());
            }
        })?;
        state.window = Window::behind(tenure.record.checkpoint);
        let tenure = state.tenure.insert(tenure);
        self.settle(tenure).await?;
        Ok(tenure.epoch())
    }

    /// The messages behind `after` and the checkpoint.
    pub(crate) async fn pull(
        &self,
        epoch: Epoch,
        after: u64,
        max: usize,
        wait: Duration,
    ) -> Result<Vec<Delivery>> {
        if max == 0 {
            self.keep(epoch).await?;
            return Ok(Vec::new());
        }
        let deadline = Instant::now() + wait;
        let mut slot = self.reader.lock().await;
        let (start, mut reader) = self.begin(epoch, after, slot.take()).await?;
        let mut found = Found {
            start,
            max,
            deadline,
            deliveries: Vec::new(),
            bytes: 0,
        };
        while !self.page(epoch, &mut reader, &mut found).await? {}
        self.pass_by(epoch, start).await?;
        // Nothing is handed out to a member that was superseded while it read.
        let mut state = self.state.lock().await;
        let tenure = state.term(epoch, &self.names)?;
        tenure.keep(&self.connection, &self.names).await?;
        let served = found.deliveries.last().map_or(start, |last| last.position);
        state.window.read(start, reader.cursor());
        state.window.serve(served);
        *slot = Some((epoch, reader));
        Ok(found.deliveries)
    }

    /// Reads a page, or waits for a message if there is none; whether that is all for now.
    async fn page(&self, epoch: Epoch, reader: &mut Reader, found: &mut Found) -> Result<bool> {
        let wanted = found.max - found.deliveries.len();
        let Some(asked) = self.room(wanted.min(self.connection.config.page)).await else {
            return Ok(true);
        };
        let read = self.read(reader, asked, None).await?;
        let is_end = read.len() < asked && read.last().is_none_or(|raw| raw.pending == 0);
        self.take_in(epoch, read, found).await?;
        if !is_end || !found.deliveries.is_empty() {
            return Ok(is_end || found.is_full());
        }
        self.pass_by(epoch, found.start).await?;
        let Some(slice) = self.slice(epoch, found.deadline).await? else {
            return Ok(true);
        };
        let read = self.read(reader, 1, Some(slice)).await?;
        let is_only = read.last().is_some_and(|raw| raw.pending == 0);
        self.take_in(epoch, read, found).await?;
        Ok((is_only && !found.deliveries.is_empty()) || found.is_full())
    }

    /// Renews the lease.
    async fn keep(&self, epoch: Epoch) -> Result<()> {
        let mut state = self.state.lock().await;
        let tenure = state.term(epoch, &self.names)?;
        tenure.keep(&self.connection, &self.names).await
    }

    /// Moves the checkpoint to `up_to`.
    pub(crate) async fn ack(&self, epoch: Epoch, up_to: u64) -> Result<()> {
        let mut state = self.state.lock().await;
        let checkpoint = state.term(epoch, &self.names)?.record.checkpoint;
        if up_to > checkpoint.max(state.window.read_to()) {
            self.read_up_to(&mut state, up_to).await?;
        }
        self.advance(&mut state, up_to, None).await
    }

    /// Gives up the message at `position`.
    pub(crate) async fn dead_letter(
        &self,
        epoch: Epoch,
        position: u64,
        reason: &str,
    ) -> Result<()> {
        let mut state = self.state.lock().await;
        let checkpoint = state.term(epoch, &self.names)?.record.checkpoint;
        if position <= checkpoint {
            return self.advance(&mut state, position, None).await;
        }
        if position > state.window.read_to() {
            self.read_up_to(&mut state, position).await?;
        }
        if !state.window.knows(position) {
            return Err(self.no_position(position));
        }
        self.advance(&mut state, position, Some(reason)).await
    }

    /// Where to read on, and a cursor there.
    async fn begin(
        &self,
        epoch: Epoch,
        after: u64,
        reader: Option<(Epoch, Reader)>,
    ) -> Result<(u64, Reader)> {
        let mut state = self.state.lock().await;
        let start = state.term(epoch, &self.names)?.record.checkpoint.max(after);
        let window = &mut state.window;
        let goes_on = |(term, reader): &(Epoch, Reader)| {
            *term == epoch
                && !reader.is_stale(&self.connection)
                && window.goes_on(start, reader.cursor())
        };
        if let Some((_, reader)) = reader.filter(goes_on) {
            return Ok((start, reader));
        }
        window.rewind(start);
        Ok((start, self.open(start).await?))
    }

    async fn open(&self, after: u64) -> Result<Reader> {
        let stream = self.names.stream(&self.connection.config.namespace);
        Reader::open(&self.connection, stream, after).await
    }

    /// Reads a page. A cursor that is gone is made again, behind what was read.
    async fn read(
        &self,
        reader: &mut Reader,
        max: usize,
        wait: Option<Duration>,
    ) -> Result<Vec<Raw>> {
        let from = reader.cursor();
        for _ in 0..ATTEMPTS {
            match reader.read(&self.connection, max, wait).await {
                Ok(read) => return Ok(read),
                Err(Broken::Failed(error)) => return Err(error),
                // What was read in part is read again.
                Err(Broken::Gone) => *reader = self.open(from).await?,
            }
        }
        let doing = format!(
            "reading the topic `{}` (it begins again and again)",
            self.names.topic
        );
        Err(Error::new(ErrorKind::Unavailable, doing))
    }

    /// How many of `page` messages fit the window; `None` if it is full.
    async fn room(&self, page: usize) -> Option<usize> {
        let held = self.state.lock().await.window.len();
        let room = self.connection.config.window.saturating_sub(held).min(page);
        (room > 0).then_some(room)
    }

    async fn take_in(&self, epoch: Epoch, read: Vec<Raw>, found: &mut Found) -> Result<()> {
        let mut state = self.state.lock().await;
        let end = read.last().map_or(0, |raw| raw.position);
        for raw in read {
            found.bytes += raw.message.length;
            let message = self.decode(&raw);
            let readable = message.as_ref().map_err(Clone::clone);
            let State { tenure, window, .. } = &mut *state;
            let record = &term_of(tenure, epoch, &self.names)?.record;
            let free = window.take(raw.position, raw.stamp, readable, record);
            if let Some(message) = message.ok().filter(|_| free) {
                let position = raw.position;
                found.deliveries.push(Delivery { position, message });
            }
        }
        state.window.read(found.start, end);
        Ok(())
    }

    fn decode(&self, raw: &Raw) -> Result<Message, String> {
        let limits = &self.connection.config.limits;
        let message = binding::read(raw.message.headers.as_ref(), &raw.message.payload, limits);
        message.map_err(|error| {
            let position = raw.position;
            tracing::error!(topic = self.names.topic, position, %error, "this is no CloudEvent");
            format!("this is no CloudEvent: {error}")
        })
    }

    /// Deals with parked messages that nothing stands before, so that they are not looked at again.
    /// What was read ahead of the checkpoint, behind `start`, waits until it is passed.
    async fn pass_by(&self, epoch: Epoch, start: u64) -> Result<()> {
        let mut state = self.state.lock().await;
        let State { tenure, window, .. } = &mut *state;
        let record = &term_of(tenure, epoch, &self.names)?.record;
        let idle = window.idle_front(record);
        match idle.filter(|_| start <= record.checkpoint) {
            Some(position) => self.advance(&mut state, position, None).await,
            None => Ok(()),
        }
    }

    /// How long to wait until the lease is renewed again; `None` after the deadline.
    async fn slice(&self, epoch: Epoch, deadline: Instant) -> Result<Option<Duration>> {
        if Instant::now() >= deadline {
            return Ok(None);
        }
        let mut state = self.state.lock().await;
        let tenure = state.term(epoch, &self.names)?;
        tenure.keep(&self.connection, &self.names).await?;
        let until = deadline.min(tenure.due(&self.connection));
        let slice = until.saturating_duration_since(Instant::now());
        Ok(Some(slice.max(SHORTEST_WAIT)))
    }

    /// Moves the checkpoint and gives up what it passes, and the message there if `reason` is given.
    async fn advance(
        &self,
        state: &mut MutexGuard<'_, State>,
        to: u64,
        reason: Option<&str>,
    ) -> Result<()> {
        let State { tenure, window, .. } = &mut **state;
        let Some(tenure) = tenure.as_mut() else {
            return Err(superseded(&self.names));
        };
        let record = &tenure.record;
        let mut passed = window.passed(to, record);
        let mut parks: Option<Key> = None;
        if let Some(reason) = reason
            && to > record.checkpoint
            && passed.last().is_none_or(|last| last.position != to)
        {
            parks = window.key(to).cloned();
            passed.push(Aside {
                position: to,
                reason: DeadLetterReason::GaveUp(reason.to_owned()),
            });
        }
        let stamp = window.stamp(to);
        let recount = self.check_room(tenure, passed.len()).await?;
        tenure
            .write(&self.connection, &self.names, |record| {
                if let Some(dead) = recount {
                    record.dead = dead;
                }
                if let Some(key) = &parks
                    && to > record.checkpoint
                {
                    record.parked.entry(key.clone()).or_insert(to);
                }
                record.advance(to, stamp, &passed);
            })
            .await?;
        window.forget(tenure.record.checkpoint);
        self.settle(tenure).await
    }

    /// Whether `more` dead letters fit. The count in the entry may be above the truth, because an
    /// operator removed some: then it answers the right one.
    async fn check_room(&self, tenure: &Tenure, more: usize) -> Result<Option<u64>> {
        let limit = self.connection.config.parked as u64;
        let more = more as u64;
        if more == 0 || tenure.record.dead + more <= limit {
            return Ok(None);
        }
        let stream = self.names.dead_stream(&self.connection.config.namespace);
        let kept = streams::info(&self.connection, &stream).await?;
        let dead = kept.map_or(0, |info| info.state.messages) + tenure.record.aside.len() as u64;
        if dead + more <= limit {
            return Ok(Some(dead));
        }
        let doing = format!("parking messages of group `{}`", self.names.group);
        Err(Error::new(ErrorKind::Full, doing))
    }

    /// Keeps what the entry says was given up. The entry is cleared with its next write.
    async fn settle(&self, tenure: &mut Tenure) -> Result<()> {
        let asides = &tenure.record.aside;
        if asides.is_empty() {
            return Ok(());
        }
        dead_letters::keep(&self.connection, &self.streams, &self.names, asides).await?;
        tenure.record.aside.clear();
        Ok(())
    }

    /// Reads what a member settles without having been given it in this session: of what it passes,
    /// parked messages must be known.
    async fn read_up_to(&self, state: &mut MutexGuard<'_, State>, up_to: u64) -> Result<()> {
        let stream = self.names.stream(&self.connection.config.namespace);
        let info = streams::info(&self.connection, &stream).await?;
        if info.is_none_or(|info| up_to > info.state.last_sequence) {
            return Err(self.no_position(up_to));
        }
        let State { tenure, window, .. } = &mut **state;
        let Some(tenure) = tenure else {
            return Err(superseded(&self.names));
        };
        let mut reader = self.open(window.read_to()).await?;
        while window.read_to() < up_to {
            let start = window.read_to();
            let read = self.read(&mut reader, self.connection.config.page, None);
            let read = read.await?;
            if read.is_empty() {
                break;
            }
            for raw in read {
                if raw.position <= up_to {
                    let message = self.decode(&raw);
                    let message = message.as_ref().map_err(Clone::clone);
                    window.take(raw.position, raw.stamp, message, &tenure.record);
                }
            }
            window.read(start, reader.cursor().min(up_to));
        }
        Ok(())
    }

    fn no_position(&self, position: u64) -> Error {
        let why = format!("there is no position {position} in `{}`", self.names.topic);
        Error::new(ErrorKind::Invalid, why)
    }
}

impl State {
    fn term(&mut self, epoch: Epoch, names: &Names) -> Result<&mut Tenure> {
        term_of(&mut self.tenure, epoch, names)
    }
}

/// The term, if it is that of `epoch`.
fn term_of<'t>(
    tenure: &'t mut Option<Tenure>,
    epoch: Epoch,
    names: &Names,
) -> Result<&'t mut Tenure> {
    let ours = tenure.as_mut().filter(|tenure| tenure.epoch() == epoch);
    ours.ok_or_else(|| superseded(names))
}

/// How often a cursor is made again in one read.
const ATTEMPTS: usize = 3;
/// The shortest wait that a server is asked for.
const SHORTEST_WAIT: Duration = Duration::from_millis(10);
/// The most bytes that one pull hands out, and one message more.
const PAGE_BYTES: usize = 16 << 20;
