//! Leases in the table of the fences: an epoch is one number, however it came about.

use async_trait::async_trait;
use ieum_eventstore::{Fence, Lease, Leases, Result, lease};
use tokio_postgres::Row;

use super::Log;
use super::read::unfit;
use super::row::{signed, unsigned};

const OBSERVE: &str = "SELECT name, epoch, renewals, holder FROM ieum_fences \
                       WHERE starts_with(name, $1) ORDER BY name LIMIT $2";

#[async_trait]
impl Leases for Log {
    async fn observe(&self, prefix: &str) -> Result<Vec<Lease>> {
        let most = signed(Lease::MOST as u64);
        let rows = self.pool().query(OBSERVE, &[&prefix, &most]).await?;
        rows.iter().map(lease_of).collect()
    }

    async fn take(&self, holder: &str, seen: &[Lease]) -> Result<Vec<Fence>> {
        lease::check_names(holder, seen.iter().map(|lease| &*lease.name))?;
        let names: Vec<&str> = seen.iter().map(|lease| &*lease.name).collect();
        let epochs: Vec<i64> = seen.iter().map(|lease| signed(lease.epoch)).collect();
        let renewals: Vec<i64> = seen.iter().map(|lease| signed(lease.renewals)).collect();
        // Not asked for again after a lost answer: the caller observes what happened.
        let rows = self
            .pool()
            .query_once(
                "SELECT name, epoch FROM ieum_take_leases($1, $2, $3, $4)",
                &[&holder, &names, &epochs, &renewals],
            )
            .await?;
        fences(&rows)
    }

    async fn renew(&self, held: &[Fence]) -> Result<Vec<Fence>> {
        let (names, epochs) = columns(held);
        let sql = "SELECT name, epoch FROM ieum_renew_leases($1, $2)";
        fences(&self.pool().query(sql, &[&names, &epochs]).await?)
    }

    async fn release(&self, held: &[Fence]) -> Result<()> {
        let (names, epochs) = columns(held);
        let sql = "SELECT ieum_release_leases($1, $2)";
        self.pool().query(sql, &[&names, &epochs]).await?;
        Ok(())
    }
}

fn columns(fences: &[Fence]) -> (Vec<&str>, Vec<i64>) {
    let parts = fences.iter();
    parts
        .map(|fence| (&*fence.name, signed(fence.epoch)))
        .unzip()
}

fn fences(rows: &[Row]) -> Result<Vec<Fence>> {
    let fence = |row: &Row| {
        Ok(Fence {
            name: row.try_get(0).map_err(unfit)?,
            epoch: unsigned(row.try_get(1).map_err(unfit)?),
        })
    };
    rows.iter().map(fence).collect()
}

fn lease_of(row: &Row) -> Result<Lease> {
    Ok(Lease {
        name: row.try_get(0).map_err(unfit)?,
        epoch: unsigned(row.try_get(1).map_err(unfit)?),
        renewals: unsigned(row.try_get(2).map_err(unfit)?),
        holder: row.try_get(3).map_err(unfit)?,
    })
}
