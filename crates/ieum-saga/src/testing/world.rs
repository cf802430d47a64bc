//! The participants of a test: services with a barrier, a ledger, and scripted misfortunes.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use serde_json::json;
use tokio::sync::watch;

use crate::decide::Operation;
use crate::port::{
    Answered, Call, CallResult, EPOCH, IDEMPOTENCY_KEY, OPERATION, Participants, SAGA_ID, STEP,
};
use crate::state::Status;

/// What happens to one call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Behaviour {
    /// It is done and answered 200.
    Succeed,
    /// Nothing is done; 409 with this code.
    Reject(&'static str),
    /// Nothing is done; this status.
    Fail(u16),
    /// It is done, and this status is answered all the same.
    FailAfter(u16),
    /// It is done, and the answer is lost.
    LoseAnswer,
    /// Nothing is done, and nobody knows.
    LoseRequest,
    /// There is no connection.
    Refuse,
    /// It is done, and answered with more than can be kept.
    TooLarge,
    /// Nothing is done; 409 with `Retry-After`: the same key is still running.
    StillRunning,
    /// Nothing is done, and nothing is ever answered.
    Hang,
}

/// How often a step of a saga was done and undone.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Effects {
    /// How often it was done.
    pub done: u32,
    /// How often it was undone.
    pub undone: u32,
    /// True if an undo came before the call: a later call is refused.
    pub cancelled: bool,
}

/// The services of a test. Clones are the same services; they outlive every engine.
#[derive(Clone, Debug)]
pub struct World(Arc<Mutex<Ledger>>, watch::Sender<u64>);

impl Default for World {
    fn default() -> Self {
        Self(Arc::default(), watch::Sender::new(1))
    }
}

#[derive(Debug, Default)]
struct Ledger {
    script: HashMap<(String, bool), VecDeque<Behaviour>>,
    always: HashMap<(String, bool), Behaviour>,
    answers: HashMap<String, Answered>,
    effects: BTreeMap<(String, String), Effects>,
    calls: Vec<Call>,
    epochs: HashMap<String, u64>,
    away: bool,
}

impl World {
    /// The next calls of `step` in this direction behave like this, in turn.
    pub fn script(&self, step: &str, operation: Operation, behaviours: &[Behaviour]) {
        let key = (step.to_owned(), operation == Operation::Undo);
        self.lock()
            .script
            .entry(key)
            .or_default()
            .extend(behaviours);
    }

    /// Calls of `step` in this direction behave like this when nothing else is scripted.
    pub fn always(&self, step: &str, operation: Operation, behaviour: Behaviour) {
        let key = (step.to_owned(), operation == Operation::Undo);
        self.lock().always.insert(key, behaviour);
    }

    /// All services go away, and the host knows it: nothing can be sent.
    pub fn leave(&self) {
        self.lock().away = true;
        self.1.send_modify(|presence| *presence += 1);
    }

    /// They can be called again, and nobody tells: a circuit breaker was open for long enough.
    pub fn close_the_breaker(&self) {
        self.lock().away = false;
    }

    /// They come back, and the host learns of it.
    pub fn come_back(&self) {
        self.lock().away = false;
        self.1.send_modify(|presence| *presence += 1);
    }

    /// Every call that arrived or was lost, in order.
    pub fn calls(&self) -> Vec<Call> {
        self.lock().calls.clone()
    }

    /// The calls as `step`, or `step/undo`.
    pub fn order(&self) -> Vec<String> {
        self.lock().calls.iter().map(name_of).collect()
    }

    /// What was done and undone, by saga and step.
    pub fn effects(&self) -> BTreeMap<(String, String), Effects> {
        self.lock().effects.clone()
    }

    /// What is wrong with a saga that ended like this: each effect must be there exactly once, or
    /// be undone exactly once.
    pub fn audit(&self, saga: &str, status: Status, steps: &[&str]) -> Result<(), String> {
        let effects = self.effects();
        for step in steps {
            let key = (saga.to_owned(), (*step).to_owned());
            let found = effects.get(&key).copied().unwrap_or_default();
            let right = match status {
                Status::Completed => found.done == 1 && found.undone == 0,
                Status::Compensated => found.done <= 1 && found.undone == found.done,
                Status::Running | Status::Compensating | Status::Parked => false,
            };
            if !right {
                return Err(format!("{status} saga, step `{step}`: {found:?}"));
            }
        }
        Ok(())
    }

    fn lock(&self) -> MutexGuard<'_, Ledger> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl Participants for World {
    async fn call(&self, call: Call) -> CallResult {
        let result = self.lock().take(&call);
        match result {
            Some(result) => result,
            None => std::future::pending().await,
        }
    }

    fn absence(&self, _: &str) -> Option<String> {
        let away = self.lock().away;
        away.then(|| "no instance is registered".to_owned())
    }

    fn presence(&self, _: &str) -> u64 {
        *self.1.borrow()
    }

    async fn presence_changed(&self, _: &str, known: u64) -> u64 {
        let mut presence = self.1.subscribe();
        // The sender is this value's own.
        let changed = presence.wait_for(|now| *now != known).await;
        changed.map_or(known, |now| *now)
    }
}

impl Ledger {
    /// `None` is never answered.
    fn take(&mut self, call: &Call) -> Option<CallResult> {
        self.calls.push(call.clone());
        let lost = |why: &str| CallResult::Unknown {
            why: why.to_owned(),
        };
        Some(match self.next_behaviour(call) {
            Behaviour::Hang => return None,
            Behaviour::Refuse => CallResult::NotSent {
                why: "connection refused".to_owned(),
                after: None,
            },
            Behaviour::TooLarge => {
                self.barrier(call);
                CallResult::TooLarge {
                    why: "3 MB".to_owned(),
                }
            }
            Behaviour::LoseRequest => lost("the connection broke"),
            Behaviour::LoseAnswer => {
                self.barrier(call);
                lost("the connection broke")
            }
            Behaviour::FailAfter(status) => {
                self.barrier(call);
                problem(status, "failed-late")
            }
            Behaviour::Succeed => CallResult::Answered(self.barrier(call)),
            Behaviour::Reject(code) => match self.replay(call) {
                Some(answer) => CallResult::Answered(answer),
                None => problem(409, code),
            },
            Behaviour::Fail(status) => problem(status, "failed"),
            Behaviour::StillRunning => {
                let mut answer = Answered::json(409, &json!({"code": "in-progress"}));
                answer
                    .headers
                    .push(("retry-after".to_owned(), "1".to_owned()));
                CallResult::Answered(answer)
            }
        })
    }

    fn next_behaviour(&mut self, call: &Call) -> Behaviour {
        if self.away {
            return Behaviour::Refuse;
        }
        let step = call.header(STEP).unwrap_or_default().to_owned();
        let key = (step, is_undo(call));
        let scripted = self.script.get_mut(&key).and_then(VecDeque::pop_front);
        let always = self.always.get(&key).copied();
        scripted.or(always).unwrap_or(Behaviour::Succeed)
    }

    fn replay(&self, call: &Call) -> Option<Answered> {
        self.answers.get(call.header(IDEMPOTENCY_KEY)?).cloned()
    }

    /// What a participant's barrier does, in one step: replay, refuse, or do.
    fn barrier(&mut self, call: &Call) -> Answered {
        let epoch = call
            .header(EPOCH)
            .and_then(|epoch| epoch.parse().ok())
            .unwrap_or(0);
        let text = |name: &str| call.header(name).unwrap_or_default().to_owned();
        let highest = self.epochs.entry(text(SAGA_ID)).or_default();
        if epoch < *highest {
            return Answered::json(409, &json!({"code": "stale-epoch"}));
        }
        *highest = epoch;
        if let Some(answer) = self.replay(call) {
            return answer;
        }
        let effects = self.effects.entry((text(SAGA_ID), text(STEP))).or_default();
        if !is_undo(call) && effects.cancelled {
            return Answered::json(409, &json!({"code": "cancelled"}));
        }
        if !is_undo(call) {
            effects.done += 1;
        } else if effects.done > effects.undone {
            effects.undone += 1;
        } else {
            effects.cancelled = true;
        }
        let answer = Answered::json(200, &json!({"step": text(STEP)}));
        self.answers.insert(text(IDEMPOTENCY_KEY), answer.clone());
        answer
    }
}

fn is_undo(call: &Call) -> bool {
    call.header(OPERATION) == Some("undo")
}

fn name_of(call: &Call) -> String {
    let step = call.header(STEP).unwrap_or_default();
    if is_undo(call) {
        format!("{step}/undo")
    } else {
        step.to_owned()
    }
}

fn problem(status: u16, code: &str) -> CallResult {
    CallResult::Answered(Answered::json(
        status,
        &json!({"code": code, "detail": "scripted"}),
    ))
}
