//! What this process does not do: answered with the role that is missing and who may have it, because
//! "no such path" would send a person looking for a typo.

use std::sync::Arc;

use crate::errors::{self, ApiError};

/// A part of the API that lives in another process.
#[derive(Clone, Debug)]
pub(crate) struct Absent {
    /// How its paths begin.
    pub(crate) paths: &'static [&'static str],
    /// What it is, for people: `the log`.
    pub(crate) what: &'static str,
    /// Why it is not here and where it is, as a sentence without a full stop.
    pub(crate) why: Arc<str>,
}

impl Absent {
    /// The refusal, if `path` belongs to this part.
    pub(super) fn refuse(&self, path: &str) -> Option<ApiError> {
        let is_below = |prefix: &str| {
            let rest = path.strip_prefix(prefix);
            rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        };
        if !self.paths.iter().any(|prefix| is_below(prefix)) {
            return None;
        }
        let (what, why) = (self.what, &self.why);
        let detail = format!("{what} is not served by this process: {why}");
        Some(errors::NOT_PLAYED.problem(detail).into())
    }
}
