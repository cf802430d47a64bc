//! Sagas with everything real but the network: the engine on a log in a file, its participant with a
//! barrier in another, both killed and opened again.
//!
//! The points at which they die: each append of the engine, on both sides, and each call, before its
//! effect commits and after it, when nobody hears the answer. So "between the call and its record" is
//! there twice: the engine dies alone, or together with the participant.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use ieum_base::{Clock, HumanDuration, Rng, Stop, Uuid};
use ieum_saga::definition::Definition;
use ieum_saga::port::{self, Answered, Call, CallResult, Participants};
use ieum_saga::state::Status;
use ieum_saga::testing::{Crash, Life, MortalLog, Side};
use ieum_saga::{Config, Deps, Service, Sharing, Start};
use ieum_sql::Error;
use ieum_sql::sqlite::barrier::{self, Op};
use ieum_sql::sqlite::{Answer, Config as SqlConfig, Database, Log, Migration, Tx};
use ieum_testkit::TempFolder;
use serde_json::json;

const LEDGER: &[Migration] = &[Migration {
    component: "ledger",
    version: 1,
    sql: "CREATE TABLE ledger (saga TEXT NOT NULL, step TEXT NOT NULL, op TEXT NOT NULL) STRICT",
}];

const STEPS: [&str; 4] = ["reserve", "charge", "ship", "confirm"];

/// Where a life ends.
#[derive(Clone, Copy, Debug)]
enum End {
    /// At an append of the engine.
    Append(Crash),
    /// At a call, counted from 1: before its effect commits or after it.
    Call(u64, Side),
}

/// The participant of all steps. What it does is in its database, once and for all.
struct Shop {
    database: Database,
    life: Life,
    end: Option<(u64, Side)>,
    calls: AtomicU64,
    /// The step that is refused.
    refused: Option<&'static str>,
}

#[async_trait]
impl Participants for Shop {
    async fn call(&self, call: Call) -> CallResult {
        let number = self.calls.fetch_add(1, Ordering::SeqCst) + 1;
        let side = self
            .end
            .filter(|(at, _)| *at == number)
            .map(|(_, side)| side);
        if side == Some(Side::Before) {
            self.life.end();
        }
        let answer = self.life.live(self.answer(&call)).await;
        if side == Some(Side::After) {
            self.life.end();
        }
        self.life.live(async {}).await;
        CallResult::Answered(Answered::json(answer.status, &answer.body))
    }
}

impl Shop {
    async fn answer(&self, call: &Call) -> Answer {
        let text = |name: &str| call.header(name).expect("sent").to_owned();
        let barrier = barrier::Call {
            saga: text(port::SAGA_ID),
            step: text(port::STEP),
            round: text(port::ROUND).parse().expect("a number"),
            epoch: text(port::EPOCH).parse().expect("a number"),
            op: match text(port::OPERATION).as_str() {
                "undo" => Op::Undo,
                _ => Op::Do,
            },
        };
        let refused = self.refused == Some(barrier.step.as_str()) && barrier.op == Op::Do;
        let write = self.database.write(move |tx| {
            barrier::run(tx, &barrier, || {
                if refused {
                    return Ok::<_, Error>(Answer::new(409, json!({"code": "no"})));
                }
                book(tx, &barrier)?;
                Ok(Answer::new(200, json!({})))
            })
        });
        write.await.expect("written")
    }
}

fn book(tx: &Tx<'_>, call: &barrier::Call) -> Result<(), Error> {
    let op = match call.op {
        Op::Do => "do",
        Op::Undo => "undo",
    };
    let insert = "INSERT INTO ledger (saga, step, op) VALUES (?1, ?2, ?3)";
    tx.execute(insert, [&call.saga, &call.step, op])?;
    Ok(())
}

fn order() -> Definition {
    let step = |name: &str| {
        json!({"name": name, "call": {"service": "shop", "path": "/"},
               "undo": {"service": "shop", "path": "/undo"}})
    };
    let mut steps = STEPS.map(step);
    steps[3] = json!({"name": "confirm", "pivot": true, "call": {"service": "shop", "path": "/"}});
    serde_json::from_value(json!({"name": "order", "steps": steps})).expect("a definition")
}

/// Opens both files, runs the order, and dies at `end`; what was not written is lost. `None` if it
/// died. Everything of a life ends with its runtime.
fn live(folder: &Path, end: Option<End>, refused: Option<&'static str>) -> Option<(Uuid, Status)> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    runtime.block_on(async {
        let life = Life::new();
        let work = run(folder, life.clone(), end, refused);
        tokio::select! {
            biased;
            () = life.ended() => None,
            settled = work => Some(settled),
        }
    })
}

async fn run(
    folder: &Path,
    life: Life,
    end: Option<End>,
    refused: Option<&'static str>,
) -> (Uuid, Status) {
    let log = Log::open(folder.join("log.db"), SqlConfig::default()).expect("opens");
    let migrations = [barrier::MIGRATIONS, LEDGER].concat();
    let database = Database::open(folder.join("shop.db"), &migrations).expect("opens");
    let (append, call) = match end {
        Some(End::Append(crash)) => (Some(crash), None),
        Some(End::Call(at, side)) => (None, Some((at, side))),
        None => (None, None),
    };
    let log = Arc::new(MortalLog::new(log, life.clone(), append));
    let shop = Shop {
        database,
        life,
        end: call,
        calls: AtomicU64::new(0),
        refused,
    };
    let deps = Deps {
        store: Arc::clone(&log) as _,
        checkpoints: Arc::clone(&log) as _,
        leases: log,
        sharing: Sharing::Alone,
        participants: Arc::new(shop),
        clock: Clock::system(),
        rng: Rng::seeded(1),
        spans: None,
        service: "ieum".into(),
    };
    let config = Config {
        backoff_first: HumanDuration::from_millis(1),
        ..Config::default()
    };
    let (service, handle) = Service::open(config, deps).await.expect("opens");
    handle.define(order()).await.expect("defined");
    let start = Start {
        definition: "order".to_owned(),
        key: "o-1".to_owned(),
        input: json!({}),
        trace: None,
    };
    let id = handle.start(start).await.expect("started").id;
    let settled = tokio::time::timeout(Duration::from_secs(60), handle.settled(id)).await;
    let status = settled.expect("it is not stuck").expect("known");
    let stop = Stop::new();
    stop.request();
    service.run(stop).await.expect("stops");
    (id, status)
}

/// What the participant's database holds: each effect once, or undone once.
fn audit(folder: &Path, status: Status, story: &str) {
    let connection = rusqlite::Connection::open(folder.join("shop.db")).expect("opens");
    for step in STEPS {
        let count = |op: &str| -> u32 {
            let sql = "SELECT count(*) FROM ledger WHERE step = ?1 AND op = ?2";
            let count = connection.query_row(sql, [step, op], |row| row.get(0));
            count.expect("readable")
        };
        let (done, undone) = (count("do"), count("undo"));
        match status {
            Status::Completed => assert_eq!((done, undone), (1, 0), "{step}: {story}"),
            Status::Compensated => assert!(done <= 1 && done == undone, "{step}: {story}"),
            other => panic!("{other}: {story}"),
        }
    }
}

/// Kills a life at `end`, lets another one finish the order, and audits. True if the first died.
fn dies_at(end: End, refused: Option<&'static str>, expected: Status) -> bool {
    let folder = TempFolder::new().expect("a folder");
    let died = live(folder.path(), Some(end), refused).is_none();
    let (_, status) = live(folder.path(), None, refused).expect("this one lives");
    let story = format!("{end:?}, {refused:?}");
    assert_eq!(status, expected, "{story}");
    audit(folder.path(), status, &story);
    died
}

/// Kills at every point of one kind, until a life survives. Answers how many there were.
fn at_every(point: impl Fn(u64, Side) -> End, refused: Option<&'static str>, to: Status) -> u64 {
    for at in 1.. {
        let before = dies_at(point(at, Side::Before), refused, to);
        let after = dies_at(point(at, Side::After), refused, to);
        if !before && !after {
            return at - 1;
        }
    }
    0
}

#[test]
fn h19_a_crash_at_any_call_or_append_completes_the_order_once() {
    assert_eq!(at_every(End::Call, None, Status::Completed), 4);
    let append = |at, side| End::Append(Crash { at, side });
    // The partitions, the definition, the start, an intent before each of four calls, and the end.
    assert_eq!(at_every(append, None, Status::Completed), 8);
}

#[test]
fn h19_a_crash_at_any_call_or_append_undoes_a_refused_order_once() {
    let refused = Some("ship");
    // Three steps, and two that are undone.
    assert_eq!(at_every(End::Call, refused, Status::Compensated), 5);
    let append = |at, side| End::Append(Crash { at, side });
    assert!(at_every(append, refused, Status::Compensated) >= 7);
}
