//! Consumer groups as a port: terms with leases, long polls, acknowledgements.

use std::time::Duration;

use async_trait::async_trait;
use ieum_base::Deadline;
use ieum_eventstore::Position;
use ieum_messaging::{Delivery, Epoch, Error, ErrorKind, Groups, Result, names};
use tokio::time::Instant;

use super::group::{Found, Name, Row};
use super::{Topics, note_topic};
use crate::sqlite::Tx;

#[async_trait]
impl Groups for Topics {
    async fn join(&self, topic: &str, group: &str, member: &str) -> Result<Epoch> {
        names::check_join(topic, group, member)?;
        let (name, member) = (Name::new(topic, group), member.to_owned());
        let (topics, now) = (self.clone(), Instant::now());
        self.log
            .database()
            .write(move |tx| {
                let row = name.row(tx)?;
                if row.is_some_and(|row| row.member != member) && topics.is_held(&name, now) {
                    let doing = format!("joining group `{}`", name.group);
                    return Err(Error::new(ErrorKind::Busy, doing));
                }
                note_topic(tx, &name.topic, topics.config.topics)?;
                let epoch = name.begin_term(tx, &member, topics.config.groups)?;
                topics.renew(name, now);
                Ok(epoch)
            })
            .await
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
        let after = Position(after);
        let (name, deadline) = (Name::new(topic, group), Deadline::after(wait));
        // Registered before the first look, so that nothing slips in between (H10).
        let mut published = self.published(topic);
        loop {
            published.mark_unchanged();
            let found = self.look(name.clone(), epoch, after, max).await?;
            if let Some(passed) = found.passed {
                self.advance(name.clone(), epoch, passed).await?;
            }
            if !found.deliveries.is_empty() || max == 0 {
                return Ok(found.deliveries);
            }
            if found.passed.is_some() {
                continue;
            }
            if deadline.is_over() {
                return Ok(Vec::new());
            }
            // A wake-up is a hint; looking again in time also renews the lease.
            let pause = deadline.left().min(self.config.lease / 2);
            let _woken = tokio::time::timeout(pause, published.changed()).await;
        }
    }

    async fn ack(&self, topic: &str, group: &str, epoch: Epoch, up_to: u64) -> Result<()> {
        self.advance(Name::new(topic, group), epoch, Position(up_to))
            .await
    }

    async fn dead_letter(
        &self,
        topic: &str,
        group: &str,
        epoch: Epoch,
        position: u64,
        reason: &str,
    ) -> Result<()> {
        let (reason, most) = (reason.to_owned(), self.config.parked);
        self.as_worker(Name::new(topic, group), epoch, move |tx, name, row| {
            name.give_up(tx, row, (Position(position), &reason), most)
        })
        .await
    }
}

impl Topics {
    async fn look(&self, name: Name, epoch: Epoch, after: Position, max: usize) -> Result<Found> {
        let (topics, now) = (self.clone(), Instant::now());
        self.log
            .database()
            .read(move |connection| {
                let row = name.current(connection, epoch)?;
                let found =
                    name.look(connection, &row, after, max.min(topics.config.limits.batch))?;
                topics.renew(name, now);
                Ok(found)
            })
            .await
    }

    async fn advance(&self, name: Name, epoch: Epoch, to: Position) -> Result<()> {
        let most = self.config.parked;
        self.as_worker(name, epoch, move |tx, name, row| {
            name.advance(tx, row, to, most)
        })
        .await
    }

    /// Runs `work` in a transaction that first checks the term (H13), and renews the lease.
    async fn as_worker(
        &self,
        name: Name,
        epoch: Epoch,
        work: impl FnOnce(&Tx<'_>, &Name, &Row) -> Result<()> + Send + 'static,
    ) -> Result<()> {
        let (topics, now) = (self.clone(), Instant::now());
        self.log
            .database()
            .write(move |tx| {
                let row = name.current(tx, epoch)?;
                work(tx, &name, &row)?;
                topics.renew(name, now);
                Ok(())
            })
            .await
    }
}
