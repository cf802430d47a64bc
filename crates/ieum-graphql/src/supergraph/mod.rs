//! The supergraph: one schema that says which subgraph answers which field.
//!
//! It is given as the SDL that a composer wrote (the join specification of Apollo Federation 2), or
//! composed here from the subgraphs' own SDL by [`compose`]. What enters is checked before anything
//! else sees it, because the planner's library panics where a supergraph contradicts itself.

mod api;
mod astral;
mod check;
mod compose;
mod error;
mod features;
mod fieldset;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use graphql_tools::static_graphql::schema::Document;

pub use api::ApiSchema;
pub use compose::{SubgraphSource, compose};
pub use error::{Error, ErrorKind};

/// A checked supergraph. Cloning is cheap: clones share it.
#[derive(Clone)]
pub struct Supergraph(Arc<Inner>);

struct Inner {
    document: Document,
    subgraphs: Vec<Subgraph>,
    api: ApiSchema,
}

/// A service of the supergraph.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Subgraph {
    /// Its name, by which plans and transports know it.
    pub name: String,
    /// Its address as the supergraph states it; empty if it states none.
    pub url: String,
}

impl Supergraph {
    /// Reads and checks a supergraph's SDL. The cost is linear in the text; a few milliseconds for a
    /// hundred types.
    ///
    /// # Errors
    /// If it is not SDL, not a supergraph, or not consistent.
    pub fn parse(sdl: &str) -> Result<Self, Error> {
        let document = parse_schema(sdl)?;
        let subgraphs = check::check(&document)?;
        let api = ApiSchema::from_supergraph(&document)?;
        Ok(Self(Arc::new(Inner {
            document,
            subgraphs,
            api,
        })))
    }

    /// The services behind it, in the order of `join__Graph`.
    pub fn subgraphs(&self) -> &[Subgraph] {
        &self.0.subgraphs
    }

    /// The schema that clients see: without what is `@inaccessible`, and without federation.
    pub fn api(&self) -> &ApiSchema {
        &self.0.api
    }

    /// The whole of it, for the planner.
    pub(crate) fn document(&self) -> &Document {
        &self.0.document
    }
}

/// Parses SDL. The library's parser panics on some block strings: that is a syntax error here.
fn parse_schema(sdl: &str) -> Result<Document, Error> {
    let syntax = |message: String| Error::new(ErrorKind::Syntax, message);
    catch_unwind(AssertUnwindSafe(|| {
        graphql_tools::parser::parse_schema::<String>(sdl).map(|document| document.into_static())
    }))
    .map_err(|_| syntax("a description in the schema is not understood".to_owned()))?
    .map_err(|error| syntax(one_line(&error.to_string())))
}

/// The library's messages have several lines.
fn one_line(text: &str) -> String {
    let words: Vec<&str> = text.split_whitespace().collect();
    words.join(" ")
}

#[cfg(test)]
mod tests;
