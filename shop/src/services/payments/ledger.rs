//! The ledger: double entry, append only.
//!
//! A transaction's entries sum to zero: what one account is debited (positive), another is credited
//! (negative). Captures credit `sales` and debit what paid; refunds do the reverse. Nothing is ever
//! changed or removed.

use crate::support::failure::Reply;
use crate::support::work::Work;

/// The account that sales are credited to.
const SALES: &str = "sales";

/// What a transaction is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Money comes in.
    Capture,
    /// Money goes back.
    Refund,
}

/// One movement of money.
#[derive(Clone, Debug)]
pub(super) struct Movement<'a> {
    pub(super) kind: Kind,
    pub(super) payment_id: &'a str,
    pub(super) order_id: &'a str,
    /// The account beside `sales`: the card network's, or the customer's.
    pub(super) payer: &'a str,
    /// Minor units, not negative.
    pub(super) amount: i64,
    pub(super) currency: &'a str,
}

/// Books a movement as a transaction of its own.
pub(super) fn book(work: &Work<'_>, movement: &Movement<'_>) -> Reply<()> {
    let txn = work.new_id().to_string();
    let (kind, debit, credit) = match movement.kind {
        Kind::Capture => ("capture", movement.payer, SALES),
        Kind::Refund => ("refund", SALES, movement.payer),
    };
    for (account, amount) in [(debit, movement.amount), (credit, -movement.amount)] {
        work.execute(
            "INSERT INTO ledger (txn, payment_id, order_id, kind, account, amount, currency, at)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
            (
                &txn,
                movement.payment_id,
                movement.order_id,
                kind,
                account,
                amount,
                movement.currency,
                work.now(),
            ),
        )?;
    }
    Ok(())
}
