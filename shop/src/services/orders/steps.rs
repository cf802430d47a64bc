//! How far an order is: what the other services said that they did for it, and when.
//!
//! A note is for people. Nothing is decided by it, so it does not matter which of two services is
//! heard first.

use ieum::base::Timestamp;
use ieum::messaging::Message;
use ieum::sql::{Migration, Reader};
use serde::{Deserialize, Serialize};

use crate::support::failure::Reply;
use crate::support::work::Work;

/// The schema of the notes.
pub(super) const TABLE: Migration = Migration {
    component: "orders",
    version: 2,
    sqlite: SQLITE,
    postgres: POSTGRES,
};

const SQLITE: &str = "
    CREATE TABLE order_steps (
        order_id TEXT NOT NULL,
        step TEXT NOT NULL,
        at INTEGER NOT NULL,
        PRIMARY KEY (order_id, step)
    ) STRICT, WITHOUT ROWID;";

const POSTGRES: &str = r#"
    CREATE TABLE order_steps (
        order_id TEXT COLLATE "C" NOT NULL,
        step TEXT COLLATE "C" NOT NULL,
        at BIGINT NOT NULL,
        PRIMARY KEY (order_id, step)
    );"#;

/// What became of an order. The order's own come from its events, the others from what is heard.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Step {
    /// It was placed.
    Placed,
    /// Its pieces are set aside.
    Reserved,
    /// There were too few pieces.
    OutOfStock,
    /// It is paid.
    Paid,
    /// The card was declined.
    Declined,
    /// It has a shipment.
    Shipped,
    /// Nobody delivers to the address.
    Undeliverable,
    /// It is settled.
    Confirmed,
    /// It is done.
    Completed,
    /// Its shipment was called back.
    Recalled,
    /// Its money went back.
    Refunded,
    /// Its pieces were put back.
    Released,
    /// It was given up.
    Cancelled,
}

/// Those that others tell of.
const HEARD: [Step; 9] = [
    Step::Reserved,
    Step::OutOfStock,
    Step::Paid,
    Step::Declined,
    Step::Shipped,
    Step::Undeliverable,
    Step::Recalled,
    Step::Refunded,
    Step::Released,
];

impl Step {
    /// The word in SQL.
    const fn as_str(self) -> &'static str {
        match self {
            Self::Placed => "placed",
            Self::Reserved => "reserved",
            Self::OutOfStock => "out-of-stock",
            Self::Paid => "paid",
            Self::Declined => "declined",
            Self::Shipped => "shipped",
            Self::Undeliverable => "undeliverable",
            Self::Confirmed => "confirmed",
            Self::Completed => "completed",
            Self::Recalled => "recalled",
            Self::Refunded => "refunded",
            Self::Released => "released",
            Self::Cancelled => "cancelled",
        }
    }
}

/// A step, and when it was reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Reached {
    /// Which.
    pub(super) step: Step,
    /// When, by the clock of who did it.
    pub(super) at: Timestamp,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct OfOrder {
    order_id: String,
}

/// Notes what was heard; the first time that it is said counts.
pub(super) fn note(work: &Work<'_>, step: Step, message: &Message) -> Reply<()> {
    let OfOrder { order_id } = message.decode()?;
    let at = message.time.unwrap_or_else(|| work.now());
    work.execute(
        "INSERT INTO order_steps VALUES ($1, $2, $3) ON CONFLICT DO NOTHING",
        (order_id, step.as_str(), at),
    )?;
    Ok(())
}

/// What was heard of an order. A step that another version wrote is passed over.
pub(super) fn heard(db: &Reader<'_>, order_id: &str) -> Reply<Vec<Reached>> {
    let sql = "SELECT step, at FROM order_steps WHERE order_id = $1 ORDER BY at, step";
    let rows = db.rows(sql, [order_id], |row| {
        Ok((row.get::<String>(0)?, row.get::<Timestamp>(1)?))
    })?;
    let known = |word: &str| HEARD.into_iter().find(|step| step.as_str() == word);
    let reached = rows.into_iter().filter_map(|(word, at)| {
        let step = known(&word)?;
        Some(Reached { step, at })
    });
    Ok(reached.collect())
}
