//! The limits of one execution.
//!
//! A plan says what is fetched, not how much there is of it: a list of a million products becomes a
//! million representations for the next subgraph. Each limit here is checked before memory or a fetch
//! is spent on what lies beyond it, and what was refused is said by an error in the answer.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How much one operation may fetch, hold and answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "GraphqlAnswers")]
#[serde(deny_unknown_fields, default, rename_all = "kebab-case")]
pub struct Config {
    /// Places in the data that one fetch of entities may fill; equal representations are sent once, but
    /// each place counts. Default 5,000 (ours: a page of 1,000 rows with five entities each).
    pub entities_per_fetch: usize,
    /// The same, for all fetches of one operation. Default 20,000.
    pub entities: usize,
    /// Bytes of a request to a subgraph: representations may carry what other subgraphs answered. Default
    /// 4,194,304 (4 MiB).
    pub request_bytes: usize,
    /// Values (fields and list elements) that the answers of the subgraphs may have in memory, up to 36
    /// bytes each beside the text. Default 500,000.
    pub values: usize,
    /// How deep objects and lists may be nested in an answer of a subgraph; at most 200. Default 64.
    pub depth: usize,
    /// Bytes of `data` in the answer to the client; what is said of errors ends at a quarter of that more.
    /// Default 16,777,216 (16 MiB).
    pub answer_bytes: usize,
    /// Errors in the answer; the last says how many more there are. Default 50.
    pub errors: usize,
    /// Whether messages of subgraphs reach the client. If not, each is replaced by a general one; code
    /// and path stay. Default true.
    pub expose_messages: bool,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            entities_per_fetch: 5_000,
            entities: 20_000,
            request_bytes: 4 * 1024 * 1024,
            values: 500_000,
            depth: 64,
            answer_bytes: 16 * 1024 * 1024,
            errors: 50,
            expose_messages: true,
        }
    }
}

impl Config {
    /// The depth that holds: the configured one, never more than the stack bears.
    pub(crate) fn depth(&self) -> usize {
        self.depth.min(MAX_DEPTH)
    }
}

const MAX_DEPTH: usize = 200;
