//! The books of a small shop, crafted with plain SQL: no code of the services wrote them.

use std::path::PathBuf;

use rusqlite::Connection;

use super::super::{Books, SERVICES, Source, audit};

/// The books of a shop in a folder of their own.
pub(in crate::audit) struct Shop(pub(in crate::audit) PathBuf);

impl Shop {
    /// An order of two pieces at 100, completed; and one that was refunded, for an address.
    pub(in crate::audit) fn honest() -> Self {
        let folder =
            std::env::temp_dir().join(format!("shop-audit-{}", ieum::base::Uuid::new_v4()));
        std::fs::create_dir_all(folder.join("platform")).expect("a folder");
        let shop = Self(folder);
        for service in SERVICES {
            shop.run(
                service,
                "CREATE TABLE ieum_outbox (id INTEGER PRIMARY KEY, topic, message, error)",
            );
            shop.run(service, STREAMS);
        }
        shop.run("platform/log", STREAMS);
        shop.run(
            "orders",
            "CREATE TABLE order_view (id, status, total, user_id)",
        );
        shop.run(
            "payments",
            "CREATE TABLE ledger (id INTEGER PRIMARY KEY, txn, payment_id, order_id, kind, account,
                                  amount, currency)",
        );
        shop.run(
            "payments",
            "CREATE TABLE payments (id, order_id, user_id, amount, currency, payer, status)",
        );
        shop.run(
            "inventory",
            "CREATE TABLE stock (product_id, initial, stock)",
        );
        shop.run(
            "inventory",
            "CREATE TABLE reservations (order_id, product_id, quantity, status)",
        );
        shop.run(
            "shipping",
            "CREATE TABLE shipments (order_id, status, user_id)",
        );
        shop.run(
            "analytics",
            "CREATE TABLE facts (event_source, event_id, name, user_id, order_id, amount)",
        );
        shop.run(
            "notifications",
            "CREATE TABLE notifications (kind, order_id, event_source, event_id)",
        );
        shop.run(
            "plan",
            "CREATE TABLE planned_orders (n INTEGER PRIMARY KEY, outcome, order_id)",
        );
        shop.run("inventory", "INSERT INTO stock VALUES ('shoe', 10, 8)");
        shop.told("products", "product.created", "shoe", r#"{"stock":10}"#);
        shop.told("users", "user.created", "u-1", r#"{"userId":"u-1"}"#);
        shop.run(
            "notifications",
            "INSERT INTO notifications VALUES ('welcome', NULL, '/users', 'user.created-u-1')",
        );
        shop.order("o-1", "OrderCompleted", "{}", "completed");
        shop.run(
            "notifications",
            "INSERT INTO notifications VALUES ('order-completed', 'o-1', NULL, NULL)",
        );
        shop.held("o-1", "held");
        shop.paid("o-1", "completed");
        shop.booked("o-1", "capture");
        shop.run(
            "shipping",
            "INSERT INTO shipments VALUES ('o-1', 'created', 'u-1')",
        );
        let reason = r#"{"reason":"address-undeliverable"}"#;
        shop.order("o-2", "OrderCancelled", reason, "cancelled");
        shop.held("o-2", "released");
        shop.paid("o-2", "refunded");
        shop.booked("o-2", "capture");
        shop.booked("o-2", "refund");
        shop.run("plan", "INSERT INTO planned_orders VALUES (1, 'completed', 'o-1'), (2, 'undeliverable', 'o-2')");
        shop
    }

    /// Does this to a database.
    pub(in crate::audit) fn run(&self, book: &str, sql: &str) {
        let db = Connection::open(self.0.join(format!("{book}.db"))).expect("a database");
        db.execute_batch(sql)
            .unwrap_or_else(|error| panic!("{book}: {error}"));
    }

    /// The events, the view, the messages and the saga of an order.
    fn order(&self, id: &str, end: &str, data: &str, status: &str) {
        let stream = format!("order-{id}");
        let created = r#"{"userId":"u-1","currency":"KRW"}"#;
        let item = r#"{"productId":"shoe","quantity":2,"price":100}"#;
        self.event("orders", &stream, "OrderCreated", created, "{}");
        self.event("orders", &stream, "ItemAdded", item, "{}");
        if end == "OrderCompleted" {
            self.event("orders", &stream, "OrderConfirmed", "{}", "{}");
        }
        self.event("orders", &stream, end, data, "{}");
        self.run(
            "orders",
            &format!("INSERT INTO order_view VALUES ('{id}', '{status}', 200, 'u-1')"),
        );
        let kinds: &[&str] = match status {
            "completed" => &["created", "placed", "confirmed", "completed"],
            _ => &["created", "placed", "cancelled"],
        };
        for kind in kinds {
            let data = format!(
                r#"{{"orderId":"{id}","userId":"u-1","totalAmount":200,"currency":"KRW"}}"#
            );
            self.told("orders", &format!("order.{kind}"), id, &data);
        }
        let saga = format!("saga-{id}");
        let input = format!(r#"{{"input":{{"orderId":"{id}"}}}}"#);
        self.event("platform/log", &saga, "saga.started", &input, "{}");
        self.event("platform/log", &saga, "saga.step-succeeded", "{}", "{}");
        self.event("platform/log", &saga, "saga.completed", "{}", "{}");
    }

    /// An event at the end of its stream.
    fn event(&self, book: &str, stream: &str, kind: &str, data: &str, metadata: &str) {
        self.run(
            book,
            &format!(
                "INSERT INTO ieum_streams VALUES ('{stream}', 1)
                 ON CONFLICT (name) DO UPDATE SET version = version + 1;
                 INSERT INTO ieum_events (stream, version, type, data, metadata)
                 SELECT name, version, '{kind}', '{data}', '{metadata}' FROM ieum_streams
                 WHERE name = '{stream}'"
            ),
        );
    }

    /// A message in an outbox, in the log, and noted by analytics.
    fn told(&self, service: &str, kind: &str, subject: &str, data: &str) {
        let id = format!("{kind}-{subject}");
        let (topic, _) = kind.split_once('.').expect("a topic");
        let topic = format!("{topic}.events");
        self.run(
            service,
            &format!(
                r#"INSERT INTO ieum_outbox (topic, message) VALUES ('{topic}',
                '{{"source":"/{service}","id":"{id}","type":"{kind}","subject":"{subject}",
                   "flow":"orchestrated","data":{data}}}')"#
            ),
        );
        let metadata = format!(r#"{{"source":"/{service}","id":"{id}"}}"#);
        let stream = format!("{topic}-{subject}");
        self.event("platform/log", &stream, kind, data, &metadata);
        let name = kind.replace("user.created", "user_registered");
        let name = name.replace('.', "_");
        self.run(
            "analytics",
            &format!(
                "INSERT INTO facts VALUES ('/{service}', '{id}', '{name}', '{data}' ->> 'userId',
                 '{data}' ->> 'orderId', '{data}' ->> 'totalAmount')"
            ),
        );
    }

    /// The payment of an order.
    fn paid(&self, order: &str, status: &str) {
        self.run(
            "payments",
            &format!(
                "INSERT INTO payments VALUES
                 ('pay-{order}', '{order}', 'u-1', 200, 'KRW', 'card:visa', '{status}')"
            ),
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
                "INSERT INTO ledger (txn, payment_id, order_id, kind, account, amount, currency)
             VALUES ('{txn}', 'pay-{order}', '{order}', '{kind}', 'sales', {sales}, 'KRW'),
             ('{txn}', 'pay-{order}', '{order}', '{kind}', 'card:visa', {}, 'KRW')",
                -sales
            ),
        );
    }

    /// What the audit finds.
    pub(in crate::audit) fn audited(&self) -> Books {
        audit(&self.source()).expect("audited")
    }

    /// Where they are.
    pub(in crate::audit) fn source(&self) -> Source {
        Source::new(Some(&self.0), None)
    }
}

impl Drop for Shop {
    fn drop(&mut self) {
        // Nothing depends on the folder being gone.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

const STREAMS: &str = "CREATE TABLE ieum_streams (name PRIMARY KEY, version);
    CREATE TABLE ieum_events (position INTEGER PRIMARY KEY, stream, version, type, data, metadata,
    category TEXT GENERATED ALWAYS AS (substr(stream, 1, instr(stream, '-') - 1)) VIRTUAL)";
