//! Which calls are made again.

use ieum_base::Retry;

/// Judges whether a call may be made again, and keeps what is needed for it.
pub trait Policy<Request, Response, E> {
    /// A copy of the request for another attempt; `None` if it must not be repeated (it is not
    /// idempotent, its body is a stream).
    fn clone_request(&self, request: &Request) -> Option<Request>;

    /// Whether another attempt makes sense after this result. `Never` for a success.
    fn judge(&self, result: Result<&Response, &E>) -> Retry;
}
