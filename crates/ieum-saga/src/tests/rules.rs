//! The rules by themselves: whatever the participants answer, and wherever the engine forgets what
//! it was doing, a saga ends or is parked, and in order.

use ieum_base::{HumanDuration, Timestamp, Uuid};
use proptest::prelude::{Just, Strategy, any, prop_assert, prop_assert_eq, prop_oneof};
use serde_json::json;

use super::fixtures::{from_json, order_json};
use crate::decide::{Action, Operation, Signals, decide, facts_of};
use crate::definition::{Definition, Plan};
use crate::events::{Fact, Recorded, Started, TracePlace};
use crate::outcome::{Effect, Outcome};
use crate::state::{Progress, State, Status};

/// What comes of one decision.
#[derive(Clone, Debug)]
enum Turn {
    /// The call is answered like this.
    Answer(Outcome),
    /// The engine is gone after the intent: the end of the call is never written down.
    Forget,
    /// The deadline has passed.
    Overdue,
    /// Somebody cancels.
    Cancel,
}

fn effect() -> impl Strategy<Value = Effect> {
    prop_oneof![
        Just(Effect::Nothing),
        Just(Effect::NotSent),
        Just(Effect::Unknown)
    ]
}

fn turn() -> impl Strategy<Value = Turn> {
    let why = || "scripted".to_owned();
    prop_oneof![
        8 => Just(Turn::Answer(Outcome::Done { status: 200, answer: json!({}) })),
        2 => Just(Turn::Answer(Outcome::Reject { status: 409, code: "no".into(), detail: why() })),
        3 => effect().prop_map(move |effect| {
            Turn::Answer(Outcome::Retry { effect, after: None, why: why() })
        }),
        1 => effect().prop_map(move |effect| Turn::Answer(Outcome::Fatal { effect, why: why() })),
        2 => Just(Turn::Forget),
        1 => Just(Turn::Overdue),
        1 => Just(Turn::Cancel),
    ]
}

fn definition(pivot: bool) -> Definition {
    let mut json = order_json();
    if !pivot {
        json["steps"].as_array_mut().expect("steps").truncate(4);
    }
    from_json(json)
}

/// A run of the rules, with every event that was written.
struct Run {
    plan: Plan,
    state: State,
    events: Vec<Recorded>,
    overdue: bool,
}

impl Run {
    fn new(pivot: bool) -> Self {
        let plan = Plan::new(definition(pivot)).expect("valid");
        let started = Started {
            definition: plan.name().to_owned(),
            hash: plan.hash(),
            key: "k".to_owned(),
            input: json!({"orderId": "o-1"}),
            deadline: HumanDuration::from_secs(60),
            trace: TracePlace {
                span: String::new(),
                parent: None,
                state: None,
            },
            trigger: None,
        };
        let first = Recorded {
            at: Timestamp::default(),
            fact: Fact::Started(Box::new(started)),
        };
        let state = State::begin(Uuid::nil(), &first, &plan).expect("a beginning");
        Self {
            plan,
            state,
            events: vec![first],
            overdue: false,
        }
    }

    fn record(&mut self, fact: Fact) {
        let at = Timestamp::from_micros(i64::try_from(self.events.len()).expect("small"));
        let recorded = Recorded { at, fact };
        self.state.apply(&recorded).expect("in order");
        self.events.push(recorded);
    }

    /// Plays the turns, then answers everything with yes. Answers whether it came to rest.
    fn play(&mut self, turns: Vec<Turn>) -> bool {
        let mut turns = turns.into_iter();
        for _ in 0..10_000 {
            let signals = Signals {
                overdue: self.overdue,
                due: true,
                attempts: 5,
                undo_attempts: 8,
                unsent_attempts: 10,
                forgotten_before: None,
            };
            match decide(&self.plan, &self.state, signals) {
                Action::Record(fact) => self.record(fact),
                Action::Rest | Action::End => return true,
                Action::Wait { .. } => return false,
                Action::Attempt { intent, target } => {
                    self.record(intent);
                    match turns.next() {
                        Some(Turn::Forget) => {}
                        Some(Turn::Answer(outcome)) => {
                            facts_of(&target, outcome)
                                .into_iter()
                                .for_each(|f| self.record(f));
                        }
                        Some(Turn::Overdue) => self.overdue = true,
                        Some(Turn::Cancel) => {
                            self.record(Fact::CancelRequested {
                                reason: "?".to_owned(),
                            });
                        }
                        None => {
                            let done = Outcome::Done {
                                status: 200,
                                answer: json!({}),
                            };
                            facts_of(&target, done)
                                .into_iter()
                                .for_each(|f| self.record(f));
                        }
                    }
                }
            }
        }
        false
    }
}

proptest::proptest! {
    #[test]
    fn a_saga_always_comes_to_rest_completed_undone_or_parked(
        turns in proptest::collection::vec(turn(), 0..60),
        pivot in any::<bool>(),
    ) {
        let mut run = Run::new(pivot);
        prop_assert!(run.play(turns), "{:?}", run.events);
        let done = |index: usize| run.state.steps[index].call.progress == Progress::Done;
        match run.state.status {
            Status::Completed => prop_assert!((0..run.plan.len()).all(done)),
            Status::Compensated => {
                prop_assert_eq!(run.state.next_undo(&run.plan), None);
                prop_assert!(run.plan.pivot().is_none_or(|pivot| !done(pivot)));
            }
            Status::Parked => prop_assert!(run.state.parked.is_some()),
            other => prop_assert!(false, "it rests while {other}"),
        }
    }

    #[test]
    fn the_log_alone_tells_the_same_state(
        turns in proptest::collection::vec(turn(), 0..60),
    ) {
        let mut run = Run::new(true);
        run.play(turns);
        let folded = State::fold(Uuid::nil(), &run.events, &run.plan).expect("in order");
        prop_assert_eq!(folded, run.state);
    }

    #[test]
    fn steps_are_done_in_order_and_undone_in_reverse(
        turns in proptest::collection::vec(turn(), 0..60),
    ) {
        let mut run = Run::new(true);
        run.play(turns);
        let (mut last_do, mut last_undo) = (0, usize::MAX);
        for recorded in &run.events {
            match &recorded.fact {
                Fact::StepIntended { attempt } => {
                    let index = run.plan.index_of(&attempt.step).expect("known");
                    prop_assert!(index == last_do || index == last_do + 1);
                    prop_assert_eq!(last_undo, usize::MAX, "forward after backward");
                    last_do = index;
                }
                Fact::UndoIntended { attempt } => {
                    let index = run.plan.index_of(&attempt.step).expect("known");
                    prop_assert!(index <= last_undo && index <= last_do);
                    last_undo = index;
                }
                _ => {}
            }
        }
    }

    #[test]
    fn an_uncertain_step_of_a_compensated_saga_was_undone(
        turns in proptest::collection::vec(turn(), 0..60),
    ) {
        let mut run = Run::new(true);
        run.play(turns);
        if run.state.status == Status::Compensated {
            for (index, step) in run.state.steps.iter().enumerate() {
                let happened = step.uncertain || step.call.progress == Progress::Done;
                let undone = step.undo.progress == Progress::Done;
                prop_assert_eq!(happened && run.plan.has_undo(index), undone);
            }
        }
    }
}

#[test]
fn a_resumed_saga_goes_on_from_any_parked_state() {
    let mut run = Run::new(true);
    let fatal = Outcome::Fatal {
        effect: Effect::Unknown,
        why: "?".to_owned(),
    };
    run.play(vec![Turn::Answer(fatal)]);
    assert_eq!(run.state.status, Status::Parked);
    run.record(Fact::Resumed {
        reason: String::new(),
    });
    assert!(run.play(Vec::new()));
    assert_eq!(run.state.status, Status::Completed);
    // It may have had its effect: the same round, so that the participant knows it again.
    assert_eq!(run.state.steps[0].round, 1);
    assert_eq!(Operation::Undo.to_string(), "undo");
}

#[test]
fn a_cancel_that_was_accepted_while_the_last_step_was_called_undoes_it_too() {
    let mut run = Run::new(false);
    let last = run.plan.len() - 1;
    loop {
        let signals = Signals {
            attempts: 5,
            ..Signals::default()
        };
        let Action::Attempt { intent, target } = decide(&run.plan, &run.state, signals) else {
            break;
        };
        run.record(intent);
        if target.index == last {
            run.record(Fact::CancelRequested {
                reason: "?".to_owned(),
            });
        }
        let done = Outcome::Done {
            status: 200,
            answer: json!({}),
        };
        facts_of(&target, done)
            .into_iter()
            .for_each(|fact| run.record(fact));
    }
    assert!(run.play(Vec::new()));
    assert_eq!(run.state.status, Status::Compensated);
    let undone = |step: &crate::state::StepState| step.undo.progress == Progress::Done;
    assert!(run.state.steps.iter().all(undone));
}
