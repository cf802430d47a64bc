//! The table of shipping, and what is done to it inside a transaction.

use ieum::base::Timestamp;
use ieum::sql::{Migration, Reader};
use serde::{Deserialize, Serialize};

use super::domain::{Address, deliverable};
use crate::support::failure::Reply;
use crate::support::work::Work;

/// The schema.
pub(super) const TABLES: Migration = Migration {
    component: "shipping",
    version: 1,
    sqlite: SQLITE,
    postgres: POSTGRES,
};

const SQLITE: &str = "
    CREATE TABLE shipments (
        id TEXT PRIMARY KEY,
        order_id TEXT NOT NULL,
        user_id TEXT NOT NULL,
        address TEXT,
        status TEXT NOT NULL CHECK (status IN ('created', 'cancelled')),
        created_at INTEGER NOT NULL,
        updated_at INTEGER NOT NULL
    ) STRICT, WITHOUT ROWID;
    CREATE INDEX shipments_of_order ON shipments (order_id);";

const POSTGRES: &str = r#"
    CREATE TABLE shipments (
        id TEXT COLLATE "C" PRIMARY KEY,
        order_id TEXT COLLATE "C" NOT NULL,
        user_id TEXT NOT NULL,
        address TEXT,
        status TEXT NOT NULL CHECK (status IN ('created', 'cancelled')),
        created_at BIGINT NOT NULL,
        updated_at BIGINT NOT NULL
    );
    CREATE INDEX shipments_of_order ON shipments (order_id);"#;

/// What is to be sent.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Parcel {
    pub(super) order_id: String,
    pub(super) user_id: String,
    #[serde(default)]
    pub(super) address: Option<Address>,
}

/// A shipment.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Shipment {
    pub(super) id: String,
    pub(super) order_id: String,
    #[serde(skip)]
    pub(super) user_id: String,
    pub(super) status: String,
    pub(super) created_at: Timestamp,
}

/// Creates a shipment, or says why nobody delivers there.
pub(super) fn create(work: &Work<'_>, parcel: &Parcel) -> Reply<Result<Shipment, &'static str>> {
    if let Err(why) = deliverable(parcel.address.as_ref()) {
        return Ok(Err(why));
    }
    let shipment = Shipment {
        id: work.new_id().to_string(),
        order_id: parcel.order_id.clone(),
        user_id: parcel.user_id.clone(),
        status: "created".to_owned(),
        created_at: work.now(),
    };
    let address = parcel
        .address
        .as_ref()
        .map(serde_json::to_string)
        .transpose()?;
    work.execute(
        "INSERT INTO shipments VALUES ($1, $2, $3, $4, 'created', $5, $5)",
        (
            &shipment.id,
            &shipment.order_id,
            &shipment.user_id,
            address,
            shipment.created_at,
        ),
    )?;
    Ok(Ok(shipment))
}

/// Cancels what is to be sent for an order; answers whether there was anything.
pub(super) fn cancel(work: &Work<'_>, order_id: &str) -> Reply<bool> {
    let cancelled = work.execute(
        "UPDATE shipments SET status = 'cancelled', updated_at = $2
         WHERE order_id = $1 AND status = 'created'",
        (order_id, work.now()),
    )?;
    Ok(cancelled > 0)
}

/// The shipments of an order, oldest first.
pub(super) fn of_order(db: &Reader<'_>, order_id: &str) -> Reply<Vec<Shipment>> {
    let sql = "SELECT id, order_id, user_id, status, created_at FROM shipments
         WHERE order_id = $1 ORDER BY id";
    let shipments = db.rows(sql, [order_id], |row| {
        Ok(Shipment {
            id: row.get(0)?,
            order_id: row.get(1)?,
            user_id: row.get(2)?,
            status: row.get(3)?,
            created_at: row.get(4)?,
        })
    });
    Ok(shipments?)
}
