//! Contracts between services: recorded by the consumer, verified by the provider, compared over time.

pub mod consumer;
mod error;
mod generate;
pub mod matching;
pub mod model;
mod moment;
mod path;
pub mod provider;
pub mod rule;
mod rules;

pub use error::{Error, ErrorKind, Result};
pub use generate::Generators;
pub use model::Pact;
pub use path::{Path, Token};
pub use rules::{Category, Rules};
