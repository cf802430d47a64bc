//! Where a case runs: a fresh database of an engine, with everything that a service has.

use std::time::Duration;

use ieum_base::{Clock, EngineUrl, ManualClock, Timestamp};
use ieum_sql::{Database, Error, Migration, Tx};
use ieum_sql::{barrier, idempotency, inbox, outbox, streams, view};

/// The table that effects are seen in.
const LEDGER: Migration = Migration {
    component: "ledger",
    version: 1,
    sqlite: "CREATE TABLE ledger (amount INTEGER NOT NULL) STRICT",
    postgres: "CREATE TABLE ledger (amount BIGINT NOT NULL)",
};

/// Makes each case a test on each engine: `both![a_case, another]`.
macro_rules! both {
    ($($case:ident),* $(,)?) => {
        mod sqlite {
            $(
                #[tokio::test]
                async fn $case() {
                    super::$case($crate::fixture::sqlite()).await;
                }
            )*
        }

        #[cfg(feature = "postgres")]
        mod postgres {
            $(
                #[tokio::test]
                async fn $case() {
                    super::$case($crate::fixture::postgres()).await;
                }
            )*
        }
    };
}
pub(crate) use both;

/// A new, empty database in memory.
pub(crate) fn sqlite() -> EngineUrl {
    "memory:".parse().expect("a URL")
}

/// A new, empty database on the server that all cases share.
#[cfg(feature = "postgres")]
pub(crate) fn postgres() -> EngineUrl {
    use std::sync::OnceLock;

    use ieum_testkit::engines::Postgres;

    static SERVER: OnceLock<Postgres> = OnceLock::new();
    let server = SERVER.get_or_init(|| Postgres::start().expect("starts"));
    let name = format!("case-{}", Clock::system().new_id());
    let url = server.database(&name).expect("a database");
    url.parse().expect("a URL")
}

/// Opens it with every table that a service has, and `more`.
pub(crate) async fn open_with(url: &EngineUrl, more: &[Migration], clock: Clock) -> Database {
    let migrations = [
        streams::MIGRATIONS,
        outbox::MIGRATIONS,
        inbox::MIGRATIONS,
        barrier::MIGRATIONS,
        idempotency::MIGRATIONS,
        view::MIGRATIONS,
        &[LEDGER],
        more,
    ]
    .concat();
    let opened = Database::open(url, &migrations, clock).await;
    opened.expect("opens")
}

/// Opens it with a clock that stands still.
pub(crate) async fn service_at(url: &EngineUrl, clock: &ManualClock) -> Database {
    open_with(url, &[], clock.clock()).await
}

/// Opens it at the second 1.
pub(crate) async fn service(url: &EngineUrl) -> Database {
    let clock = ManualClock::starting_at(Timestamp::from_micros(1_000_000));
    service_at(url, &clock).await
}

/// An effect.
pub(crate) fn book(tx: &Tx<'_>, amount: i64) -> Result<(), Error> {
    tx.execute("INSERT INTO ledger (amount) VALUES ($1)", [amount])?;
    Ok(())
}

/// The sum of all effects.
pub(crate) async fn balance(database: &Database) -> i64 {
    number(database, "SELECT coalesce(sum(amount), 0) FROM ledger").await
}

/// The one number that `sql` answers.
pub(crate) async fn number(database: &Database, sql: &'static str) -> i64 {
    let read = database.read(move |reader| reader.row(sql, (), |row| row.get(0)));
    read.await.expect("reads").expect("a number")
}

/// Longer than any case should take to notice something.
pub(crate) const LONG: Duration = Duration::from_secs(60);
