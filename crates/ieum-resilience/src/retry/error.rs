//! The failure of a call that was tried as often as it may be.

use ieum_base::Retry;

/// The last attempt's failure, and why there was no other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the call failed after {attempts} attempts")]
pub struct Error<E> {
    /// How often it was tried; at least 1.
    pub attempts: u32,
    /// `Never`: repeating could not help or was not safe; `Exhausted`: the attempts or the budget
    /// are used up.
    pub retry: Retry,
    /// The last attempt's failure.
    #[source]
    pub last: E,
}
