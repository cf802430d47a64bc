//! Contracts between services: recorded by the consumer, verified by the provider, compared over time.
//!
//! Services are deployed one by one; a contract says what one may rely on in another, so that a test
//! of each alone shows whether they still fit. The consumer's side of it is a Pact: [`consumer`]
//! records what a test really used, [`provider`] puts that to a running service. The provider's side
//! is a [`Schema`] or an OpenAPI [`openapi::Document`]: what it promises to everybody. [`diff`] says
//! what a new version of either breaks.
//!
//! | module | what it is about |
//! |---|---|
//! | [`model`] | what a Pact file says, in the versions 1 to 4 |
//! | [`rule`] | matching rules as values |
//! | [`matching`] | whether what came is what was agreed |
//! | [`consumer`] | the mock of a provider, and the recording that it plays |
//! | [`provider`] | the verification of a running provider |
//! | [`openapi`] | requests and responses, held against a document |
//! | [`diff`] | two versions of a contract |

mod error;
mod path;

pub mod model;
pub mod rule;
mod rules;

pub mod matching;
mod moment;

mod generate;

pub mod consumer;
pub mod provider;

pub mod openapi;
mod schema;

pub mod diff;

pub use error::{Error, ErrorKind, Result};
pub use generate::Generators;
pub use model::Pact;
pub use path::{Path, Token};
pub use rules::{Category, Rules};
pub use schema::Schema;
