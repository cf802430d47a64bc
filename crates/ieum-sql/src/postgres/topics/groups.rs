//! Consumer groups as a port: terms with leases, long polls, acknowledgements.

use std::time::Duration;

use async_trait::async_trait;
use ieum_base::Deadline;
use ieum_eventstore::Position;
use ieum_messaging::{Delivery, Epoch, Error, ErrorKind, Groups, Result, names};
use tokio::time::Instant;

use super::group::Name;
use super::{Topics, lock};
use crate::postgres::log::{signed, unsigned};
use crate::postgres::readable;

#[async_trait]
impl Groups for Topics {
    async fn join(&self, topic: &str, group: &str, member: &str) -> Result<Epoch> {
        names::check_join(topic, group, member)?;
        self.note_topic(topic).await?;
        let name = Name::new(topic, group);
        // Nobody has such a row: only the last worker's own name takes over without a look before.
        let (joined, epoch, renewals) = self.try_join(&name, member, (-1, -1)).await?;
        if joined {
            return Ok(self.begun(&name, epoch));
        }
        let busy = || Error::new(ErrorKind::Busy, format!("joining group `{group}`"));
        if self.is_held(&name, (epoch, renewals), Instant::now()) {
            return Err(busy());
        }
        match self.try_join(&name, member, (epoch, renewals)).await? {
            (true, epoch, _) => Ok(self.begun(&name, epoch)),
            (false, ..) => Err(busy()),
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
        let max = max.min(self.config.limits.batch);
        let (name, deadline) = (Name::new(topic, group), Deadline::after(wait));
        // Registered before the first look, so that nothing slips in between (H10).
        let mut published = self.shared.bells.at(topic);
        loop {
            published.mark_unchanged();
            self.renew(&name, epoch).await?;
            let found = self.look(&name, epoch, Position(after), max).await?;
            if let Some(passed) = found.passed {
                self.advance(&name, epoch, passed.0).await?;
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
            let pause = deadline.left().min(self.config.lease / 3);
            let _woken = tokio::time::timeout(pause, published.changed()).await;
        }
    }

    async fn ack(&self, topic: &str, group: &str, epoch: Epoch, up_to: u64) -> Result<()> {
        self.advance(&Name::new(topic, group), epoch, up_to).await
    }

    async fn dead_letter(
        &self,
        topic: &str,
        group: &str,
        epoch: Epoch,
        position: u64,
        reason: &str,
    ) -> Result<()> {
        let (place, reason, now) = (signed(position), readable(reason), self.now());
        self.call(
            "SELECT ieum_group_give_up($1, $2, $3, $4, $5, $6, $7)",
            &[
                &topic,
                &group,
                &signed(epoch.0),
                &place,
                &reason,
                &self.most_parked(),
                &now,
            ],
        )
        .await
    }
}

impl Topics {
    async fn try_join(
        &self,
        name: &Name,
        member: &str,
        seen: (i64, i64),
    ) -> Result<(bool, i64, i64)> {
        let most = i64::try_from(self.config.groups).unwrap_or(i64::MAX);
        let row = self
            .ask(
                "SELECT joined, term, renewed FROM ieum_group_join($1, $2, $3, $4, $5, $6)",
                &[&name.topic, &name.group, &member, &seen.0, &seen.1, &most],
            )
            .await?;
        Ok((row.get(0), row.get(1), row.get(2)))
    }

    fn begun(&self, name: &Name, epoch: i64) -> Epoch {
        lock(&self.shared.seen).remove(name);
        lock(&self.shared.renewed).insert(name.clone(), Instant::now());
        Epoch(unsigned(epoch))
    }

    /// Says that the group's worker is alive, as often as the lease needs. `Superseded` if it is
    /// not the worker any more.
    async fn renew(&self, name: &Name, epoch: Epoch) -> Result<()> {
        let now = Instant::now();
        let last = lock(&self.shared.renewed).get(name).copied();
        let is_fresh = |last: Instant| now.saturating_duration_since(last) < self.config.lease / 3;
        if last.is_some_and(is_fresh) {
            return Ok(());
        }
        let sql = "WITH renewed AS (UPDATE ieum_groups SET renewals = renewals + 1 \
                   WHERE topic = $1 AND name = $2 AND epoch = $3 RETURNING 1) \
                   SELECT count(*) FROM renewed";
        let row = self
            .ask(sql, &[&name.topic, &name.group, &signed(epoch.0)])
            .await?;
        if row.get::<_, i64>(0) == 0 {
            let context = format!("group `{}`", name.group);
            return Err(Error::new(ErrorKind::Superseded, context));
        }
        lock(&self.shared.renewed).insert(name.clone(), now);
        Ok(())
    }

    async fn advance(&self, name: &Name, epoch: Epoch, to: u64) -> Result<()> {
        let (epoch, to, now) = (signed(epoch.0), signed(to), self.now());
        self.call(
            "SELECT ieum_group_advance($1, $2, $3, $4, $5, $6)",
            &[
                &name.topic,
                &name.group,
                &epoch,
                &to,
                &self.most_parked(),
                &now,
            ],
        )
        .await
    }

    fn most_parked(&self) -> i64 {
        i64::try_from(self.config.parked).unwrap_or(i64::MAX)
    }

    fn now(&self) -> i64 {
        self.log.pool().clock().now().as_micros()
    }
}
