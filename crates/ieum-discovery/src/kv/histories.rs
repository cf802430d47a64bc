//! Whatever clients do, in whatever order: what holds after every step.

use std::collections::HashMap;
use std::time::Duration;

use bytes::Bytes;
use ieum_base::Uuid;
use proptest::prelude::*;

use super::draft::Draft;
use super::{Behavior, Change, Config, Entry, Op, Session, State};

/// What a client does next.
#[derive(Clone, Debug)]
enum Step {
    Run(Vec<Op>),
    Begin(u8, Behavior),
    End(u8),
}

const KEYS: [&str; 5] = ["a", "a/b", "a/c", "b", "b/a/b"];

fn id(number: u8) -> Uuid {
    Uuid::from_u128(u128::from(number))
}

fn op() -> impl Strategy<Value = Op> {
    let key = prop::sample::select(&KEYS[..]).prop_map(str::to_owned);
    let value = prop::sample::select(vec!["", "1", "22"]);
    (key, value, 0_u64..40, 0_u8..3, 0_u8..10).prop_map(|(key, value, index, session, kind)| {
        let value = Bytes::from_static(value.as_bytes());
        let (flags, session) = (index % 2, id(session));
        match kind {
            0..3 => Op::Set { key, value, flags },
            3 => Op::Cas {
                key,
                value,
                flags,
                index,
            },
            4 | 5 => Op::Lock {
                key,
                value,
                flags,
                session,
            },
            6 => Op::Unlock {
                key,
                value,
                flags,
                session,
            },
            7 => Op::Delete { key },
            8 => Op::DeleteTree { prefix: key },
            _ => Op::DeleteCas { key, index },
        }
    })
}

fn step() -> impl Strategy<Value = Step> {
    let behavior = prop::sample::select(vec![Behavior::Release, Behavior::Delete]);
    prop_oneof![
        6 => prop::collection::vec(op(), 1..4).prop_map(Step::Run),
        2 => (0_u8..3, behavior).prop_map(|(number, behavior)| Step::Begin(number, behavior)),
        1 => (0_u8..3).prop_map(Step::End),
    ]
}

fn session(number: u8, behavior: Behavior) -> Session {
    Session {
        id: id(number),
        name: String::new(),
        node: "ieum".to_owned(),
        lock_delay: Duration::ZERO,
        behavior,
        ttl: None,
        node_checks: Vec::new(),
        service_checks: Vec::new(),
        created: 0,
    }
}

/// What follows from a step.
fn decide(state: &State, step: &Step) -> Vec<Change> {
    match step {
        Step::Run(ops) => {
            let decided = Draft::of(state).decide(ops, &Config::default());
            let (outcome, changes) = decided.expect("within the bounds");
            assert!(
                outcome.is_ok() || changes.is_empty(),
                "refused operations change nothing"
            );
            changes
        }
        Step::Begin(number, _) if state.session(id(*number)).is_some() => Vec::new(),
        Step::Begin(number, behavior) => vec![Change::SessionCreated(session(*number, *behavior))],
        Step::End(number) => {
            let there = state.session(id(*number)).is_some();
            let session = id(*number);
            there
                .then_some(Change::SessionEnded { session })
                .into_iter()
                .collect()
        }
    }
}

fn entries(state: &State) -> Vec<Entry> {
    state.tree("").cloned().collect()
}

/// What must hold whatever happened before.
fn check(state: &State, indexes: &mut HashMap<&str, u64>) {
    let mut bytes = 0;
    for entry in state.tree("") {
        bytes += entry.key.len() + entry.value.len();
        if let Some(holder) = entry.session {
            assert!(
                state.session(holder).is_some(),
                "held by a session that is over"
            );
            assert!(entry.lock_index > 0);
        }
        assert!(entry.created <= entry.modified);
    }
    assert_eq!(state.bytes(), bytes);
    for key in KEYS {
        let index = state.index_of(key);
        let before = indexes.insert(key, index).unwrap_or_default();
        assert!(index >= before, "the index of `{key}` went back");
        assert!(state.index_of_tree(key) >= index);
    }
}

proptest! {
    #[test]
    fn a_replay_yields_the_same_and_no_rule_is_ever_broken(
        steps in prop::collection::vec(step(), 1..60),
    ) {
        let (mut state, mut log) = (State::default(), Vec::new());
        let mut indexes = HashMap::new();
        for step in &steps {
            let changes = decide(&state, step);
            if changes.is_empty() {
                continue;
            }
            let index = log.len() as u64 + 2;
            let before: Vec<(&str, u64)> = KEYS.map(|key| (key, state.index_of(key))).into();
            let touched = state.apply(index, &changes);
            check(&state, &mut indexes);
            for (key, before) in before {
                let woken = touched.keys.iter().any(|touched| touched == key);
                prop_assert_eq!(state.index_of(key) != before, woken, "who waits for `{}`", key);
            }
            let written = serde_json::to_string(&changes).expect("JSON");
            log.push((index, written));
        }
        let mut replayed = State::default();
        for (index, written) in &log {
            let changes: Vec<Change> = serde_json::from_str(written).expect("what was written");
            replayed.apply(*index, &changes);
        }
        prop_assert_eq!(entries(&replayed), entries(&state));
        let sessions = |state: &State| state.sessions().cloned().collect::<Vec<_>>();
        prop_assert_eq!(sessions(&replayed), sessions(&state));
        for key in KEYS {
            prop_assert_eq!(replayed.index_of(key), state.index_of(key));
        }
    }
}
