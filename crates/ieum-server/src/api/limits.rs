//! The bounds of the API: how much is answered at once, and how long a call may wait.

use std::time::Duration;

use ieum_base::HumanDuration;

use crate::errors::{self, ApiResult};

/// The most items of one answer.
pub(crate) const MAX_PAGE: usize = 1_000;
/// The items of an answer that asks for no number.
const DEFAULT_PAGE: usize = 100;
/// The longest wait; proxies give up on longer ones.
const MAX_WAIT: Duration = Duration::from_secs(60);

/// The number of items to answer.
pub(crate) fn page(asked: Option<usize>) -> ApiResult<usize> {
    match asked {
        None => Ok(DEFAULT_PAGE),
        Some(limit) if (1..=MAX_PAGE).contains(&limit) => Ok(limit),
        Some(limit) => {
            let detail = format!("`limit` is {limit}; it must be 1 to {MAX_PAGE}");
            Err(errors::MALFORMED_PARAMETER.problem(detail).into())
        }
    }
}

/// How long to wait.
pub(crate) fn wait(asked: Option<HumanDuration>) -> Duration {
    asked.unwrap_or_default().0.min(MAX_WAIT)
}
