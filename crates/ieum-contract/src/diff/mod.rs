//! What changed between two versions of a contract, and what of it breaks who relies on the old one.
//!
//! Who that is differs. On an OpenAPI document rely the callers: the provider may give more and ask
//! for less, not the other way round. On a JSON Schema, of an event say, rely readers and writers: a
//! change breaks if it breaks either. A Pact is a consumer's need, and the provider meets the old one:
//! what is needed newly may break it.

mod openapi;
mod pact;
mod schema;
#[cfg(test)]
mod tests;

use std::fmt;
use std::path::Path;

use serde::Serialize;
use serde_json::Value;

use crate::error::{Result, invalid};
use crate::model::{Pact, read_file};
use crate::openapi::Document;
use crate::schema::Schema;

/// What changed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Changes {
    /// Each change, in the order of the contract.
    pub changes: Vec<Change>,
}

/// One change.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Change {
    /// Where: `GET /users/{id} 200 $.body.name`.
    pub place: String,
    /// What: `removed`.
    pub text: String,
    /// Whether it breaks who relies on the old version.
    pub breaking: bool,
}

impl Changes {
    /// Whether any change breaks.
    pub fn breaks(&self) -> bool {
        self.changes.iter().any(|change| change.breaking)
    }

    fn put(&mut self, breaking: bool, place: impl Into<String>, text: impl Into<String>) {
        self.changes.push(Change {
            place: place.into(),
            text: text.into(),
            breaking,
        });
    }
}

impl fmt::Display for Changes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.changes.is_empty() {
            return writeln!(f, "nothing changed");
        }
        for change in &self.changes {
            let mark = if change.breaking { "BREAKING" } else { "ok" };
            writeln!(f, "{mark:<8}  {}: {}", change.place, change.text)?;
        }
        let breaking = self.changes.iter().filter(|change| change.breaking).count();
        writeln!(f, "changes: {}, breaking: {breaking}", self.changes.len())
    }
}

/// Compares two files of the same kind: Pact files, OpenAPI documents or JSON Schemas.
///
/// # Errors
/// [`crate::ErrorKind::File`] if one cannot be read; [`crate::ErrorKind::Invalid`] if they are not of
/// one kind, or not what they seem to be.
pub fn files(old: &Path, new: &Path) -> Result<Changes> {
    let read = |file: &Path| -> Result<Contract> {
        let text = read_file(file)?;
        let value = serde_json::from_slice(&text);
        let value = value.map_err(|error| invalid(format!("no JSON: {error}")));
        let contract = value.and_then(Contract::of_json);
        contract.map_err(|error| error.at(file.display()))
    };
    compare(read(old)?, read(new)?)
}

/// The same for values.
///
/// # Errors
/// [`crate::ErrorKind::Invalid`], as [`files`].
pub fn values(old: Value, new: Value) -> Result<Changes> {
    compare(Contract::of_json(old)?, Contract::of_json(new)?)
}

fn compare(old: Contract, new: Contract) -> Result<Changes> {
    match (old, new) {
        (Contract::Pact(old), Contract::Pact(new)) => Ok(pact::compare(&old, &new)),
        (Contract::OpenApi(old), Contract::OpenApi(new)) => Ok(openapi::compare(&old, &new)),
        (Contract::Schema(old), Contract::Schema(new)) => Ok(schema::compare(&old, &new)),
        (old, new) => Err(invalid(format!("{old} cannot be compared with {new}"))),
    }
}

/// What a file turned out to be.
enum Contract {
    Pact(Pact),
    OpenApi(Document),
    Schema(Value),
}

impl Contract {
    fn of_json(value: Value) -> Result<Self> {
        if value.get("openapi").is_some() {
            Document::of_json(value).map(Self::OpenApi)
        } else if value.get("swagger").is_some() {
            Err(invalid("OpenAPI documents of version 2 are not known"))
        } else if value.get("consumer").is_some() && value.get("provider").is_some() {
            Pact::of_json(&value).map(Self::Pact)
        } else {
            Schema::new(&value)?;
            Ok(Self::Schema(value))
        }
    }
}

impl fmt::Display for Contract {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Pact(_) => "a Pact file",
            Self::OpenApi(_) => "an OpenAPI document",
            Self::Schema(_) => "a JSON Schema",
        })
    }
}
