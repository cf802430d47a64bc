//! What counts as a failure.

/// How a call ended, as far as the health of its target is concerned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The target works: it answered, also with a "not found" or another 4xx.
    Success,
    /// The target does not work: no answer, 5xx.
    Failure,
    /// Nothing was learnt: the caller gave up, or the call never left.
    Unknown,
}

/// Judges the result of a call.
pub trait Policy<Response, E> {
    /// How the call ended.
    fn judge(&self, result: Result<&Response, &E>) -> Outcome;
}

/// The policy that takes each `Err` for a failure and each `Ok` for a success.
#[derive(Clone, Copy, Debug, Default)]
pub struct ErrorsAreFailures;

impl<Response, E> Policy<Response, E> for ErrorsAreFailures {
    fn judge(&self, result: Result<&Response, &E>) -> Outcome {
        match result {
            Ok(_) => Outcome::Success,
            Err(_) => Outcome::Failure,
        }
    }
}

impl<Response, E, F> Policy<Response, E> for F
where
    F: Fn(Result<&Response, &E>) -> Outcome,
{
    fn judge(&self, result: Result<&Response, &E>) -> Outcome {
        self(result)
    }
}
