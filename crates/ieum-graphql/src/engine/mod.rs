//! The engine: a request in, an answer out.
//!
//! Three steps, which the caller may run in different places. [`Engine::cached`] and
//! [`Engine::variables`] are cheap enough for the data path. [`Engine::prepare`] validates and plans, pure
//! CPU work of up to [`Planning::timeout_ms`]: it belongs on a thread that may block.
//! [`Engine::execute`] waits for subgraphs.

mod cache;
mod config;
mod prepared;
mod types;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

pub use config::{Config, Planning};
pub use prepared::Prepared;

use crate::execute::{self, Answer, Executable, Types, Variables};
use crate::hive::HivePlanner;
use crate::introspection;
use crate::limits::{Exceeded, Limit};
use crate::operation::{self, Given, Rules, Selection};
use crate::plan::Plan;
use crate::planner::{Budget, PlanError, Planner};
use crate::rejection::{Reason, Rejection};
use crate::request::{Request, scan_variables};
use crate::supergraph::{Error, Supergraph};
use crate::transport::Subgraphs;

/// Answers requests over one supergraph. Cloning is cheap; clones share the cache of plans.
#[derive(Clone)]
pub struct Engine(Arc<Inner>);

struct Inner {
    supergraph: Supergraph,
    config: Config,
    rules: Rules,
    planner: Box<dyn Planner>,
    types: Types,
    cache: cache::PlanCache,
}

impl Engine {
    /// Builds an engine. This is CPU work: some milliseconds for a hundred types.
    ///
    /// # Errors
    /// If the planner refuses the supergraph.
    pub fn new(supergraph: Supergraph, config: Config) -> Result<Self, Error> {
        let planner = Box::new(HivePlanner::new(&supergraph)?);
        Ok(Self(Arc::new(Inner {
            rules: Rules::new(),
            planner,
            types: types::types(&supergraph),
            cache: cache::PlanCache::new(&config.planning),
            supergraph,
            config,
        })))
    }

    /// The supergraph.
    pub fn supergraph(&self) -> &Supergraph {
        &self.0.supergraph
    }

    /// The settings.
    pub fn config(&self) -> &Config {
        &self.0.config
    }

    /// How many plans are remembered.
    pub fn cached_plans(&self) -> usize {
        self.0.cache.len()
    }

    /// The prepared operation, if the same document was prepared before: a look into a hash table.
    pub fn cached(&self, request: &Request) -> Option<Arc<Prepared>> {
        let within = self.0.within_limits(request).is_ok();
        within.then(|| self.0.cache.get(request))?
    }

    /// Validates and plans the request's operation, or takes it from the cache. The values of variables
    /// have no part in it, but for those that decide a `@skip` or an `@include`: each combination of them
    /// has a plan of its own.
    ///
    /// # Errors
    /// If the document is wrong, too much, or cannot be planned; or if the variables are too many.
    pub fn prepare(&self, request: &Request) -> Result<Arc<Prepared>, Rejection> {
        self.0.within_limits(request)?;
        match self.0.cache.get(request) {
            Some(prepared) => Ok(prepared),
            None => {
                let make = || self.0.make_safely(request).map(Arc::new);
                self.0.cache.get_or_make(request, make)
            }
        }
    }

    /// Coerces the request's variables to the types of the prepared operation.
    ///
    /// # Errors
    /// If one has a wrong value, or they are too many.
    pub fn variables(
        &self,
        prepared: &Prepared,
        request: &Request,
    ) -> Result<Variables, Rejection> {
        operation::variables::coerce(
            &prepared.variables,
            request,
            self.0.supergraph.api(),
            &self.0.config.limits,
        )
    }

    /// Runs a prepared operation. What fails on the way is an error in the answer; dropping the future
    /// abandons the fetches under way.
    pub async fn execute<S: Subgraphs>(
        &self,
        prepared: &Prepared,
        variables: &Variables,
        subgraphs: &S,
    ) -> Answer {
        let introspected = introspection::answer(
            self.0.supergraph.api(),
            &prepared.introspection,
            &prepared.fragments,
            variables,
        );
        let introspected = match introspected {
            Ok(introspected) => introspected,
            Err(rejection) => {
                return Answer {
                    body: rejection.body_of_execution(),
                    errors: rejection.errors().len(),
                    fetches: 0,
                    entities: 0,
                };
            }
        };
        let plan = &prepared.executable;
        let config = &self.0.config.execution;
        execute::execute(plan, variables, introspected, subgraphs, config).await
    }
}

impl Inner {
    /// Whether a request is small enough to be looked at, if only for its place in the cache.
    fn within_limits(&self, request: &Request) -> Result<(), Exceeded> {
        let limits = &self.config.limits;
        if request.query.len() > limits.document_bytes {
            return Err(Exceeded::new(
                Limit::DocumentBytes,
                limits.document_bytes,
                None,
            ));
        }
        match &request.variables {
            Some(variables) => scan_variables(variables.get(), limits),
            None => Ok(()),
        }
    }

    /// A panic in one of the libraries is an error of one request.
    fn make_safely(&self, request: &Request) -> Result<Prepared, Rejection> {
        catch_unwind(AssertUnwindSafe(|| self.make(request))).unwrap_or_else(|_| {
            let reason = "preparing panicked".to_owned();
            Err(refusal(&PlanError::Failed(reason)))
        })
    }

    fn make(&self, request: &Request) -> Result<Prepared, Rejection> {
        let Selection {
            kind,
            name,
            variables,
            response,
            planned,
            introspection,
            fragments,
        } = operation::select(
            &request.query,
            request.operation_name.as_deref(),
            self.supergraph.api(),
            &self.rules,
            &self.config.limits,
            &Given::of(request),
        )?;
        if let Some(field) = introspection.first()
            && !self.config.introspection
        {
            let message = "introspection is switched off";
            return Err(Rejection::at(
                Reason::Introspection,
                message,
                [field.position],
            ));
        }
        let budget = Budget {
            time: self.config.planning.timeout(),
            fields: self.config.planning.planned_fields,
        };
        let root = match &planned {
            Some(document) => Some(
                self.planner
                    .plan(document, budget)
                    .map_err(|error| refusal(&error))?,
            ),
            None => None,
        };
        let plan = Plan {
            kind,
            root,
            response,
        };
        let executable = Executable::compile(&plan, &self.types)
            .map_err(|error| refusal(&PlanError::Failed(error.to_string())))?;
        Ok(Prepared {
            name,
            plan,
            executable,
            variables,
            introspection,
            fragments,
        })
    }
}

/// What a client is told; the planner's own words are for the log.
fn refusal(error: &PlanError) -> Rejection {
    match error {
        PlanError::TooSlow => Rejection::new(Reason::PlanningTimeout, error.to_string()),
        PlanError::TooLarge { .. } => {
            Rejection::new(Reason::Limit(Limit::Planning), error.to_string())
        }
        PlanError::Failed(reason) => {
            tracing::error!(%reason, "an operation cannot be planned");
            Rejection::new(Reason::Planning, "the operation cannot be planned")
        }
    }
}

#[cfg(test)]
mod tests;
