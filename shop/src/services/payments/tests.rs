//! What payments does inside a transaction.

#[cfg(feature = "postgres")]
mod races;

use serde_json::json;

use super::card::CardNumber;
use super::store::{self, Card, Charge};
use super::{SPEC, events};
use crate::support::sabotage::Sabotage;
use crate::support::testing::{Bench, event, secret};
use crate::support::work::Work;

const KEPT: &str = "SELECT -coalesce(sum(amount), 0) FROM ledger WHERE account = 'sales'";
const BALANCE: &str = "SELECT coalesce(sum(amount), 0) FROM ledger";

fn charge(card_token: Option<&str>) -> Charge {
    Charge {
        order_id: "o-1".into(),
        user_id: "kim".into(),
        amount: 200,
        currency: Default::default(),
        card_token: card_token.map(str::to_owned),
    }
}

/// Keeps a card of kim's under the token `t`.
fn keep(work: &Work<'_>, number: &str, exp_year: u16) {
    let number = CardNumber::parse(&secret(number)).expect("valid");
    let card = Card {
        token: "t".into(),
        user_id: "kim".into(),
        last4: number.last4(),
        brand: number.brand(),
        exp_month: 1,
        exp_year,
        decline: number.decline(),
    };
    store::keep_card(work, &card).expect("kept");
}

/// What kim's charge with this card is answered, and what stays in the ledger.
async fn check(number: &'static str, exp_year: u16, token: &'static str, decline: Option<&str>) {
    let bench = Bench::of(SPEC);
    let payment = bench.work(move |work| {
        keep(work, number, exp_year);
        store::charge(work, &charge(Some(token)))
    });
    let payment = payment.await.expect("answered");
    assert_eq!(payment.decline_code.as_deref(), decline, "{number}");
    let kept = if decline.is_none() { 200 } else { 0 };
    assert_eq!(
        (bench.number(KEPT).await, bench.number(BALANCE).await),
        (kept, 0)
    );
}

#[tokio::test]
async fn a_charge_is_answered_as_the_card_network_would() {
    check("4242424242424242", 2070, "t", None).await;
    check("4000000000000002", 2070, "t", Some("card_declined")).await;
    check("4000000000009995", 2070, "t", Some("insufficient_funds")).await;
    check("4242424242424242", 2020, "t", Some("expired_card")).await;
    check(
        "4242424242424242",
        2070,
        "somebody-elses",
        Some("card_not_found"),
    )
    .await;
}

#[tokio::test]
async fn a_card_of_another_customer_does_not_pay() {
    let bench = Bench::of(SPEC);
    let payment = bench.work(|work| {
        keep(work, "4242424242424242", 2070);
        let theft = Charge {
            user_id: "lee".into(),
            ..charge(Some("t"))
        };
        store::charge(work, &theft)
    });
    let declined = payment.await.expect("answered").decline_code;
    assert_eq!(declined.as_deref(), Some("card_not_found"));
}

#[tokio::test]
async fn a_card_number_is_nowhere_in_the_database() {
    let bench = Bench::of(SPEC);
    let row = bench.work(|work| {
        keep(work, "4242424242424242", 2070);
        store::charge(work, &charge(Some("t")))?;
        let columns = "token || user_id || last4 || brand || exp_month || exp_year";
        let sql = format!("SELECT {columns} FROM cards");
        Ok(work.row(&sql, (), |row| row.get::<String>(0))?)
    });
    assert_eq!(
        row.await.expect("a row").as_deref(),
        Some("tkim4242visa12070")
    );
}

#[tokio::test]
async fn a_refund_gives_back_what_was_paid_once() {
    let bench = Bench::of(SPEC);
    let refunds = bench.work(|work| {
        store::charge(work, &charge(None))?;
        let first = store::refund(work, "o-1")?;
        let second = store::refund(work, "o-1")?;
        Ok((first.len(), second.len()))
    });
    assert_eq!(refunds.await.expect("refunded"), (1, 0));
    assert_eq!(
        (bench.number(KEPT).await, bench.number(BALANCE).await),
        (0, 0)
    );
    let status = bench.number("SELECT count(*) FROM payments WHERE status = 'refunded'");
    assert_eq!(status.await, 1);
}

#[tokio::test]
async fn planted_defects_move_money() {
    let bench = Bench::of(SPEC).with(Sabotage::DoubleCharge);
    bench
        .work(|work| store::charge(work, &charge(None)))
        .await
        .expect("charged");
    assert_eq!(bench.number(KEPT).await, 400);
    let bench = Bench::of(SPEC).with(Sabotage::ForgetUndo);
    let forgotten = bench.work(|work| {
        store::charge(work, &charge(None))?;
        store::refund(work, "o-1")
    });
    assert_eq!(forgotten.await.expect("answered").len(), 1);
    assert_eq!(bench.number(KEPT).await, 200);
}

#[tokio::test]
async fn events_alone_charge_and_refund() {
    let bench = Bench::of(SPEC);
    let acted = bench.work(|work| {
        let order = json!({
            "orderId": "o-1", "userId": "kim", "totalAmount": 200, "currency": "KRW",
            "address": { "city": "서울" },
        });
        events::on_inventory(work, &event("/inventory", "inventory.reserved", &order))?;
        let failed = json!({ "orderId": "o-1", "reason": "address-undeliverable" });
        events::on_shipping(work, &event("/shipping", "shipment.failed", &failed))
    });
    acted.await.expect("done");
    assert_eq!(bench.number(KEPT).await, 0);
    let told = bench.told().await;
    let kinds: Vec<_> = told.iter().map(|message| message.kind.as_str()).collect();
    assert_eq!(kinds, ["payment.completed", "payment.refunded"]);
    let data: serde_json::Value = told[0].decode().expect("json");
    assert_eq!(
        (&data["amount"], &data["address"]["city"]),
        (&json!(200), &json!("서울"))
    );
    assert_eq!(told[1].extension("flow"), Some("choreographed"));
}
