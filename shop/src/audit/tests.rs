//! Crafted books: one honest order of two pieces, and one defect at a time.

mod shop;

pub(super) use self::shop::Shop;
use super::{Books, Source, audit, open};

/// After this defect, the books do not balance, and this counter says so.
fn check(book: &str, defect: &str, counter: impl Fn(&Books) -> u64) {
    let shop = Shop::honest();
    shop.run(book, defect);
    let books = shop.audited();
    assert!(!books.balance(), "{defect}");
    assert!(counter(&books) > 0, "{defect}: {:?}", books.findings());
}

#[test]
fn honest_books_balance() {
    let books = Shop::honest().audited();
    assert_eq!(books.findings(), [""; 0]);
    assert!(books.balance());
    assert_eq!((books.orders, books.completed, books.cancelled), (2, 1, 1));
    assert_eq!(
        (books.undeliverable, books.declined, books.out_of_stock),
        (1, 0, 0)
    );
    assert!(books.rows_audited > 20);
}

#[test]
fn books_of_nothing_do_not_balance() {
    let error = audit(&Source::new(Some(&std::env::temp_dir()), None))
        .expect_err("no books there")
        .to_string();
    assert!(error.contains("holds no books"), "{error}");
    assert!(!Books::default().balance());
}

#[test]
fn a_second_capture_is_seen() {
    let again = "INSERT INTO ledger (txn, payment_id, order_id, kind, account, amount, currency)
        SELECT 't', payment_id, order_id, kind, account, amount, currency FROM ledger
        WHERE order_id = 'o-1'";
    check("payments", again, |books| books.charged_twice);
}

#[test]
fn a_missing_refund_is_seen() {
    let forgotten = "DELETE FROM ledger WHERE kind = 'refund'";
    check("payments", forgotten, |books| books.not_refunded);
}

#[test]
fn a_ledger_with_one_side_is_seen() {
    check("payments", "DELETE FROM ledger WHERE id = 2", |_| 1);
}

#[test]
fn a_missing_piece_is_seen() {
    check("inventory", "UPDATE stock SET stock = 7", |books| {
        books.stock_drift
    });
}

#[test]
fn pieces_still_held_for_a_cancelled_order_are_seen() {
    check(
        "inventory",
        "UPDATE reservations SET status = 'held'",
        |_| 1,
    );
}

#[test]
fn a_shipment_too_many_or_too_few_is_seen() {
    for defect in [
        "DELETE FROM shipments",
        "UPDATE shipments SET status = 'cancelled'",
        "UPDATE shipments SET user_id = 'u-2'",
        "INSERT INTO shipments VALUES ('o-1', 'created', 'u-1')",
        "INSERT INTO shipments VALUES ('o-2', 'created', 'u-1')",
        "INSERT INTO shipments VALUES ('o-9', 'created', 'u-1')",
    ] {
        check("shipping", defect, |_| 1);
    }
    let shop = Shop::honest();
    shop.run(
        "shipping",
        "INSERT INTO shipments VALUES ('o-2', 'cancelled', 'u-1')",
    );
    assert!(shop.audited().balance(), "a cancelled one is none");
}

#[test]
fn an_order_that_ended_twice_is_seen() {
    let again = "INSERT INTO ieum_events (stream, version, type, data, metadata)
        VALUES ('order-o-1', 5, 'OrderCompleted', '{}', '{}');
        UPDATE ieum_streams SET version = 5 WHERE name = 'order-o-1'";
    check("orders", again, |_| 1);
}

#[test]
fn an_event_that_never_reached_the_log_is_seen() {
    let lost = "DELETE FROM ieum_events WHERE type = 'order.placed' AND stream LIKE '%o-1'";
    check("platform/log", lost, |books| books.lost_events);
}

#[test]
fn an_event_that_nobody_told_is_seen() {
    let invented = r#"INSERT INTO ieum_events (stream, type, data, metadata)
        VALUES ('order.events-o-9', 'order.placed', '{}', '{"source":"/orders","id":"x"}')"#;
    check("platform/log", invented, |_| 1);
}

#[test]
fn an_effect_that_happened_twice_or_never_is_seen() {
    check(
        "analytics",
        "INSERT INTO facts SELECT * FROM facts LIMIT 1",
        |books| books.lost_events,
    );
    check("analytics", "DELETE FROM facts", |books| books.lost_events);
    check("notifications", "DELETE FROM notifications", |books| {
        books.lost_events
    });
}

#[test]
fn an_event_that_can_never_be_sent_is_seen() {
    check(
        "users",
        "UPDATE ieum_outbox SET error = 'too large'",
        |books| books.lost_events,
    );
}

#[test]
fn an_order_without_an_end_is_stuck() {
    check(
        "orders",
        "DELETE FROM ieum_events WHERE type = 'OrderCompleted'",
        |books| books.stuck,
    );
}

#[test]
fn an_open_saga_is_stuck() {
    let endless = "DELETE FROM ieum_events WHERE type = 'saga.completed' AND stream = 'saga-o-1'";
    check("platform/log", endless, |books| books.stuck);
    let shop = Shop::honest();
    shop.run("platform/log", endless);
    let sagas = open(&shop.source()).expect("read").sagas;
    assert_eq!(sagas.into_iter().collect::<Vec<_>>(), ["saga-o-1"]);
}

#[test]
fn a_placed_order_without_a_saga_is_stuck() {
    check(
        "platform/log",
        "DELETE FROM ieum_events WHERE stream = 'saga-o-1'",
        |books| books.stuck,
    );
}

#[test]
fn an_order_that_did_not_end_as_planned_is_seen() {
    check(
        "plan",
        "UPDATE planned_orders SET outcome = 'declined' WHERE n = 2",
        |_| 1,
    );
    check(
        "plan",
        "UPDATE planned_orders SET order_id = NULL WHERE n = 1",
        |books| books.stuck,
    );
}

#[test]
fn a_read_model_that_tells_another_story_is_seen() {
    check("orders", "UPDATE order_view SET status = 'pending'", |_| 1);
}

/// Each of these defects is found.
fn check_all<'a>(book: &str, defects: impl IntoIterator<Item = &'a str>) {
    for defect in defects {
        check(book, defect, |_| 1);
    }
}

#[test]
fn a_payment_that_was_tampered_with_is_seen() {
    check_all(
        "payments",
        [
            "UPDATE payments SET amount = amount + 1",
            "UPDATE payments SET currency = 'USD'",
            "UPDATE payments SET user_id = 'u-2'",
            "UPDATE payments SET payer = 'card:amex'",
            "UPDATE payments SET status = 'refunded'",
            "UPDATE payments SET status = 'declined'",
            "DELETE FROM payments WHERE order_id = 'o-1'",
            "UPDATE ledger SET currency = 'USD' WHERE order_id = 'o-1'",
            "UPDATE ledger SET account = 'thief' WHERE account = 'card:visa'",
            "UPDATE payments SET currency = 'USD'; UPDATE ledger SET currency = 'USD'",
            "UPDATE payments SET amount = 400; UPDATE ledger SET amount = amount * 2",
            "UPDATE payments SET order_id = 'o-9' WHERE order_id = 'o-2'",
            "INSERT INTO payments SELECT id || 'x', 'o-9', user_id, amount, currency, payer,
             'declined' FROM payments WHERE order_id = 'o-1'",
        ],
    );
}

#[test]
fn a_second_payment_of_an_order_is_a_second_charge() {
    let again = "INSERT INTO payments SELECT id || 'x', order_id, user_id, amount, currency, payer,
        status FROM payments WHERE order_id = 'o-1'";
    check("payments", again, |books| books.charged_twice);
}

#[test]
fn a_payment_of_a_cancelled_order_that_was_not_refunded_is_seen() {
    let kept = "UPDATE payments SET status = 'completed'";
    check("payments", kept, |books| books.not_refunded);
}

#[test]
fn a_reservation_that_was_tampered_with_is_seen() {
    check_all(
        "inventory",
        [
            "DELETE FROM reservations WHERE order_id = 'o-1'",
            "DELETE FROM reservations WHERE order_id = 'o-2'",
            "UPDATE reservations SET status = 'released'",
            "UPDATE reservations SET quantity = quantity + 1",
            "UPDATE reservations SET product_id = 'bag' WHERE order_id = 'o-1'",
            "INSERT INTO reservations VALUES ('o-9', 'shoe', 1, 'released')",
        ],
    );
    let drift = "UPDATE stock SET initial = initial + 5, stock = stock + 5";
    check("inventory", drift, |books| books.stock_drift);
    check("inventory", "DELETE FROM stock", |books| books.stock_drift);
}

#[test]
fn a_gap_in_a_stream_is_seen_wherever_it_is() {
    check_all(
        "orders",
        [
            "DELETE FROM ieum_events WHERE position = 1",
            "DELETE FROM ieum_events WHERE type = 'ItemAdded' AND stream = 'order-o-2'",
            "DELETE FROM ieum_events WHERE type = 'OrderConfirmed'",
            "DELETE FROM ieum_streams WHERE name = 'order-o-1'",
        ],
    );
    check_all(
        "platform/log",
        [
            "DELETE FROM ieum_events WHERE type = 'saga.step-succeeded' AND stream = 'saga-o-1'",
            "UPDATE ieum_streams SET version = version + 1 WHERE name = 'saga-o-1'",
            "INSERT INTO ieum_streams VALUES ('saga-o-9', 3)",
        ],
    );
}

#[test]
fn a_stream_that_is_whole_but_makes_no_sense_is_seen() {
    check_all(
        "orders",
        [
            "UPDATE ieum_events SET type = 'OrderRenamed' WHERE type = 'OrderCreated'",
            "UPDATE ieum_events SET type = 'ItemAdded' WHERE type = 'OrderConfirmed'",
            "UPDATE ieum_events SET data = replace(data, '100', '101') WHERE type = 'ItemAdded'",
            "UPDATE ieum_events SET data = replace(data, 'KRW', 'USD')",
            "INSERT INTO order_view VALUES ('o-9', 'completed', 200, 'u-1')",
            "UPDATE order_view SET user_id = 'u-2'",
        ],
    );
}

#[test]
fn an_event_that_was_changed_on_its_way_is_seen() {
    let other = "UPDATE ieum_events SET data = replace(data, '200', '1200')
        WHERE type = 'order.placed'";
    check("platform/log", other, |books| books.lost_events);
    let kind = "UPDATE ieum_events SET type = 'order.lost' WHERE type = 'order.placed'";
    check("platform/log", kind, |books| books.lost_events);
}

#[test]
fn an_event_that_tells_another_story_than_the_order_is_seen() {
    let total = "replace(message, '200', '1200') WHERE message ->> 'type' = 'order.placed'";
    let shop = Shop::honest();
    shop.run(
        "orders",
        &format!("UPDATE ieum_outbox SET message = {total}"),
    );
    let log = "UPDATE ieum_events SET data = replace(data, '200', '1200')
        WHERE type = 'order.placed'";
    shop.run("platform/log", log);
    let facts = "UPDATE facts SET amount = 1200 WHERE name = 'order_placed'";
    shop.run("analytics", facts);
    let books = shop.audited();
    let stories = books.findings().iter();
    let stories = stories.filter(|finding| finding.contains("another story than order"));
    assert_eq!(stories.count(), 2, "{:?}", books.findings());
}

#[test]
fn a_fact_that_was_tampered_with_is_seen() {
    check_all(
        "analytics",
        [
            "UPDATE facts SET amount = amount + 1 WHERE name = 'order_placed'",
            "UPDATE facts SET name = 'order_lost' WHERE name = 'order_placed'",
            "UPDATE facts SET user_id = 'u-2'",
            "UPDATE facts SET order_id = NULL",
        ],
    );
}
