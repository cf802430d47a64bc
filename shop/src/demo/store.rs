//! The plan, kept: what is intended is written down before it is done, so that a demo that was killed
//! goes on where it was, with the same keys.

use anyhow::{Context, Result};
use ieum::base::{Clock, EngineUrl};
use ieum::sql::{Database, Migration, Reader, Row, Tx};

use super::plan::Outcome;
use crate::support::patience;

const SCHEMA: &[Migration] = &[Migration {
    component: "shop-plan",
    version: 1,
    sqlite: "
        CREATE TABLE customers (
            n INTEGER PRIMARY KEY,
            email TEXT NOT NULL,
            password TEXT NOT NULL
        ) STRICT;
        CREATE TABLE planned_orders (
            n INTEGER PRIMARY KEY,
            run INTEGER NOT NULL,
            key TEXT NOT NULL UNIQUE,
            customer INTEGER NOT NULL REFERENCES customers (n),
            outcome TEXT NOT NULL,
            flow TEXT NOT NULL,
            body TEXT,
            order_id TEXT,
            status TEXT
        ) STRICT;
        CREATE INDEX planned_orders_open ON planned_orders (n) WHERE status IS NULL;",
    postgres: "
        CREATE TABLE customers (
            n BIGINT PRIMARY KEY,
            email TEXT NOT NULL,
            password TEXT NOT NULL
        );
        CREATE TABLE planned_orders (
            n BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
            run BIGINT NOT NULL,
            key TEXT NOT NULL UNIQUE,
            customer BIGINT NOT NULL REFERENCES customers (n),
            outcome TEXT NOT NULL,
            flow TEXT NOT NULL,
            body TEXT,
            order_id TEXT,
            status TEXT
        );
        CREATE INDEX planned_orders_open ON planned_orders (n) WHERE status IS NULL;",
}];

/// The plan's database. Clones are the same plan.
#[derive(Clone, Debug)]
pub(super) struct Plan(Database);

/// A customer of the demo's own, who exists for nothing else: hence the password.
#[derive(Clone, Debug)]
pub(super) struct Customer {
    pub(super) n: i64,
    pub(super) email: String,
    pub(super) password: String,
}

/// An order that is to be placed.
#[derive(Clone, Debug)]
pub(super) struct Planned {
    pub(super) n: i64,
    /// Its `Idempotency-Key`.
    pub(super) key: String,
    pub(super) customer: i64,
    pub(super) outcome: Outcome,
    pub(super) flow: String,
    /// What is sent; settled before it is sent for the first time.
    pub(super) body: Option<String>,
}

impl Plan {
    /// Opens or creates the plan.
    pub(super) async fn open(url: &EngineUrl) -> Result<Self> {
        let database = Database::open(url, SCHEMA, Clock::system()).await;
        Ok(Self(database.context("the demo's plan cannot be opened")?))
    }

    /// The orders that are not finished, oldest first.
    pub(super) async fn open_orders(&self) -> Result<Vec<Planned>> {
        self.read(|db| {
            let sql = "SELECT n, key, customer, outcome, flow, body FROM planned_orders
                 WHERE status IS NULL ORDER BY n";
            db.rows(sql, (), planned)
        })
        .await
    }

    /// Adds a run of orders, dealt to `customers` in turn; all of them or none.
    pub(super) async fn add_run(
        &self,
        outcomes: Vec<Outcome>,
        customers: u32,
        flow: &'static str,
    ) -> Result<()> {
        self.write(move |tx| {
            let run = next_run(tx)?;
            add_customers(tx, customers)?;
            for (index, outcome) in outcomes.iter().enumerate() {
                let customer = index as i64 % i64::from(customers.max(1)) + 1;
                let key = format!("demo-{run}-{}", ieum::base::Uuid::new_v4());
                tx.execute(
                    "INSERT INTO planned_orders (run, key, customer, outcome, flow)
                     VALUES ($1, $2, $3, $4, $5)",
                    (run, key, customer, outcome.as_str(), flow),
                )?;
            }
            Ok(())
        })
        .await
    }

    /// The number that the next run will have, from 1.
    pub(super) async fn next_run(&self) -> Result<i64> {
        self.read(next_run).await
    }

    /// The customer with this number.
    pub(super) async fn customer(&self, n: i64) -> Result<Customer> {
        let customer = self.read(move |db| {
            let sql = "SELECT email, password FROM customers WHERE n = $1";
            db.row(sql, [n], |row| {
                Ok(Customer {
                    n,
                    email: row.get(0)?,
                    password: row.get(1)?,
                })
            })
        });
        customer
            .await?
            .with_context(|| format!("the plan has no customer {n}"))
    }

    /// Settles what is sent for an order.
    pub(super) async fn settle_body(&self, n: i64, body: String) -> Result<()> {
        self.update("UPDATE planned_orders SET body = $2 WHERE n = $1", n, body)
            .await
    }

    /// Notes which order it became.
    pub(super) async fn note_order(&self, n: i64, order_id: String) -> Result<()> {
        self.update(
            "UPDATE planned_orders SET order_id = $2 WHERE n = $1",
            n,
            order_id,
        )
        .await
    }

    /// Notes that it has ended.
    pub(super) async fn note_end(&self, n: i64, status: String) -> Result<()> {
        self.update(
            "UPDATE planned_orders SET status = $2 WHERE n = $1",
            n,
            status,
        )
        .await
    }

    /// Closes the database.
    pub(super) async fn close(&self) -> Result<()> {
        Ok(self.0.close().await?)
    }

    async fn update(&self, sql: &'static str, n: i64, text: String) -> Result<()> {
        self.write(move |tx| tx.execute(sql, (n, text.as_str())).map(drop))
            .await
    }

    async fn read<T: Send + 'static>(
        &self,
        work: impl Fn(&Reader<'_>) -> ieum::sql::Result<T> + Clone + Send + 'static,
    ) -> Result<T> {
        stubborn(|| self.0.read(work.clone())).await
    }

    /// Repeated until it is known that it happened: what is written twice is the same twice.
    async fn write<T: Send + 'static>(
        &self,
        work: impl Fn(&Tx<'_>) -> ieum::sql::Result<T> + Clone + Send + 'static,
    ) -> Result<T> {
        stubborn(|| {
            let work = work.clone();
            self.0.write(move |tx: &Tx<'_>| work(tx))
        })
        .await
    }
}

/// Tries while another try may help: an engine that is gone is mostly back in a moment.
async fn stubborn<T, F>(attempt: impl Fn() -> F) -> Result<T>
where
    F: Future<Output = ieum::sql::Result<T>>,
{
    let may_come = |error: &ieum::sql::Error| error.retry().is_worthwhile();
    let done = patience::wait("the plan", &Clock::system(), attempt, may_come).await;
    done.context("the plan")
}

fn planned(row: &Row<'_>) -> ieum::sql::Result<Planned> {
    let outcome: String = row.get(3)?;
    Ok(Planned {
        n: row.get(0)?,
        key: row.get(1)?,
        customer: row.get(2)?,
        outcome: Outcome::from_word(&outcome).unwrap_or(Outcome::Completed),
        flow: row.get(4)?,
        body: row.get(5)?,
    })
}

fn next_run(db: &Reader<'_>) -> ieum::sql::Result<i64> {
    let sql = "SELECT coalesce(max(run), 0) + 1 FROM planned_orders";
    Ok(db.row(sql, (), |row| row.get(0))?.unwrap_or(1))
}

/// Makes customers until there are `count`.
fn add_customers(tx: &Tx<'_>, count: u32) -> ieum::sql::Result<()> {
    for n in 1..=count {
        let id = ieum::base::Uuid::new_v4().simple();
        tx.execute(
            "INSERT INTO customers VALUES ($1, $2, $3) ON CONFLICT DO NOTHING",
            (n, format!("customer-{n}-{id}@example.com"), format!("{id}")),
        )?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn plan() -> Plan {
        let memory = "memory:".parse().expect("a URL");
        Plan::open(&memory).await.expect("a database")
    }

    #[tokio::test]
    async fn what_is_not_finished_is_found_again_with_its_key() {
        let plan = plan().await;
        let outcomes = vec![Outcome::Completed, Outcome::Declined, Outcome::Completed];
        plan.add_run(outcomes, 2, "orchestrated")
            .await
            .expect("planned");
        let first = plan.open_orders().await.expect("read");
        assert_eq!(
            first.iter().map(|o| o.customer).collect::<Vec<_>>(),
            [1, 2, 1]
        );
        plan.settle_body(first[0].n, "{}".into())
            .await
            .expect("kept");
        plan.note_order(first[1].n, "o-2".into())
            .await
            .expect("kept");
        plan.note_end(first[1].n, "cancelled".into())
            .await
            .expect("kept");
        let open = plan.open_orders().await.expect("read");
        assert_eq!(open.iter().map(|o| o.n).collect::<Vec<_>>(), [1, 3]);
        assert_eq!(open[0].key, first[0].key);
        assert_eq!(open[0].body.as_deref(), Some("{}"));
        assert_eq!(plan.next_run().await.expect("read"), 2);
    }

    #[tokio::test]
    async fn customers_stay_who_they_are() {
        let plan = plan().await;
        plan.add_run(vec![Outcome::Completed], 1, "orchestrated")
            .await
            .expect("planned");
        let before = plan.customer(1).await.expect("known").email;
        plan.add_run(vec![Outcome::Completed; 3], 3, "orchestrated")
            .await
            .expect("planned");
        assert_eq!(plan.customer(1).await.expect("known").email, before);
        assert!(plan.customer(3).await.is_ok());
        assert!(plan.customer(4).await.is_err());
    }
}
