//! GraphQL in a service: what every subgraph of the shop does alike.
//!
//! A service's own module (`graph.rs`) has its types and asks the same functions as its HTTP
//! interface. Here are the limits of a schema, the way over HTTP, how a refusal becomes an error with
//! a path, and how many questions of one kind become one.
//!
//! What can fail is nullable: a field that cannot be told is `null`, an error with its path says why,
//! and everything beside it is told. A field that cannot be null never fails.

mod answer;
mod batch;
mod endpoint;
mod entities;

mod scalars;
#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;
mod weight;

use async_graphql::{EmptySubscription, ObjectType, Schema, SchemaBuilder};

pub(crate) use answer::{caller, first, may_act_for, shared, tell};
pub(crate) use batch::Batch;
pub(crate) use endpoint::router;
pub(crate) use entities::{Entities, Place};
pub(crate) use scalars::{Amount, DateTime};

/// A subgraph: a schema for Apollo Federation 2, bounded. The gateway has limits for its callers;
/// these are for whoever else reaches the service. It tells its types by `_service`, so introspection
/// is the gateway's matter.
pub(crate) fn subgraph<Q, M>(query: Q, mutation: M) -> SchemaBuilder<Q, M, EmptySubscription>
where
    Q: ObjectType + 'static,
    M: ObjectType + 'static,
{
    Schema::build(query, mutation, EmptySubscription)
        .enable_federation()
        .disable_introspection()
        .disable_suggestions()
        .limit_depth(DEPTH)
        .limit_complexity(FIELDS)
        .limit_recursive_depth(NESTING)
        .limit_directives(DIRECTIVES)
}

/// How deep fields may be nested. The deepest that the shop has is four.
const DEPTH: usize = 10;
/// How many fields an operation may select, aliases and fragments counted where they are used.
const FIELDS: usize = 500;
/// How deep braces may be nested while the document is read.
const NESTING: usize = 20;
/// How many directives one field may have.
const DIRECTIVES: usize = 5;
