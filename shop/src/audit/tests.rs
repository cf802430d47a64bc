//! Crafted books: one honest order of two pieces, and one defect at a time.

use std::path::PathBuf;

use rusqlite::Connection;

use super::{Books, SERVICES, audit, open_sagas};

/// The books of a shop in a folder of their own.
struct Shop(PathBuf);

impl Shop {
    /// An order of two pieces at 100, completed; and one that was refunded, for an address.
    fn honest() -> Self {
        let folder =
            std::env::temp_dir().join(format!("shop-audit-{}", ieum::base::Uuid::new_v4()));
        std::fs::create_dir_all(folder.join("platform")).expect("a folder");
        let shop = Self(folder);
        for service in SERVICES {
            shop.run(
                service,
                "CREATE TABLE ieum_outbox (id INTEGER PRIMARY KEY, topic, message, error)",
            );
        }
        shop.run("platform/log", EVENTS);
        shop.run("orders", EVENTS);
        shop.run("orders", "CREATE TABLE order_view (id, status, total)");
        shop.run(
            "payments",
            "CREATE TABLE ledger (id INTEGER PRIMARY KEY, txn, order_id, kind, account, amount)",
        );
        shop.run(
            "inventory",
            "CREATE TABLE stock (product_id, initial, stock)",
        );
        shop.run(
            "inventory",
            "CREATE TABLE reservations (order_id, product_id, quantity, status)",
        );
        shop.run("analytics", "CREATE TABLE facts (event_source, event_id)");
        shop.run(
            "notifications",
            "CREATE TABLE notifications (kind, order_id, event_source, event_id)",
        );
        shop.run(
            "plan",
            "CREATE TABLE planned_orders (n INTEGER PRIMARY KEY, outcome, order_id)",
        );
        shop.run("inventory", "INSERT INTO stock VALUES ('shoe', 10, 8)");
        shop.told("users", "user.events", "user.created", "u-1");
        shop.run(
            "notifications",
            "INSERT INTO notifications VALUES ('welcome', NULL, '/users', 'user.created-u-1')",
        );
        shop.order("o-1", 1, "OrderCompleted", "{}", "completed");
        shop.run(
            "notifications",
            "INSERT INTO notifications VALUES ('order-completed', 'o-1', NULL, NULL)",
        );
        shop.held("o-1", "held");
        shop.booked("o-1", "capture");
        let reason = r#"{"reason":"address-undeliverable"}"#;
        shop.order("o-2", 11, "OrderCancelled", reason, "cancelled");
        shop.held("o-2", "released");
        shop.booked("o-2", "capture");
        shop.booked("o-2", "refund");
        shop.run("plan", "INSERT INTO planned_orders VALUES (1, 'completed', 'o-1'), (2, 'undeliverable', 'o-2')");
        shop
    }

    fn run(&self, book: &str, sql: &str) {
        let db = Connection::open(self.0.join(format!("{book}.db"))).expect("a database");
        db.execute_batch(sql)
            .unwrap_or_else(|error| panic!("{book}: {error}"));
    }

    /// The events, the view, the messages and the saga of an order.
    fn order(&self, id: &str, at: i64, end: &str, data: &str, status: &str) {
        let item = r#"{"productId":"shoe","quantity":2,"price":100}"#;
        for (place, kind, data) in [
            (0, "OrderCreated", "{}"),
            (1, "ItemAdded", item),
            (2, end, data),
        ] {
            self.event(
                "orders",
                at + place,
                &format!("order-{id}"),
                kind,
                data,
                "{}",
            );
        }
        self.run(
            "orders",
            &format!("INSERT INTO order_view VALUES ('{id}', '{status}', 200)"),
        );
        self.told("orders", "order.events", "order.placed", id);
        let input = format!(r#"{{"input":{{"orderId":"{id}"}}}}"#);
        self.event(
            "platform/log",
            at + 1_000,
            &format!("saga-{id}"),
            "saga.started",
            &input,
            "{}",
        );
        self.event(
            "platform/log",
            at + 1_001,
            &format!("saga-{id}"),
            "saga.completed",
            "{}",
            "{}",
        );
    }

    fn event(&self, book: &str, at: i64, stream: &str, kind: &str, data: &str, metadata: &str) {
        self.run(
            book,
            &format!(
                "INSERT INTO ieum_events (position, stream, type, data, metadata)
             VALUES ({at}, '{stream}', '{kind}', '{data}', '{metadata}')"
            ),
        );
    }

    /// A message in an outbox, in the log, and noted by analytics.
    fn told(&self, service: &str, topic: &str, kind: &str, subject: &str) {
        let id = format!("{kind}-{subject}");
        self.run(service, &format!(
            r#"INSERT INTO ieum_outbox (topic, message) VALUES ('{topic}', '{{"source":"/{service}",
               "id":"{id}","type":"{kind}","subject":"{subject}","flow":"orchestrated"}}')"#
        ));
        let metadata = format!(r#"{{"source":"/{service}","id":"{id}"}}"#);
        self.run(
            "platform/log",
            &format!(
                "INSERT INTO ieum_events (stream, type, data, metadata)
             VALUES ('{topic}-{subject}', '{kind}', '{{}}', '{metadata}')"
            ),
        );
        self.run(
            "analytics",
            &format!("INSERT INTO facts VALUES ('/{service}', '{id}')"),
        );
    }

    fn held(&self, order: &str, status: &str) {
        self.run(
            "inventory",
            &format!("INSERT INTO reservations VALUES ('{order}', 'shoe', 2, '{status}')"),
        );
    }

    fn booked(&self, order: &str, kind: &str) {
        let sales = if kind == "capture" { -200 } else { 200 };
        let txn = ieum::base::Uuid::new_v4();
        self.run(
            "payments",
            &format!(
                "INSERT INTO ledger (txn, order_id, kind, account, amount) VALUES
             ('{txn}', '{order}', '{kind}', 'sales', {sales}),
             ('{txn}', '{order}', '{kind}', 'card:visa', {})",
                -sales
            ),
        );
    }

    fn audited(&self) -> Books {
        audit(&self.0).expect("audited")
    }
}

impl Drop for Shop {
    fn drop(&mut self) {
        // Nothing depends on the folder being gone.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

const EVENTS: &str =
    "CREATE TABLE ieum_events (position INTEGER PRIMARY KEY, stream, type, data, metadata,
    category TEXT GENERATED ALWAYS AS (substr(stream, 1, instr(stream, '-') - 1)) VIRTUAL)";

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
    let error = audit(&std::env::temp_dir())
        .expect_err("no books there")
        .to_string();
    assert!(error.contains("holds no books"), "{error}");
    assert!(!Books::default().balance());
}

#[test]
fn a_second_capture_is_seen() {
    let again = "INSERT INTO ledger (txn, order_id, kind, account, amount) VALUES
        ('t', 'o-1', 'capture', 'sales', -200), ('t', 'o-1', 'capture', 'card:visa', 200)";
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
    let open = "DELETE FROM ieum_events WHERE type = 'saga.completed' AND stream = 'saga-o-1'";
    check("platform/log", open, |books| books.stuck);
    let shop = Shop::honest();
    shop.run("platform/log", open);
    let sagas = open_sagas(&shop.0).expect("read");
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
