//! One open saga: its task.
//!
//! The loop is short on purpose. It asks the rules what is next ([`decide`]), stages the facts that
//! follow, and flushes them to the log before every call and every wait, so that the outcome of one
//! step and the intent of the next are one append. Whatever happens to this task, the log has enough
//! to go on: a call that was made is a call whose intent is durable.

use std::sync::Arc;
use std::time::Duration;

use ieum_base::trace::TraceContext;
use ieum_base::{Deadline, Uuid};
use ieum_eventstore::{Expect, Version, Write};
use tokio::sync::mpsc;

use super::commands::{self, Order};
use super::handle::Command;
use super::index::{Activity, Summary};
use super::partition::Partition;
use super::shared::Shared;
use super::spans;
use super::waiting::{Absent, Turn};
use super::writer::Refused;
use super::{Error, ErrorKind};
use crate::decide::{Action, Operation, Signals, Target, decide, facts_of};
use crate::definition::{CallPlan, Plan};
use crate::events::{Fact, Recorded, stream};
use crate::outcome::Outcome;
use crate::port::{Call, CallResult};
use crate::state::{State, Status};
use crate::telemetry::{self, Finished};

/// Why a saga's task stops running it.
#[derive(Debug)]
pub(super) enum Exit {
    /// It has ended.
    Ended,
    /// The engine stops, or a later one has taken over.
    Stopping,
    /// Somebody else wrote to its stream: read it again.
    Stale,
    /// It cannot be run.
    Broken(String),
}

pub(super) struct Saga<'a> {
    pub(super) shared: &'a Shared,
    pub(super) part: &'a Arc<Partition>,
    pub(super) plan: Arc<Plan>,
    pub(super) state: State,
    /// Facts that the state has and the log has not.
    staged: Vec<Recorded>,
    /// Spans of steps that ended with a staged fact.
    ended_spans: Vec<Finished>,
    pub(super) commands: &'a mut mpsc::Receiver<Command>,
    pub(super) turn: Option<Turn>,
    pub(super) deadline: Deadline,
    /// The wait before the next attempt is over.
    pub(super) due: bool,
    /// A participant asked to be left alone for this long.
    pub(super) asked_for: Duration,
    /// The participant that did not answer the last attempt.
    pub(super) absent: Option<Absent>,
    span: TraceContext,
}

impl<'a> Saga<'a> {
    /// A saga that was `found_open`, by an engine that has just begun, goes on at once: what its
    /// participants were like before says nothing about now.
    pub(super) fn new(
        part: &'a Arc<Partition>,
        plan: Arc<Plan>,
        state: State,
        commands: &'a mut mpsc::Receiver<Command>,
        found_open: bool,
    ) -> Self {
        let shared = &*part.shared;
        // From here on the deadline is on the monotonic clock: a step of the time of day moves it
        // only if it happens while no engine runs.
        let elapsed = shared.clock.now().since(state.started_at);
        let left = state.started.deadline.0.saturating_sub(elapsed);
        let span = state.started.trace.context();
        Self {
            shared,
            part,
            deadline: Deadline::after(left),
            span: span.unwrap_or_else(|| TraceContext::root(&shared.rng, false)),
            plan,
            state,
            staged: Vec::new(),
            ended_spans: Vec::new(),
            commands,
            turn: None,
            due: found_open,
            asked_for: Duration::ZERO,
            absent: None,
        }
    }

    /// Runs it until it ends or cannot go on.
    pub(super) async fn run(mut self) -> Exit {
        self.part.index.update(Summary::of(&self.state));
        self.part
            .index
            .set_activity(self.state.id, Activity::Runnable);
        self.shared.changed.notify_waiters();
        self.show();
        loop {
            if let Err(exit) = self.advance().await {
                return exit;
            }
        }
    }

    /// Does the one thing that is next.
    async fn advance(&mut self) -> Result<(), Exit> {
        match decide(&self.plan, &self.state, self.signals()) {
            Action::Record(fact) => self.stage(fact),
            Action::Attempt { intent, target } => {
                if self.has_turn(&target) {
                    self.attempt(intent, &target).await
                } else {
                    self.queue(&target).await
                }
            }
            Action::Wait { failed } => {
                self.flush().await?;
                self.show();
                self.turn = None;
                self.wait(failed).await
            }
            Action::Rest => {
                self.flush().await?;
                self.show();
                self.turn = None;
                self.rest().await
            }
            Action::End => {
                self.flush().await?;
                self.finish();
                Err(Exit::Ended)
            }
        }
    }

    fn signals(&self) -> Signals {
        Signals {
            overdue: self.deadline.is_over(),
            due: self.due,
            attempts: self.shared.config.attempts,
            undo_attempts: self.shared.config.undo_attempts,
            unsent_attempts: self.shared.config.unsent_attempts,
            forgotten_before: self.shared.forgotten_before(),
        }
    }

    /// Applies a fact to the state; the next flush writes it down.
    fn stage(&mut self, fact: Fact) -> Result<(), Exit> {
        let at = self.shared.clock.now().max(self.state.updated_at);
        self.ended_spans
            .extend(spans::ended_by(&fact, &self.state, &self.span, at));
        let recorded = Recorded { at, fact };
        let applied = self.state.apply(&recorded);
        applied.map_err(|error| Exit::Broken(error.to_string()))?;
        self.staged.push(recorded);
        Ok(())
    }

    /// Writes the staged facts down, in one append.
    pub(super) async fn flush(&mut self) -> Result<(), Exit> {
        self.flush_with(None).await
    }

    /// The same, together with the answer to the command that led to them.
    async fn flush_with(&mut self, answer: Option<Write>) -> Result<(), Exit> {
        if self.staged.is_empty() {
            return Ok(());
        }
        let staged = u64::try_from(self.staged.len()).unwrap_or(u64::MAX);
        let before = self.state.version.saturating_sub(staged);
        let id = self.state.id;
        let broken = |why: String| Exit::Broken(why);
        let name = stream(id).map_err(|error| broken(error.to_string()))?;
        let span = self.span.to_traceparent();
        let events = self
            .part
            .saga_events(id, before + 1, &self.staged, &span)
            .map_err(|error| broken(error.to_string()))?;
        let facts = Write {
            stream: name,
            expect: Expect::Version(Version(before)),
            events,
        };
        let writes = std::iter::once(facts).chain(answer).collect();
        match self.part.append(writes).await {
            Ok(_) => {}
            Err(Refused::Superseded | Refused::Stopping) => return Err(Exit::Stopping),
            Err(Refused::Conflict) => return Err(Exit::Stale),
            Err(Refused::ForGood(error)) => return Err(Exit::Broken(error.to_string())),
        }
        self.note();
        Ok(())
    }

    /// Makes what was just written down visible outside of the log.
    fn note(&mut self) {
        let parked = |recorded: &Recorded| matches!(recorded.fact, Fact::Parked { .. });
        if self.staged.iter().any(parked) {
            self.shared.counters.parked.add(1);
            let why = self.state.parked.as_ref().map(|(_, why)| why.as_str());
            tracing::warn!(saga = %self.state.id, why, "a saga is parked: it waits for an operator");
        }
        self.staged.clear();
        self.ended_spans
            .drain(..)
            .for_each(|span| self.shared.record(span));
        self.part.index.update(Summary::of(&self.state));
        self.shared.changed.notify_waiters();
    }

    /// Records the spans of what is not over: whoever looks at an open saga sees one tree.
    fn show(&self) {
        spans::so_far(&self.state, &self.plan, &self.span)
            .for_each(|span| self.shared.record(span));
    }

    /// Makes one attempt: intent, call, outcome.
    async fn attempt(&mut self, intent: Fact, target: &Target) -> Result<(), Exit> {
        let call = match self.prepare(target) {
            Ok(call) => call,
            Err(why) => {
                let step = target.attempt.step.clone();
                return self.stage(Fact::Parked {
                    step,
                    why,
                    forgotten: false,
                });
            }
        };
        if self.part.tasks.stop().is_requested() {
            self.flush().await?;
            return Err(Exit::Stopping);
        }
        self.due = false;
        self.asked_for = Duration::ZERO;
        let host = &*self.shared.participants;
        self.absent = self
            .turn
            .as_ref()
            .map(|turn| Absent::expected(&turn.participant, host));
        self.stage(intent)?;
        self.flush().await?;
        // Whoever was frozen until now must not call under a lease that ran out meanwhile.
        self.part.right.tenure.held().await;
        self.shared.counters.calls.add(1);
        self.shared
            .counters
            .retries
            .add(u64::from(target.attempt.attempt > 1));
        let result = self.call(call).await?;
        self.note_presence(&result);
        let outcome = Outcome::of(&result);
        if let Outcome::Retry {
            after: Some(after), ..
        } = outcome
        {
            self.asked_for = after;
        }
        for fact in facts_of(target, outcome) {
            self.stage(fact)?;
        }
        Ok(())
    }

    /// Learns from the result of an attempt whether the participant is there.
    fn note_presence(&mut self, result: &CallResult) {
        let Some(turn) = &self.turn else { return };
        let expected = self.absent.take();
        match result {
            CallResult::Answered(_) | CallResult::TooLarge { .. } => turn.participant.heard(),
            CallResult::NotSent { .. } => {
                turn.participant.missed();
                self.absent = expected.map(Absent::not_sent);
            }
            CallResult::Unknown { .. } => {
                turn.participant.missed();
                self.absent = expected;
            }
        }
    }

    /// Makes the call, and obeys commands meanwhile.
    async fn call(&mut self, call: Call) -> Result<CallResult, Exit> {
        let deadline = call.deadline;
        let participants = Arc::clone(&self.shared.participants);
        let answer = tokio::time::timeout_at(deadline.instant(), participants.call(call));
        tokio::pin!(answer);
        let mut listening = true;
        loop {
            tokio::select! {
                result = &mut answer => {
                    let why = || "no answer in time".to_owned();
                    return Ok(result.unwrap_or_else(|_| CallResult::Unknown { why: why() }));
                }
                command = self.commands.recv(), if listening => {
                    listening = command.is_some();
                    self.obey(command).await?;
                }
            }
        }
    }

    fn call_of(&self, target: &Target) -> Option<&CallPlan> {
        match target.operation {
            Operation::Do => self.plan.call(target.index),
            Operation::Undo => self.plan.undo(target.index),
        }
    }

    /// The name of the service that `target` calls.
    pub(super) fn service_of(&self, target: &Target) -> Option<&str> {
        self.call_of(target).map(|call| call.service.as_str())
    }

    fn prepare(&self, target: &Target) -> Result<Call, String> {
        let plan = self.call_of(target);
        let plan = plan.ok_or("the definition has no such call")?;
        let (path, body) = plan
            .render(&self.state)
            .map_err(|error| format!("the call cannot be filled in: {error}"))?;
        let step = &target.attempt.step;
        let round = target.attempt.round;
        Ok(Call {
            service: plan.service.clone(),
            method: plan.method,
            path,
            headers: headers(self.state.id, target, self.part.right.epoch),
            body,
            deadline: self.call_deadline(target),
            trace: Some(telemetry::step_context(
                &self.span,
                self.state.id,
                step,
                round,
                target.operation,
            )),
            max_answer: self.shared.config.max_answer(),
        })
    }

    /// A step's own timeout; before the pivot the saga's deadline bounds it too.
    fn call_deadline(&self, target: &Target) -> Deadline {
        let step = self.plan.step(target.index);
        let own = step
            .and_then(|step| step.timeout)
            .unwrap_or(self.shared.config.timeout);
        let before_pivot = self.plan.pivot().is_none_or(|pivot| target.index < pivot);
        match target.operation {
            Operation::Do if before_pivot => self.deadline.at_most(own.0),
            Operation::Do | Operation::Undo => Deadline::after(own.0),
        }
    }

    pub(super) async fn obey(&mut self, command: Option<Command>) -> Result<(), Exit> {
        let Some(command) = command else {
            return Ok(());
        };
        let Command {
            order,
            asked,
            reply,
        } = command;
        let done = match order {
            Order::RetryNow => {
                self.due = true;
                Ok(())
            }
            Order::Cancel { reason } => self.cancel(reason, asked).await,
            Order::Resume { reason } => self.resume(reason, asked).await,
        };
        let (answer, exit) = match done {
            Ok(()) => (Ok(()), Ok(())),
            Err(Told::Refused(error)) => (Err(error), Ok(())),
            Err(Told::Exit(exit)) => {
                let error = Error::new(ErrorKind::Log, "the command was not written down");
                (Err(error), Err(exit))
            }
        };
        // Whoever asked may have gone away.
        let _gone = reply.send(answer);
        exit
    }

    async fn cancel(&mut self, reason: String, asked: Option<Uuid>) -> Result<(), Told> {
        if self.state.failure.is_some() || self.state.cancel.is_some() {
            return Ok(());
        }
        if self.state.is_past_pivot(&self.plan) {
            let id = self.state.id.to_string();
            return Err(Told::Refused(Error::new(ErrorKind::TooLate, id)));
        }
        self.write(Fact::CancelRequested { reason }, asked).await
    }

    async fn resume(&mut self, reason: String, asked: Option<Uuid>) -> Result<(), Told> {
        if self.state.status != Status::Parked {
            let id = self.state.id.to_string();
            return Err(Told::Refused(Error::new(ErrorKind::NotParked, id)));
        }
        self.due = true;
        self.write(Fact::Resumed { reason }, asked).await
    }

    /// Writes a command's fact down, with the answer to the command if it was `asked` elsewhere.
    async fn write(&mut self, fact: Fact, asked: Option<Uuid>) -> Result<(), Told> {
        let answer = asked.map(|command| commands::answer(self.state.id, command, &Ok(())));
        let answer = answer.transpose().map_err(Told::Refused)?;
        self.stage(fact).map_err(Told::Exit)?;
        self.flush_with(answer).await.map_err(Told::Exit)
    }

    /// Takes the saga out of the open ones.
    fn finish(&mut self) {
        let completed = self.state.status == Status::Completed;
        let counters = &self.shared.counters;
        counters.completed.add(u64::from(completed));
        counters.compensated.add(u64::from(!completed));
        self.shared.record(spans::of_saga(&self.state, &self.span));
        self.part.index.finish(Summary::of(&self.state));
        self.shared.changed.notify_waiters();
    }
}

/// Why a command was not carried out.
enum Told {
    /// It cannot be, now.
    Refused(Error),
    /// It could not be written down.
    Exit(Exit),
}

fn headers(id: Uuid, target: &Target, epoch: u64) -> Vec<(&'static str, String)> {
    use crate::port::{EPOCH, IDEMPOTENCY_KEY, OPERATION, ROUND, SAGA_ID, STEP};
    let (step, round) = (&target.attempt.step, target.attempt.round);
    let key = match target.operation {
        Operation::Do => format!("{id}/{step}/{round}"),
        Operation::Undo => format!("{id}/{step}/{round}/undo"),
    };
    vec![
        (IDEMPOTENCY_KEY, key),
        (SAGA_ID, id.to_string()),
        (STEP, step.clone()),
        (ROUND, round.to_string()),
        (EPOCH, epoch.to_string()),
        (OPERATION, target.operation.to_string()),
    ]
}
