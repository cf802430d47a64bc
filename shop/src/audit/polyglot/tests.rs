//! Crafted ledgers beside honest books: one defect at a time.

use std::slice::from_ref;

use rusqlite::Connection;
use serde_json::{Value, json};

use super::super::Books;
use super::super::tests::Shop;
use super::records::testing::file;

const POINTS: &str =
    "CREATE TABLE points (id INTEGER PRIMARY KEY, order_id, kind, points, user_id);
    INSERT INTO points (order_id, kind, points, user_id) VALUES
        ('o-1', 'award', 2, 'u-1'), ('o-2', 'award', 2, 'u-1'), ('o-2', 'take-back', -2, 'u-1')";
const INVOICES: &str =
    "CREATE TABLE invoices (number INTEGER PRIMARY KEY, order_id, status, amount, user_id);
    INSERT INTO invoices VALUES (1, 'o-1', 'issued', 200, 'u-1'), (2, 'o-2', 'void', 200, 'u-1')";

/// Books of two orders that the saga with these services drove: `o-1` completed, `o-2` cancelled.
fn honest() -> Shop {
    let shop = Shop::honest();
    shop.run(
        "platform/log",
        "UPDATE ieum_events SET data = json_set(data, '$.definition', 'place-order-polyglot')
         WHERE type = 'saga.started'",
    );
    shop.run("loyalty", POINTS);
    shop.run("invoices", INVOICES);
    donated(&shop, &pledges());
    shop
}

fn pledges() -> [Value; 4] {
    let entry = |order: &str, kind: &str| json!({ "orderId": order, "kind": kind, "amount": 2 });
    [
        json!({ "op": "do", "entry": entry("o-1", "pledge") }),
        json!({ "op": "do", "entry": entry("o-2", "pledge") }),
        json!({ "op": "seen" }),
        json!({ "op": "undo", "entry": entry("o-2", "cancel") }),
    ]
}

fn donated(shop: &Shop, payloads: &[Value]) {
    write(shop, &file(payloads));
}

fn write(shop: &Shop, bytes: &[u8]) {
    std::fs::write(shop.0.join("donations.log"), bytes).expect("written");
}

/// After this the books do not balance, and this counter says so.
fn check(defect: impl Fn(&Shop), counter: fn(&Books) -> u64) {
    let shop = honest();
    defect(&shop);
    let books = shop.audited();
    assert!(!books.balance());
    assert_eq!(counter(&books), 1, "{:?}", books.findings());
}

#[test]
fn honest_ledgers_balance() {
    let shop = honest();
    let books = shop.audited();
    assert_eq!(books.findings(), [""; 0]);
    let without = Shop::honest().audited().rows_audited;
    assert_eq!(books.rows_audited, without + 2 + 3 + 2 + 4);
}

#[test]
fn a_part_that_was_not_done_is_an_event_lost() {
    let lost = |books: &Books| books.lost_events;
    check(
        |shop| shop.run("loyalty", "DELETE FROM points WHERE order_id = 'o-1'"),
        lost,
    );
    check(
        |shop| shop.run("invoices", "UPDATE invoices SET status = 'void'"),
        lost,
    );
    check(|shop| donated(shop, &pledges()[1..]), lost);
    check(
        |shop| std::fs::remove_file(shop.0.join("loyalty.db")).expect("removed"),
        lost,
    );
}

#[test]
fn a_part_that_was_done_twice_is_seen() {
    let twice = |books: &Books| books.charged_twice;
    let award =
        "INSERT INTO points (order_id, kind, points, user_id) VALUES ('o-1', 'award', 2, 'u-1')";
    check(|shop| shop.run("loyalty", award), twice);
    let invoice = "INSERT INTO invoices VALUES (3, 'o-1', 'issued', 200, 'u-1')";
    check(|shop| shop.run("invoices", invoice), twice);
    check(
        |shop| donated(shop, &[&pledges()[..], &pledges()[..1]].concat()),
        twice,
    );
}

#[test]
fn a_part_that_was_not_undone_is_seen() {
    let kept = |books: &Books| books.not_refunded;
    check(
        |shop| shop.run("loyalty", "DELETE FROM points WHERE kind = 'take-back'"),
        kept,
    );
    check(
        |shop| shop.run("invoices", "UPDATE invoices SET status = 'issued'"),
        kept,
    );
    check(|shop| donated(shop, &pledges()[..3]), kept);
}

#[test]
fn what_was_tampered_with_is_seen() {
    let some = |books: &Books| books.findings().len() as u64;
    check(
        |shop| {
            shop.run(
                "loyalty",
                "UPDATE points SET points = 3 WHERE order_id = 'o-1'",
            )
        },
        some,
    );
    check(
        |shop| {
            shop.run(
                "loyalty",
                "UPDATE points SET user_id = 'u-2' WHERE order_id = 'o-1'",
            )
        },
        some,
    );
    check(
        |shop| shop.run("loyalty", "DELETE FROM points WHERE id = 2"),
        some,
    );
    check(
        |shop| {
            shop.run(
                "invoices",
                "UPDATE invoices SET number = 3 WHERE number = 2",
            )
        },
        some,
    );
    let stranger = json!({ "entry": { "orderId": "o-9", "kind": "pledge", "amount": 2 } });
    check(
        |shop| donated(shop, &[&pledges()[..], from_ref(&stranger)].concat()),
        some,
    );
}

#[test]
fn a_torn_record_counts_for_nothing_and_damage_before_whole_records_is_seen() {
    let shop = honest();
    let whole = file(&pledges());
    write(&shop, &[&whole[..], &whole[8..20]].concat());
    assert_eq!(shop.audited().findings(), [""; 0]);
    let mut damaged = whole;
    damaged[20] ^= 1;
    write(&shop, &damaged);
    let books = shop.audited();
    let named = books
        .findings()
        .iter()
        .any(|finding| finding.contains("is damaged"));
    assert!(named, "{:?}", books.findings());
}

#[test]
fn what_is_only_in_the_log_of_a_locked_ledger_is_seen() {
    let shop = honest();
    let owner = Connection::open(shop.0.join("loyalty.db")).expect("opened");
    let locked = "PRAGMA locking_mode = EXCLUSIVE; PRAGMA journal_mode = WAL;
        DELETE FROM points WHERE kind = 'take-back'";
    owner.execute_batch(locked).expect("written");
    assert_eq!(shop.audited().not_refunded, 1);
}
