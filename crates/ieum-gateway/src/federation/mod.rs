//! Federation: the graph that a route offers, and where its subgraphs are.
//!
//! A [`Federation`] is what a route with `graphql` answers from. Its supergraph was given, or is
//! composed from the schemas that the subgraphs themselves answer: a [`keeper`] asks them in the
//! background, composes when one has changed, and swaps the whole. The last supergraph that could be
//! composed stays in use, whatever happens to a subgraph later; and it survives a reload of the
//! configuration, because requests that are on their way must not notice one.

mod keeper;
mod schema;
mod state;

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use arc_swap::ArcSwapOption;
use http::uri::PathAndQuery;
use ieum_base::Stop;
use ieum_graphql::{Engine, Supergraph};
use ieum_resilience::Bulkhead;

use crate::table::PlannedGraphql;
use crate::telemetry::{GraphqlMetrics, Telemetry};
use crate::upstream::{Address, Upstream};

pub(crate) use keeper::begin_new;
pub use state::{GraphqlInfo, SubgraphInfo};

use state::State;

/// One graph over several services.
pub(crate) struct Federation {
    plan: PlannedGraphql,
    pub(crate) subgraphs: Box<[Subgraph]>,
    pub(crate) metrics: GraphqlMetrics,
    /// Bounds how many plans are made at once, on threads that are not those of the data path.
    pub(crate) plannings: Bulkhead,
    live: ArcSwapOption<Live>,
    /// What was in use before: during a rollout two schemas are answered by turns, and each of them
    /// should find its plans again.
    before: ArcSwapOption<Live>,
    state: State,
    /// True once somebody keeps it.
    is_kept: AtomicBool,
    /// Requested when no route uses it any more.
    gone: Stop,
}

/// A subgraph and where it is.
#[derive(Debug)]
pub(crate) struct Subgraph {
    pub(crate) name: Arc<str>,
    pub(crate) upstream: Arc<Upstream>,
    pub(crate) target: PathAndQuery,
}

/// A supergraph in use.
#[derive(Clone)]
pub(crate) struct Live {
    pub(crate) engine: Engine,
    supergraph: Supergraph,
    /// What it was made of: what tells whether another one differs.
    sdl: Arc<str>,
}

impl Live {
    /// CPU only, and much of it. The error is for people.
    pub(crate) fn new(
        sdl: &Arc<str>,
        supergraph: Supergraph,
        config: &ieum_graphql::Config,
    ) -> Result<Self, String> {
        let engine = Engine::new(supergraph.clone(), config.clone());
        Ok(Self {
            engine: engine.map_err(|error| error.to_string())?,
            supergraph,
            sdl: Arc::clone(sdl),
        })
    }

    /// Its subgraphs, with the addresses that it states.
    pub(crate) fn subgraphs(&self) -> &[ieum_graphql::supergraph::Subgraph] {
        self.supergraph.subgraphs()
    }
}

/// Two are the same if they were made of the same; with which settings, their plans say.
impl PartialEq for Live {
    fn eq(&self, other: &Self) -> bool {
        self.sdl == other.sdl
    }
}

impl Federation {
    /// The federation of a plan: the one from before if nothing differs; otherwise a new one that
    /// begins with the supergraph from before, where its subgraphs are still known, until its own is
    /// composed.
    pub(crate) fn build(
        plan: PlannedGraphql,
        route: &str,
        upstream: impl Fn(&Address) -> Arc<Upstream>,
        telemetry: &Telemetry,
        before: Option<&Arc<Self>>,
    ) -> Arc<Self> {
        if let Some(before) = before.filter(|before| before.plan == plan) {
            return Arc::clone(before);
        }
        let subgraphs: Box<[Subgraph]> = plan
            .subgraphs
            .iter()
            .map(|planned| Subgraph {
                name: Arc::clone(&planned.name),
                upstream: upstream(&planned.address),
                target: planned.target.clone(),
            })
            .collect();
        let names: Vec<Arc<str>> = subgraphs.iter().map(|s| Arc::clone(&s.name)).collect();
        let federation = Self {
            metrics: telemetry.graphql(route, &names),
            plannings: Bulkhead::new(plan.plannings),
            live: ArcSwapOption::empty(),
            before: ArcSwapOption::empty(),
            state: State::new(names.len()),
            is_kept: AtomicBool::new(plan.given.is_some()),
            gone: Stop::new(),
            subgraphs,
            plan,
        };
        federation.begin(before.map(AsRef::as_ref));
        Arc::new(federation)
    }

    /// The supergraph in use; `None` until the first one was composed.
    pub(crate) fn live(&self) -> Option<Arc<Live>> {
        self.live.load_full()
    }

    /// The place of the subgraph of this name.
    pub(crate) fn subgraph(&self, name: &str) -> Option<usize> {
        self.subgraphs.iter().position(|s| &*s.name == name)
    }

    /// How it is, for people.
    pub(crate) fn info(&self) -> GraphqlInfo {
        self.state.info(&self.subgraphs, self.live.load().is_some())
    }

    /// Takes what was given, or what was in use before.
    fn begin(&self, before: Option<&Self>) {
        let kept = before.and_then(Self::live);
        let first = match (&self.plan.given, kept) {
            (Some(given), Some(kept)) if given.sdl == kept.sdl && self.runs_as(before) => {
                Some(kept)
            }
            (Some(given), _) => Some(Arc::clone(given)),
            (None, Some(kept)) if self.knows_all_of(&kept) => match self.runs_as(before) {
                true => Some(kept),
                // What could be planned with before can be planned with again.
                false => self.engine(&kept.sdl, kept.supergraph.clone()).ok(),
            },
            (None, _) => None,
        };
        self.metrics.ready(first.is_some());
        self.live.store(first);
    }

    /// True if an engine of `before` may go on: it was made with the same settings.
    fn runs_as(&self, before: Option<&Self>) -> bool {
        before.is_some_and(|before| before.plan.engine == self.plan.engine)
    }

    /// True if this federation knows where all subgraphs of that supergraph are.
    fn knows_all_of(&self, live: &Live) -> bool {
        let mut names = live.supergraph.subgraphs().iter();
        names.all(|subgraph| self.subgraph(&subgraph.name).is_some())
    }

    /// CPU only, and much of it.
    fn engine(&self, sdl: &Arc<str>, supergraph: Supergraph) -> Result<Arc<Live>, String> {
        Live::new(sdl, supergraph, &self.plan.engine).map(Arc::new)
    }

    /// The supergraph of this text, if it is in use or was until lately.
    fn known(&self, sdl: &str) -> Option<Arc<Live>> {
        let mut slots = [&self.live, &self.before].into_iter();
        slots.find_map(|slot| slot.load_full().filter(|live| *live.sdl == *sdl))
    }

    /// Puts a supergraph in the place of the present one.
    fn publish(&self, live: &Arc<Live>) {
        let before = self.live.swap(Some(Arc::clone(live)));
        if before.as_ref().is_none_or(|before| **before != **live) {
            self.before.store(before);
        }
        self.metrics.ready(true);
    }

    /// True for the first who asks, if it has to be kept at all.
    fn claim(&self) -> bool {
        !self.is_kept.swap(true, Ordering::AcqRel)
    }

    /// How often the subgraphs are asked for their schemas.
    const fn refresh(&self) -> Duration {
        self.plan.refresh
    }
}

impl Drop for Federation {
    fn drop(&mut self) {
        self.gone.request();
    }
}

impl fmt::Debug for Federation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Federation").field(&self.subgraphs).finish()
    }
}

impl fmt::Debug for Live {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Live({} bytes)", self.sdl.len())
    }
}
