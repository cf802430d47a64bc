//! The tables of payments, and what is done to them inside a transaction.

use ieum::base::Timestamp;
use ieum::sql::{Migration, Reader, Row};
use serde::{Deserialize, Serialize};

use super::card::{self, Brand};
use super::ledger::{self, Kind, Movement};
use crate::support::failure::{Failure, Reply};
use crate::support::money::Currency;
use crate::support::sabotage::{Sabotage, strikes};
use crate::support::work::Work;

/// The schema. There is no place for a card number.
pub(super) const TABLES: Migration = Migration {
    component: "payments",
    version: 1,
    sqlite: SQLITE,
    postgres: POSTGRES,
};

const SQLITE: &str = "
    CREATE TABLE cards (
        token TEXT PRIMARY KEY,
        user_id TEXT NOT NULL,
        last4 TEXT NOT NULL,
        brand TEXT NOT NULL,
        exp_month INTEGER NOT NULL,
        exp_year INTEGER NOT NULL,
        decline TEXT,
        created_at INTEGER NOT NULL
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE payments (
        id TEXT PRIMARY KEY,
        order_id TEXT NOT NULL,
        user_id TEXT NOT NULL,
        amount INTEGER NOT NULL CHECK (amount >= 0),
        currency TEXT NOT NULL,
        payer TEXT NOT NULL,
        last4 TEXT,
        status TEXT NOT NULL CHECK (status IN ('completed', 'declined', 'refunded')),
        decline TEXT,
        created_at INTEGER NOT NULL,
        updated_at INTEGER NOT NULL
    ) STRICT, WITHOUT ROWID;
    CREATE INDEX payments_of_order ON payments (order_id);
    CREATE TABLE ledger (
        id INTEGER PRIMARY KEY,
        txn TEXT NOT NULL,
        payment_id TEXT NOT NULL,
        order_id TEXT NOT NULL,
        kind TEXT NOT NULL CHECK (kind IN ('capture', 'refund')),
        account TEXT NOT NULL,
        amount INTEGER NOT NULL,
        currency TEXT NOT NULL,
        at INTEGER NOT NULL
    ) STRICT;
    CREATE INDEX ledger_of_order ON ledger (order_id);";

const POSTGRES: &str = r#"
    CREATE TABLE cards (
        token TEXT COLLATE "C" PRIMARY KEY,
        user_id TEXT NOT NULL,
        last4 TEXT NOT NULL,
        brand TEXT NOT NULL,
        exp_month BIGINT NOT NULL,
        exp_year BIGINT NOT NULL,
        decline TEXT,
        created_at BIGINT NOT NULL
    );
    CREATE TABLE payments (
        id TEXT COLLATE "C" PRIMARY KEY,
        order_id TEXT COLLATE "C" NOT NULL,
        user_id TEXT NOT NULL,
        amount BIGINT NOT NULL CHECK (amount >= 0),
        currency TEXT NOT NULL,
        payer TEXT NOT NULL,
        last4 TEXT,
        status TEXT NOT NULL CHECK (status IN ('completed', 'declined', 'refunded')),
        decline TEXT,
        created_at BIGINT NOT NULL,
        updated_at BIGINT NOT NULL
    );
    CREATE INDEX payments_of_order ON payments (order_id);
    CREATE TABLE ledger (
        id BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
        txn TEXT NOT NULL,
        payment_id TEXT NOT NULL,
        order_id TEXT COLLATE "C" NOT NULL,
        kind TEXT NOT NULL CHECK (kind IN ('capture', 'refund')),
        account TEXT NOT NULL,
        amount BIGINT NOT NULL,
        currency TEXT NOT NULL,
        at BIGINT NOT NULL
    );
    CREATE INDEX ledger_of_order ON ledger (order_id);"#;

/// What is kept of a card.
#[derive(Clone, Debug)]
pub(super) struct Card {
    pub(super) token: String,
    pub(super) user_id: String,
    pub(super) last4: String,
    pub(super) brand: Brand,
    pub(super) exp_month: u8,
    pub(super) exp_year: u16,
    /// What the card network will answer; `None` is yes.
    pub(super) decline: Option<&'static str>,
}

/// What is to be charged.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Charge {
    pub(super) order_id: String,
    pub(super) user_id: String,
    #[serde(alias = "totalAmount")]
    pub(super) amount: i64,
    #[serde(default)]
    pub(super) currency: Currency,
    #[serde(default)]
    pub(super) card_token: Option<String>,
}

/// A payment.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Payment {
    pub(super) id: String,
    pub(super) order_id: String,
    pub(super) user_id: String,
    pub(super) amount: i64,
    pub(super) currency: String,
    /// `completed`, `declined` or `refunded`.
    pub(super) status: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) last4: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) decline_code: Option<String>,
    pub(super) created_at: Timestamp,
}

/// Keeps a card under its token.
pub(super) fn keep_card(work: &Work<'_>, card: &Card) -> Reply<()> {
    work.execute(
        "INSERT INTO cards VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
        (
            &card.token,
            &card.user_id,
            &card.last4,
            card.brand.as_str(),
            card.exp_month,
            card.exp_year,
            card.decline,
            work.now(),
        ),
    )?;
    Ok(())
}

/// Charges an order. The payment is kept whether it is completed or declined.
pub(super) fn charge(work: &Work<'_>, charge: &Charge) -> Reply<Payment> {
    if charge.amount < 0 {
        return Err(Failure::invalid("an amount is not negative"));
    }
    lock_order(work, &charge.order_id)?;
    let means = means_of_payment(work, charge)?;
    let id = work.new_id().to_string();
    let now = work.now();
    let status = if means.decline.is_none() {
        "completed"
    } else {
        "declined"
    };
    work.execute(
        "INSERT INTO payments VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $10)",
        (
            &id,
            &charge.order_id,
            &charge.user_id,
            charge.amount,
            charge.currency.to_string(),
            &means.payer,
            &means.last4,
            status,
            &means.decline,
            now,
        ),
    )?;
    if means.decline.is_none() {
        capture(work, &id, charge, &means.payer)?;
    }
    Ok(Payment {
        id,
        order_id: charge.order_id.clone(),
        user_id: charge.user_id.clone(),
        amount: charge.amount,
        currency: charge.currency.to_string(),
        status: status.to_owned(),
        last4: means.last4,
        decline_code: means.decline,
        created_at: now,
    })
}

fn capture(work: &Work<'_>, payment_id: &str, charge: &Charge, payer: &str) -> Reply<()> {
    let currency = charge.currency.to_string();
    let movement = Movement {
        kind: Kind::Capture,
        payment_id,
        order_id: &charge.order_id,
        payer,
        amount: charge.amount,
        currency: &currency,
    };
    ledger::book(work, &movement)?;
    if doubles(work)? {
        ledger::book(work, &movement)?;
    }
    Ok(())
}

/// True if the planted defect captures this payment twice.
fn doubles(work: &Work<'_>) -> Reply<bool> {
    if work.sabotage() != Some(Sabotage::DoubleCharge) {
        return Ok(false);
    }
    work.lock("sabotage")?;
    let sql = "SELECT count(*) FROM payments WHERE status = 'completed'";
    let with_this = work.row(sql, (), |row| row.get::<i64>(0))?.unwrap_or(1);
    Ok(strikes(
        work.sabotage(),
        Sabotage::DoubleCharge,
        with_this - 1,
    ))
}

/// Of two who act for one order at once the second sees what the first did.
fn lock_order(work: &Work<'_>, order_id: &str) -> Reply<()> {
    Ok(work.lock(&format!("order {order_id}"))?)
}

/// Refunds what an order paid. Nothing paid, or refunded before, is nothing to do.
pub(super) fn refund(work: &Work<'_>, order_id: &str) -> Reply<Vec<Payment>> {
    lock_order(work, order_id)?;
    let sql = format!(
        "SELECT {COLUMNS}, payer FROM payments WHERE order_id = $1 AND status = 'completed'
         ORDER BY id"
    );
    let paid = work.rows(&sql, [order_id], |row| {
        Ok((payment(row)?, row.get::<String>("payer")?))
    })?;
    let mut refunded = Vec::with_capacity(paid.len());
    for (mut payment, payer) in paid {
        let sql = "UPDATE payments SET status = 'refunded', updated_at = $2 WHERE id = $1";
        work.execute(sql, (&payment.id, work.now()))?;
        if work.sabotage() != Some(Sabotage::ForgetUndo) {
            let movement = Movement {
                kind: Kind::Refund,
                payment_id: &payment.id,
                order_id,
                payer: &payer,
                amount: payment.amount,
                currency: &payment.currency,
            };
            ledger::book(work, &movement)?;
        }
        payment.status = "refunded".to_owned();
        refunded.push(payment);
    }
    Ok(refunded)
}

/// The payments of an order, oldest first.
pub(super) fn of_order(db: &Reader<'_>, order_id: &str) -> Reply<Vec<Payment>> {
    let sql = format!("SELECT {COLUMNS} FROM payments WHERE order_id = $1 ORDER BY id");
    Ok(db.rows(&sql, [order_id], payment)?)
}

const COLUMNS: &str = "id, order_id, user_id, amount, currency, status, last4, decline, created_at";

fn payment(row: &Row<'_>) -> ieum::sql::Result<Payment> {
    Ok(Payment {
        id: row.get("id")?,
        order_id: row.get("order_id")?,
        user_id: row.get("user_id")?,
        amount: row.get("amount")?,
        currency: row.get("currency")?,
        status: row.get("status")?,
        last4: row.get("last4")?,
        decline_code: row.get("decline")?,
        created_at: row.get("created_at")?,
    })
}

/// What pays, and why it will not.
struct Means {
    payer: String,
    last4: Option<String>,
    decline: Option<String>,
}

/// The card behind the token, which must be the customer's, or the customer's account.
fn means_of_payment(work: &Work<'_>, charge: &Charge) -> Reply<Means> {
    let Some(token) = &charge.card_token else {
        return Ok(Means {
            payer: format!("customer:{}", charge.user_id),
            last4: None,
            decline: None,
        });
    };
    let sql = "SELECT last4, brand, exp_month, exp_year, decline FROM cards
         WHERE token = $1 AND user_id = $2";
    let card = work.row(sql, (token, &charge.user_id), |row| {
        let expiry = (row.get("exp_month")?, row.get("exp_year")?);
        let brand: String = row.get("brand")?;
        let means = Means {
            payer: format!("card:{brand}"),
            last4: row.get("last4")?,
            decline: row.get("decline")?,
        };
        Ok((means, expiry))
    })?;
    let Some((mut means, (month, year))) = card else {
        return Ok(Means {
            payer: "card:unknown".to_owned(),
            last4: None,
            decline: Some("card_not_found".to_owned()),
        });
    };
    if means.decline.is_none() && card::check_expiry(month, year, work.now()).is_err() {
        means.decline = Some("expired_card".to_owned());
    }
    Ok(means)
}
