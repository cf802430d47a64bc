//! The ports [`Groups`](ieum_messaging::Groups) and [`Subscriber`](ieum_messaging::Subscriber).

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use ieum_base::Backoff;
use ieum_messaging::{
    Delivery, Epoch, Error, ErrorKind, GroupConfig, GroupSubscriber, Result, Subscription, names,
};

use crate::connection::Connection;
use crate::group::{Names, Session};
use crate::streams::Streams;

/// Consumer groups. Each value is one process as far as terms go: what it joined, it works for.
pub struct Groups {
    connection: Arc<Connection>,
    streams: Arc<Streams>,
    sessions: Mutex<HashMap<Names, Arc<Session>>>,
}

/// The most groups that one value works for.
const SESSIONS: usize = 10_000;

impl Groups {
    pub(crate) fn new(connection: Arc<Connection>, streams: Arc<Streams>) -> Self {
        Self {
            connection,
            streams,
            sessions: Mutex::default(),
        }
    }

    fn find(&self, topic: &str, group: &str) -> Result<Arc<Session>> {
        let sessions = self.sessions.lock().unwrap_or_else(PoisonError::into_inner);
        let session = sessions.get(&Names::new(topic, group)).cloned();
        session.ok_or_else(|| Error::new(ErrorKind::Superseded, format!("group `{group}`")))
    }

    fn find_or_add(&self, topic: &str, group: &str) -> Result<Arc<Session>> {
        let mut sessions = self.sessions.lock().unwrap_or_else(PoisonError::into_inner);
        let names = Names::new(topic, group);
        if let Some(session) = sessions.get(&names) {
            return Ok(Arc::clone(session));
        }
        if sessions.len() >= SESSIONS {
            return Err(Error::new(ErrorKind::Full, "working for one more group"));
        }
        let (connection, streams) = (Arc::clone(&self.connection), Arc::clone(&self.streams));
        let session = Arc::new(Session::new(connection, streams, names.clone()));
        sessions.insert(names, Arc::clone(&session));
        Ok(session)
    }
}

impl std::fmt::Debug for Groups {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Groups")
            .field("connection", &self.connection)
            .finish_non_exhaustive()
    }
}

#[async_trait]
impl ieum_messaging::Groups for Groups {
    async fn join(&self, topic: &str, group: &str, member: &str) -> Result<Epoch> {
        names::check_join(topic, group, member)?;
        self.find_or_add(topic, group)?.join(member).await
    }

    async fn pull(
        &self,
        topic: &str,
        group: &str,
        epoch: Epoch,
        max: usize,
        wait: Duration,
    ) -> Result<Vec<Delivery>> {
        let session = self.find(topic, group)?;
        session.pull(epoch, 0, max, wait).await
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
        let session = self.find(topic, group)?;
        session.pull(epoch, after, max, wait).await
    }

    async fn ack(&self, topic: &str, group: &str, epoch: Epoch, up_to: u64) -> Result<()> {
        self.find(topic, group)?.ack(epoch, up_to).await
    }

    async fn dead_letter(
        &self,
        topic: &str,
        group: &str,
        epoch: Epoch,
        position: u64,
        reason: &str,
    ) -> Result<()> {
        let session = self.find(topic, group)?;
        session.dead_letter(epoch, position, reason).await
    }
}

/// Opens subscriptions: each has a session of its own, as if it were in another process.
#[derive(Clone, Debug)]
pub struct Subscriber {
    connection: Arc<Connection>,
    streams: Arc<Streams>,
}

impl Subscriber {
    pub(crate) const fn new(connection: Arc<Connection>, streams: Arc<Streams>) -> Self {
        Self {
            connection,
            streams,
        }
    }
}

#[async_trait]
impl ieum_messaging::Subscriber for Subscriber {
    async fn subscribe(
        &self,
        topic: &str,
        group: &str,
        member: &str,
    ) -> Result<Box<dyn Subscription>> {
        let (connection, streams) = (Arc::clone(&self.connection), Arc::clone(&self.streams));
        // A standby must look more often than a lease takes, or it never sees one end.
        let longest = LONGEST_PAUSE.min(self.connection.config.lease / 4);
        let config = GroupConfig {
            backoff: Backoff::new(FIRST_PAUSE.min(longest), longest),
            ..GroupConfig::default()
        };
        GroupSubscriber::new(Arc::new(Groups::new(connection, streams)))
            .with_config(config)
            .subscribe(topic, group, member)
            .await
    }
}

/// The pauses before a join or a pull is tried again.
const FIRST_PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);
