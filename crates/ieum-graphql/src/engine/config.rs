//! The settings of an engine.

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::execute;
use crate::limits::Limits;

/// How an engine validates, plans and executes.
///
/// In a file, times are written with a unit by whoever embeds this (`planning-timeout = "1s"`), so it is
/// not a file's format itself; [`Limits`] and [`execute::Config`] are.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Config {
    /// Whether `__schema` and `__type` are answered. Default false: a schema is a map for attackers, and
    /// clients in production know it. (`__typename` is always answered.)
    pub introspection: bool,
    /// Limits of documents and variables.
    pub limits: Limits,
    /// Limits of execution.
    pub execution: execute::Config,
    /// Limits of planning and of the cache of plans.
    pub planning: Planning,
}

/// How much planning may cost, and how much of it is remembered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default, rename_all = "kebab-case")]
pub struct Planning {
    /// Milliseconds that planning one operation may take. Default 1,000 (ours; Hive Router's is 10,000).
    pub timeout_ms: u64,
    /// Fields of an operation once selections on interfaces are spread over their types. Default 20,000
    /// (ours: four times the fields that a document may have).
    pub planned_fields: usize,
    /// Plans that are remembered. Default 1,000 (Hive Router, `plan_cache`; Apollo Router has 512).
    pub cached_plans: usize,
    /// Bytes of all remembered plans: of their texts, and 512 for each field. Default 16 MiB.
    pub cached_bytes: usize,
}

impl Default for Planning {
    fn default() -> Self {
        Self {
            timeout_ms: 1_000,
            planned_fields: 20_000,
            cached_plans: 1_000,
            cached_bytes: 16 * 1024 * 1024,
        }
    }
}

impl Planning {
    pub(super) fn timeout(&self) -> Duration {
        Duration::from_millis(self.timeout_ms)
    }
}
