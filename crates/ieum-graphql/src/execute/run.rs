//! Runs a plan: which fetch is due, which are under way, what follows when one has come back.
//!
//! Everything but waiting is synchronous and owns the tree alone: a fetch is prepared from the tree,
//! flies without it, and lands in it. So there is no lock, fetches that run in parallel may sit in
//! different branches of the plan, and a plan with one fetch at a time awaits it directly. Dropping the
//! future drops the fetches that are under way.

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;

use super::compile::{Action, Executable, Fetch, StepId};
use super::config::Config;
use super::errors::Errors;
use super::guards::Flags;
use super::json::Reader;
use super::request::{Job, Request};
use super::tree::{ObjectId, Tree};
use super::variables::Variables;
use crate::transport::{Call, FetchError, Fetched, Subgraphs};

/// The state of one execution.
pub(crate) struct Execution<'p> {
    pub(super) plan: &'p Executable,
    pub(super) config: &'p Config,
    pub(super) variables: &'p Variables,
    pub(super) flags: Flags,
    pub(super) tree: Tree,
    pub(super) root: ObjectId,
    pub(super) reader: Reader<'p>,
    pub(super) errors: Errors,
    /// Places that fetches of entities were made for.
    pub(super) entities: usize,
    /// Fetches that were made.
    pub(super) fetches: usize,
    /// For each step that is under way, how many of its parts are done (in a sequence) or still open (in
    /// parallel).
    progress: Vec<u32>,
    /// Fetches that are to be sent.
    due: Vec<Due<'p>>,
}

/// A fetch that is to be sent.
struct Due<'p> {
    step: StepId,
    fetch: &'p Fetch,
    job: Job<'p>,
    request: Request,
}

/// A fetch that came back.
struct Landed<'p> {
    step: StepId,
    fetch: &'p Fetch,
    job: Job<'p>,
    result: Result<Fetched, FetchError>,
}

impl<'p> Execution<'p> {
    pub(super) fn new(plan: &'p Executable, variables: &'p Variables, config: &'p Config) -> Self {
        let mut tree = Tree::new();
        Self {
            plan,
            config,
            variables,
            flags: plan.guards.evaluate(variables),
            root: tree.add_object(&[], Default::default()),
            tree,
            reader: Reader::new(&plan.keys, config.depth(), config.values),
            errors: Errors::new(config.errors, config.answer_bytes / 4),
            entities: 0,
            fetches: 0,
            progress: vec![0; plan.steps.len()],
            due: Vec::new(),
        }
    }

    /// Makes all fetches of the plan.
    pub(super) async fn run<S: Subgraphs>(&mut self, subgraphs: &S) {
        let Some(root) = self.plan.root else {
            return;
        };
        self.start(root);
        let mut flying = FuturesUnordered::new();
        loop {
            let landed = if flying.is_empty() && self.due.len() == 1 {
                // The usual case: nothing else can happen before this one is back.
                match self.due.pop() {
                    Some(due) => fly(subgraphs, due).await,
                    None => return,
                }
            } else {
                let due = self.due.drain(..);
                flying.extend(due.map(|due| fly(subgraphs, due)));
                match flying.next().await {
                    Some(landed) => landed,
                    None => return,
                }
            };
            self.land(landed.fetch, &landed.job, landed.result);
            self.done(landed.step);
        }
    }

    /// Starts a step and says whether it is done already.
    fn start(&mut self, id: StepId) -> bool {
        let plan = self.plan;
        match &plan.step(id).action {
            Action::Sequence(steps) => self.go_on(id, steps),
            Action::Parallel(steps) => {
                let open = steps.iter().filter(|step| !self.start(**step)).count();
                self.progress[id.index()] = u32::try_from(open).unwrap_or(u32::MAX);
                open == 0
            }
            Action::Choice {
                flag,
                then,
                otherwise,
            } => {
                let chosen = if self.flags.is_set(*flag) {
                    then
                } else {
                    otherwise
                };
                chosen.is_none_or(|step| self.start(step))
            }
            Action::Fetch(fetch) => match self.request(fetch) {
                Some((job, request)) => {
                    self.fetches += 1;
                    self.due.push(Due {
                        step: id,
                        fetch,
                        job,
                        request,
                    });
                    false
                }
                None => true,
            },
        }
    }

    /// Starts the steps of a sequence that are left, up to one that has to wait.
    fn go_on(&mut self, id: StepId, steps: &[StepId]) -> bool {
        while let Some(step) = steps.get(self.progress[id.index()] as usize) {
            self.progress[id.index()] += 1;
            if !self.start(*step) {
                return false;
            }
        }
        true
    }

    /// Tells the steps around a step that it is done, as far as that makes them done too.
    fn done(&mut self, mut id: StepId) {
        let plan = self.plan;
        while let Some(parent) = plan.step(id).parent {
            let done = match &plan.step(parent).action {
                Action::Sequence(steps) => self.go_on(parent, steps),
                Action::Parallel(_) => {
                    self.progress[parent.index()] -= 1;
                    self.progress[parent.index()] == 0
                }
                Action::Choice { .. } | Action::Fetch(_) => true,
            };
            if !done {
                return;
            }
            id = parent;
        }
    }
}

async fn fly<'p, S: Subgraphs>(subgraphs: &S, due: Due<'p>) -> Landed<'p> {
    let call = Call {
        subgraph: &due.fetch.subgraph,
        kind: due.fetch.kind,
        body: due.request.body,
        entities: due.request.entities,
    };
    Landed {
        step: due.step,
        fetch: due.fetch,
        job: due.job,
        result: subgraphs.fetch(call).await,
    }
}
