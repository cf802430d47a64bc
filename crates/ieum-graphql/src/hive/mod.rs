//! The adapter to `hive-router-query-planner`.
//!
//! The library panics where its input contradicts itself, and normalises without looking at the time.
//! So the supergraph is checked before it comes here, the growth of an operation is estimated before it
//! is normalised, and what is left is caught: a panic while planning is an error of one request.

mod detour;
mod growth;
mod translate;

use std::panic::{AssertUnwindSafe, catch_unwind};

use graphql_tools::static_graphql::query::Document;
use hive_router_query_planner::ast::normalization::normalize_operation;
use hive_router_query_planner::ast::operation::OperationDefinition;
use hive_router_query_planner::graph::PlannerOverrideContext;
use hive_router_query_planner::planner::{
    Planner as Library, PlannerError, QueryPlannerOptions, plan_nodes::QueryPlan,
};
use hive_router_query_planner::utils::cancellation::{CancellationError, CancellationToken};

use detour::Detour;

use crate::plan::Node;
use crate::planner::{Budget, PlanError, Planner};
use crate::supergraph::{Error, ErrorKind, Supergraph};

/// The planner of Hive Router.
pub(crate) struct HivePlanner {
    library: Library,
}

impl HivePlanner {
    /// Builds the planner's graph of a checked supergraph.
    pub(crate) fn new(supergraph: &Supergraph) -> Result<Self, Error> {
        let refused = |message: String| Error::new(ErrorKind::Planner, message);
        let document = supergraph.document();
        catch_unwind(AssertUnwindSafe(|| {
            Library::new_from_supergraph(document, QueryPlannerOptions::default())
        }))
        .map_err(|_| refused("the planner does not understand the supergraph".to_owned()))?
        .map(|library| Self { library })
        .map_err(|error| refused(error.to_string()))
    }

    fn plan_document(&self, document: &Document, budget: Budget) -> Result<Node, PlanError> {
        let normalized = normalize_operation(&self.library.supergraph, document, None)
            .map_err(|error| PlanError::Failed(error.to_string()))?;
        let token = CancellationToken::with_timeout(budget.time);
        self.plan_operation(normalized.executable_operation(), &token, MOST_DETOURS)
    }

    /// Plans an operation; one for which the library finds no plan, by a detour.
    fn plan_operation(
        &self,
        operation: &OperationDefinition,
        token: &CancellationToken,
        detours: u32,
    ) -> Result<Node, PlanError> {
        let failure = match self.library_plan(operation, token) {
            Ok(plan) => {
                let empty = || PlanError::Failed("an empty plan".to_owned());
                return translate::node(plan.node.ok_or_else(empty)?);
            }
            Err(failure @ PlanError::Failed(_)) if detours > 0 => failure,
            Err(failure) => return Err(failure),
        };
        let Some(detour) = Detour::around(&self.library.supergraph, operation) else {
            return Err(failure);
        };
        // What the fields require may require others in turn.
        let rest = self.plan_operation(&detour.operation, token, detours - 1)?;
        Ok(detour.complete(rest))
    }

    fn library_plan(
        &self,
        operation: &OperationDefinition,
        token: &CancellationToken,
    ) -> Result<QueryPlan, PlanError> {
        self.library
            .plan_from_normalized_operation(
                operation,
                // Progressive overrides are not offered: no label is active, no share is taken.
                PlannerOverrideContext::from_percentage(NO_SHARE),
                token,
            )
            .map_err(|error| match error {
                PlannerError::CancellationError(
                    CancellationError::TimedOut | CancellationError::Cancelled,
                ) => PlanError::TooSlow,
                _ if token.bail_if_cancelled().is_err() => PlanError::TooSlow,
                other => PlanError::Failed(other.to_string()),
            })
    }
}

impl Planner for HivePlanner {
    fn plan(&self, document: &Document, budget: Budget) -> Result<Node, PlanError> {
        growth::check(&self.library.supergraph, document, budget.fields)?;
        let planned = catch_unwind(AssertUnwindSafe(|| self.plan_document(document, budget)));
        planned.map_err(|_| PlanError::Failed("the planner panicked".to_owned()))?
    }
}

/// How often what a detour selects may need another.
const MOST_DETOURS: u32 = 4;

/// A percentage that no request is below.
const NO_SHARE: f64 = 100.0;

#[cfg(test)]
mod detour_tests;
#[cfg(test)]
mod tests;
