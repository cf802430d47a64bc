//! The same tables for users of tokio-postgres: async functions on a transaction.

use ieum_base::{EngineUrl, Timestamp};
use ieum_messaging::OutboxStore;
use ieum_sql::barrier::Op;
use ieum_sql::postgres::tokio_postgres::Transaction;
use ieum_sql::postgres::{self, Config, Pool, barrier, idempotency, inbox, outbox, view};
use ieum_sql::{Answer, Error, ErrorKind, Result};
use serde_json::json;

use crate::outbox::message;
use crate::participant::call;

const NOW: Timestamp = Timestamp::from_micros(1_000_000);

const LEDGER: &[postgres::Migration] = &[postgres::Migration {
    component: "ledger",
    version: 1,
    sql: "CREATE TABLE ledger (amount bigint NOT NULL)",
}];

async fn pool(url: &EngineUrl) -> Pool {
    let migrations = [
        outbox::MIGRATIONS,
        inbox::MIGRATIONS,
        barrier::MIGRATIONS,
        idempotency::MIGRATIONS,
        view::MIGRATIONS,
        LEDGER,
    ]
    .concat();
    let connected = postgres::connect(url, &migrations, Config::default()).await;
    connected.expect("connects")
}

async fn book(tx: &Transaction<'_>, amount: i64) -> Result<()> {
    let sql = "INSERT INTO ledger (amount) VALUES ($1)";
    tx.execute(sql, &[&amount]).await?;
    Ok(())
}

async fn balance(pool: &Pool) -> i64 {
    let client = pool.get().await.expect("a connection");
    let sql = "SELECT coalesce(sum(amount), 0)::bigint FROM ledger";
    let row = client.query_one(sql, &[]).await;
    row.expect("reads").get(0)
}

/// What a handler of a service does: it can be spawned, hence it is `Send`.
async fn charge(pool: Pool, op: Op, status: u16) -> Result<Answer> {
    let mut client = pool.get().await?;
    let tx = client.transaction().await?;
    let call = call("s", op, 1, 1);
    let answer = barrier::run(&tx, NOW, &call, async || {
        book(&tx, if op == Op::Do { 100 } else { -100 }).await?;
        if status == 0 {
            // It breaks the transaction, up to the savepoint.
            tx.execute("INSERT INTO ledger (amount) VALUES (NULL)", &[])
                .await?;
        }
        Ok::<_, Error>(Answer::new(status, json!({ "paymentId": 7 })))
    });
    let answer = answer.await;
    book(&tx, 1).await?;
    tx.commit().await?;
    answer
}

#[tokio::test]
async fn an_effect_may_be_a_closure_that_awaits() {
    let pool = pool(&crate::fixture::postgres()).await;
    let charge = |op, status| {
        let charged = charge(pool.clone(), op, status);
        let charged: std::pin::Pin<Box<dyn Future<Output = _> + Send>> = Box::pin(charged);
        charged
    };
    let failed = charge(Op::Do, 0).await.expect_err("refused");
    assert_eq!(failed.kind(), ErrorKind::Constraint);
    assert_eq!(charge(Op::Do, 503).await.expect("answers").status, 503);
    assert_eq!(
        balance(&pool).await,
        2,
        "nothing of it, and what came after"
    );
    for _ in 0..2 {
        assert_eq!(charge(Op::Do, 201).await.expect("answers").status, 201);
    }
    assert_eq!(balance(&pool).await, 104);
    assert_eq!(charge(Op::Undo, 200).await.expect("answers").status, 200);
    let late = charge(Op::Do, 201).await.expect("answers");
    assert_eq!(late.body["code"], json!("cancelled"));
    assert_eq!(balance(&pool).await, 6);
}

#[tokio::test]
async fn an_effect_may_stand_between_two_halves() {
    let pool = pool(&crate::fixture::postgres()).await;
    for (round, expected) in [(0, 1), (1, 1), (2, 2)] {
        let mut client = pool.get().await.expect("a connection");
        let tx = client.transaction().await.expect("begins");
        let request = ("scope", if round < 2 { "a" } else { "b" }, "body");
        match idempotency::begin(&tx, NOW, request).await.expect("begins") {
            idempotency::Begun::Run(effect) => {
                book(&tx, 1).await.expect("books");
                let answer = Answer::new(201, json!(round));
                let outcome = effect.finish(&tx, answer).await.expect("finishes");
                assert!(matches!(outcome, idempotency::Outcome::Fresh(_)));
            }
            idempotency::Begun::Known(outcome) => {
                assert_eq!(outcome.into_answer(), Answer::new(201, json!(0)));
            }
        }
        tx.commit().await.expect("commits");
        assert_eq!(balance(&pool).await, expected);
    }
}

#[tokio::test]
async fn a_message_is_claimed_and_another_is_published_in_one_transaction() {
    let pool = pool(&crate::fixture::postgres()).await;
    let store = outbox::Store::new(pool.clone(), &outbox::Config::default());
    for (is_kept, is_first) in [(false, true), (true, true), (true, false)] {
        let mut client = pool.get().await.expect("a connection");
        let tx = client.transaction().await.expect("begins");
        let claimed = inbox::claim(&tx, NOW, "mail", "/orders", "1").await;
        assert_eq!(claimed.expect("claims"), is_first);
        if is_first {
            let row = outbox::publish(&tx, NOW, "mail.events", &message("2")).await;
            row.expect("publishes");
        }
        if is_kept {
            tx.commit().await.expect("commits");
            store.wake();
        }
    }
    assert_eq!(store.pending(9).await.expect("reads").len(), 1);
}

/// A process that is stopped does not know for how long: the server does.
#[tokio::test]
async fn h13_a_relay_that_stood_still_past_its_lease_gets_no_rows() {
    let pool = pool(&crate::fixture::postgres()).await;
    let config = outbox::Config {
        lease: std::time::Duration::from_millis(300),
        ..outbox::Config::default()
    };
    let [first, second] = [(); 2].map(|()| outbox::Store::new(pool.clone(), &config));
    let mut client = pool.get().await.expect("a connection");
    let tx = client.transaction().await.expect("begins");
    let row = outbox::publish(&tx, NOW, "mail.events", &message("1")).await;
    row.expect("publishes");
    tx.commit().await.expect("commits");
    assert_eq!(first.pending(9).await.expect("reads").len(), 1);
    assert_eq!(second.pending(9).await.expect("reads").len(), 0);
    // The first looks no more; the second asks until it is let in.
    let let_in = async {
        while second.pending(9).await.expect("reads").is_empty() {
            tokio::task::yield_now().await;
        }
    };
    let_in.await;
    // The first may be told once that its connection is gone, and then that it is not its turn.
    for _ in 0..3 {
        assert_eq!(first.pending(9).await.unwrap_or_default().len(), 0);
        assert_eq!(second.pending(9).await.expect("reads").len(), 1);
    }
}
