//! The common SQL: parameters, columns, lists, savepoints, errors.

use ieum_base::{Clock, EngineUrl, Timestamp};
use ieum_sql::database::{List, Parameter};
use ieum_sql::{Database, Error, ErrorKind, Migration, Result};

use crate::fixture::{balance, book, both, number, open_with, service};

both![
    every_kind_of_value_comes_back_as_it_was_written,
    a_value_that_does_not_fit_is_refused,
    what_is_null_has_the_kind_of_its_type,
    a_sum_and_a_count_are_integers,
    a_list_is_one_parameter,
    columns_are_found_by_name,
    parameters_are_counted_and_numbered,
    what_is_nested_is_forgotten_alone,
    an_error_that_a_closure_ignores_is_not_committed,
    a_panic_undoes_a_transaction_and_harms_nobody_else,
    a_read_sees_one_snapshot_and_writes_nothing,
    a_constraint_is_named_as_one,
    what_was_written_by_a_newer_version_is_refused,
    a_closed_database_says_so,
];

const THINGS: Migration = Migration {
    component: "things",
    version: 1,
    sqlite: "CREATE TABLE things (id INTEGER PRIMARY KEY, yes INTEGER, amount INTEGER, share REAL, \
             name TEXT, bytes BLOB) STRICT",
    postgres: "CREATE TABLE things (id BIGINT PRIMARY KEY, yes BOOLEAN, amount BIGINT, \
               share DOUBLE PRECISION, name TEXT, bytes BYTEA)",
};

type Thing = (
    Option<bool>,
    Option<i64>,
    Option<f64>,
    Option<String>,
    Option<Vec<u8>>,
);

async fn things(url: &EngineUrl) -> Database {
    open_with(url, &[THINGS], Clock::system()).await
}

async fn written(database: &Database, id: i64, thing: Thing) -> Thing {
    let write = database.write(move |tx| {
        let (yes, amount, share, name, bytes) = &thing;
        tx.execute(
            "INSERT INTO things VALUES ($1, $2, $3, $4, $5, $6)",
            (id, yes, amount, share, name, bytes),
        )?;
        tx.row("SELECT * FROM things WHERE id = $1", [id], |row| {
            Ok((
                row.get(1)?,
                row.get(2)?,
                row.get(3)?,
                row.get(4)?,
                row.get(5)?,
            ))
        })
    });
    write.await.expect("writes").expect("a row")
}

async fn every_kind_of_value_comes_back_as_it_was_written(url: EngineUrl) {
    let database = things(&url).await;
    let all: [Thing; 3] = [
        (
            Some(true),
            Some(i64::MIN),
            Some(-0.25),
            Some("이음 ✓ ' \" \\ \n".into()),
            Some(vec![0, 255, 10]),
        ),
        (
            Some(false),
            Some(i64::MAX),
            Some(1e300),
            Some(String::new()),
            Some(Vec::new()),
        ),
        (None, None, None, None, None),
    ];
    for (id, thing) in (0..).zip(all) {
        assert_eq!(written(&database, id, thing.clone()).await, thing);
    }
}

async fn a_value_that_does_not_fit_is_refused(url: EngineUrl) {
    let database = things(&url).await;
    let thing = (None, Some(70_000), None, Some("x".into()), None);
    written(&database, 1, thing).await;
    let refusals = database.read(|reader| {
        let sql = "SELECT amount, name, yes FROM things";
        let kind = |outcome: Result<()>| outcome.expect_err("refused").kind();
        reader.row(sql, (), |row| {
            Ok([
                kind(row.get::<u16>(0).map(drop)),
                kind(row.get::<String>(0).map(drop)),
                kind(row.get::<i64>(1).map(drop)),
                kind(row.get::<bool>(2).map(drop)),
                kind(row.get::<i64>(3).map(drop)),
                kind(row.get::<i64>("other").map(drop)),
            ])
        })
    });
    let refusals = refusals.await.expect("reads").expect("a row");
    let (no, unknown) = (ErrorKind::Internal, ErrorKind::Invalid);
    assert_eq!(refusals, [no, no, no, no, unknown, unknown]);
}

async fn what_is_null_has_the_kind_of_its_type(url: EngineUrl) {
    let database = things(&url).await;
    for id in 1..=3 {
        written(&database, id, (None, Some(id), None, None, None)).await;
    }
    let listed = |after: Option<i64>| {
        let sql = "SELECT id FROM things WHERE $1 IS NULL OR id > $1 ORDER BY id LIMIT $2";
        database.read(move |reader| reader.rows(sql, (after, 2), |row| row.get::<i64>(0)))
    };
    assert_eq!(listed(None).await.expect("reads"), [1, 2]);
    assert_eq!(listed(Some(2)).await.expect("reads"), [3]);
}

async fn a_sum_and_a_count_are_integers(url: EngineUrl) {
    let database = things(&url).await;
    for (id, amount) in [(1, -20_000), (2, 123_456_789_012), (3, 1)] {
        written(&database, id, (None, Some(amount), Some(0.5), None, None)).await;
    }
    let total = number(&database, "SELECT sum(amount) FROM things").await;
    assert_eq!(total, 123_456_769_013);
    assert_eq!(number(&database, "SELECT count(*) FROM things").await, 3);
    let none = "SELECT coalesce(sum(CASE WHEN id > 9 THEN -amount END), 0) FROM things";
    assert_eq!(number(&database, none).await, 0);
    let share = database.read(|reader| {
        let sql = "SELECT sum(share), max(amount) FROM things";
        reader.row(sql, (), |row| Ok((row.get::<f64>(0)?, row.get::<f64>(1)?)))
    });
    assert_eq!(share.await.expect("reads"), Some((1.5, 123_456_789_012.0)));
}

async fn a_list_is_one_parameter(url: EngineUrl) {
    let database = things(&url).await;
    for (id, name) in [(1, "a"), (2, "b'\""), (3, "다")] {
        let thing = (None, None, None, Some(name.to_owned()), None);
        written(&database, id, thing).await;
    }
    let found = |names: &'static [&'static str]| {
        database.read(move |reader| {
            let sql = "SELECT things.id, wanted.key FROM ieum_list($1) AS wanted \
                       JOIN things ON name = wanted.value ORDER BY wanted.key";
            let list = List::of(names);
            reader.rows(sql, [list], |row| Ok((row.get(0)?, row.get(1)?)))
        })
    };
    assert_eq!(found(&[]).await.expect("reads"), []);
    let two: Vec<(i64, i64)> = found(&["다", "nobody", "b'\""]).await.expect("reads");
    assert_eq!(two, [(3, 0), (2, 2)]);
    let counted = database.read(|reader| {
        let sql = "SELECT count(*) FROM things WHERE name IN (SELECT value FROM ieum_list($1))";
        reader.row(sql, [List::of(["a", "다"])], |row| row.get::<i64>(0))
    });
    assert_eq!(counted.await.expect("reads"), Some(2));
}

async fn columns_are_found_by_name(url: EngineUrl) {
    let database = things(&url).await;
    let now = Timestamp::from_micros(1_700_000_000_123_456);
    let row = database.write(move |tx| {
        let sql = "INSERT INTO things (id, amount, name) VALUES ($1, $2, $3)";
        let name = Some("n");
        let params = [
            Parameter::of(&5_u8),
            Parameter::of(&now),
            Parameter::of(&name),
        ];
        assert_eq!(tx.execute(sql, params.as_slice())?, 1);
        tx.row("SELECT name, amount AS at FROM things", (), |row| {
            Ok((row.get::<Timestamp>("at")?, row.get::<String>("name")?))
        })
    });
    assert_eq!(row.await.expect("writes"), Some((now, "n".to_owned())));
}

async fn parameters_are_counted_and_numbered(url: EngineUrl) {
    let database = things(&url).await;
    let twice = database.read(|reader| {
        let sql = "SELECT $2, $1, $1";
        reader.row(sql, ("a", "b"), |row| {
            Ok([row.get(0)?, row.get(1)?, row.get::<String>(2)?].concat())
        })
    });
    assert_eq!(twice.await.expect("reads"), Some("baa".to_owned()));
    let missing = database.read(|reader| reader.row("SELECT $1, $2", ["a"], |_| Ok(())));
    missing.await.expect_err("one is missing");
    if url.scheme() == "memory" {
        // PostgreSQL takes parameters that no statement asks for.
        let many = database.read(|reader| reader.row("SELECT $1", ["a", "b"], |_| Ok(())));
        let error = many.await.expect_err("one too many");
        assert_eq!(error.kind(), ErrorKind::Invalid);
    }
}

async fn what_is_nested_is_forgotten_alone(url: EngineUrl) {
    let database = service(&url).await;
    let written = database.write(|tx| {
        book(tx, 1)?;
        let refused = tx.nested(|| {
            book(tx, 10)?;
            tx.nested(|| book(tx, 100))?;
            tx.execute("INSERT INTO ledger (amount) VALUES (NULL)", ())
        });
        assert!(refused.is_err());
        tx.nested(|| book(tx, 1_000))?;
        let kept: Option<i64> = tx.row("SELECT sum(amount) FROM ledger", (), |row| row.get(0))?;
        Ok::<_, Error>(kept)
    });
    assert_eq!(written.await.expect("writes"), Some(1_001));
    assert_eq!(balance(&database).await, 1_001);
}

/// On SQLite a failed statement undoes itself alone; on PostgreSQL the transaction is broken, and a
/// commit would be a rollback that nobody notices.
async fn an_error_that_a_closure_ignores_is_not_committed(url: EngineUrl) {
    let database = service(&url).await;
    let written = database.write(|tx| {
        book(tx, 1)?;
        let refused = tx.execute("INSERT INTO ledger (amount) VALUES (NULL)", ());
        assert!(refused.is_err());
        Ok::<_, Error>(())
    });
    let outcome = written.await.map_err(|error| error.kind());
    let kept = balance(&database).await;
    match outcome {
        Ok(()) => assert_eq!(kept, 1),
        Err(kind) => assert_eq!((kind, kept), (ErrorKind::Constraint, 0)),
    }
}

async fn a_panic_undoes_a_transaction_and_harms_nobody_else(url: EngineUrl) {
    let database = service(&url).await;
    for _ in 0..20 {
        let panicked = database.write(|tx| {
            book(tx, 1)?;
            if balance_of(tx)? > 0 {
                panic!("planted");
            }
            Ok::<_, Error>(())
        });
        let error = panicked.await.expect_err("a panic");
        assert_eq!(error.kind(), ErrorKind::Internal);
        let panicked = database.read(|reader| -> Result<()> {
            reader.row("SELECT 1", (), |_| Ok(()))?;
            panic!("planted")
        });
        panicked.await.expect_err("a panic");
    }
    database.write(|tx| book(tx, 5)).await.expect("writes");
    assert_eq!(balance(&database).await, 5);
}

fn balance_of(tx: &ieum_sql::Tx<'_>) -> Result<i64> {
    let sum = tx.row("SELECT sum(amount) FROM ledger", (), |row| row.get(0))?;
    Ok(sum.unwrap_or(0))
}

async fn a_read_sees_one_snapshot_and_writes_nothing(url: EngineUrl) {
    let database = service(&url).await;
    let (begun, has_begun) = std::sync::mpsc::channel();
    let (written, is_written) = std::sync::mpsc::channel();
    let is_memory = url.scheme() == "memory";
    let read = database.read(move |reader| {
        let before: Option<i64> =
            reader.row("SELECT count(*) FROM ledger", (), |row| row.get(0))?;
        begun.send(()).expect("sends");
        if !is_memory {
            is_written.recv().expect("written");
        }
        let after: Option<i64> = reader.row("SELECT count(*) FROM ledger", (), |row| row.get(0))?;
        let refused = reader.row("DELETE FROM ledger RETURNING amount", (), |_| Ok(()));
        Ok::<_, Error>((before, after, is_memory || refused.is_err()))
    });
    let write = async {
        let begun = tokio::task::spawn_blocking(move || has_begun.recv());
        begun.await.expect("waits").expect("begun");
        database.write(|tx| book(tx, 1)).await.expect("writes");
        let _gone = written.send(());
    };
    let (read, ()) = futures_util::join!(read, write);
    assert_eq!(read.expect("reads"), (Some(0), Some(0), true));
}

async fn a_constraint_is_named_as_one(url: EngineUrl) {
    let database = things(&url).await;
    for is_first in [true, false] {
        let insert = database.write(|tx| tx.execute("INSERT INTO things (id) VALUES (1)", ()));
        match insert.await {
            Ok(changed) => assert_eq!((changed, is_first), (1, true)),
            Err(error) => assert_eq!((error.kind(), is_first), (ErrorKind::Constraint, false)),
        }
    }
}

async fn what_was_written_by_a_newer_version_is_refused(url: EngineUrl) {
    if url.scheme() == "memory" {
        return;
    }
    let newer = Migration {
        version: 2,
        sqlite: "SELECT 1",
        postgres: "SELECT 1",
        ..THINGS
    };
    let opened = open_with(&url, &[THINGS, newer], Clock::system()).await;
    opened.close().await.expect("closes");
    let refused = Database::open(&url, &[THINGS], Clock::system()).await;
    let error = refused.expect_err("refused");
    assert_eq!(error.kind(), ErrorKind::Newer);
    assert!(!error.to_string().contains("s3cret"), "{error}");
}

async fn a_closed_database_says_so(url: EngineUrl) {
    let database = service(&url).await;
    database.probe().await.expect("is well");
    let log = database.log();
    log.head().await.expect("a head");
    database.close().await.expect("closes");
    let write = database.write(|tx| book(tx, 1)).await;
    assert_eq!(write.expect_err("closed").kind(), ErrorKind::Closed);
    let read = database.read(|reader| reader.row("SELECT 1", (), |_| Ok(())));
    assert_eq!(read.await.expect_err("closed").kind(), ErrorKind::Closed);
    database.close().await.expect("closes again");
}
