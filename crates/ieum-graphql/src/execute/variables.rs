//! The values of an operation's variables, as JSON text.
//!
//! They are coerced before they come here. They stay text because a fetch only copies them into its
//! body: once for each subgraph that uses them.

use serde::Serialize;
use serde_json::value::{RawValue, to_raw_value};

/// Variables by name. One that has no value (not given, no default) is absent, and stays so in the
/// operations for subgraphs.
#[derive(Clone, Debug, Default)]
pub struct Variables(Vec<(Box<str>, Box<RawValue>)>);

impl Variables {
    /// No variables.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a variable; a name is added once.
    ///
    /// # Errors
    /// If the value has no form in JSON (a map with keys that are no strings).
    pub fn insert(&mut self, name: &str, value: &impl Serialize) -> serde_json::Result<()> {
        self.insert_raw(name, to_raw_value(value)?);
        Ok(())
    }

    /// Adds a variable whose value is JSON text already.
    pub fn insert_raw(&mut self, name: &str, value: Box<RawValue>) {
        self.0.push((name.into(), value));
    }

    /// The value's JSON text.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0
            .iter()
            .find(|(known, _)| **known == *name)
            .map(|(_, value)| value.get())
    }

    /// Whether the variable is given and true.
    pub(crate) fn is_true(&self, name: &str) -> bool {
        self.get(name) == Some("true")
    }
}
