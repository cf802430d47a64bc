//! Both engines answer alike: the same random operations, one after the other, on each.

use ieum_base::{EngineUrl, ManualClock, Timestamp};
use ieum_eventstore::{Append, Expect, NewEvent, StreamName, Version};
use ieum_messaging::OutboxStore;
use ieum_sql::barrier::{self, Call, Op};
use ieum_sql::{Answer, Database, Error, ErrorKind, Tx, idempotency, inbox, outbox, streams};
use proptest::prelude::*;
use serde_json::json;

use crate::fixture::{balance, book, number, service_at};
use crate::outbox::message;

/// One thing that a service does; numbers are small so that they meet.
#[derive(Clone, Debug)]
enum Step {
    Claim {
        message: u8,
        is_kept: bool,
    },
    Call {
        saga: u8,
        is_undo: bool,
        epoch: u8,
        status: u16,
    },
    Request {
        key: u8,
        body: u8,
        status: u16,
    },
    Publish {
        id: u8,
        topic: u8,
    },
    Append {
        stream: u8,
        id: u8,
        expect: Option<u8>,
    },
    Nested {
        amount: i16,
        is_kept: bool,
    },
    Forget {
        before: u16,
    },
    Sent {
        limit: u8,
    },
}

fn step() -> impl Strategy<Value = Step> {
    let status = prop_oneof![
        4 => Just(201_u16),
        1 => Just(409),
        1 => Just(503),
        // An `Err` of the effect.
        1 => Just(0),
    ];
    prop_oneof![
        (0..3_u8, any::<bool>()).prop_map(|(message, is_kept)| Step::Claim { message, is_kept }),
        (0..2_u8, any::<bool>(), 1..4_u8, status.clone()).prop_map(
            |(saga, is_undo, epoch, status)| Step::Call {
                saga,
                is_undo,
                epoch,
                status
            }
        ),
        (0..3_u8, 0..2_u8, status).prop_map(|(key, body, status)| Step::Request {
            key,
            body,
            status
        }),
        (0..9_u8, 0..3_u8).prop_map(|(id, topic)| Step::Publish { id, topic }),
        (0..2_u8, 0..6_u8, proptest::option::of(0..4_u8))
            .prop_map(|(stream, id, expect)| Step::Append { stream, id, expect }),
        (any::<i16>(), any::<bool>())
            .prop_map(|(amount, is_kept)| Step::Nested { amount, is_kept }),
        (0..40_u16).prop_map(|before| Step::Forget { before }),
        (0..4_u8).prop_map(|limit| Step::Sent { limit }),
    ]
}

fn planted() -> Error {
    Error::new(ErrorKind::Internal, "planted")
}

/// An effect that answers `status`, or fails if that is 0.
fn effect(tx: &Tx<'_>, status: u16) -> Result<Answer, Error> {
    book(tx, i64::from(status))?;
    if status == 0 {
        return Err(planted());
    }
    Ok(Answer::new(status, json!({ "status": status })))
}

fn act(tx: &Tx<'_>, step: &Step) -> Result<String, Error> {
    match step {
        Step::Claim { message, is_kept } => {
            let is_first = inbox::claim(tx, "c", "/s", &message.to_string())?;
            book(tx, i64::from(is_first))?;
            let outcome = format!("{is_first}");
            if *is_kept {
                Ok(outcome)
            } else {
                Err(planted())
            }
        }
        Step::Call {
            saga,
            is_undo,
            epoch,
            status,
        } => {
            let call = Call {
                saga: saga.to_string(),
                step: "step".into(),
                round: 1,
                epoch: u64::from(*epoch),
                op: if *is_undo { Op::Undo } else { Op::Do },
            };
            let answer = barrier::run(tx, &call, || effect(tx, *status));
            Ok(format!("{answer:?}"))
        }
        Step::Request { key, body, status } => {
            let (key, body) = (key.to_string(), body.to_string());
            let outcome = idempotency::run(tx, "scope", &key, &body, || effect(tx, *status));
            Ok(format!("{outcome:?}"))
        }
        Step::Publish { id, topic } => {
            let topic = ["a.events", "b.events", "no topic"][usize::from(*topic)];
            let published = tx.nested(|| outbox::publish(tx, topic, &message(&id.to_string())));
            Ok(format!(
                "{:?}",
                published.map(drop).map_err(|error| error.kind())
            ))
        }
        Step::Append { stream, id, expect } => Ok(append(tx, *stream, *id, *expect)),
        Step::Nested { amount, is_kept } => {
            let nested = tx.nested(|| {
                book(tx, i64::from(*amount))?;
                if *is_kept { Ok(()) } else { Err(planted()) }
            });
            Ok(format!("{}", nested.is_ok()))
        }
        Step::Forget { before } => {
            let before = Timestamp::from_micros(i64::from(*before));
            let forgotten = [
                inbox::forget_before(tx, before, 2)?,
                barrier::forget_before(tx, before, 2)?,
                idempotency::forget_before(tx, before, 2)?,
            ];
            Ok(format!("{forgotten:?}"))
        }
        Step::Sent { .. } => Ok(String::new()),
    }
}

fn append(tx: &Tx<'_>, stream: u8, id: u8, expect: Option<u8>) -> String {
    let name: StreamName = format!("thing-{stream}").parse().expect("a name");
    let id = uuid::Uuid::from_u128(u128::from(id));
    let event = NewEvent::new(id, "Happened", &1).expect("an event");
    let expect = expect.map_or(Expect::Any, |version| {
        Expect::Version(Version(version.into()))
    });
    let appended = streams::append_in(tx, &Append::to(name.clone(), expect, vec![event]));
    let appended = appended.map_err(|error| error.kind().clone());
    let events = streams::read_in(tx, &name, Version(0), 100).expect("reads");
    let versions: Vec<_> = events
        .iter()
        .map(|event| (event.version, event.id))
        .collect();
    format!("{appended:?} {versions:?}")
}

/// What a service says, step by step, and what it holds in the end.
async fn history(url: &EngineUrl, steps: &[Step]) -> Vec<String> {
    let clock = ManualClock::starting_at(Timestamp::from_micros(0));
    let database = service_at(url, &clock).await;
    let mut said = Vec::new();
    for step in steps {
        clock.advance(std::time::Duration::from_micros(1));
        let doing = step.clone();
        let done: Result<String, Error> = database.write(move |tx| act(tx, &doing)).await;
        let done = done.map_err(|error| error.kind());
        said.push(format!("{step:?}: {done:?} {}", balance(&database).await));
        if let Step::Sent { limit } = step {
            said.push(send(&database, usize::from(*limit)).await);
        }
    }
    for table in [
        "SELECT count(*) FROM ieum_inbox",
        "SELECT count(*) FROM ieum_barrier",
        "SELECT count(*) FROM ieum_barrier_epochs",
        "SELECT count(*) FROM ieum_idempotency",
        "SELECT count(*) FROM ieum_outbox",
    ] {
        said.push(format!("{table}: {}", number(&database, table).await));
    }
    database.close().await.expect("closes");
    said
}

/// Sends some, and says which.
async fn send(database: &Database, limit: usize) -> String {
    let store = database.outbox();
    let rows = store.pending(limit).await.expect("reads");
    let ids: Vec<_> = rows.iter().map(|row| row.id).collect();
    store.mark_sent(&ids).await.expect("marks");
    let sent = rows.iter().map(|row| (&row.topic, &row.message.id));
    format!("{:?}", sent.collect::<Vec<_>>())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 12, ..ProptestConfig::default() })]

    #[test]
    fn random_operations_answer_alike_on_both_engines(
        steps in proptest::collection::vec(step(), 1..80),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        runtime.expect("a runtime").block_on(async {
            let sqlite = history(&crate::fixture::sqlite(), &steps).await;
            let postgres = history(&crate::fixture::postgres(), &steps).await;
            assert_eq!(sqlite, postgres);
        });
    }
}
