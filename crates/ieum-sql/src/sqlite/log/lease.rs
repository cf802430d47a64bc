//! Leases in the table of the fences: an epoch is one number, however it came about.

use async_trait::async_trait;
use ieum_eventstore::{Error, Fence, Lease, Leases, Result, lease};
use rusqlite::Connection;

use super::Log;
use super::failure::Failure;
use super::row::{signed, unsigned};
use crate::sqlite::Tx;

#[async_trait]
impl Leases for Log {
    async fn observe(&self, prefix: &str) -> Result<Vec<Lease>> {
        let prefix = prefix.to_owned();
        self.database()
            .read(move |connection| Ok::<_, Error>(observe(connection, &prefix)?))
            .await
    }

    async fn take(&self, holder: &str, seen: &[Lease]) -> Result<Vec<Fence>> {
        lease::check_names(holder, seen.iter().map(|lease| &*lease.name))?;
        let (holder, seen) = (holder.to_owned(), seen.to_vec());
        self.database()
            .write(move |tx| Ok(take(tx, &holder, &seen)?))
            .await
    }

    async fn renew(&self, held: &[Fence]) -> Result<Vec<Fence>> {
        let held = held.to_vec();
        self.database().write(move |tx| Ok(renew(tx, held)?)).await
    }

    async fn release(&self, held: &[Fence]) -> Result<()> {
        let held = held.to_vec();
        self.database()
            .write(move |tx| Ok(release(tx, &held)?))
            .await
    }
}

fn observe(connection: &Connection, prefix: &str) -> Result<Vec<Lease>, Failure> {
    let mut statement = connection.prepare_cached(
        "SELECT name, epoch, renewals, holder FROM ieum_fences \
         WHERE substr(name, 1, length(?1)) = ?1 ORDER BY name LIMIT ?2",
    )?;
    let most = signed(Lease::MOST as u64);
    let rows = statement.query_map((prefix, most), |row| {
        let holder: String = row.get(3)?;
        Ok(Lease {
            name: row.get(0)?,
            epoch: unsigned(row.get(1)?),
            renewals: unsigned(row.get(2)?),
            holder: (!holder.is_empty()).then_some(holder),
        })
    })?;
    Ok(rows.collect::<Result<_, _>>()?)
}

fn take(tx: &Tx<'_>, holder: &str, seen: &[Lease]) -> Result<Vec<Fence>, Failure> {
    let mut insert = tx.prepare_cached(
        "INSERT INTO ieum_fences (name, epoch, holder) VALUES (?1, 1, ?2) ON CONFLICT DO NOTHING",
    )?;
    let mut update = tx.prepare_cached(
        "UPDATE ieum_fences SET epoch = epoch + 1, holder = ?2 \
         WHERE name = ?1 AND epoch = ?3 AND renewals = ?4",
    )?;
    let mut taken = Vec::with_capacity(seen.len());
    for lease in seen {
        let (epoch, renewals) = (signed(lease.epoch), signed(lease.renewals));
        let rows = match (epoch, renewals) {
            (0, 0) => insert.execute((&lease.name, holder))?,
            _ => update.execute((&lease.name, holder, epoch, renewals))?,
        };
        if rows > 0 {
            taken.push(Fence {
                name: lease.name.clone(),
                epoch: lease.epoch + 1,
            });
        }
    }
    Ok(taken)
}

fn renew(tx: &Tx<'_>, mut held: Vec<Fence>) -> Result<Vec<Fence>, Failure> {
    let mut statement = tx.prepare_cached(
        "UPDATE ieum_fences SET renewals = renewals + 1 WHERE name = ?1 AND epoch = ?2",
    )?;
    let mut renewed = Vec::with_capacity(held.len());
    for fence in held.drain(..) {
        if statement.execute((&fence.name, signed(fence.epoch)))? > 0 {
            renewed.push(fence);
        }
    }
    Ok(renewed)
}

fn release(tx: &Tx<'_>, held: &[Fence]) -> Result<(), Failure> {
    let mut statement = tx.prepare_cached(
        "UPDATE ieum_fences SET epoch = epoch + 1, holder = '' WHERE name = ?1 AND epoch = ?2",
    )?;
    for fence in held {
        statement.execute((&fence.name, signed(fence.epoch)))?;
    }
    Ok(())
}
